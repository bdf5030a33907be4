"""Whether two readings can read the same units, their conditions considered: `solve`.

Exact where the conditions connect at most 16 bits that the encodings leave open (a field whose
values are listed aside), and where they only compare one field with numbers; otherwise a fixed
sample is tried, and what it misses is taken for impossible.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from spec.form import Condition
from spec.layout import Layouts
from spec.reading import Reading

_EXACT_BITS = 16
_SAMPLES = 2048

UnitCube: TypeAlias = tuple[tuple[int, int], ...]
"""Per fetch unit, a mask and the value that the unit has there."""


def solve(
    layouts: Layouts, readings: tuple[Reading, Reading], cube: UnitCube
) -> tuple[int, ...] | None:
    """Units in the cube that satisfy the conditions of both readings."""
    units = [value for _, value in cube]
    for bits, tests in _components(_tests(layouts, readings, cube)):
        for assignment in _assignments(bits, tests):
            for position, (unit, bit) in enumerate(bits):
                units[unit] = units[unit] & ~(1 << bit) | (assignment >> position & 1) << bit
            if all(test.holds(units) for test in tests):
                break
        else:
            return None
    return tuple(units)


_Place: TypeAlias = tuple[int, int]  # a unit and a bit of it


@dataclass(frozen=True, slots=True)
class _Test:
    """A condition on a reading or, without one, that repeated bits of its fields are the same."""

    reading: Reading
    condition: Condition | None
    places: dict[_Place, tuple[str, int]]  # the open bits it depends on: a field and a bit of it

    def holds(self, units: Sequence[int]) -> bool:
        if self.condition is None:
            return self.reading.repeats_agree(units)
        return self.condition.holds(self.reading.fields(units))

    def listed(self) -> frozenset[int]:
        """The only values of its field that pass, where they are listed."""
        values = None if self.condition is None else self.condition.values
        return values or frozenset()

    def literals(self) -> set[int] | None:
        """Values that alone the condition tells from the others, if it has one field."""
        if self.condition is None or len(self.condition.names) != 1:
            return None
        return self.condition.literals()


def _tests(layouts: Layouts, readings: tuple[Reading, Reading], cube: UnitCube) -> Iterator[_Test]:
    """What the units must satisfy besides the cube."""
    for reading in readings:
        for condition in reading.conditions(layouts):
            names = {condition.scope + name for name in condition.names}
            yield _Test(reading, condition, _open_places(reading, cube, names))
        if reading.repeats:
            yield _Test(reading, None, _open_places(reading, cube, None))


def _open_places(
    reading: Reading, cube: UnitCube, names: set[str] | None
) -> dict[_Place, tuple[str, int]]:
    return {
        (unit, bit): (name, low + bit - shift)
        for unit, captures in enumerate(reading.captures)
        for name, shift, mask, low in captures
        if names is None or name in names
        for bit in range(shift, shift + mask.bit_length())
        if not cube[unit][0] >> bit & 1
    }


def _components(tests: Iterator[_Test]) -> list[tuple[list[_Place], list[_Test]]]:
    """The tests, grouped so that no open bit occurs in two groups."""
    groups: list[tuple[set[_Place], list[_Test]]] = []
    for test in tests:
        places = set(test.places)
        merged = [test]
        for group in [group for group in groups if group[0] & places]:
            groups.remove(group)
            places |= group[0]
            merged += group[1]
        groups.append((places, merged))
    return [(sorted(places), found) for places, found in groups]


def _assignments(places: list[_Place], tests: list[_Test]) -> Iterable[int]:
    """Values for the open bits that decide whether the tests can hold together."""
    width = len(places)
    telling = _telling(places, tests)
    if telling is not None:
        return telling
    listed = max(
        (test for test in tests if test.listed()), key=lambda test: len(test.places), default=None
    )
    if listed is not None and width - len(listed.places) <= _EXACT_BITS:
        return _listed(places, listed)
    if width <= _EXACT_BITS:
        return range(1 << width)
    random = Random(0)
    return (0, (1 << width) - 1, *(random.getrandbits(width) for _ in range(_SAMPLES)))


def _listed(places: list[_Place], test: _Test) -> Iterator[int]:
    """The values that give the open bits of the test's field as some listed value has them."""
    free = [position for position, place in enumerate(places) if place not in test.places]
    for value in sorted(test.listed()):
        fixed = sum(
            (value >> test.places[place][1] & 1) << position
            for position, place in enumerate(places)
            if place in test.places
        )
        for rest in range(1 << len(free)):
            yield fixed | sum((rest >> i & 1) << position for i, position in enumerate(free))


def _telling(places: list[_Place], tests: list[_Test]) -> list[int] | None:
    """The values that some test tells from all others, and one that none does.

    None unless each test is about one field, all of whose bits are open and the same for all.
    """
    bits = [tests[0].places.get(place, ("", 0))[1] for place in places]
    literals: set[int] = set()
    for test in tests:
        told = test.literals()
        if told is None or [test.places.get(place, ("", -1))[1] for place in places] != bits:
            return None
        literals |= told
    mask = sum({1 << bit for bit in bits})
    if mask & (mask + 1):
        return None  # some bits of the field are fixed
    other = next((value for value in range(mask + 1) if value not in literals), None)
    values = sorted(value for value in literals if value <= mask)
    if other is not None:
        values.append(other)
    return [
        sum((value >> bit & 1) << position for position, bit in enumerate(bits)) for value in values
    ]
