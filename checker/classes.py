"""The definitions: each class of instructions as a obligation about runs in given modes.

PG74 is G. J. Popek and R. P. Goldberg, CACM 17(7), 1974; the rest is defined in
`docs/formal-background.md`. A goal is a condition over terms; a check is the same on replayed runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from checker.components import MODE, Machine
from checker.obligations import About, Check, Goal, Obligation
from checker.pairs import Pair
from checker.replay import Replay
from checker.replay import Side as Replayed
from checker.terms import Truth
from spec.ir import Expr, TrapClass

NOT_MEMORY = (TrapClass.PRIVILEGE, TrapClass.CALL, TrapClass.FAULT, TrapClass.HIDDEN)

Runs = Sequence[Replayed]


@dataclass(frozen=True, slots=True)
class Definitions:
    """The definitions for one instruction; `prefix` names it and the configuration."""

    machine: Machine
    replay: Replay
    prefix: str

    def mode_name(self, mode: int) -> str:
        return next(name for name, code in self.machine.isa.mode.members if code == mode)

    def asks(self, property_: str, *parts: str) -> str:
        return "/".join((property_, *parts))

    # -- trapping

    def not_privileged(self, user: int, top: int) -> Obligation:
        """PG74, "privileged": against it stand two states, equal but for the mode, neither of
        which memory-traps, where user does not trap with a privilege trap or supervisor does."""

        def goal(pair: Pair) -> Truth:
            engine = pair.engine
            refuses = engine.negate(pair.first.traps(TrapClass.PRIVILEGE))
            against = engine.either(refuses, pair.second.traps(TrapClass.PRIVILEGE))
            return engine.both(against, _neither_memory_traps(pair))

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            if one.traps(TrapClass.MEMORY) or two.traps(TrapClass.MEMORY):
                return ()
            against = not one.traps(TrapClass.PRIVILEGE) or two.traps(TrapClass.PRIVILEGE)
            return ("outcome",) if against else ()

        return Obligation(
            self.prefix, self.asks("privileged"), About.LITERAL, user, top, goal, check
        )

    def privilege_possible(self, user: int, top: int) -> Obligation:
        """Guard of `not_privileged`: some such pair of states does not memory-trap."""

        def check(runs: Runs) -> Sequence[str]:
            return () if any(run.traps(TrapClass.MEMORY) for run in runs) else ("outcome",)

        name = self.asks("privileged", "guard")
        return Obligation(self.prefix, name, About.LITERAL, user, top, _neither_memory_traps, check)

    def traps(
        self,
        mode: int,
        constraints: tuple[Expr, ...],
        classes: tuple[TrapClass, ...] = NOT_MEMORY,
    ) -> Obligation:
        """A state in which the instruction traps, memory traps left out of account."""

        def check(runs: Runs) -> Sequence[str]:
            return ("outcome",) if any(runs[0].traps(c) for c in classes) else ()

        return Obligation(
            self.prefix,
            self.asks("traps" if classes == NOT_MEMORY else "other_traps", self.mode_name(mode)),
            About.ONE,
            mode,
            mode,
            lambda pair: pair.first.traps(*classes),
            check,
            constraints=constraints,
        )

    def retires(self, mode: int, constraints: tuple[Expr, ...]) -> Obligation:
        """A state in which the instruction retires."""
        return Obligation(
            self.prefix,
            self.asks("retires", self.mode_name(mode)),
            About.ONE,
            mode,
            mode,
            lambda pair: pair.first.retires,
            lambda runs: ("outcome",) if runs[0].retires else (),
            constraints=constraints,
        )

    # -- sensitivity

    def control_sensitive(self, component: str, mode: int) -> Obligation:
        """PG74, "control sensitive": a run that retires and changes the component."""

        def check(runs: Runs) -> Sequence[str]:
            (run,) = runs
            return (component,) if run.retires and component in self.replay.changed(run) else ()

        return Obligation(
            self.prefix,
            self.asks("control_sensitive", component, self.mode_name(mode)),
            About.ONE,
            mode,
            mode,
            lambda pair: pair.engine.both(pair.first.retires, pair.first.changes(component)),
            check,
        )

    def result_sensitive(self, differ: frozenset[str], first: int, second: int) -> Obligation:
        """Two retiring runs, in states that differ in some components only, end differently."""

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            if not (one.retires and two.retires):
                return ()
            return self.replay.result_differences(one, two)

        return Obligation(
            self.prefix,
            self._two("result_sensitive", differ, first, second),
            About.RELATED,
            first,
            second,
            lambda pair: pair.engine.both(pair.both_retire, pair.result_differs),
            check,
            differ,
        )

    def behaviour_sensitive(self, differ: frozenset[str], first: int, second: int) -> Obligation:
        """PG74, "behavior sensitive": the same, and both runs leave mode and control state."""
        results = self.result_sensitive(differ, first, second)

        def goal(pair: Pair) -> Truth:
            engine = pair.engine
            left = (engine.negate(side.changes_control) for side in (pair.first, pair.second))
            return engine.all(pair.both_retire, *left, pair.result_differs)

        def check(runs: Runs) -> Sequence[str]:
            left = all(run.retires and self.replay.leaves_control(run) for run in runs)
            return results.check(runs) if left else ()

        name = self._two("behaviour_sensitive", differ, first, second)
        return replace(results, asks=name, goal=goal, check=check)

    def trap_sensitive(self, differ: frozenset[str], first: int, second: int) -> Obligation:
        """The first run retires where the second one traps, other than for memory."""

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            traps = any(two.traps(c) for c in NOT_MEMORY)
            return ("outcome",) if one.retires and traps else ()

        return Obligation(
            self.prefix,
            self._two("trap_sensitive", differ, first, second),
            About.RELATED,
            first,
            second,
            lambda pair: pair.retires_where_other_traps(*NOT_MEMORY),
            check,
            differ,
        )

    def user_mode_noop(self, user: int, other: int) -> Obligation:
        """PG74, section 3: nothing but the pc changes in user mode, where control state does in
        another one: "it is not enough to NOP the instruction without trapping"."""

        def goal(pair: Pair) -> Truth:
            engine, one, two = pair.engine, pair.first, pair.second
            every = frozenset(two.changeable())
            return engine.all(one.retires, one.does_nothing, two.retires, two.changes_any(every))

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            if not (one.retires and two.retires and self.replay.does_nothing(one)):
                return ()
            return sorted(self.replay.changed(two))

        differ = frozenset({MODE})
        name = self._two("user_mode_noop", differ, user, other)
        return Obligation(self.prefix, name, About.RELATED, user, other, goal, check, differ)

    def _two(self, property_: str, differ: frozenset[str], first: int, second: int) -> str:
        modes = f"{self.mode_name(first)}-{self.mode_name(second)}"
        return self.asks(property_, "+".join(sorted(differ)), modes)


@dataclass(frozen=True, slots=True)
class EscapeClauses:
    """The ways in which an instruction that runs directly can break a VMM.

    The first state is the real one, in its real mode and under the constraints; the second one is
    the virtual one. `passed` components belong to the guest; those in `equal` are the same in both;
    `homes` gives those that another element of the first state holds. `told`: the virtual modes that the
    monitor can tell by their real mode, which both runs may enter together.
    """

    definitions: Definitions
    property: str
    differ: frozenset[str]
    equal: frozenset[str]
    passed: frozenset[str]
    homes: tuple[tuple[str, str], ...]
    constraints: tuple[Expr, ...]
    told: tuple[tuple[int, int], ...] = ()

    def for_hybrid(self) -> "EscapeClauses":
        """As a hybrid VMM needs them: it must hear of it that the mode changes."""
        return replace(self, told=())

    def obligations(self, virtual: int, real: int) -> list[tuple[str, Obligation]]:
        """Each clause with its obligation, for one virtual mode and its real mode."""
        modes = virtual, real
        return [
            ("control", self._control(modes)),
            ("virtual control", self._virtual_control(modes)),
            ("behaviour", self._behaviour(modes)),
            ("trap", self._trap(modes)),
        ]

    def _told(self, virtual: int) -> tuple[tuple[int, int], ...]:
        """Where a run may go from a virtual mode, and the monitor can still tell the mode."""
        return tuple(pair for pair in self.told if pair[0] != virtual)

    def _held(self) -> frozenset[str]:
        """Elements of the real machine that are the guest's."""
        return frozenset(dict(self.homes).get(name, name) for name in self.passed)

    def _control(self, modes: tuple[int, int]) -> Obligation:
        """The real machine retires and changes what is not the guest's."""
        told = self._told(modes[0])

        def goal(pair: Pair) -> Truth:
            engine, one = pair.engine, pair.first
            owned = frozenset(one.changeable()) - self._held()
            changes = one.changes_any(owned - {MODE} if told else owned)
            if told and MODE in owned:
                follows = engine.both(pair.second.retires, engine.negate(pair.modes_part(told)))
                leaves = engine.both(one.changes(MODE), engine.negate(follows))
                changes = engine.either(changes, leaves)
            return engine.both(one.retires, changes)

        def check(runs: Runs) -> Sequence[str]:
            one = runs[0]
            changed = self.definitions.replay.changed(one) - self._held()
            if runs[-1].retires and not self._modes_part(runs, told):
                changed -= {MODE}
            return sorted(changed) if one.retires else ()

        return self._obligation("control", modes, goal, check)

    def _virtual_control(self, modes: tuple[int, int]) -> Obligation:
        """Both retire, and the virtual machine changes what the VMM must then change for it."""
        told = self._told(modes[0])

        def goal(pair: Pair) -> Truth:
            engine, two = pair.engine, pair.second
            owned = frozenset(two.changeable()) - self.passed
            changes = two.changes_any(owned - {MODE} if told else owned)
            if told and MODE in owned:
                leaves = engine.both(two.changes(MODE), pair.modes_part(told))
                changes = engine.either(changes, leaves)
            return engine.both(pair.both_retire, changes)

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            if not (one.retires and two.retires):
                return ()
            changed = self.definitions.replay.changed(two) - self.passed
            if not self._modes_part(runs, told):
                changed -= {MODE}
            return sorted(changed)

        return self._obligation("virtual control", modes, goal, check)

    def _modes_part(self, runs: Runs, told: Sequence[tuple[int, int]]) -> bool:
        """Whether runs that retire leave a virtual mode that cannot be told from the real one."""
        replay = self.definitions.replay
        real, virtual = replay.mode(runs[0].after), replay.mode(runs[-1].after)
        changes = any(MODE in replay.changed(run) for run in runs)
        return changes and (virtual, real) not in told

    def _behaviour(self, modes: tuple[int, int]) -> Obligation:
        """Both retire with different results, or different values of what is the guest's."""
        machine = self.definitions.machine
        owned_by_guest = self.passed & {*machine.control, *machine.outside}
        homes = dict(self.homes)

        def goal(pair: Pair) -> Truth:
            engine = pair.engine
            differs = engine.either(pair.result_differs, pair.values_differ(owned_by_guest, homes))
            return engine.both(pair.both_retire, differs)

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            if not (one.retires and two.retires):
                return ()
            replay = self.definitions.replay
            found = replay.result_differences(one, two)
            return [*found, *replay.different(one.after, two.after, owned_by_guest, homes)]

        return self._obligation("behaviour", modes, goal, check)

    def _trap(self, modes: tuple[int, int]) -> Obligation:
        """The real machine retires where the virtual one traps, for whatever reason."""

        def goal(pair: Pair) -> Truth:
            return pair.retires_where_other_traps(*TrapClass)

        def check(runs: Runs) -> Sequence[str]:
            one, two = runs
            return ("outcome",) if one.retires and not two.retires else ()

        return self._obligation("trap", modes, goal, check)

    def _obligation(
        self, clause: str, modes: tuple[int, int], goal: Goal, check: Check
    ) -> Obligation:
        definitions = self.definitions
        virtual, real = modes
        name = definitions.asks(self.property, clause, definitions.mode_name(virtual))
        return Obligation(
            definitions.prefix,
            name,
            About.RELATED,
            real,
            virtual,
            goal,
            check,
            self.differ,
            self.equal,
            self.constraints,
            self.homes,
            shared=False,
        )


def _neither_memory_traps(pair: Pair) -> Truth:
    engine = pair.engine
    sides = (pair.first, pair.second)
    return engine.all(*(engine.negate(side.traps(TrapClass.MEMORY)) for side in sides))
