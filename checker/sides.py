"""Runs of an instruction in the states of a relation, as terms: what the definitions speak of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar, cast

from checker.components import LOCATION, MEMORY, MODE, Machine, swapped_members
from checker.runs import Key, Touched, TrapPath
from checker.subject import Level, Subject, differ
from checker.substitution import Substitution
from checker.symbolic import CHOICE_WIDTH, PHYSICAL_ADDRESS, PLACE_IN_VIEW
from checker.terms import Op, Term, Truth, Value
from spec.ir import BinaryOp, CompareOp, TrapClass

V = TypeVar("V")


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


class Pair:
    """Two runs in states that may differ in some components only.

    Abstractly, the shared view is built into the terms and `relation` is true; on concrete
    translation `relation` says what touched addresses hold.
    """

    def __init__(
        self,
        subject: Subject,
        first: int,
        second: int,
        level: Level,
        rename: Callable[["Pair"], Substitution],
    ) -> None:
        self.subject = subject
        self.level = level
        self.engine = subject.engines.engine(level)
        self.first = Side(subject, first, level)
        self._second_mode = second
        self._rename = rename
        self._second: Side | None = None
        self._looked_up: dict[tuple[int, Key], tuple[tuple[TrapPath, ...], Value]] = {}
        self._touched: dict[Key, Truth] | None = None

    @property
    def second(self) -> Side:
        if self._second is None:
            self._second = Side(self.subject, self._second_mode, self.level, self._rename(self))
        return self._second

    @property
    def both_retire(self) -> Truth:
        return self.engine.both(self.first.retires, self.second.retires)

    def retires_where_other_traps(self, *classes: TrapClass) -> Truth:
        """The first run retires where the second one traps with one of the classes."""
        engine = self.engine
        excluded = {path.condition for path in self.first.trap_paths}
        traps: Truth = False
        for path in self.second.trap_paths:
            if path.trap_class in classes and path.condition not in excluded:
                traps = engine.either(traps, path.condition)
        return engine.both(self.first.retires, traps)

    # -- results

    @property
    def result_differs(self) -> Truth:
        """General registers, flags, visible banks, pc, or the old view end differently."""
        engine, machine = self.engine, self.subject.machine
        written = {*self.first.written, *self.second.written}
        found: Truth = differ(engine, self.first.pc_after, self.second.pc_after)
        for name in machine.plain:
            if name in written:
                differs = differ(engine, self.first.after(name), self.second.after(name))
                found = engine.either(found, differs)
        if written & {machine.isa.mode.element, *machine.members}:
            for bank in machine.isa.banks:
                seen = [self._visible(side, bank.name) for side in (self.first, self.second)]
                found = engine.either(found, differ(engine, *seen))
        return engine.either(found, self.view_differs)

    def _visible(self, side: Side, bank: str) -> Value:
        """What a bank shows after the run, under the mode after it."""
        mode = side.after(self.subject.machine.isa.mode.element)
        (found,) = [b for b in self.subject.machine.isa.banks if b.name == bank]
        members = dict(found.members)
        if not isinstance(mode, Term):
            return side.after(members[mode])
        value: Value | None = None
        for encoding, member in found.members:
            after = side.after(member)
            here = self.engine.equal(mode, encoding, self.subject.machine.isa.mode.width)
            value = after if value is None else self.engine.select(here, after, value, found.width)
        assert value is not None
        return value

    @property
    def view_differs(self) -> Truth:
        """The old view of a touched address ends with different contents."""
        if not (self.first.writes_memory or self.second.writes_memory):
            return False
        if self.first.memory_after is self.second.memory_after and self.level:
            return False
        engine = self.engine
        cell = self.subject.machine.isa.memory.cell_width
        found: Truth = False
        for key, condition in self.touched.items():
            size = key[1]
            one = engine.load_cells(self.first.memory_after, self._place(0, key), size)
            other = engine.load_cells(self.second.memory_after, self._place(1, key), size)
            differs = engine.negate(engine.equal(one, other, size * cell))
            reached = engine.both(condition, engine.negate(self._refused(0, key)))
            found = engine.either(found, engine.both(reached, differs))
        return found

    def values_differ(self, components: frozenset[str], homes: Mapping[str, str]) -> Truth:
        """One of the components (not mode, location, memory) ends with different values.

        `homes`: those that others hold in the first state.
        """
        first, second = self.first, self.second
        found: Truth = False
        for name in sorted(components):
            home = homes.get(name, name)
            if home in first.written or name in second.written:
                differs = differ(self.engine, first.after(home), second.after(name))
                found = self.engine.either(found, differs)
        return found

    def modes_part(self, told: Iterable[tuple[int, int]]) -> Truth:
        """Some run changes the mode, and afterwards the second one's mode cannot be told from the
        first one's; `told` are the pairs of virtual and real mode for which it can."""
        engine, mode = self.engine, self.subject.machine.isa.mode
        first, second = (side.after(mode.element) for side in (self.first, self.second))
        follows: Truth = False
        for virtual, real in told:
            here = engine.equal(first, real, mode.width)
            follows = engine.either(
                follows, engine.both(here, engine.equal(second, virtual, mode.width))
            )
        changes = engine.either(self.first.changes(MODE), self.second.changes(MODE))
        return engine.both(changes, engine.negate(follows))

    # -- the relation

    @property
    def touched(self) -> dict[Key, Truth]:
        """Addresses that either run names, with the condition that one of them does."""
        if self._touched is None:
            self._touched = {}
            for side in (self.first, self.second):
                for reached in side.touched:
                    key = (reached.address, reached.size, reached.access)
                    known = self._touched.get(key, False)
                    self._touched[key] = self.engine.either(known, reached.condition)
        return self._touched

    @property
    def relation(self) -> Truth:
        """Both views hold the same at touched addresses, and their places correspond one to one."""
        if self.level:
            return self._one_content
        engine = self.engine
        holds: Truth = True
        cell = self.subject.machine.isa.memory.cell_width
        for key, condition in self.touched.items():
            refused = [self._refused(side, key) for side in (0, 1)]
            agree = engine.negate(
                engine.select_truth(refused[0], engine.negate(refused[1]), refused[1])
            )
            holds = engine.both(holds, self._implies(condition, agree))
            if not self.subject.machine.translation.memory_traps_only:
                memory_only = engine.negate(self._refused_otherwise(key))
                holds = engine.both(holds, self._implies(condition, memory_only))
            reached = engine.both(condition, engine.negate(refused[0]))
            places = [self._place(side, key) for side in (0, 1)]
            size = key[1]
            contents = [
                engine.load_cells(memory, place, size)
                for memory, place in zip(
                    (self.first.memory_before, self.second.memory_before), places, strict=True
                )
            ]
            same = engine.equal(contents[0], contents[1], size * cell)
            holds = engine.both(holds, self._implies(reached, same))
        return engine.both(holds, self._one_to_one())

    @property
    def _one_content(self) -> Truth:
        """Abstractly: a cell that is stored physically held at first what the view shows of it."""
        engine = self.engine
        holds: Truth = True
        width = self.subject.machine.isa.memory.address_width
        for side in (self.first, self.second):
            for address, place in side.cells_stored_physically:
                seen: Truth = False
                for key, condition in self.touched.items():
                    for i in range(key[1]):
                        cell = engine.binary(BinaryOp.ADD, self._place(0, key), i, width)
                        here = engine.both(condition, engine.equal(cell, place, width))
                        seen = engine.either(seen, here)
                physical = engine.load_cells(side.physical_before, address, 1)
                viewed = engine.load_cells(side.memory_before, place, 1)
                same = engine.equal(physical, viewed, self.subject.machine.isa.memory.cell_width)
                holds = engine.both(holds, self._implies(seen, same))
        return holds

    @property
    def touched_cells(self) -> int:
        return sum(size for _, size, _ in self.touched)

    def _one_to_one(self) -> Truth:
        engine = self.engine
        cells: list[tuple[Truth, Value, Value]] = []
        moved = False
        for key, condition in self.touched.items():
            reached = engine.both(condition, engine.negate(self._refused(0, key)))
            one, other = self._place(0, key), self._place(1, key)
            moved = moved or one is not other
            width = self.subject.machine.isa.memory.address_width
            for i in range(key[1]):
                add = [engine.binary(BinaryOp.ADD, place, i, width) for place in (one, other)]
                cells.append((reached, add[0], add[1]))
        holds: Truth = True
        if not moved:
            return holds
        width = self.subject.machine.isa.memory.address_width
        for position, (when, here, there) in enumerate(cells):
            for when_too, here_too, there_too in cells[:position]:
                one = engine.equal(here, here_too, width)
                other = engine.equal(there, there_too, width)
                same = engine.negate(engine.select_truth(one, engine.negate(other), other))
                holds = engine.both(holds, self._implies(engine.both(when, when_too), same))
        return holds

    def _implies(self, condition: Truth, then: Truth) -> Truth:
        return self.engine.either(self.engine.negate(condition), then)

    def _look_up(self, side: int, key: Key) -> tuple[tuple[TrapPath, ...], Value]:
        found = self._looked_up.get((side, key))
        if found is None:
            state = self.second if side else self.first
            address, size, access = key
            found = self.engine.look_up(state.start, state.memory_before, address, size, access)
            self._looked_up[side, key] = found
        return found

    def _place(self, side: int, key: Key) -> Value:
        return self._look_up(side, key)[1]

    def content(self, key: Key) -> Value:
        """What the view of the first state holds."""
        return self.engine.load_cells(self.first.memory_before, self._place(0, key), key[1])

    def _refused(self, side: int, key: Key) -> Truth:
        return self.engine.any(*(path.condition for path in self._look_up(side, key)[0]))

    def _refused_otherwise(self, key: Key) -> Truth:
        return self.engine.any(
            *(
                path.condition
                for side in (0, 1)
                for path in self._look_up(side, key)[0]
                if path.trap_class is not TrapClass.MEMORY
            )
        )


def related(
    pair: Pair,
    subject: Subject,
    first: int,
    second: int,
    differ_in: frozenset[str],
    equal: frozenset[str],
    homes: tuple[tuple[str, str], ...],
    level: Level,
) -> Substitution:
    """The symbols of the second state: those of the first one where they must be equal.

    `equal` elements are, even if `translate` reads them and the location may differ. `homes`:
    elements that equal another one of the first state.
    """
    machine = subject.machine
    start = subject.start(second)
    symbols: dict[Term, Term] = {}
    swapped = swapped_members(machine, first, second)
    home = dict(homes)
    free = set(differ_in)
    if LOCATION in differ_in:
        free |= machine.moving - equal
    size = () if machine.size is None else (machine.size,)
    for name in (*machine.control, *machine.outside, *machine.hidden(second), *size):
        symbol = cast(Term, start[name])
        twin = swapped.get(name, home.get(name, name))
        if name in free or (twin in free and name not in home):
            symbols[symbol] = primed(subject, symbol)
        elif twin != name:
            symbols[symbol] = cast(Term, subject.start(first)[twin])
    engine = subject.engines.engine(level)
    if LOCATION in differ_in or MEMORY in differ_in:
        memory = engine.physical if level else subject.memory
        symbols[memory] = primed(subject, memory)
    elsewhere = level and _may_lie_elsewhere(subject, first, second, differ_in, symbols)
    functions = _own_functions(PLACING) if elsewhere else {}
    if level:
        return Substitution(engine, symbols, functions)
    viewed = subject.run(second, level).viewed

    def seen(load: Term) -> Value | None:
        """Where both runs see the same, the second one's is the first one's."""
        key = viewed.get(load)
        if key is None:
            return None
        address, size, access = key
        return pair.content((substitution.vector(address), size, access))

    substitution = Substitution(engine, symbols, functions, seen)
    return substitution


def _may_lie_elsewhere(
    subject: Subject,
    first: int,
    second: int,
    differ_in: frozenset[str],
    symbols: Mapping[Term, Term],
) -> bool:
    """Whether the second state, its symbols replaced, may place the same view elsewhere."""
    if LOCATION in differ_in:
        return True
    if MEMORY in differ_in and subject.machine.translation.reads_memory:
        return True
    one, two = subject.start(first), subject.start(second)
    return any(
        one[name] != symbols.get(value, value)
        if isinstance(value := two[name], Term)
        else one[name] != value
        for name in subject.placing(first) | subject.placing(second)
    )


PLACING = (PHYSICAL_ADDRESS, PLACE_IN_VIEW)


def _own_functions(names: Iterable[str]) -> dict[str, str]:
    """The second state's own."""
    return {name: name + PRIME for name in names}


def literal(subject: Subject, first: int, second: int, level: Level) -> Substitution:
    """The second state equals the first one in every element; views and choices do not."""
    start, other = subject.start(first), subject.start(second)
    symbols = {
        cast(Term, other[name]): cast(Term, start[name])
        for name in subject.machine.members
        if other[name] is not start[name]
    }
    run = subject.run(second, level)
    for number in range(run.choices):
        choice = subject.engines.terms.symbol(f"choice {number}", CHOICE_WIDTH)
        symbols[choice] = primed(subject, choice)
    views = (n for n in subject.engines.terms.names(-1) if n.startswith(("refused ", "place ")))
    functions = _own_functions((*views, *PLACING))
    return Substitution(subject.engines.engine(level), symbols, functions)


PRIME = "'"


def primed(subject: Subject, symbol: Term) -> Term:
    """The second state's own symbol."""
    terms = subject.engines.terms
    if symbol.op is Op.ARRAY:
        name, index_width, value_width = symbol.args
        array = terms.array(name + PRIME, index_width, value_width)
        array.support |= symbol.support & subject.marks
        return array
    return terms.symbol(symbol.args[0] + PRIME, symbol.width)
