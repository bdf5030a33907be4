"""How the bits of instructions lie in fetch units: what decoder, encoder and overlap analysis share.

A *layout* is what remains to be read of one instruction: fixed bits, bits of fields, and parts of
operands whose alternative is still open. `Layouts.advance` reads one fetch unit of a layout; it
opens an operand only when one of its parts is reached, so forms are never multiplied out ahead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from functools import cached_property
from typing import NamedTuple, TypeAlias, assert_never

from spec.concrete import Concrete
from spec.evaluate import evaluate
from spec.ir import (
    Alternative,
    BitsPiece,
    Expr,
    FieldPiece,
    FieldType,
    Instruction,
    Isa,
    Local,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
)

TAIL = "tail"
_CUBE_BITS = 6  # conditions on at most so many encoded bits become fixed bits of the layout

_DOMAIN = Concrete()


class FixedBits(NamedTuple):
    value: int
    width: int


class FieldBits(NamedTuple):
    """Bits `high..low` of a field, of which those in `mask` (of the field) must equal `fixed`."""

    field: str
    high: int
    low: int
    mask: int
    fixed: int


class OperandPart(NamedTuple):
    """A part of the operand at `path`, whose alternative is not chosen yet."""

    path: str
    part: str
    operand: str
    tags: tuple[int, ...]


Item: TypeAlias = FixedBits | FieldBits | OperandPart
Layout: TypeAlias = tuple[Item, ...]
Cube: TypeAlias = Mapping[str, tuple[int, int]]  # parameter -> mask, value


class Choice(NamedTuple):
    """The alternative that stands at the operand parameter with this path."""

    path: str
    operand: str
    alternative: Alternative

    @property
    def scope(self) -> str:
        """What comes before the names of its parameters."""
        return f"{self.path}.{self.alternative.name}."


class Capture(NamedTuple):
    """Where bits of a field lie in a unit: `(unit >> shift) & mask` goes to bit `low` on."""

    field: str
    shift: int
    mask: int
    low: int


@dataclass(frozen=True, slots=True)
class Transition:
    """A way to read one unit of a layout: the unit agrees with `value` on `mask`."""

    mask: int
    value: int
    captures: tuple[Capture, ...]
    choices: tuple[Choice, ...]
    rest: Layout


@dataclass(frozen=True, slots=True)
class Condition:
    """What the fields `names` must satisfy: be in `values` (one field), or make `expr` true.

    `scope` is put before the names that `expr` mentions. A field that is not given is 0.
    """

    scope: str
    names: tuple[str, ...]
    values: frozenset[int] | None
    expr: Expr | None

    def holds(self, fields: Mapping[str, int]) -> bool:
        if self.values is not None:
            return fields.get(self.scope + self.names[0], 0) in self.values
        assert self.expr is not None
        scope = self.scope
        return bool(
            evaluate(self.expr, _DOMAIN, lambda name: fields.get(scope + name, 0), _no_state)
        )

    def within(self, scope: str) -> "Condition":
        """The same condition on the fields of an alternative."""
        return Condition(scope, self.names, self.values, self.expr)


def _no_state(element: str, index: int | None) -> int:
    raise ValueError(f"a constraint reads the state `{element}`")


class Layouts:
    """The layouts of one description."""

    def __init__(self, isa: Isa) -> None:
        self.unit_width = isa.fetch.unit_width
        self.big_endian = isa.memory.big_endian
        self.operands = {operand.name: operand for operand in isa.operands}
        self._advanced: dict[Layout, tuple[Transition, ...]] = {}
        self._roots: dict[str, Form] = {}
        self._forms = {
            (operand.name, alternative.tag): Form(
                alternative.parameters,
                (*(p for _, pieces in alternative.parts for p in pieces), *alternative.tail),
                alternative.constraint,
            )
            for operand in isa.operands
            for alternative in operand.alternatives
        }

    def root(self, instruction: Instruction) -> "Form":
        """The conditions of the instruction itself."""
        form = self._roots.get(instruction.name)
        if form is None or form.parameters is not instruction.parameters:
            form = Form(instruction.parameters, instruction.encoding, instruction.constraint)
            self._roots[instruction.name] = form
        return form

    def form(self, choice: Choice) -> "Form":
        """The conditions of an alternative."""
        return self._forms[choice.operand, choice.alternative.tag]

    def starts(self, instruction: Instruction) -> tuple[Layout, ...]:
        """The layouts of a whole instruction: one per cube of its small conditions."""
        form = self.root(instruction)
        pieces = (*instruction.encoding, *form.unplaced_tails)
        return tuple(_items(pieces, "", form.types, cube) for cube in form.cubes)

    def whole(self, instruction: Instruction) -> Layout:
        """The layout of a whole instruction, its conditions aside."""
        form = self.root(instruction)
        return _items((*instruction.encoding, *form.unplaced_tails), "", form.types, {})

    def alternatives(self, part: OperandPart) -> Iterator[Alternative]:
        """What may stand at the operand of `part`."""
        for alternative in self.operands[part.operand].alternatives:
            if alternative.tag in part.tags:
                yield alternative

    def choose(
        self, layout: Layout, part: OperandPart, alternative: Alternative, cube: Cube
    ) -> Layout:
        """The layout in which the operand at `part.path` is the alternative."""
        form = self._forms[part.operand, alternative.tag]
        scope = f"{part.path}.{alternative.name}."
        parts = dict(alternative.parts)
        chosen: list[Item] = []
        for item in layout:
            if isinstance(item, OperandPart) and item.path == part.path:
                if item.part == TAIL:
                    pieces = (*alternative.tail, *form.unplaced_tails)
                else:
                    pieces = parts.get(item.part, ())
                chosen += _items(pieces, scope, form.types, cube)
            else:
                chosen.append(item)
        return tuple(chosen)

    def in_memory_order(self, item: FieldBits) -> Layout:
        """A field slice that starts at a unit boundary, as memory orders its units."""
        unit = self.unit_width
        width = item.high - item.low + 1
        if self.big_endian or width <= unit or width % unit:
            return (item,)
        return tuple(
            item._replace(high=low + unit - 1, low=low) for low in range(item.low, item.high, unit)
        )

    def advance(self, layout: Layout) -> tuple[Transition, ...]:
        """The ways to read the next unit; none if the layout ends within a unit."""
        known = self._advanced.get(layout)
        if known is None:
            known = tuple(self._read(layout, 0, 0, 0, (), ()))
            self._advanced[layout] = known
        return known

    def _read(
        self,
        layout: Layout,
        offset: int,
        mask: int,
        value: int,
        captures: tuple[Capture, ...],
        choices: tuple[Choice, ...],
    ) -> Iterator[Transition]:
        unit = self.unit_width
        position = 0
        while offset < unit:
            if position == len(layout):
                return
            item = layout[position]
            position += 1
            match item:
                case FixedBits(bits, width):
                    taken = min(width, unit - offset)
                    offset += taken
                    mask |= _ones(taken) << (unit - offset)
                    value |= (bits >> (width - taken)) << (unit - offset)
                    if taken < width:
                        left: Item = FixedBits(bits & _ones(width - taken), width - taken)
                        layout, position = (left, *layout[position:]), 0
                case FieldBits(name, high, low, fixed_mask, fixed):
                    if offset == 0 and high - low + 1 > unit:
                        ordered = self.in_memory_order(item)
                        if len(ordered) > 1:
                            layout, position = (*ordered, *layout[position:]), 0
                            continue
                    taken = min(high - low + 1, unit - offset)
                    offset += taken
                    low = high - taken + 1
                    shift = unit - offset
                    captures = (*captures, Capture(name, shift, _ones(taken), low))
                    mask |= (fixed_mask >> low & _ones(taken)) << shift
                    value |= (fixed >> low & _ones(taken)) << shift
                    if low > item.low:
                        left = item._replace(high=low - 1)
                        layout, position = (left, *layout[position:]), 0
                case OperandPart():
                    remaining = layout[position - 1 :]
                    for alternative in self.alternatives(item):
                        chosen = (*choices, Choice(item.path, item.operand, alternative))
                        for cube in self._forms[item.operand, alternative.tag].cubes:
                            following = self.choose(remaining, item, alternative, cube)
                            yield from self._read(following, offset, mask, value, captures, chosen)
                    return
                case _:
                    assert_never(item)
        yield Transition(mask, value, captures, choices, layout[position:])


class Form:
    """The parameters of an instruction or alternative and what they must satisfy."""

    def __init__(
        self, parameters: tuple[Parameter, ...], pieces: tuple[Piece, ...], constraint: Expr | None
    ) -> None:
        self.parameters = parameters
        self.types = {p.name: p.type for p in parameters}
        self.pieces = pieces
        self.constraint = constraint

    @cached_property
    def unplaced_tails(self) -> tuple[OperandPiece, ...]:
        """The tails that follow at the end, in parameter order."""
        placed = {
            p.parameter for p in self.pieces if isinstance(p, OperandPiece) and p.part == TAIL
        }
        return tuple(
            OperandPiece(name, TAIL)
            for name, type_ in self.types.items()
            if isinstance(type_, OperandRef) and name not in placed
        )

    @cached_property
    def encoded(self) -> dict[str, int]:
        """The bits of each plain parameter that the encoding mentions."""
        encoded = {n: 0 for n, t in self.types.items() if isinstance(t, FieldType)}
        for piece in self.pieces:
            if isinstance(piece, FieldPiece):
                encoded[piece.field] |= _ones(piece.width) << piece.low
        return encoded

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """All that the parameters must satisfy, without scope."""
        conditions = [
            Condition("", (name,), frozenset(value for _, value in type_.values), None)
            for name, type_ in self.types.items()
            if isinstance(type_, FieldType) and 0 < len(type_.values) < 1 << type_.width
        ]
        if self.constraint is not None:
            names = tuple(sorted(_locals(self.constraint)))
            conditions.append(Condition("", names, None, self.constraint))
        return tuple(conditions)

    @cached_property
    def small(self) -> tuple[Condition, ...]:
        """The conditions that `cubes` decides."""
        return tuple(c for c in self.conditions if self._is_small(c))

    @cached_property
    def large(self) -> tuple[Condition, ...]:
        """The conditions that `cubes` leaves open."""
        return tuple(c for c in self.conditions if not self._is_small(c))

    @cached_property
    def cubes(self) -> tuple[Cube, ...]:
        """Disjoint sets of field bits that together are what the small conditions allow."""
        cubes: list[dict[str, tuple[int, int]]] = [{}]
        for condition in self.small:
            cubes = [
                both
                for one in self._cover(condition)
                for other in cubes
                if (both := _meet(one, other)) is not None
            ]
        return tuple(cubes)

    def _is_small(self, condition: Condition) -> bool:
        if any(name not in self.encoded for name in condition.names):
            return False  # it depends on an operand
        return sum(self.encoded[name].bit_count() for name in condition.names) <= _CUBE_BITS

    def _cover(self, condition: Condition) -> list[dict[str, tuple[int, int]]]:
        places = [
            (name, bit)
            for name in condition.names
            for bit in range(self.encoded[name].bit_length() - 1, -1, -1)
            if self.encoded[name] >> bit & 1
        ]
        return list(_cover(condition, places, dict.fromkeys(condition.names, 0), 0))


def _cover(
    condition: Condition,
    places: list[tuple[str, int]],
    fields: dict[str, int],
    depth: int,
) -> Iterator[dict[str, tuple[int, int]]]:
    """Disjoint cubes of the field bits at `places[depth:]` that satisfy the condition."""
    if depth == len(places):
        if condition.holds(fields):
            yield {}
        return
    name, bit = places[depth]
    halves = []
    for chosen in (0, 1):
        fields[name] |= chosen << bit
        halves.append(list(_cover(condition, places, fields, depth + 1)))
        fields[name] &= ~(chosen << bit)
    if halves[0] == halves[1]:
        yield from halves[0]
        return
    for chosen, half in enumerate(halves):
        for inner in half:
            mask, value = inner.get(name, (0, 0))
            yield {**inner, name: (mask | 1 << bit, value | chosen << bit)}


def _meet(
    one: dict[str, tuple[int, int]], other: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]] | None:
    """The common part of two cubes, or None if they have none."""
    met = dict(other)
    for name, (mask, value) in one.items():
        other_mask, other_value = met.get(name, (0, 0))
        if (value ^ other_value) & mask & other_mask:
            return None
        met[name] = (mask | other_mask, value | other_value)
    return met


def _items(
    pieces: tuple[Piece, ...],
    scope: str,
    types: Mapping[str, FieldType | OperandRef],
    cube: Cube,
) -> Layout:
    items: list[Item] = []
    for piece in pieces:
        match piece:
            case BitsPiece(value, width):
                items.append(FixedBits(value, width))
            case FieldPiece(name, high, low):
                items.append(FieldBits(scope + name, high, low, *cube.get(name, (0, 0))))
            case OperandPiece(name, part):
                type_ = types[name]
                assert isinstance(type_, OperandRef)
                items.append(OperandPart(scope + name, part, type_.operand, type_.tags))
            case _:
                assert_never(piece)
    return tuple(items)


def _locals(expr: Expr) -> set[str]:
    """The names of the locals that occur in an expression."""
    if isinstance(expr, Local):
        return {expr.name}
    children = (getattr(expr, part.name) for part in dataclass_fields(expr))
    return {name for child in children if isinstance(child, Expr) for name in _locals(child)}


def _ones(width: int) -> int:
    return (1 << width) - 1
