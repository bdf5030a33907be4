"""Two runs in related states, as terms: how they may end differently, and what relates them."""

from collections.abc import Callable, Iterable, Mapping

from checker.components import MODE
from checker.runs import Key, TrapPath
from checker.sides import Side
from checker.subject import Level, Subject, differ
from checker.substitution import Substitution
from checker.terms import Term, Truth, Value
from spec.ir import BinaryOp, TrapClass


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
