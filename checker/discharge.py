"""Discharges statements about a monitor: by identity of terms where both sides are one, else by Z3."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import process_time
from typing import assert_never, cast

from checker.alternatives import alternatives
from checker.answers import Answer
from checker.assignment import Evaluation
from checker.combined import Combined, End
from checker.invariants import check_invariants
from checker.outcomes import outcome_failures
from checker.proof import Counterexample, Discharged, Group
from checker.recovery import Recovery
from checker.solve import Proved, Refuted, Solver, Unknown
from checker.statements import (
    Armed,
    Hosted,
    Kept,
    Possible,
    Recovered,
    Settled,
    Simulation,
    Statement,
    Text,
    Triple,
)
from checker.terms import Term, Truth, Value, support

Failure = tuple[str, Truth]


def discharge(
    hosted: Hosted,
    statement: Statement,
    *,
    timeout_ms: int = 10_000,
    skip: frozenset[str] = frozenset(),
    announce: Callable[[str], None] = lambda name: None,
) -> tuple[Discharged, ...]:
    """What is found out; one answer for each obligation that the statement carries.

    `announce` is told the name of each question before it is worked on; those in `skip` are left
    open.
    """
    asking = _Asking(hosted, timeout_ms, skip, announce)
    match statement:
        case Simulation():
            return tuple(asking.simulation(statement))
        case Triple():
            return (asking.triple(statement),)
        case Possible():
            return (asking.possible(statement),)
        case Armed():
            return (asking.armed(statement),)
        case Recovered():
            return (asking.recovered(statement),)
        case Settled(group, name, holds, reason):
            answer = Answer.UNKNOWN if holds is None else Answer.of(holds)
            return (Discharged(group, name, answer, reason),)
        case Kept():
            return (_kept(hosted, statement, timeout_ms, skip, announce),)
        case _:
            assert_never(statement)


def _kept(
    hosted: Hosted,
    statement: Kept,
    timeout_ms: int,
    skip: frozenset[str],
    announce: Callable[[str], None],
) -> Discharged:
    started = process_time()
    found = [i for i in hosted.bare.instructions if i.name == statement.instruction]
    facts = check_invariants(
        hosted.bare,
        found[0] if found else None,
        timeout_ms=timeout_ms,
        skip=skip,
        announce=announce,
    )
    answer = Answer.YES
    for fact in facts:
        answer = answer & fact.answer
    reasons = [f"{f.question}: {f.reason}" for f in facts if f.answer is not Answer.YES]
    return Discharged(
        statement.group,
        statement.name,
        answer,
        "; ".join(reasons),
        solved=True,
        seconds=process_time() - started,
    )


def _with_ghosts(hosted: Hosted, statement: Triple) -> Hosted:
    own = {f.name: f for f in statement.functions}
    functions = tuple(own.get(f.name, f) for f in hosted.monitor.functions)
    return replace(
        hosted,
        real=replace(hosted.real, elements=(*hosted.real.elements, *statement.ghosts)),
        monitor=replace(
            hosted.monitor,
            elements=(*hosted.monitor.elements, *statement.ghosts),
            functions=functions,
        ),
    )


@dataclass(slots=True, eq=False)
class _Asking:
    """One statement's questions to the solver."""

    hosted: Hosted
    timeout_ms: int
    skip: frozenset[str]
    announce: Callable[[str], None]
    started: float = 0.0
    solved: bool = False

    def __post_init__(self) -> None:
        self.started = process_time()

    # -- simulations

    def simulation(self, statement: Simulation) -> Iterator[Discharged]:
        running = statement.text is Text.DIRECT
        combined = Combined(self.hosted, statement.mode, running, dict(statement.constants))
        combined.page = statement.page
        frame, assumed = combined.frame(statement.instruction, statement.parameters)
        combined.settle(statement.assume, frame)
        kept = combined.updated(combined.start, statement.before)
        assumed += combined.assumed(statement.assume, frame)
        assumed += combined.well_formed(combined.start)
        bare_start = combined.presented(kept)
        assumed += combined.bare_well_formed(bare_start)
        left = combined.run(statement.text, combined.start, statement.left, frame)
        direct = None
        if statement.forward:
            direct = self._retires(combined, statement.name, left, assumed)
        owner = statement.owner
        if direct is False:
            yield self._answer(statement, Answer.YES, direct=False)
            if owner is not None:
                yield self._answer(statement, Answer.YES, group=owner, direct=False)
            return
        after = combined.updated(left.state, statement.after, left.run.memory)
        presented = End(left.run, combined.presented(after), left.waits)
        right = combined.run(Text.BARE, bare_start, statement.right, frame, (), left.grants)
        failures = outcome_failures(combined, presented, right, statement.forward)
        if statement.forward and any(condition is not False for _, condition in failures):
            assuming = (left.run.retires,)  # and so it may be easier to ask
            right = combined.run(Text.BARE, bare_start, statement.right, frame, assuming)
        confined = self._confined(combined, statement, left, right, assumed)
        own = confined and statement.tables  # then the region stays as it is
        failures = outcome_failures(combined, presented, right, statement.forward, memory=not own)
        crossing = combined.monitor.both(left.run.retires, left.crossing)
        failures.append(("an access goes beyond the end of a page", crossing))
        kept_failures = list(combined.changes(left, statement.keep))
        for sentence, expr in statement.show:
            holds = cast(Truth, combined.monitor.expression(after, expr, {}))
            failing = combined.monitor.both(left.run.retires, combined.monitor.negate(holds))
            kept_failures.append((sentence, failing))
        if not confined and left.run.memory is not right.run.memory:
            kept_failures += combined.strays(left, statement.tables)  # the bare machine has none
        if owner is None:
            failures += kept_failures
        yield self._decide(combined, statement, failures, assumed, frame, direct=direct)
        if owner is not None:
            yield self._decide(
                combined, statement, kept_failures, assumed, frame, group=owner, direct=direct
            )

    def _confined(
        self,
        combined: Combined,
        statement: Simulation,
        left: End,
        right: End,
        assumed: list[Truth],
    ) -> bool:
        """Whether all stores are where they may be, as far as their addresses tell.

        Of a store that is not, what memory holds has to be asked: it may change nothing.
        """
        astray = left.strays
        if statement.tables and right.run.memory is combined.memory:
            astray = combined.leaves_tables(left)
        if not isinstance(astray, Term):
            return astray is False
        verdict = self._solve(combined, f"{statement.name}: addresses", [astray, *assumed])
        return isinstance(verdict, Proved)

    def _retires(self, combined: Combined, name: str, left: End, assumed: list[Truth]) -> bool:
        """Whether a run can retire, as far as that is easily found out."""
        retires = left.run.retires
        if not isinstance(retires, Term):
            return retires
        if support(retires) & combined.terms.indirect:
            return True
        plain = [a for a in assumed if not support(a) & combined.terms.indirect]
        verdict = self._solve(combined, f"{name} retires", [retires, *plain], likely=True)
        return not isinstance(verdict, Proved)

    # -- triples

    def triple(self, statement: Triple) -> Discharged:
        hosted = _with_ghosts(self.hosted, statement)
        constants = dict(statement.constants)
        combined = Combined(hosted, statement.mode, True, constants, statement.real_mode)
        frame, assumed = combined.frame(None, statement.parameters)
        combined.settle(statement.assume, frame)
        combined.define(statement.defined)
        assumed += combined.assumed(statement.assume, frame)
        assumed += combined.well_formed(combined.start)
        assumed += combined.bare_well_formed(combined.presented(combined.start))
        stored = combined.earlier(statement.earlier)
        if stored:
            outside = [combined.outside_tables(stored), *assumed]
            if isinstance(self._solve(combined, f"{statement.name}: entries", outside), Proved):
                combined.fill(stored)
        asked = 0

        def excluded(condition: Truth) -> bool:
            nonlocal asked
            asked += 1
            name = f"{statement.name}: what was read before, {asked}"
            return isinstance(self._solve(combined, name, [condition, *assumed]), Proved)

        failures = combined.shown(statement, frame, excluded)
        assumed += combined.instances([*assumed, *(condition for _, condition in failures)])
        return self._decide(combined, statement, failures, assumed, frame)

    def possible(self, statement: Possible) -> Discharged:
        combined = Combined(self.hosted, statement.mode, True, dict(statement.constants))
        conditions = combined.assumed(statement.assume, {})
        conditions += combined.well_formed(combined.start)
        conditions += combined.bare_well_formed(combined.presented(combined.start))
        verdict = self._solve(combined, statement.name, conditions)
        match verdict:
            case Refuted():
                return self._answer(statement, Answer.YES)
            case Proved():
                return self._answer(statement, Answer.NO, "the assumptions contradict each other")
            case Unknown(reason):
                return self._answer(statement, Answer.UNKNOWN, reason)
            case _:
                assert_never(verdict)

    # -- timers, information

    def armed(self, statement: Armed) -> Discharged:
        """Find one value of what is not the guest's by a model; prove it for all of the guest's."""
        reasons = []
        for name, condition in statement.conditions:
            combined = Combined(self.hosted, statement.mode, True)
            wanted = cast(Truth, combined.real.expression(combined.start, condition, {}))
            assumed = combined.assumed(statement.assume, {}) + combined.well_formed(combined.start)
            ends = combined.guest_at_ends(statement.guest)  # else a model may rest on the guest's
            also = [other.truth(wanted) for other in ends]
            found = self._solve(combined, statement.name, [wanted, *assumed, *also])
            if not isinstance(found, Refuted):
                found = self._solve(combined, statement.name, [wanted, *assumed])
            if not isinstance(found, Refuted):
                reasons.append(f"{name}: never under the constraints")
                continue
            armed = combined.fixed(found.assignment, frozenset(statement.guest))
            still = [armed.truth(truth) for truth in (wanted, *assumed)]
            masked = [combined.real.negate(still[0]), *still[1:]]
            verdict = self._solve(combined, f"{statement.name}: {name}", masked)
            if isinstance(verdict, Proved):
                return self._answer(statement, Answer.YES, f"{name} can be armed")
            reasons.append(f"{name}: the guest can mask it")
        return self._answer(statement, Answer.UNKNOWN, "; ".join(reasons))

    def recovered(self, statement: Recovered) -> Discharged:
        answer, reason = Recovery(self.hosted, self._verdict).found(statement)
        return self._answer(statement, answer, reason)

    # -- asking

    def _decide(
        self,
        combined: Combined,
        statement: Simulation | Triple,
        failures: list[Failure],
        assumed: list[Truth],
        frame: Mapping[str, Value | Truth],
        *,
        group: Group | None = None,
        direct: bool | None = None,
    ) -> Discharged:
        """None of the failures can happen under the assumptions."""
        failures = [f for f in failures if f[1] is not False]
        if not failures:
            return self._answer(statement, Answer.YES, group=group, direct=direct)
        verdict = self._verdict(combined, statement.name, failures, assumed)
        match verdict:
            case Proved():
                return self._answer(statement, Answer.YES, group=group, direct=direct)
            case Unknown(reason):
                return self._answer(statement, Answer.UNKNOWN, reason, group=group, direct=direct)
            case Refuted(assignment):
                evaluation = Evaluation(assignment, combined.monitor.memory)
                fails = tuple(what for what, c in failures if evaluation.truth(c))
                found = combined.counterexample(assignment, frame, fails)
                reason = ", ".join(fails)
                return self._answer(
                    statement, Answer.NO, reason, group=group, found=found, direct=direct
                )
            case _:
                assert_never(verdict)

    def _verdict(
        self, combined: Combined, name: str, failures: list[Failure], assumed: list[Truth]
    ) -> Proved | Refuted | Unknown:
        """Whether some failure can happen: asked of all at once, and of each, in parts, if that is
        too hard."""
        joint = combined.monitor.any(*(condition for _, condition in failures))
        verdict = self._solve(combined, name, [joint, *assumed])
        if isinstance(verdict, Unknown):
            parts = [part for failure in failures for part in self._parts(combined, name, failure)]
            if len(parts) > 1:
                verdict = self._apart(combined, name, parts, assumed)
        return verdict

    def _parts(self, combined: Combined, name: str, failure: Failure) -> list[Failure]:
        """Failures of which one happens if this one does, which is asked for, too."""
        what, condition = failure
        parts = alternatives(combined.monitor, condition)
        if len(parts) > 1:
            none = combined.monitor.negate(combined.monitor.any(*parts))
            other = self._solve(combined, f"{name}: {what}, otherwise", [condition, none])
            if isinstance(other, Proved):
                return [(f"{what}, {number}", part) for number, part in enumerate(parts, 1)]
        return [failure]

    def _apart(
        self, combined: Combined, name: str, failures: list[Failure], assumed: list[Truth]
    ) -> Proved | Refuted | Unknown:
        undecided: Unknown | None = None
        for what, condition in failures:
            verdict = self._solve(combined, f"{name}: {what}", [condition, *assumed])
            if isinstance(verdict, Refuted):
                return verdict
            if isinstance(verdict, Unknown):
                undecided = Unknown(f"{what}: {verdict.reason}")
        return undecided or Proved()

    def _solve(
        self, combined: Combined, name: str, conditions: list[Truth], likely: bool = False
    ) -> Proved | Refuted | Unknown:
        """Whether all conditions can hold together; `likely` they can."""
        if any(condition is False for condition in conditions):
            return Proved()
        if name in self.skip:
            return Unknown("time-out")
        self.announce(name)
        self.solved = True
        solver = Solver(combined.terms, combined.monitor.memory, self.timeout_ms)
        if not likely and solver.contradict(*conditions):
            return Proved()
        return solver.solve(*conditions)

    def _answer(
        self,
        statement: Statement,
        answer: Answer,
        reason: str = "",
        *,
        group: Group | None = None,
        found: Counterexample | None = None,
        direct: bool | None = None,
    ) -> Discharged:
        spent = process_time() - self.started
        self.started += spent
        return Discharged(
            group or statement.group,
            statement.name,
            answer,
            reason,
            found,
            self.solved,
            spent,
            direct,
        )
