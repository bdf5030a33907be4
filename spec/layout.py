"""How the bits of instructions lie in fetch units: what decoder, encoder and overlap analysis share.

A *layout* is what remains to be read of one instruction: fixed bits, bits of fields, and parts of
operands whose alternative is still open. `Layouts.advance` reads one fetch unit of a layout; it
opens an operand only when one of its parts is reached, so forms are never multiplied out ahead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

from spec.form import ANY, TAIL, Case, Form, ones
from spec.ir import (
    Alternative,
    BitsPiece,
    FieldPiece,
    FieldType,
    Instruction,
    Isa,
    OperandPiece,
    OperandRef,
    Piece,
)


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


def width_of(item: Item) -> int:
    """The width of fixed bits or of a field slice; an operand must be chosen first."""
    match item:
        case FixedBits(_, width):
            return width
        case FieldBits(_, high, low):
            return high - low + 1
        case OperandPart(path):
            raise ValueError(f"`{path}` is not chosen")
        case _:
            assert_never(item)


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


class Layouts:
    """The layouts of one description."""

    def __init__(self, isa: Isa) -> None:
        self.unit_width = isa.fetch.unit_width
        self.big_endian = isa.memory.big_endian
        self.operands = {operand.name: operand for operand in isa.operands}
        self._advanced: dict[Layout, tuple[Transition, ...]] = {}
        self._roots: dict[str, Form] = {}
        self._whole: dict[str, tuple[Instruction, Layout]] = {}
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
        """The layouts of a whole instruction: one per case of its small conditions."""
        form = self.root(instruction)
        pieces = (*instruction.encoding, *form.unplaced_tails)
        return tuple(_items(pieces, "", form.types, case) for case in form.cases)

    def whole(self, instruction: Instruction) -> Layout:
        """The layout of a whole instruction, its conditions aside."""
        known = self._whole.get(instruction.name)
        if known is None or known[0] is not instruction:
            form = self.root(instruction)
            items = _items((*instruction.encoding, *form.unplaced_tails), "", form.types, ANY)
            known = self._whole[instruction.name] = instruction, items
        return known[1]

    def alternatives(self, part: OperandPart) -> Iterator[Alternative]:
        """What may stand at the operand of `part`."""
        for alternative in self.operands[part.operand].alternatives:
            if alternative.tag in part.tags:
                yield alternative

    def choose(
        self, layout: Layout, part: OperandPart, alternative: Alternative, case: Case
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
                chosen += _items(pieces, scope, form.types, case)
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
                    mask |= ones(taken) << (unit - offset)
                    value |= (bits >> (width - taken)) << (unit - offset)
                    if taken < width:
                        left: Item = FixedBits(bits & ones(width - taken), width - taken)
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
                    captures = (*captures, Capture(name, shift, ones(taken), low))
                    mask |= (fixed_mask >> low & ones(taken)) << shift
                    value |= (fixed >> low & ones(taken)) << shift
                    if low > item.low:
                        left = item._replace(high=low - 1)
                        layout, position = (left, *layout[position:]), 0
                case OperandPart():
                    remaining = layout[position - 1 :]
                    for alternative in self.alternatives(item):
                        chosen = (*choices, Choice(item.path, item.operand, alternative))
                        for case in self._forms[item.operand, alternative.tag].cases:
                            following = self.choose(remaining, item, alternative, case)
                            yield from self._read(following, offset, mask, value, captures, chosen)
                    return
                case _:
                    assert_never(item)
        yield Transition(mask, value, captures, choices, layout[position:])


def _items(
    pieces: tuple[Piece, ...],
    scope: str,
    types: Mapping[str, FieldType | OperandRef],
    case: Case,
) -> Layout:
    items: list[Item] = []
    for piece in pieces:
        match piece:
            case BitsPiece(value, width):
                items.append(FixedBits(value, width))
            case FieldPiece(name, high, low):
                items.append(FieldBits(scope + name, high, low, *case.bits.get(name, (0, 0))))
            case OperandPiece(name, part):
                type_ = types[name]
                assert isinstance(type_, OperandRef)
                tags = case.tags.get(name, type_.tags)
                items.append(OperandPart(scope + name, part, type_.operand, tags))
            case _:
                assert_never(piece)
    return tuple(items)
