"""Words that two instructions, or two forms of one, claim: `overlaps`; forms that no word has:
`unreachable`; encodings that do not fill their last fetch unit: `ragged`.

The search walks all encodings together, unit by unit, and keeps only what can still agree; what
is left to read of different instructions is often the same and is searched once. Conditions
(`where`, enumerations) are decided as `spec.agreement` says.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from spec.agreement import UnitCube, solve
from spec.form import TAIL
from spec.ir import (
    Alternative,
    Instruction,
    Isa,
    Operand,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
)
from spec.layout import Choice, Layout, Layouts
from spec.reading import Reading, begin


@dataclass(frozen=True, slots=True)
class Overlap:
    """Fetch units that begin two instructions, or one instruction in two ways.

    The choices are pairs of an operand's path and the name of its alternative. Where one encoding
    is shorter, `units` are those of the longer one.
    """

    first: Instruction
    first_choices: tuple[tuple[str, str], ...]
    second: Instruction
    second_choices: tuple[tuple[str, str], ...]
    units: tuple[int, ...]


def overlaps(isa: Isa) -> list[Overlap]:
    """One example for each pair of instructions that overlap, in the order of declaration."""
    layouts = Layouts(isa)
    search = _Search(layouts)
    tracks = [
        (order, layout)
        for order, instruction in enumerate(isa.instructions)
        for layout in layouts.starts(instruction)
    ]
    search.within(tracks)
    found = []
    for first, second in sorted(search.suspects):
        example = _example(layouts, isa.instructions, first, second)
        if example is not None:
            found.append(example)
    return found


def unreachable(isa: Isa) -> list[tuple[Operand, Alternative] | Instruction]:
    """Alternatives and instructions whose small conditions exclude every word."""
    layouts = Layouts(isa)
    found: list[tuple[Operand, Alternative] | Instruction] = [
        (operand, alternative)
        for operand in isa.operands
        for alternative in operand.alternatives
        if not layouts.form(Choice("", operand.name, alternative)).cases
    ]
    return found + [i for i in isa.instructions if not layouts.root(i).cases]


def ragged(isa: Isa) -> list[tuple[Instruction, int]]:
    """Instructions with a form whose bits are not whole fetch units, and how many bits it has."""
    operands = {operand.name: operand for operand in isa.operands}
    found = []
    for instruction in isa.instructions:
        widths = _widths(operands, instruction.parameters, instruction.encoding)
        bad = [width for width in widths if width % isa.fetch.unit_width or not width]
        if bad:
            found.append((instruction, min(bad)))
    return found


_Track: TypeAlias = tuple[int, Layout]  # the order of an instruction, what is left to read of it
_Group: TypeAlias = list[_Track]
_Ways: TypeAlias = dict[int, dict[int, _Group]]  # mask -> value -> tracks


class _Search:
    """Finds the pairs of instructions that overlap if large conditions are left aside."""

    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts
        self.suspects: set[tuple[int, int]] = set()
        self._ambiguous: dict[Layout, bool] = {}
        self._agree: dict[tuple[Layout, Layout], bool] = {}
        self._searched: set[frozenset[_Track]] = set()

    def within(self, group: _Group) -> None:
        """Search among the tracks of a group, each against each and against itself."""
        tracks = frozenset(group)
        if len(tracks) < len(group):
            seen: set[_Track] = set()
            for track in group:
                if track in seen:
                    self._suspect(track[0], track[0])
                seen.add(track)
        if len(tracks) == 1:
            ((order, layout),) = tracks
            if self._is_ambiguous(layout):
                self._suspect(order, order)
            return
        if tracks in self._searched:
            return
        self._searched.add(tracks)
        for done in group:
            if not done[1]:
                for other in tracks - {done}:
                    self._suspect(done[0], other[0])
        ways = self._ways(tracks)
        for by_value in ways.values():
            for following in by_value.values():
                self.within(following)
        for here, there in _compatible(ways):
            self._between(here, there)

    def _is_ambiguous(self, layout: Layout) -> bool:
        """Whether a word can be read in two ways as what is left of one instruction."""
        known = self._ambiguous.get(layout)
        if known is None:
            self._ambiguous[layout] = False
            inner = _Search(self.layouts)
            inner._ambiguous, inner._agree = self._ambiguous, self._agree
            ways = self._ways([(0, layout)])
            for by_value in ways.values():
                for following in by_value.values():
                    inner.within(following)
            for one, other in _compatible(ways):
                inner._between(one, other)
            known = self._ambiguous[layout] = bool(inner.suspects)
        return known

    def _between(self, group: _Group, others: _Group) -> None:
        """Search each track of one group against each of another."""
        for order, layout in group:
            for other_order, other in others:
                pair = (min(order, other_order), max(order, other_order))
                if pair not in self.suspects and self._may_agree(layout, other):
                    self.suspects.add(pair)

    def _may_agree(self, layout: Layout, other: Layout) -> bool:
        """Whether some word can be read as both."""
        if not layout or not other:
            return True
        known = self._agree.get((layout, other))
        if known is None:
            known = any(
                not (way.value ^ other_way.value) & way.mask & other_way.mask
                and self._may_agree(way.rest, other_way.rest)
                for way in self.layouts.advance(layout)
                for other_way in self.layouts.advance(other)
            )
            self._agree[layout, other] = known
        return known

    def _suspect(self, first: int, second: int) -> None:
        self.suspects.add((min(first, second), max(first, second)))

    def _ways(self, tracks: Iterable[_Track]) -> _Ways:
        ways: _Ways = {}
        for order, layout in tracks:
            for way in self.layouts.advance(layout):
                by_value = ways.setdefault(way.mask, {})
                by_value.setdefault(way.value, []).append((order, way.rest))
        return ways


def _compatible(ways: _Ways) -> Iterator[tuple[_Group, _Group]]:
    """The groups that some unit satisfies both of, found by joining each two masks."""
    entries = list(ways.items())
    for index, (mask, by_value) in enumerate(entries):
        for other_mask, other_by_value in entries[index + 1 :]:
            common = mask & other_mask
            joined: dict[int, list[_Group]] = {}
            for value, group in by_value.items():
                joined.setdefault(value & common, []).append(group)
            for value, other in other_by_value.items():
                for group in joined.get(value & common, ()):
                    yield group, other


def _example(
    layouts: Layouts, instructions: tuple[Instruction, ...], first: int, second: int
) -> Overlap | None:
    """Units that both read with all conditions, or None."""
    starts = begin(layouts, instructions[first], first)
    others = begin(layouts, instructions[second], second)
    for one, other, cube in _pairs(layouts, starts, others, first == second, ()):
        units = solve(layouts, (one, other), cube)
        if units is not None:
            return Overlap(one.instruction, _names(one), other.instruction, _names(other), units)
    return None


def _pairs(
    layouts: Layouts,
    readings: list[Reading],
    others: list[Reading],
    same: bool,
    cube: UnitCube,
) -> Iterator[tuple[Reading, Reading, UnitCube]]:
    """Complete readings that agree on the fixed bits; of one instruction, different ones."""
    for index, reading in enumerate(readings):
        for other_index, other in enumerate(others):
            if same and other_index < index:
                continue
            yield from _agreeing(layouts, reading, other, same and index == other_index, cube)


def _agreeing(
    layouts: Layouts, reading: Reading, other: Reading, same: bool, cube: UnitCube
) -> Iterator[tuple[Reading, Reading, UnitCube]]:
    if not reading.rest and not other.rest:
        if not same:
            yield reading, other, cube
        return
    ways = layouts.advance(reading.rest) if reading.rest else (None,)
    other_ways = layouts.advance(other.rest) if other.rest else (None,)
    for index, way in enumerate(ways):
        for other_index, other_way in enumerate(other_ways):
            if same and other_index < index:
                continue
            mask, value = (way.mask, way.value) if way else (0, 0)
            other_mask, other_value = (other_way.mask, other_way.value) if other_way else (0, 0)
            if (value ^ other_value) & mask & other_mask:
                continue
            following = reading.read(layouts, way) if way else reading
            other_following = other.read(layouts, other_way) if other_way else other
            if following is None or other_following is None:
                continue
            yield from _agreeing(
                layouts,
                following,
                other_following,
                same and index == other_index,
                (*cube, (mask | other_mask, value | other_value)),
            )


def _names(reading: Reading) -> tuple[tuple[str, str], ...]:
    return tuple((choice.path, choice.alternative.name) for choice in reading.choices)


def _widths(
    operands: Mapping[str, Operand],
    parameters: tuple[Parameter, ...],
    pieces: tuple[Piece, ...],
) -> set[int]:
    """The widths that pieces may have, with the tails that are not among them."""
    placed = [piece for piece in pieces if isinstance(piece, OperandPiece)]
    fixed = sum(piece.width for piece in pieces if not isinstance(piece, OperandPiece))
    widths = {fixed}
    for parameter in parameters:
        if not isinstance(parameter.type, OperandRef):
            continue
        parts = [piece.part for piece in placed if piece.parameter == parameter.name]
        if TAIL not in parts:
            parts.append(TAIL)
        each: set[int] = set()
        for alternative in operands[parameter.type.operand].alternatives:
            if alternative.tag in parameter.type.tags:
                each |= _widths(operands, alternative.parameters, _placed(alternative, parts))
        widths = {width + more for width in widths for more in each}
    return widths


def _placed(alternative: Alternative, parts: list[str]) -> tuple[Piece, ...]:
    known = {**dict(alternative.parts), TAIL: alternative.tail}
    return tuple(piece for part in parts for piece in known.get(part, ()))
