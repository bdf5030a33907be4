"""Answering one obligation about an instruction: fold, prove, find a model, replay it.

First the view is abstract: what cannot hold there can never hold. What can is solved again with the
concrete translation, and the states found are replayed on the concrete machine before the answer is yes.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import process_time

from checker.answers import Answer, Undecided
from checker.assignment import Assignment
from checker.bases import Bases
from checker.components import LOCATION, MEMORY
from checker.conditions import MOST_CELLS, Conditions
from checker.obligations import About, Found, Log, Obligation, Shown
from checker.pairs import Pair
from checker.replay import Replay
from checker.showing import Showing
from checker.solve import LEAST, LITTLE, SOME, WHOLE, Proved, Refuted, Solver, Unknown, Verdict
from checker.subject import ABSTRACT, CONCRETE, Level, Subject
from checker.terms import Truth

MOST_UNDECIDED = 4
"""Obligations that ran out of time, after which the others get a part of it; escapes get all."""


class Prover:
    """Asks obligations about one subject."""

    def __init__(self, subject: Subject, solver: Solver, replay: Replay, log: Log) -> None:
        self.subject = subject
        self.replay = replay
        self.log = log
        self.conditions = Conditions(subject)
        self.bases = Bases(subject, solver, replay)
        self.showing = Showing(self.conditions, self.bases, solver, log)
        self._solver = solver
        self._answers: dict[tuple[object, ...], Found] = {}
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._end = math.inf  # in processor seconds: no question is begun after it

    @property
    def costs(self) -> tuple[float, int]:
        """Seconds in the solver and calls of it, so far."""
        return self._solver.seconds, self._solver.calls

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Processor time for all questions asked inside together: what is left is unknown."""
        self._end = process_time() + seconds
        try:
            yield
        finally:
            self._end = math.inf

    def ask(self, obligation: Obligation) -> Found:
        """The answer, with the states that show a yes; asked before, it is known."""
        found = self.soon(obligation)
        if found is None:
            found = self._in_the_end(obligation)
            self._keep(obligation, found)
        return found

    def soon(self, obligation: Obligation) -> Found | None:
        """The same, if that takes little time."""
        if obligation.name in self.log.skip:
            return self._give_up(obligation, "time-out")
        found = self._answers.get(self._key(obligation)) if obligation.shared else None
        if found is None:
            if process_time() > self._end:
                return self._give_up(obligation, "time-out of all such questions together")
            found = self._at_first(obligation)
            if found is not None:
                self._keep(obligation, found)
        return found

    def _keep(self, obligation: Obligation, found: Found) -> None:
        if obligation.shared and found.answer is not Answer.UNKNOWN:
            self._answers[self._key(obligation)] = found

    def _at_first(self, obligation: Obligation) -> Found | None:
        vouched = self.conditions.abstraction_vouches(obligation)
        memory = self.conditions.touches_memory(obligation)
        pair = self.conditions.pair(obligation, ABSTRACT)
        goal: Truth = True
        if vouched:
            goal = obligation.goal(pair)
            if goal is False:
                return Found(Answer.NO)
        shown = self.showing.guessed(obligation, pair, goal, exact=vouched and not memory)
        if shown is None and memory:
            if vouched and self._excludes_at_once(obligation):
                return Found(Answer.NO)
            shown = self.showing.seen_before(obligation) or self.showing.varied(obligation)
        if shown is not None:
            return Found(Answer.YES, shown)
        if vouched and not memory:
            return self._settle(obligation, pair, goal)
        found: Verdict = Unknown("not asked")
        if vouched:
            found = self._verdict(obligation, ABSTRACT, LITTLE)
        if isinstance(found, Proved):
            return Found(Answer.NO)
        shown = self.showing.with_known_operands(obligation) or self.showing.apart(obligation)
        return self._meeting(obligation) if shown is None else Found(Answer.YES, shown)

    def _in_the_end(self, obligation: Obligation) -> Found:
        """The answer to what was not answered at first."""
        found: Verdict | None = None
        if self.conditions.abstraction_vouches(obligation):
            found = self._verdict(obligation, ABSTRACT, LITTLE)
        for part in (SOME, WHOLE):
            if isinstance(found, Unknown):
                pair = self.conditions.pair(obligation, ABSTRACT)
                goal = obligation.goal(pair)
                found = self._solve(obligation, pair, goal, whole=False, part=part)
            if isinstance(found, Proved):
                return Found(Answer.NO)
            shown = self.showing.near_known(obligation) if part == SOME else None
            if shown is not None:
                return Found(Answer.YES, shown)
        return self._concretely(obligation)

    def at_sight(self, obligation: Obligation) -> Answer:
        """Yes or no where that takes no solver, unknown otherwise; nothing is noted."""
        if not self.conditions.abstraction_vouches(obligation):
            return Answer.UNKNOWN
        pair = self.conditions.pair(obligation, ABSTRACT)
        goal = obligation.goal(pair)
        if goal is False:
            return Answer.NO
        if self.conditions.touches_memory(obligation):
            return Answer.UNKNOWN
        shown = self.showing.guessed(obligation, pair, goal, exact=True)
        if shown is None:
            return Answer.UNKNOWN
        if obligation.shared:
            self._answers[self._key(obligation)] = Found(Answer.YES, shown)
        return Answer.YES

    def _key(self, obligation: Obligation) -> tuple[object, ...]:
        modes = (obligation.first, obligation.second)
        return (obligation.asks, modes, obligation.constraints)

    def excludes(self, obligation: Obligation) -> bool:
        """Whether one call of the solver shows that the answer is no; looks for no yes."""
        if obligation.name in self.log.skip or process_time() > self._end:
            return False
        vouched = self.conditions.abstraction_vouches(obligation)
        if vouched and self._excludes_at_once(obligation):
            return True
        memory = self.conditions.touches_memory(obligation)
        shown = (
            (self.showing.seen_before(obligation) or self.showing.varied(obligation))
            if memory
            else None
        )
        if shown is not None:
            self._keep(obligation, Found(Answer.YES, shown))
            return False
        marked = any(self.subject.is_marked(mode) for mode in self.conditions.modes(obligation))
        part = LITTLE if marked else SOME
        if vouched and isinstance(self._verdict(obligation, ABSTRACT, part), Proved):
            return True
        shown = self.showing.with_known_operands(obligation) if memory else None
        if shown is not None:
            self._keep(obligation, Found(Answer.YES, shown))
            return False
        return (marked or not vouched) and isinstance(
            self._verdict(obligation, CONCRETE, part), Proved
        )

    def _excludes_at_once(self, obligation: Obligation) -> bool:
        """Whether the least of the solver's time shows that the answer is no, where the view that
        both states share allows all that may happen."""
        key = self._verdict_key(obligation, ABSTRACT)
        found = self._verdicts.get(key)
        if found is None:
            pair = self.conditions.pair(obligation, ABSTRACT)
            goal = obligation.goal(pair)
            if goal is False:
                found = Proved()
            else:
                found = self._solve(obligation, pair, goal, whole=False, part=LEAST)
            if not isinstance(found, Unknown):
                self._verdicts[key] = found
        return isinstance(found, Proved)

    def _verdict_key(self, obligation: Obligation, level: Level) -> tuple[object, ...]:
        asks = obligation.asks if obligation.shared else obligation.name
        modes = (obligation.first, obligation.second)
        return (asks, modes, obligation.constraints, level)

    def _verdict(self, obligation: Obligation, level: Level, part: float) -> Verdict:
        """What the solver says at one level in a part of its time, without replay; remembered."""
        key = self._verdict_key(obligation, level)
        found = self._verdicts.get(key)
        if found is None:
            pair = self.conditions.pair(obligation, level)
            goal = obligation.goal(pair)
            related = obligation.about is About.RELATED
            if goal is False:
                found = Proved()
            elif level is CONCRETE and related and pair.touched_cells > MOST_CELLS:
                found = Unknown(f"{pair.touched_cells} cells are touched")
            else:
                found = self._solve(obligation, pair, goal, whole=False, part=part)
                conditions = self.conditions.together(obligation, pair, goal, whole=True)
                if level is CONCRETE and isinstance(found, Unknown) and conditions is not None:
                    found = self._solver.meet(*conditions)
            self._verdicts[key] = found
        return found

    def singled_out(
        self, joint: Obligation, singles: Sequence[Obligation]
    ) -> list[Obligation] | None:
        """Those of `singles`, which let less differ than `joint`, that states of the joint answer
        show to be yes; None if the joint answer is no, or nothing was learned."""
        if joint.name in self.log.skip or process_time() > self._end:
            return []
        if self.excludes(joint):
            return None
        given = self._given(joint)
        base = self.bases.base(joint.first, joint.constraints)
        if given is None or base is None:
            return []
        found = []
        for single in singles:
            own = self.conditions.pair(single, CONCRETE)
            values = given.copy()
            case = self.showing.case(single, own, values, base)
            if self.showing.shows(single, case):
                self._answers[self._key(single)] = Found(Answer.YES, Shown(own, values, case))
                found.append(single)
        return found

    def _given(self, obligation: Obligation) -> Assignment | None:
        """Values that are known or soon found to show it."""
        known = self._answers.get(self._key(obligation))
        if known is not None and known.shown is not None:
            return known.shown.values
        verdict = self._verdict(obligation, CONCRETE, SOME)
        return verdict.assignment if isinstance(verdict, Refuted) else None

    def _concretely(self, obligation: Obligation) -> Found:
        for attempt in self._attempts(obligation):
            pair = self.conditions.pair(attempt, CONCRETE)
            goal = attempt.goal(pair)
            if goal is False:
                last = Found(Answer.NO)
                continue
            if attempt.about is About.RELATED and pair.touched_cells > MOST_CELLS:
                last = self._give_up(obligation, f"{pair.touched_cells} cells are touched")
                continue
            last = self._settle(attempt, pair, goal)
            if last.answer is Answer.YES:
                return last
        return last

    def _attempts(self, obligation: Obligation) -> list[Obligation]:
        """Simpler obligations whose yes is enough, then the obligation itself."""
        if not obligation.differ & {LOCATION, MEMORY}:
            return [obligation]
        moving = self.subject.machine.translation.reads
        simpler = obligation.differ - {LOCATION, MEMORY} - moving
        return [replace(obligation, differ=simpler), obligation] if simpler else [obligation]

    def _settle(self, obligation: Obligation, pair: Pair, goal: Truth) -> Found:
        """Solve on terms that say exactly what happens, and replay what is found."""
        for whole in (False, True):
            verdict = self._solve(obligation, pair, goal, whole=whole)
            match verdict:
                case Proved():
                    return Found(Answer.NO)
                case Unknown(reason):
                    return self._give_up(obligation, reason)
                case Refuted(assignment):
                    shown = self.showing.replayed(obligation, pair, assignment)
                    if shown is not None:
                        return Found(Answer.YES, shown)
        self.log.defects.append(f"{obligation.name}: the states found do not replay")
        return self._give_up(obligation, "the states found do not replay")

    def _meeting(self, obligation: Obligation) -> Found | None:
        """The answer by where accesses to memory meet, if that is soon found."""
        conditions = self.conditions.concretely(obligation)
        if conditions is None:
            return None
        self.log.announce(obligation.name)
        match self._solver.meet(*conditions):
            case Proved():
                return Found(Answer.NO)
            case Refuted(assignment):
                pair = self.conditions.pair(obligation, CONCRETE)
                shown = self.showing.replayed(obligation, pair, assignment)
                return None if shown is None else Found(Answer.YES, shown)
            case Unknown():
                return None

    def _give_up(self, obligation: Obligation, reason: str) -> Found:
        reason = "time-out" if reason in ("timeout", "canceled") else reason
        self.log.undecided.append(Undecided(obligation.name, reason))
        return Found(Answer.UNKNOWN)

    def _solve(
        self, obligation: Obligation, pair: Pair, goal: Truth, *, whole: bool, part: float = WHOLE
    ) -> Verdict:
        conditions = self.conditions.together(obligation, pair, goal, whole=whole)
        if conditions is None:
            return Proved()
        self.log.announce(obligation.name)
        if obligation.shared and len(self.log.undecided) >= MOST_UNDECIDED:
            part = min(part, SOME)
        return self._solver.solve(*conditions, part=part)
