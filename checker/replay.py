"""The definitions, read on concrete states: what a witness must pass before it is shown.

This shares no code with the symbolic reading in `checker.classes`; both follow the same page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from checker.assignment import Assignment
from checker.components import LOCATION, MEMORY, MODE, Machine, assumptions, swapped_members
from spec.concrete import Concrete, ConcreteEngine
from spec.evaluate import Evaluation
from spec.ir import Access, Expr, Instruction, Isa, TrapClass
from spec.outcome import Outcome, PhysicalAccess, Retired, Touch, Trapped, VirtualAccess
from spec.state import MachineState

_INTEGERS = Concrete()


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One run of the instruction: where it starts, and what happens."""

    before: MachineState
    outcome: Outcome
    choices: tuple[int, ...]
    reads: frozenset[tuple[str, int | None]] = frozenset()
    """Elements (with an array's index) that the instruction read itself, if that was watched."""
    _places: dict[tuple[int, int, Access], int | Trapped] = field(default_factory=dict, repr=False)

    def place(
        self, engine: ConcreteEngine, address: int, size: int, access: Access
    ) -> int | Trapped:
        """Where an access leads before the run; remembered, for one run is compared with many."""
        key = (address, size, access)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = engine.look_up(self.before, address, size, access)
        return found

    @property
    def retires(self) -> bool:
        return isinstance(self.outcome, Retired)

    @property
    def after(self) -> MachineState:
        """The state in which it ends; a trap changes nothing before its delivery."""
        return self.outcome.state if isinstance(self.outcome, Retired) else self.before

    @property
    def walks_what_it_stored(self) -> bool:
        """Whether a walk read a cell that the run had stored through the view."""
        accesses = self.outcome.accesses
        return any(
            stored.touch is Touch.STORE and _meet(walk, stored)
            for walk in accesses.physical
            if walk.walk and not walk.write
            for stored in accesses.virtual[: walk.after]
        )

    def traps(self, trap_class: TrapClass) -> bool:
        return isinstance(self.outcome, Trapped) and self.outcome.trap_class is trap_class


def _meet(walk: PhysicalAccess, stored: VirtualAccess) -> bool:
    at = stored.physical
    return at is not None and at < walk.address + walk.size and walk.address < at + stored.size


class Replay:
    """Runs an instruction on states and compares."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.isa = machine.isa
        self._engine = ConcreteEngine(machine.isa)
        self._enumerations = [
            (element.name, frozenset(encoding for _, encoding in element.values))
            for element in machine.isa.elements
            if element.values and element.length is None
        ]
        self._results = (*machine.plain, machine.isa.pc)
        self._fixed = frozenset(self._results)
        size = () if machine.size is None else (machine.size,)
        self._components = frozenset((*machine.control, *machine.outside, *size))
        self._assumptions = assumptions(machine.isa)
        self.bases: dict[tuple[int, tuple[Expr, ...]], Assignment | None] = {}  # of `checker.bases`

    def side(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: dict[str, int],
        length: int,
        choices: Sequence[int],
        *,
        watched: bool = False,
    ) -> Side:
        """`watched`: note what the instruction reads."""
        if not watched:
            outcome = self._engine.execute(state, instruction, fields, length, choices)
            return Side(state, outcome, tuple(choices))
        engine = _Watching(self.isa)
        outcome = engine.execute(state, instruction, fields, length, choices)
        return Side(state, outcome, tuple(choices), frozenset(engine.seen))

    def well_formed(self, state: MachineState) -> bool:
        scalars = state.scalars
        if any(scalars[name] not in encodings for name, encodings in self._enumerations):
            return False
        return self.holds(state, self._assumptions)

    def holds(self, state: MachineState, conditions: Sequence[Expr]) -> bool:
        """Whether conditions on the state alone are true."""
        if not conditions:
            return True

        def read(element: str, index: int | None) -> int:
            if index is None:
                return state.scalars[element]
            values = state.arrays[element]
            return values[index] if index < len(values) else 0

        evaluation: Evaluation[int, bool] = Evaluation(_INTEGERS, _no_local, read)
        return all(evaluation.value(condition) for condition in conditions)

    def mode(self, state: MachineState) -> int:
        return state.scalars[self.isa.mode.element]

    # -- the relation

    def related(
        self,
        one: Side,
        two: Side,
        differ: frozenset[str],
        equal: frozenset[str] = frozenset(),
        homes: Sequence[tuple[str, str]] = (),
    ) -> bool:
        """Whether the states before are the same virtual machine but for `differ`.

        A different location frees what `translate` reads, save elements in `equal`. `homes`:
        elements of the second state that others hold in the first one.
        """
        first, second = one.before, two.before
        unlike = differing(first, second)
        if not unlike.isdisjoint(self._fixed):
            return False
        free = differ | (self.machine.moving - equal) if LOCATION in differ else differ
        if any(name not in free for name in (unlike & self._components) - dict(homes).keys()):
            return False
        if any(held(first, home) != held(second, name) for name, home in homes if name not in free):
            return False
        if MODE not in differ and self.mode(first) != self.mode(second):
            return False
        if not self._banks_related(first, second, differ):
            return False
        if LOCATION not in differ and MEMORY not in differ and first.cells != second.cells:
            return False
        same_choices = all(a == b for a, b in zip(one.choices, two.choices, strict=False))
        return same_choices and self._views_related(one, two)

    def literally_equal(self, one: Side, two: Side) -> bool:
        """Whether the states before are equal in all but the mode."""
        first, second = one.before, two.before
        equal = differing(first, second) <= {self.isa.mode.element}
        return equal and first.cells == second.cells

    def _banks_related(
        self, first: MachineState, second: MachineState, differ: frozenset[str]
    ) -> bool:
        modes = self.mode(first), self.mode(second)
        seen_first, seen_second = (self.machine.visible(mode) for mode in modes)
        swapped = swapped_members(self.machine, *modes)
        for bank in seen_first:
            if held(first, seen_first[bank]) != held(second, seen_second[bank]):
                return False
        for name in self.machine.hidden(modes[1]):
            twin = swapped.get(name, name)
            if (
                name not in differ
                and twin not in differ
                and held(first, twin) != held(second, name)
            ):
                return False
        return True

    def _views_related(self, one: Side, two: Side) -> bool:
        renamed: dict[int, int] = {}
        back: dict[int, int] = {}
        for address, size, access in touched(one, two):
            mine = one.place(self._engine, address, size, access)
            other = two.place(self._engine, address, size, access)
            if isinstance(mine, Trapped) or isinstance(other, Trapped):
                if not (isinstance(mine, Trapped) and isinstance(other, Trapped)):
                    return False
                if {mine.trap_class, other.trap_class} != {TrapClass.MEMORY}:
                    return False
                continue
            for i in range(size):
                here, there = self._cell(mine + i), self._cell(other + i)
                if one.before.cells[here] != two.before.cells[there]:
                    return False
                if renamed.setdefault(here, there) != there or back.setdefault(there, here) != here:
                    return False
        return True

    def unequal_cells(self, one: Side, two: Side) -> Iterator[tuple[int, int, int, int]]:
        """Cells of the first and of the second view of one address with other contents: where
        each lies, and what each holds."""
        for address, size, access in touched(one, two):
            mine = one.place(self._engine, address, size, access)
            other = two.place(self._engine, address, size, access)
            if isinstance(mine, Trapped) or isinstance(other, Trapped):
                continue
            for i in range(size):
                here, there = self._cell(mine + i), self._cell(other + i)
                held = one.before.cells[here], two.before.cells[there]
                if held[0] != held[1]:
                    yield here, there, *held

    def _cell(self, address: int) -> int:
        return address & ((1 << self.isa.memory.address_width) - 1)

    # -- what happened

    def result_differences(self, one: Side, two: Side) -> list[str]:
        """Registers, pc and cells of the old view in which two retiring runs end differently."""
        first, second = one.after, two.after
        unlike = differing(first, second)
        found = [name for name in self._results if name in unlike]
        seen = [self.machine.visible(self.mode(state)) for state in (first, second)]
        for bank, member in seen[0].items():
            if held(first, member) != held(second, seen[1][bank]):
                found.append(bank)
        for address, size, access in touched(one, two):
            mine = one.place(self._engine, address, size, access)
            other = two.place(self._engine, address, size, access)
            if isinstance(mine, Trapped) or isinstance(other, Trapped):
                continue
            if any(first.cells[mine + i] != second.cells[other + i] for i in range(size)):
                found.append(f"{self.isa.memory.name}[0x{mine:x}]")
        return found

    def different(
        self,
        first: MachineState,
        second: MachineState,
        components: frozenset[str],
        homes: Mapping[str, str],
    ) -> list[str]:
        """Those of the elements that two states hold different values of.

        `homes`: those that others hold in the first state.
        """
        moved = [n for n in components & homes.keys() if held(first, homes[n]) != held(second, n)]
        return sorted([*moved, *((components - homes.keys()) & differing(first, second))])

    def changed(self, side: Side) -> frozenset[str]:
        """The components that a retiring run changes."""
        before, after = side.before, side.after
        unlike = differing(before, after)
        found = set(unlike & self._components)
        if self.machine.members:
            found |= unlike & set(self.machine.hidden(self.mode(before)))
        if self.isa.mode.element in unlike:
            found.add(MODE)
        for access in side.outcome.accesses.physical:
            cells = (access.address + i for i in range(access.size))
            stored = access.write and not access.walk
            if stored and any(before.cells[c] != after.cells[c] for c in cells):
                found.add(MEMORY)
        return frozenset(found)

    def leaves_control(self, side: Side) -> bool:
        """PG74: it leaves mode and relocation as they were (and all other control state)."""
        return not self.changed(side) - set(self.machine.outside)

    def does_nothing(self, side: Side) -> bool:
        """Whether a retiring run changes nothing but the pc."""
        before, after = side.before, side.after
        return before.cells == after.cells and differing(before, after) <= {self.isa.pc}


class _Watching(ConcreteEngine):
    """Notes which elements are read, other than by `translate`."""

    def __init__(self, isa: Isa) -> None:
        super().__init__(isa)
        self.seen: set[tuple[str, int | None]] = set()

    def read(self, element: str, index: int | None) -> int:
        if not self._translating:
            self.seen.add((element, index))
        return super().read(element, index)


def _no_local(name: str) -> int | bool:
    raise AssertionError(f"`{name}` is no state")


def differing(first: MachineState, second: MachineState) -> set[str]:
    """The elements of which two states hold different values."""
    found: set[str] = set()
    if first.scalars != second.scalars:
        values = second.scalars
        found.update(name for name, value in first.scalars.items() if value != values[name])
    for name, content in first.arrays.items():
        other = second.arrays[name]
        if content is not other and content != other:
            found.add(name)
    return found


def held(state: MachineState, name: str) -> int | list[int]:
    """The value of an element, or the values of an array."""
    value = state.scalars.get(name)
    return state.arrays[name] if value is None else value


def touched(*sides: Side) -> Iterator[tuple[int, int, Access]]:
    """The virtual addresses that the runs name, each with size and access once."""
    seen: set[tuple[int, int, Access]] = set()
    for side in sides:
        for access in side.outcome.accesses.virtual:
            key = (access.address, access.size, access.access)
            if key not in seen:
                seen.add(key)
                yield key
