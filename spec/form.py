"""What the parameters of an instruction, or of one alternative of an operand, must satisfy.

Conditions come from `where` and from enumerations. Those on few encoded bits are turned into
*cubes* (sets of values given by some fixed bits), which become part of the encoding; the others
stay to be tested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from functools import cached_property
from itertools import product
from typing import NamedTuple, TypeAlias

from spec.concrete import Concrete
from spec.evaluate import evaluate
from spec.ir import (
    Compare,
    CompareOp,
    Expr,
    FieldPiece,
    FieldType,
    Literal,
    Local,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
)

TAIL = "tail"
"""The part of an operand that follows at the end of the instruction."""

Cube: TypeAlias = Mapping[str, tuple[int, int]]
"""For some plain parameters, a mask and the value that the parameter has there."""


class Case(NamedTuple):
    """Values of parameters: fixed bits of some, and for some operands the tags that are left."""

    bits: Cube
    tags: Mapping[str, tuple[int, ...]]


ANY = Case({}, {})

_CUBE_BITS = 6  # conditions on more encoded bits stay to be tested
_TAGS = 64  # likewise on more combinations of alternatives
_DOMAIN = Concrete()


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

    def literals(self) -> set[int] | None:
        """Numbers such that the condition, on one field, treats all others alike.

        None if the field occurs other than compared (`==`, `!=`) with a number.
        """
        if self.values is not None:
            return set(self.values)
        assert self.expr is not None
        return _literals(self.expr)

    def within(self, scope: str) -> "Condition":
        """The same condition on the fields of an alternative."""
        return Condition(scope, self.names, self.values, self.expr)


def _no_state(element: str, index: int | None) -> int:
    raise ValueError(f"a constraint reads the state `{element}`")


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
                encoded[piece.field] |= ones(piece.width) << piece.low
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
        """The conditions that `cases` decides."""
        return tuple(c for c in self.conditions if self._is_small(c))

    @cached_property
    def large(self) -> tuple[Condition, ...]:
        """The conditions that `cases` leaves open."""
        return tuple(c for c in self.conditions if not self._is_small(c))

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Disjoint cases that together are what the small conditions allow."""
        cases = [ANY]
        for condition in self.small:
            cases = [
                both
                for one in self._cases(condition)
                for other in cases
                if (both := _meet(one, other)) is not None
            ]
        return tuple(cases)

    def _is_small(self, condition: Condition) -> bool:
        width = 0
        combinations = 1
        for name in condition.names:
            operand = self._operand_of_tag(name)
            if operand is not None:
                combinations *= len(operand.tags)
            elif name in self.encoded:
                width += self.encoded[name].bit_count()
            else:
                return False  # it depends on what is inside an operand
        return width <= _CUBE_BITS and combinations <= _TAGS

    def _operand_of_tag(self, name: str) -> OperandRef | None:
        """The operand parameter whose tag has this name."""
        parameter = name.removesuffix(".tag")
        type_ = self.types.get(parameter) if parameter != name else None
        return type_ if isinstance(type_, OperandRef) else None

    def _cases(self, condition: Condition) -> list[Case]:
        """Disjoint cases in which a small condition holds."""
        operands = {n: ref for n in condition.names if (ref := self._operand_of_tag(n)) is not None}
        plain = [name for name in condition.names if name not in operands]
        places = [
            (name, bit)
            for name in plain
            for bit in range(self.encoded[name].bit_length() - 1, -1, -1)
            if self.encoded[name] >> bit & 1
        ]
        found: list[tuple[list[Cube], list[tuple[int, ...]]]] = []  # cubes, tags that have them
        for tags in product(*(ref.tags for ref in operands.values())):
            fields = {**dict.fromkeys(plain, 0), **dict(zip(operands, tags, strict=True))}
            cubes: list[Cube] = list(_cover(condition, places, fields, 0))
            same = next((together for known, together in found if known == cubes), None)
            if same is not None and len(operands) == 1:
                same.append(tags)
            else:
                found.append((cubes, [tags]))
        return [
            Case(
                cube,
                {
                    name.removesuffix(".tag"): tuple(sorted({tags[i] for tags in together}))
                    for i, name in enumerate(operands)
                },
            )
            for cubes, together in found
            for cube in cubes
        ]


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


def _meet(one: Case, other: Case) -> Case | None:
    """The common part of two cases, or None if they have none."""
    bits = dict(other.bits)
    for name, (mask, value) in one.bits.items():
        other_mask, other_value = bits.get(name, (0, 0))
        if (value ^ other_value) & mask & other_mask:
            return None
        bits[name] = (mask | other_mask, value | other_value)
    tags = dict(other.tags)
    for name, left in one.tags.items():
        tags[name] = tuple(tag for tag in left if tag in tags.get(name, left))
        if not tags[name]:
            return None
    return Case(bits, tags)


def _literals(expr: Expr) -> set[int] | None:
    match expr:
        case Local():
            return None
        case Compare(CompareOp.EQ | CompareOp.NE, Local(), Literal(value)):
            return {value}
        case Compare(CompareOp.EQ | CompareOp.NE, Literal(value), Local()):
            return {value}
        case _:
            found: set[int] = set()
            for child in _children(expr):
                told = _literals(child)
                if told is None:
                    return None
                found |= told
            return found


def ones(width: int) -> int:
    """So many bits, all set."""
    return (1 << width) - 1


def _locals(expr: Expr) -> set[str]:
    """The names of the locals that occur in an expression."""
    if isinstance(expr, Local):
        return {expr.name}
    return {name for child in _children(expr) for name in _locals(child)}


def _children(expr: Expr) -> Iterator[Expr]:
    for part in dataclass_fields(expr):
        child = getattr(expr, part.name)
        if isinstance(child, Expr):
            yield child
