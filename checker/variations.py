"""States near known ones, to be tried on integers: a yes that is found so needs no solver.

A few of the components that may differ are changed, so that accesses to memory come to lie
elsewhere, or upon one another, and memory gets what the views must hold. Whether the states show
anything is for the replay to say; that none does says nothing about other states.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from checker.assignment import Assignment, Evaluation
from checker.pairs import Pair
from checker.replay import Replay
from checker.sides import PRIME
from checker.states import Case, Known
from checker.terms import Op, Term, Terms, Truth, support
from spec.ir import Memory

_REPAIRS = 30
"""How often values that break a condition are drawn again."""

_FEW = 64
"""Fewer values than these are equally likely."""

_LEAST_TRIES, _TRIES = 4, 2
"""States near one that are tried in any case, and for each symbol that may differ."""

_ROUNDS = 3
"""What memory holds decides which addresses come next."""


class Variations:
    """States that vary one seed; the same ones each time."""

    def __init__(
        self,
        pair: Pair,
        seed: Assignment,
        base: Assignment,
        run: Callable[[Assignment], Case],
        replay: Replay,
    ) -> None:
        self._run = run
        self._replay = replay
        self._random = Random(f"{sorted(seed.symbols.items())}")
        self._first = _first(seed)
        self._known = Known(self._first, base)
        self._free = _free_symbols(pair)
        self._own: str = pair.first.memory_before.args[0]
        self._other: str = pair.second.memory_before.args[0]

    def states(self) -> Iterator[Assignment]:
        """Assignments in which the second state differs in what may differ, mostly by little."""
        plain = self._run(self._first)
        for number in range(_LEAST_TRIES + _TRIES * len(self._free)):
            values = self._first.copy()
            chosen = self._chosen(number)
            for symbol in chosen:
                old = self._known.symbol(symbol.args[0])
                values.symbols[symbol.args[0]] = self._another(old, symbol.width, plain)
            if not chosen or (self._other != self._own and number % 2):
                self._change_a_cell(values, plain)
            yield values
            if self._with_views(values):
                yield values

    def _chosen(self, number: int) -> list[Term]:
        if len(self._free) < 2:
            return list(self._free)
        if number < len(self._free):
            return [self._free[number]]
        return self._random.sample(self._free, 1 + number % 2)

    def _another(self, old: int, width: int, plain: Case) -> int:
        """Another value: one bit is another, or all are, or it is moved as far as one place that
        the instruction reaches lies from another."""
        ones = (1 << width) - 1
        match self._random.randrange(6):
            case 0 | 3 if width > 1:
                places = sorted(_reached(plain))
                if len(places) > 1:
                    here, there = self._random.sample(places, 2)
                    return old + there - here & ones
                return old ^ 1
            case 0 | 1:
                return old ^ 1
            case 2:
                return old ^ 1 << (width - 1)
            case 4:
                return 0 if old else ones
            case _:
                return old ^ 1 << self._random.randrange(width)

    def _change_a_cell(self, values: Assignment, plain: Case) -> None:
        """Let memory, the second state's if it has its own, hold something else somewhere."""
        cells = sorted(_read_physically(plain))
        if not cells:
            return
        cell = self._random.choice(cells)
        held = dict(values.arrays.get(self._other, self._known.array(self._other)))
        held[cell] = held.get(cell, 0) ^ 1 << self._random.randrange(
            self._replay.isa.memory.cell_width
        )
        values.arrays[self._other] = held

    def _with_views(self, values: Assignment) -> bool:
        """Put into memory what the views must hold; whether that changes it."""
        changed = False
        for _ in range(_ROUNDS):
            cells = {
                (here if self._own == self._other else there): (
                    theirs if self._own == self._other else mine
                )
                for here, there, mine, theirs in self._replay.unequal_cells(*self._run(values).runs)
            }
            if not cells:
                break
            held = values.arrays.get(self._other, self._known.array(self._other))
            values.arrays[self._other] = {**held, **cells}
            changed = True
        return changed


def samples(
    ranges: Mapping[str, int],
    conditions: Sequence[Truth],
    terms: Terms,
    base: Assignment,
    memory: Memory,
    tries: int,
) -> Iterator[Assignment]:
    """Values of symbols up to their greatest, for which the conditions hold."""
    random = Random(f"{sorted(ranges.items())}")
    below = {
        condition: [s.args[0] for s in terms.symbols(support(condition)) if s.args[0] in ranges]
        for condition in conditions
    }
    for _ in range(tries):
        values = {name: _any_value(greatest, random) for name, greatest in ranges.items()}
        for _ in range(_REPAIRS):
            evaluation = Evaluation(Assignment({**base.symbols, **values}), memory)
            broken = [c for c in conditions if not evaluation.truth(c)]
            if not broken:
                yield Assignment(values)
                break
            for condition in broken:
                values.update((n, _any_value(ranges[n], random)) for n in below[condition])


def _any_value(greatest: int, random: Random) -> int:
    if greatest < _FEW:  # mostly which form an operand has
        return random.randint(0, greatest)
    return random.choice((0, greatest, random.randint(0, greatest), random.randint(0, greatest)))


def _first(seed: Assignment) -> Assignment:
    """What the seed says of its first state."""
    symbols = {name: v for name, v in seed.symbols.items() if not name.endswith(PRIME)}
    arrays = {n: dict(held) for n, held in seed.arrays.items() if not n.endswith(PRIME)}
    return Assignment(symbols, arrays)


def swapped(seed: Assignment) -> Assignment:
    """The seed's second state as a first one."""
    own = _first(seed)
    for name, value in seed.symbols.items():
        if name.endswith(PRIME):
            own.symbols[name.removesuffix(PRIME)] = value
    for name, held in seed.arrays.items():
        if name.endswith(PRIME):
            own.arrays[name.removesuffix(PRIME)] = dict(held)
    return own


def _free_symbols(pair: Pair) -> list[Term]:
    """Symbols that only the second state has."""
    values = pair.second.start.values()
    found = [v for v in values if isinstance(v, Term) and v.op is Op.SYMBOL]
    return [symbol for symbol in found if symbol.args[0].endswith(PRIME)]


def _reached(case: Case) -> set[int]:
    """Where accesses of the first run begin."""
    accesses = case.runs[0].outcome.accesses
    found = {access.physical for access in accesses.virtual if access.physical is not None}
    return found | {access.address for access in accesses.physical}


def _read_physically(case: Case) -> set[int]:
    return {
        access.address + i
        for access in case.runs[0].outcome.accesses.physical
        for i in range(access.size)
    }
