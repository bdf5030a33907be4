"""Whether accesses to memory meet: equations between addresses, and what they leave without sums.

An equation says that one term and another differ by a constant. What a solver finds hard about
many accesses is mostly the arithmetic of their addresses, of which only these equations matter
to what memory holds. Without it, each term is a spot on a short ring of addresses: all that
equations say of addresses can be said of spots, so what no spots allow no addresses allow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, Value, in_order
from spec.ir import BinaryOp, CompareOp

Place = tuple[Term | None, int]
"""The sum of a term and a constant, modulo the width of an address."""

_NEAR = 64
"""Constant addresses that are no further apart lie on the ring as they lie in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Equation:
    """`one` is `distance` ahead of `other` (of address 0, if that is None)."""

    one: Term
    other: Term | None
    distance: int


@dataclass(frozen=True, slots=True, eq=False)
class Loose:
    """Conditions over spots; `equations` are those of addresses, each with its own of spots."""

    conditions: list[Truth]
    equations: Mapping[Term, Truth]
    pairs: Mapping[Term, "Pair"]
    """What two spots differ by, as a term, and the terms that they stand for."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two terms that equations put up to `reach` apart."""

    one: Value
    other: Value
    reach: int


class Meetings:
    """All equations between places in memory that were asked for; `width` is an address's."""

    def __init__(self, storage: Storage, width: int, place: Callable[[Value], Place]) -> None:
        self._storage = storage
        self._width = width
        self._place = place
        self._mask = (1 << width) - 1
        self._equations: dict[Term, _Equation] = {}
        self._bases: set[Term | None] = set()

    def same(self, one: Place, other: Place) -> Truth:
        """Whether two places are one."""
        found = same_place(self._storage, one, other, self._width)
        if isinstance(found, Term) and found not in self._equations:
            equation = self._equations[found] = self._equation(one, other)
            self._bases |= {equation.one, equation.other}
        return found

    def loosened(self, conditions: Sequence[Truth]) -> Loose | None:
        """The conditions without the arithmetic of addresses; None if there is none."""
        found: dict[Term, Truth] = {}
        equations: dict[Term, _Equation] = {}
        seen: set[Term] = set()
        for term in in_order(tuple(conditions), seen.__contains__):
            seen.add(term)
            equation = self._equations.get(term)
            if equation is not None:
                equations[term] = equation
            elif term.op is Op.EQUAL and term.args[2] == self._width:
                one, other = (self._place(value) for value in term.args[:2])
                if one[0] is other[0]:
                    found[term] = one[1] == other[1]
                elif one[0] in self._bases and other[0] in self._bases:
                    equations[term] = self._equation(one, other)
        if not equations:
            return None
        spots = _Spots(self._storage, self._width, list(equations.values()))
        of_spots = {term: spots.equation(equation) for term, equation in equations.items()}
        substitution = Substitution(self._storage, found | of_spots)
        return Loose(
            [substitution.truth(condition) for condition in conditions], of_spots, spots.pairs
        )

    def apart(self, pair: Pair, distance: int, ring: int) -> Truth:
        """That two terms are as far apart as their spots on a ring of `ring` bits, as far as
        equations tell."""
        storage, width = self._storage, self._width
        between = storage.binary(BinaryOp.SUB, pair.one, pair.other, width)
        half = 1 << (ring - 1)
        ahead = (distance ^ half) - half
        if abs(ahead) <= pair.reach:
            return storage.equal(between, ahead & self._mask, width)
        moved = storage.binary(BinaryOp.ADD, between, pair.reach, width)
        return storage.compare(CompareOp.ULT, 2 * pair.reach, moved, width)

    def _equation(self, one: Place, other: Place) -> _Equation:
        distance = other[1] - one[1] & self._mask
        if one[0] is None:
            assert other[0] is not None
            return _Equation(other[0], None, -distance & self._mask)
        return _Equation(one[0], other[0], distance)


class _Spots:
    """A ring on which the terms of some equations may lie in every way that they allow.

    Terms that equations connect, directly or through others, can be no further apart than all
    distances together; the ring has room for all of them and as much between.
    """

    def __init__(self, storage: Storage, width: int, equations: Sequence[_Equation]) -> None:
        self._storage = storage
        self._address_width = width
        constants = sorted({e.distance for e in equations if e.other is None})
        self._clusters: dict[int, int] = {}
        for number, constant in enumerate(constants):
            before = constants[max(0, number - 1)]
            near = number > 0 and constant - before <= _NEAR
            self._clusters[constant] = self._clusters[before] if near else constant
        self.pairs: dict[Term, Pair] = {}
        self._numbers: dict[Term | int, int] = {}
        longest = 1
        for equation in equations:
            for key in self._ends(equation)[:2]:
                self._numbers.setdefault(key, len(self._numbers))
            longest = max(longest, abs(self._ends(equation)[2]))
        terms = len(self._numbers)
        self._width = min(width, (2 * (terms + 1) * (longest + 1)).bit_length())

    def equation(self, equation: _Equation) -> Truth:
        one, other, distance = self._ends(equation)
        if self._numbers[one] > self._numbers[other]:
            one, other, distance = other, one, -distance
        storage, width = self._storage, self._width
        between = storage.binary(BinaryOp.SUB, self._spot(one), self._spot(other), width)
        assert isinstance(between, Term)
        known = self.pairs.get(between)
        reach = max(abs(distance), known.reach if known else 0)
        self.pairs[between] = Pair(one, other, reach)
        return storage.equal(between, distance & ((1 << width) - 1), width)

    def _ends(self, equation: _Equation) -> tuple[Term | int, Term | int, int]:
        if equation.other is None:
            start = self._clusters[equation.distance]
            return equation.one, start, equation.distance - start
        half = 1 << (self._address_width - 1)
        return equation.one, equation.other, (equation.distance ^ half) - half

    def _spot(self, key: Term | int) -> Term:
        name = f"spot {self._numbers[key]} of {self._width}"
        return self._storage.terms.symbol(name, self._width)


def same_place(storage: Storage, one: Place, other: Place, width: int) -> Truth:
    """Whether two places are one; all pairs of cells of two accesses share a subtraction."""
    (base, offset), (other_base, other_offset) = one, other
    if base is other_base:
        return offset == other_offset
    mask = (1 << width) - 1
    if base is None:
        assert other_base is not None
        return storage.equal(other_base, (offset - other_offset) & mask, width)
    if other_base is None:
        return storage.equal(base, (other_offset - offset) & mask, width)
    if base.serial > other_base.serial:
        base, other_base, offset, other_offset = other_base, base, other_offset, offset
    if offset == other_offset:
        return storage.equal(base, other_base, width)
    distance = storage.binary(BinaryOp.SUB, base, other_base, width)
    return storage.equal(distance, (other_offset - offset) & mask, width)
