"""The definitions of the formal model (sections 3 and 4), read by enumerating all states.

For machines of a handful of bits. It shares no code with the checker: it runs the concrete engine
from every state once and then compares outcomes as the definitions say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from spec.concrete import ConcreteEngine
from spec.effects import function_reads
from spec.ir import Access, Configuration, Element, Instruction, Isa, Role, TrapClass
from spec.outcome import Retired, Touch, Trapped
from spec.state import MachineState

MODE, LOCATION, MEMORY = "mode", "location", "memory"
CONTROL_ROLES = (Role.CONTROL, Role.TIME, Role.DEVICE)
Values = tuple[int, ...]
View = tuple[int, Access, int]  # virtual address, access, size in cells
Test = Callable[[Values, "End"], bool]


@dataclass(frozen=True, slots=True)
class End:
    """How an instruction ends from one state with one string of choices."""

    trap: TrapClass | None
    post: Values  # of a run that retires; else the state before
    touched: frozenset[View]
    physical: frozenset[int]  # cells that the body touched by physical address
    stored: frozenset[int]  # those of them that it stored to
    counts: bool  # no walk read a cell that the body had stored through the view


@dataclass(frozen=True, slots=True)
class Found:
    """What the definitions say of one instruction under one configuration."""

    traps: str
    traps_in_top: str
    privileged: bool
    privileged_vacuous: bool
    control: frozenset[str]
    behaviour: frozenset[str]  # single components
    result: frozenset[str]
    trap: frozenset[str]
    joint_behaviour: bool  # some set of components, in the end all of them, will do
    joint_result: bool
    user_sensitive: bool
    supervisor_sensitive: bool
    user_mode_noop: bool
    escape: bool
    hybrid_escape: bool
    semantic_violation: bool
    hybrid_semantic_violation: bool

    @property
    def sensitive(self) -> bool:
        return bool(self.control) or self.joint_behaviour


class Machine:
    """All states of a description, as tuples: elements in order, then memory cells."""

    def __init__(self, isa: Isa) -> None:
        if any(element.length is not None for element in isa.elements):
            raise ValueError("arrays are not enumerated")
        self.isa = isa
        self.engine = ConcreteEngine(isa)
        self.elements: tuple[Element, ...] = isa.elements
        self.place = {element.name: n for n, element in enumerate(isa.elements)}
        self.mode = self.place[isa.mode.element]
        self.pc = self.place[isa.pc]
        self.cells = len(isa.elements)  # place of cell 0
        self.memory_size = 1 << isa.memory.address_width
        self.states = [s for s in self._all() if self._well_formed(s)]
        self.members = {e for bank in isa.banks for _, e in bank.members}
        self.user_level = [
            self.place[e.name]
            for e in isa.elements
            if e.role in (Role.GENERAL, Role.FLAG)
            and e.name not in self.members
            and e.name != isa.memory.size
        ]
        self.controls = [
            e.name for e in isa.elements if e.role in CONTROL_ROLES and e.name not in self.members
        ]
        self.components = [MODE, LOCATION, MEMORY, *self.controls, *sorted(self.members)]
        self.translated_by = self._read_by_translate()
        self._views: dict[tuple[Values, View], int | TrapClass] = {}
        self._ends: dict[int, dict[Values, list[End]]] = {}

    def machine_state(self, values: Values) -> MachineState:
        state = MachineState(self.isa)
        for element, value in zip(self.elements, values, strict=False):
            state.scalars[element.name] = value
        for address in range(self.memory_size):
            state.cells[address] = values[self.cells + address]
        return state

    def ends(self, instruction: Instruction, choices: int) -> dict[Values, list[End]]:
        """The ends of an instruction from every state, for every string of one-bit choices."""
        if id(instruction) not in self._ends:
            strings = list(product((0, 1), repeat=choices))
            self._ends[id(instruction)] = {
                s: [self._end(s, instruction, w) for w in strings] for s in self.states
            }
        return self._ends[id(instruction)]

    def look_up(self, state: Values, view: View) -> int | TrapClass:
        """Where the state's current mode finds a virtual address, or the class of the trap."""
        key = (state, view)
        if key not in self._views:
            address, access, size = view
            found = self.engine.look_up(self.machine_state(state), address, size, access)
            self._views[key] = found.trap_class if isinstance(found, Trapped) else found
        return self._views[key]

    def contents(self, state: Values, physical: int, size: int) -> Values:
        cells = range(physical, physical + size)
        return tuple(state[self.cells + cell % self.memory_size] for cell in cells)

    def visible(self, state: Values) -> Values:
        """Banked registers as the state's mode sees them."""
        mode = state[self.mode]
        names = [dict(bank.members)[mode] for bank in self.isa.banks]
        return tuple(state[self.place[name]] for name in names)

    def hidden(self, mode: int) -> list[str]:
        """The bank members that a mode does not see."""
        return [
            e for bank in self.isa.banks for _, e in bank.members if e != dict(bank.members)[mode]
        ]

    def _all(self) -> Iterator[Values]:
        widths = [element.width for element in self.elements]
        widths += [self.isa.memory.cell_width] * self.memory_size
        return product(*(range(1 << width) for width in widths))

    def _well_formed(self, values: Values) -> bool:
        for element, value in zip(self.elements, values, strict=False):
            if element.values and value not in {encoding for _, encoding in element.values}:
                return False
        size = self.isa.memory.size
        if size is not None and values[self.place[size]] > self.memory_size:
            return False
        state = self.machine_state(values)
        return all(self.engine.value(state, expr) for _, expr in self.isa.invariants)

    def _end(self, values: Values, instruction: Instruction, choices: Sequence[int]) -> End:
        fields = {field.name: 0 for field in instruction.fields}
        outcome = self.engine.execute(self.machine_state(values), instruction, fields, 1, choices)
        accesses = outcome.accesses
        own = [a for a in accesses.physical if not a.walk]
        cells = [(a, (a.address + i) % self.memory_size) for a in own for i in range(a.size)]
        trap, post = None, values
        if isinstance(outcome, Retired):
            scalars, memory = outcome.state.scalars, outcome.state.cells
            post = (
                *(scalars[element.name] for element in self.elements),
                *(memory[address] for address in range(self.memory_size)),
            )
        else:
            trap = outcome.trap_class
        return End(
            trap,
            post,
            frozenset((a.address, a.access, a.size) for a in accesses.virtual),
            frozenset(cell for _, cell in cells),
            frozenset(cell for a, cell in cells if a.write),
            not self._walks_what_it_stored(outcome),
        )

    def _walks_what_it_stored(self, outcome: Retired | Trapped) -> bool:
        for walk in outcome.accesses.physical:
            if not walk.walk or walk.write:
                continue
            read = {(walk.address + i) % self.memory_size for i in range(walk.size)}
            for access in outcome.accesses.virtual[: walk.after]:
                if access.touch is Touch.STORE and access.physical is not None:
                    cells = (access.physical + i for i in range(access.size))
                    if any(cell % self.memory_size in read for cell in cells):
                        return True
        return False

    def _read_by_translate(self) -> frozenset[str]:
        """Control elements that `translate` reads, itself or by a function it calls."""
        functions = {function.name: function for function in self.isa.functions}
        controls = {e.name for e in self.elements if e.role is Role.CONTROL}
        return function_reads(functions, self.isa.translate) & controls


class Definitions:
    """Section 3 and 4 for one instruction under one configuration."""

    def __init__(
        self, machine: Machine, configuration: Configuration, instruction: Instruction, choices: int
    ) -> None:
        self.machine = machine
        self.configuration = configuration
        self.ends = machine.ends(instruction, choices)
        self.strings = range(1 << choices)
        modes = dict(machine.isa.mode.members)
        self.user = modes[configuration.modes[0][1]]
        self.virtual = [modes[name] for name, _ in configuration.modes]
        self.real = {modes[name]: modes[real] for name, real in configuration.modes}
        self.top = self.virtual[0]
        ranks = [encoding for _, encoding in machine.isa.mode.members]
        self.lowest = min(self.virtual, key=ranks.index)
        self.scope = {*self.virtual, *self.real.values()}
        self.supervised = [m for m in self.scope if m != self.user]
        engine = machine.engine
        self.constrained = {
            s
            for s in machine.states
            if all(
                engine.value(machine.machine_state(s), expr)
                for _, expr in configuration.constraints
            )
        }

    # -- s1 ~ s2

    def groups(self, free: frozenset[str], fixed: Iterable[str]) -> list[list[Values]]:
        """States that agree on all that `free` does not name, and on what `fixed` does.

        Hidden bank members and the view are left to `alike`.
        """
        machine = self.machine
        loose = set(free)
        kept = [machine.pc, *machine.user_level]
        if LOCATION in free:
            loose |= machine.translated_by
        elif machine.isa.memory.size is not None:  # how many cells there are is part of where
            kept.append(machine.place[machine.isa.memory.size])
        loose -= set(fixed)
        kept += [machine.place[name] for name in machine.controls if name not in loose]
        if MODE not in free:
            kept.append(machine.mode)
        if not free & {LOCATION, MEMORY}:
            kept += range(machine.cells, machine.cells + machine.memory_size)
        found: dict[object, list[Values]] = defaultdict(list)
        for state in machine.states:
            if state[machine.mode] in self.scope:
                key = tuple(state[place] for place in kept)
                found[key, machine.visible(state)].append(state)
        return list(found.values())

    def _banks_agree(self, s1: Values, s2: Values, free: frozenset[str]) -> bool:
        machine = self.machine
        m1, m2 = s1[machine.mode], s2[machine.mode]
        for bank in machine.isa.banks:
            seen1, seen2 = dict(bank.members)[m1], dict(bank.members)[m2]
            for member in {element for _, element in bank.members}:
                if member in (seen1, seen2) or member in free:
                    continue
                if s1[machine.place[member]] != s2[machine.place[member]]:
                    return False
            swapped = s1[machine.place[seen2]] == s2[machine.place[seen1]]
            if seen1 != seen2 and not swapped and not {seen1, seen2} & free:
                return False
        return True

    def alike(self, s1: Values, s2: Values, e1: End, e2: End, free: frozenset[str]) -> bool:
        """Whether the views agree where the two runs touch them."""
        machine = self.machine
        there: dict[int, int] = {}
        back: dict[int, int] = {}
        for view in e1.touched | e2.touched:
            p1, p2 = machine.look_up(s1, view), machine.look_up(s2, view)
            if isinstance(p1, TrapClass) or isinstance(p2, TrapClass):
                if p1 is not TrapClass.MEMORY or p2 is not TrapClass.MEMORY:
                    return False
                continue
            size = view[2]
            if machine.contents(s1, p1, size) != machine.contents(s2, p2, size):
                return False
            for i in range(size):
                c1, c2 = (p1 + i) % machine.memory_size, (p2 + i) % machine.memory_size
                if there.setdefault(c1, c2) != c2 or back.setdefault(c2, c1) != c1:
                    return False
        if free & {LOCATION, MEMORY}:
            return True
        return all(
            s1[machine.cells + cell] == s2[machine.cells + cell]
            for cell in e1.physical | e2.physical
        )

    def related(
        self,
        free: Iterable[str],
        first: Test,
        second: Test,
        modes: Callable[[int, int], bool],
        differ: Callable[[Values, Values, End, End], bool] = lambda s1, s2, e1, e2: True,
        fixed: Iterable[str] = (),
        homes: Iterable[tuple[str, str]] = (),
    ) -> bool:
        """Whether some related states, run with the same choices, are as the tests ask.

        `homes`: elements of the second state, each equal to another one of the first state.
        """
        frees = frozenset(free)
        place = self.machine.mode
        moved = {name for name, _ in homes}
        held = [
            (self.machine.place[name], self.machine.place[home])
            for name, home in homes
            if name not in frees
        ]
        for group in self.groups(frees | moved, set(fixed) - moved):
            for w in self.strings:
                runs = [(state, self.ends[state][w]) for state in group]
                runs = [(state, end) for state, end in runs if end.counts]
                seconds = [(s2, e2) for s2, e2 in runs if second(s2, e2)]
                for s1, e1 in runs:
                    if not first(s1, e1):
                        continue
                    for s2, e2 in seconds:
                        if (
                            modes(s1[place], s2[place])
                            and all(s2[name] == s1[home] for name, home in held)
                            and differ(s1, s2, e1, e2)
                            and self._banks_agree(s1, s2, frees)
                            and self.alike(s1, s2, e1, e2, frees)
                        ):
                            return True
        return False

    # -- results

    def differs(self, s1: Values, s2: Values, e1: End, e2: End) -> bool:
        """Whether the results of two runs that retire differ."""
        machine = self.machine
        places = [machine.pc, *machine.user_level]
        if any(e1.post[place] != e2.post[place] for place in places):
            return True
        if machine.visible(e1.post) != machine.visible(e2.post):
            return True
        for view in e1.touched | e2.touched:
            p1, p2 = machine.look_up(s1, view), machine.look_up(s2, view)
            if isinstance(p1, TrapClass) or isinstance(p2, TrapClass):
                continue
            if machine.contents(e1.post, p1, view[2]) != machine.contents(e2.post, p2, view[2]):
                return True
        return False

    def changed(self, state: Values, end: End) -> set[str]:
        """The components that a run that retires changes."""
        machine = self.machine
        names = [*machine.controls, *machine.hidden(state[machine.mode])]
        found = {n for n in names if state[machine.place[n]] != end.post[machine.place[n]]}
        if state[machine.mode] != end.post[machine.mode]:
            found.add(MODE)
        if any(state[machine.cells + c] != end.post[machine.cells + c] for c in end.stored):
            found.add(MEMORY)
        return found

    def keeps_control(self, state: Values, end: End) -> bool:
        """Whether a run leaves mode, control elements and physically stored cells as they were."""
        roles = {e.name: e.role for e in self.machine.elements}
        loose = {n for n in self.machine.controls if roles[n] is not Role.CONTROL}
        return not self.changed(state, end) - loose

    # -- classes

    def traps(self, mode: int, states: Iterable[Values]) -> str:
        place = self.machine.mode
        ends = [end for s in states if s[place] == mode for end in self.ends[s]]
        ends = [end for end in ends if end.counts]
        counted = [end.trap is not None for end in ends if end.trap is not TrapClass.MEMORY]
        if not counted:
            return "vacuous"
        if not any(counted):
            return "never"
        return "always" if all(counted) else "sometimes"

    def privileged(self) -> tuple[bool, bool]:
        """Whether it is privileged, and whether there was nothing to judge by."""
        place = self.machine.mode
        vacuous = True
        for s1 in self.machine.states:
            if s1[place] != self.user:
                continue
            s2 = (*s1[:place], self.top, *s1[place + 1 :])
            if s2 not in self.ends:
                continue
            for e1, e2 in product(self.ends[s1], self.ends[s2]):
                if TrapClass.MEMORY in (e1.trap, e2.trap) or not (e1.counts and e2.counts):
                    continue
                vacuous = False
                if e1.trap is not TrapClass.PRIVILEGE or e2.trap is TrapClass.PRIVILEGE:
                    return False, False
        return not vacuous, vacuous

    def control_sensitive(self, modes: Iterable[int]) -> frozenset[str]:
        scope = set(modes)
        found: set[str] = set()
        for state, ends in self.ends.items():
            if state[self.machine.mode] in scope:
                for end in ends:
                    if end.trap is None and end.counts:
                        found |= self.changed(state, end)
        return frozenset(found)

    def dependent(self, free: Iterable[str], kept: bool, modes: Callable[[int, int], bool]) -> bool:
        """Behaviour (with `kept`) or result sensitivity on what is free."""

        def retires(state: Values, end: End) -> bool:
            return end.trap is None and (not kept or self.keeps_control(state, end))

        return self.related(free, retires, retires, modes, self.differs)

    def dependences(self, kept: bool) -> frozenset[str]:
        def equal(m1: int, m2: int) -> bool:
            return m1 == m2

        def distinct(m1: int, m2: int) -> bool:
            return m1 != m2

        return frozenset(
            d
            for d in self.machine.components
            if self.dependent((d,), kept, distinct if d == MODE else equal)
        )

    def dependent_in(self, mode: int) -> bool:
        """Behaviour sensitive on location, memory or control, with both states in one mode."""
        roles = {e.name: e.role for e in self.machine.elements}
        timed = {n for n in self.machine.controls if roles[n] is not Role.CONTROL}
        free = set(self.machine.components) - timed - {MODE}
        return self.dependent(free, True, lambda m1, m2: m1 == m2 == mode)

    def trap_sensitive(self) -> frozenset[str]:
        def traps(state: Values, end: End) -> bool:
            return end.trap not in (None, TrapClass.MEMORY)

        def from_user(m1: int, m2: int) -> bool:
            return m1 == m2 == self.user

        def to_virtual(m1: int, m2: int) -> bool:
            return m1 == self.user and m2 in self.supervised

        return frozenset(
            d
            for d in self.machine.components
            if self.related((d,), _retires, traps, to_virtual if d == MODE else from_user)
        )

    def user_mode_noop(self) -> bool:
        machine = self.machine

        def idles(state: Values, end: End) -> bool:
            pc = machine.pc
            return end.trap is None and ((*end.post[:pc], state[pc], *end.post[pc + 1 :]) == state)

        def controls(state: Values, end: End) -> bool:
            return end.trap is None and bool(self.changed(state, end))

        def modes(m1: int, m2: int) -> bool:
            return m1 == self.user and m2 in self.supervised

        return self.related((MODE,), idles, controls, modes)

    def escapes(self, mirrored_free: bool, virtual: Iterable[int]) -> bool:
        """An escape, or with mirrored components equal a semantic violation.

        `virtual`: the virtual modes that run directly.
        """
        machine, configuration = self.machine, self.configuration
        passed, mirrored = set(configuration.passed), set(configuration.mirrored)
        fixed = passed if mirrored_free else passed | mirrored
        home = dict(configuration.homes)
        held = {home.get(name, name) for name in passed}
        places = [(machine.place[home.get(name, name)], machine.place[name]) for name in passed]
        seconds = set(virtual)

        def first(state: Values, end: End) -> bool:
            return end.trap is None and state in self.constrained

        def modes(m1: int, m2: int) -> bool:
            return m2 in seconds and m1 == self.real[m2]

        def followed(m1: int, m2: int) -> bool:
            """The monitor, which finds real mode m1, knows that the virtual mode is m2."""
            return m2 in seconds and [m for m in self.virtual if self.real[m] == m1] == [m2]

        def breaks(s1: Values, s2: Values, e1: End, e2: End) -> bool:
            mine, others = self.changed(s1, e1), self.changed(s2, e2)
            if e2.trap is None and followed(e1.post[machine.mode], e2.post[machine.mode]):
                mine, others = mine - {MODE}, others - {MODE}
            return (
                e2.trap is not None
                or bool(mine - held)
                or bool(others - passed)
                or self.differs(s1, s2, e1, e2)
                or any(e1.post[real] != e2.post[there] for real, there in places)
            )

        free = set(machine.components) - fixed
        homes = configuration.homes
        return self.related(free, first, lambda s, e: True, modes, breaks, fixed, homes)

    def found(self) -> Found:
        every = self.machine.components
        privileged, vacuous = self.privileged()
        behaviour, result = self.dependences(True), self.dependences(False)
        scope = self.scope

        def any_modes(m1: int, m2: int) -> bool:
            return {m1, m2} <= scope

        return Found(
            traps=self.traps(self.user, self.constrained),
            traps_in_top=self.traps(self.top, self.machine.states),
            privileged=privileged,
            privileged_vacuous=vacuous,
            control=self.control_sensitive(scope),
            behaviour=behaviour,
            result=result,
            trap=self.trap_sensitive(),
            joint_behaviour=bool(behaviour) or self.dependent(every, True, any_modes),
            joint_result=bool(result) or self.dependent(every, False, any_modes),
            user_sensitive=bool(self.control_sensitive({self.user}))
            or self.dependent_in(self.user),
            supervisor_sensitive=bool(self.control_sensitive({self.top}))
            or self.dependent_in(self.top),
            user_mode_noop=self.user_mode_noop(),
            escape=self.escapes(True, self.virtual),
            hybrid_escape=self.escapes(True, (self.lowest,)),
            semantic_violation=self.escapes(False, self.virtual),
            hybrid_semantic_violation=self.escapes(False, (self.lowest,)),
        )

    def is_minimal(self, joint: str, kept: bool) -> bool:
        """Whether a set of components (joined by `+`) explains a dependence, and no part of it."""
        names = joint.split("+")

        def modes(part: Sequence[str]) -> Callable[[int, int], bool]:
            return (lambda m1, m2: True) if MODE in part else (lambda m1, m2: m1 == m2)

        smaller = combinations(names, len(names) - 1)
        return self.dependent(names, kept, modes(names)) and not any(
            self.dependent(part, kept, modes(part)) for part in smaller
        )


def _retires(state: Values, end: End) -> bool:
    return end.trap is None
