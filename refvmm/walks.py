"""Makes translations succeed: writes entries into the cells that walks of tables read.

Nothing is known of the tables but what asking tells. An entry is found by trying; then each of
its bits is flipped, to see which of them are free, and which of them name the next address.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from spec.ir import Access, Isa
from spec.state import MachineState
from spec.traced import TracedEngine, Walk

_BUDGET = 4000  # translations that may be asked for to learn about one description
_TRIES = 150
_MOST_ENTRIES = 12  # of one size


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value that let a walk go on to `end`; which bits may be changed, and what they mean."""

    value: int
    end: int
    free: tuple[int, ...]
    pointing: tuple[tuple[int, int], ...]  # a bit, the bit of the address that it turns


class Walks:
    """What was learnt of the tables of one description."""

    def __init__(self, isa: Isa, size: int) -> None:
        self._engine = TracedEngine(isa)
        self._memory = isa.memory
        self._size = size
        self._entries: dict[int, list[_Entry]] = {}
        self._left = _BUDGET
        self.learning = True

    def walk(self, state: MachineState, address: int, access: Access) -> Walk:
        """What translating an address does in a state; the state is left alone."""
        return self._engine.translate(state, address, access)

    def open(
        self,
        random: Random,
        state: MachineState,
        address: int,
        access: Access,
        aims: Sequence[int],
        put: Callable[[int, int], None],
    ) -> bool:
        """Write entries until the address can be reached, if possible at one of `aims`.

        `put` writes a cell of the state's memory.
        """
        walk = self.walk(state, address, access)
        for _ in range(6):
            if walk.reached is not None:
                return True
            if not walk.loads or walk.loads[-1][0] >= self._size:
                return False
            further = self._extend(_Try(state, address, access, walk, put), random, aims)
            if further is None:
                return False
            walk = further
        return False

    def entry(self, random: Random, width: int, aim: int) -> int | None:
        """What walks take for an entry of so many bits that leads to `aim`; None: none is known."""
        size, ragged = divmod(width, self._memory.cell_width)
        known = None if ragged else self._entries.get(size)
        return _aimed(random, random.choice(known), aim) if known else None

    def _extend(self, tried: "_Try", random: Random, aims: Sequence[int]) -> Walk | None:
        """One more level; what the cell held before is put back if nothing works."""
        place, size = tried.walk.loads[-1]
        width = size * self._memory.cell_width
        before = [tried.state.cells[place + i] for i in range(size)]
        known = self._entries.setdefault(size, [])
        for _ in range(6 if known else 0):
            entry = random.choice(known)
            further = self._with(tried, _aimed(random, entry, random.choice(aims)))
            if _goes_on(further, tried.walk):
                return further
        if self.learning and len(known) < _MOST_ENTRIES:
            for _ in range(_TRIES):
                if self._left <= 0:
                    break
                value = random.getrandbits(width)
                for _ in range(random.randrange(3)):
                    value &= random.getrandbits(width)
                further = self._with(tried, value)
                if _goes_on(further, tried.walk):
                    known.append(self._learnt(tried, value, width, further.end))
                    return self._with(tried, value)
        for offset, cell in enumerate(before):
            tried.put(place + offset, cell)
        return None

    def _learnt(self, tried: "_Try", value: int, width: int, end: int) -> _Entry:
        free, pointing = [], []
        for bit in range(width):
            further = self._with(tried, value ^ 1 << bit)
            turned = further.end ^ end
            if not _goes_on(further, tried.walk):
                continue
            if turned and not turned & (turned - 1):
                pointing.append((bit, turned.bit_length() - 1))
            else:
                free.append(bit)
        return _Entry(value, end, tuple(free), tuple(pointing))

    def _with(self, tried: "_Try", value: int) -> Walk:
        """The walk with another value where it ended."""
        self._left -= 1
        place, size = tried.walk.loads[-1]
        width = self._memory.cell_width
        for offset in range(size):
            position = size - 1 - offset if self._memory.big_endian else offset
            tried.put(place + offset, value >> (position * width) & ((1 << width) - 1))
        return self.walk(tried.state, tried.address, tried.access)


@dataclass(frozen=True, slots=True)
class _Try:
    """A translation that did not get through: `walk` says how far it got."""

    state: MachineState
    address: int
    access: Access
    walk: Walk
    put: Callable[[int, int], None]


def _goes_on(further: Walk, walk: Walk) -> bool:
    return further.reached is not None or len(further.loads) > len(walk.loads)


def _aimed(random: Random, entry: _Entry, aim: int) -> int:
    """The entry, so that it leads where `aim` is, as far as its bits say where; the rest varied."""
    value = entry.value
    for bit, place in entry.pointing:
        if (entry.end ^ aim) >> place & 1:
            value ^= 1 << bit
    for bit in entry.free:
        if random.random() < 0.2:
            value ^= 1 << bit
    return value
