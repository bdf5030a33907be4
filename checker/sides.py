"""One run of an instruction, as terms: how it ends and what it changes."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from checker.components import MEMORY, MODE, Machine
from checker.runs import Touched, TrapPath
from checker.subject import Level, Subject, differ
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, Value
from spec.ir import BinaryOp, CompareOp, TrapClass

V = TypeVar("V")

PRIME = "'"
"""What the names of the second state's own symbols end with."""


class Side:
    """One run: the subject's run in a mode, under the symbols of this side's state."""

    def __init__(
        self, subject: Subject, mode: int, level: Level, rename: Substitution | None = None
    ) -> None:
        self.mode = mode
        self.machine: Machine = subject.machine
        self.engine = subject.engines.engine(level)
        self._run = subject.run(mode, level)
        self._rename = rename
        self._start: Mapping[str, Value] | None = None
        self._swaps: tuple[tuple[str, str], ...] | None = None
        self._renamed: Mapping[str, str] = {} if rename is None else rename.names
        self._elements = subject.elements(mode)
        self.retires: Truth = self._truth(self._run.retires)
        self.memory_before: Term = self._array(self._run.memory_before)
        self.memory_after: Term = self._array(self._run.memory)
        self.physical_before: Term = self._array(self._run.physical_before)
        self.physical_after: Term = self._array(self._run.physical)
        self.choices = self._run.choices
        self.written: tuple[str, ...] = tuple(self._run.written)
        self.pc_after: Value = self._vector(self._run.pc_after)
        self.writes_memory = self._run.memory is not self._run.memory_before

    def before(self, element: str) -> Value:
        return self._value(self._run.start[element])

    def after(self, element: str) -> Value:
        if element == self.machine.isa.pc:
            return self.pc_after
        return self._value(self._run.after(element))

    @property
    def start(self) -> Mapping[str, Value]:
        """The elements before the run."""
        if self._start is None:
            run = self._run
            renamed = {name: self._value(value) for name, value in run.start.items()}
            self._start = run.start if self._rename is None else renamed
        return self._start

    def choice(self, number: int) -> str:
        """The name of the symbol of a choice."""
        name = f"choice {number}"
        return self._renamed.get(name, name)

    @property
    def swaps(self) -> tuple[tuple[str, str], ...]:
        """Symbols that this side has under the name of another one of the first state."""
        if self._swaps is None:
            pairs = self._renamed.items()
            self._swaps = tuple(pair for pair in pairs if not pair[1].endswith(PRIME))
        return self._swaps

    def values_of(self, symbols: Mapping[str, V]) -> dict[str, V]:
        """The elements (and `MEMORY`) that values of symbols, or contents of arrays, set; the
        first state's are those of this one, too, where it has none of its own."""
        elements, renamed = self._elements, self._renamed
        found: dict[str, V] = {}
        for symbol, value in symbols.items():
            name = symbol.removesuffix(PRIME)
            element = elements.get(name)
            if element is None:
                continue
            mine = renamed.get(name, name)
            if mine == symbol or (mine == symbol + PRIME and mine not in symbols):
                found[element] = value
        for name, mine in self.swaps:
            if name in elements and mine in symbols:
                found[elements[name]] = symbols[mine]
        return found

    def traps(self, *classes: TrapClass) -> Truth:
        """The run traps with one of the classes."""
        found: Truth = False
        for path in self.trap_paths:
            if path.trap_class in classes:
                found = self.engine.either(found, path.condition)
        return found

    @cached_property
    def trap_paths(self) -> tuple[TrapPath, ...]:
        """The ways to trap; what they pass on is not meant."""
        if self._rename is None:
            return self._run.traps
        return tuple(
            TrapPath(self._truth(path.condition), path.cause, path.trap_class)
            for path in self._run.traps
        )

    @property
    def touched(self) -> Iterator[Touched]:
        for reached in self._run.touched:
            yield Touched(
                self._truth(reached.condition),
                self._vector(reached.address),
                reached.size,
                reached.access,
            )

    # -- what the run changes

    def changes(self, component: str) -> Truth:
        """The run ends with another value of the component; meant where it retires."""
        if component == MODE:
            return self._differs(self.machine.isa.mode.element)
        if component == MEMORY:
            return self._stores_physically()
        return self._differs(component)

    @property
    def changes_control(self) -> Truth:
        """It changes mode, control elements, hidden bank members or cells (physically)."""
        return self.changes_any(frozenset(self.changeable()) - set(self.machine.outside))

    def changes_any(self, components: frozenset[str]) -> Truth:
        found: Truth = False
        for component in self.changeable():
            if component in components:
                found = self.engine.either(found, self.changes(component))
        return found

    def changeable(self) -> list[str]:
        """Components that the run may change, by its text."""
        machine = self.machine
        named = (*machine.control, *machine.outside, *machine.hidden(self.mode))
        found = [name for name in named if name in self.written]
        if self.machine.isa.mode.element in self.written:
            found.insert(0, MODE)
        if self._run.stored_physically:
            found.append(MEMORY)
        return found

    @property
    def does_nothing(self) -> Truth:
        """All but the pc is as it was."""
        engine = self.engine
        same: Truth = True
        for name in self.written:
            if name != self.machine.isa.pc:
                same = engine.both(same, engine.negate(self._differs(name)))
        for address, size in _stores(self.memory_after):
            old = engine.load_cells(self.memory_before, address, size)
            new = engine.load_cells(self.memory_after, address, size)
            width = size * self.machine.isa.memory.cell_width
            same = engine.both(same, engine.equal(old, new, width))
        return same

    def _differs(self, element: str) -> Truth:
        if element not in self._run.written:
            return False
        return differ(self.engine, self.before(element), self.after(element))

    def _stores_physically(self) -> Truth:
        engine = self.engine
        found: Truth = False
        for stored in self._run.stored_physically:
            address = self._vector(stored.address)
            old = engine.load_cells(self.physical_before, address, stored.size)
            new = engine.load_cells(self.physical_after, address, stored.size)
            width = stored.size * self.machine.isa.memory.cell_width
            changed = engine.negate(engine.equal(old, new, width))
            found = engine.either(found, engine.both(self._truth(stored.condition), changed))
        return found

    @property
    def walks_are_apart(self) -> Truth:
        """No walk reads a cell that the run stored through the view before."""
        engine = self.engine
        width = self.machine.isa.memory.address_width
        holds: Truth = True
        for walk in self._run.rewalked:
            condition = self._truth(walk.condition)
            address, stored = self._vector(walk.address), self._vector(walk.stored)
            meet: Truth = False
            for low, high, size in (
                (stored, address, walk.stored_size),
                (address, stored, walk.size),
            ):
                distance = engine.binary(BinaryOp.SUB, high, low, width)
                near = engine.compare(CompareOp.ULT, distance, size, width)
                meet = engine.either(meet, near)
            holds = engine.both(holds, engine.negate(engine.both(condition, meet)))
        return holds

    @property
    def cells_stored_physically(self) -> Iterator[tuple[Value, Value]]:
        """Their physical addresses, and abstractly their places in the view."""
        for stored in self._run.stored_physically:
            for i in range(stored.size):
                address = self.engine.further(stored.address, i)
                place = self.engine.place_in_view(address)
                yield self._vector(address), self._vector(place)

    # -- terms of this side

    def _truth(self, value: Truth) -> Truth:
        return value if self._rename is None else self._rename.truth(value)

    def _vector(self, value: Value) -> Value:
        return value if self._rename is None else self._rename.vector(value)

    def _array(self, value: Term) -> Term:
        return value if self._rename is None else self._rename.array(value)

    def _value(self, value: Value) -> Value:
        return self._vector(value)

    def condition(self, value: Truth) -> Truth:
        """A condition on the subject's start, in this side's symbols."""
        return self._truth(value)


def _stores(memory: Term) -> Iterator[tuple[Value, int]]:
    left, seen = [memory], set()
    while left:
        term = left.pop()
        if term in seen:
            continue
        seen.add(term)
        if term.op is Op.STORE:
            yield term.args[1], term.args[3]
            left.append(term.args[0])
        elif term.op is Op.SELECT_ARRAY:
            left.extend(term.args[1:])
