"""An obligation as conditions over terms: what must hold together for it to be a yes.

With an abstract view a no is final and a yes is not; on concrete translation both are.
"""

from collections.abc import Sequence

from checker.components import LOCATION, MEMORY, MODE
from checker.obligations import About, Obligation
from checker.pairs import Pair
from checker.second_state import literal, related
from checker.subject import CONCRETE, Level, Subject
from checker.terms import Truth, support

MOST_CELLS = 24
"""Touched cells up to which the correspondence of places is spelled out in general."""


class Conditions:
    """Of obligations about one subject; pairs of runs are kept."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._pairs: dict[object, Pair] = {}

    def pair(self, obligation: Obligation, level: Level) -> Pair:
        modes = (obligation.first, obligation.second)
        homes = obligation.homes
        key = (obligation.about, modes, obligation.differ, obligation.equal, homes, level)
        found = self._pairs.get(key)
        if found is None:
            subject, first, second = self.subject, obligation.first, obligation.second
            if obligation.about is About.LITERAL:
                found = Pair(
                    subject, first, second, level, lambda _: literal(subject, first, second, level)
                )
            else:
                differ, equal = obligation.differ, obligation.equal
                found = Pair(
                    subject,
                    first,
                    second,
                    level,
                    lambda pair: related(pair, subject, first, second, differ, equal, homes, level),
                )
            self._pairs[key] = found
        return found

    def touches_memory(self, obligation: Obligation) -> bool:
        return any(self.subject.touches_memory(mode) for mode in self.modes(obligation))

    def modes(self, obligation: Obligation) -> set[int]:
        if obligation.about is About.ONE:
            return {obligation.first}
        return {obligation.first, obligation.second}

    def abstraction_vouches(self, obligation: Obligation) -> bool:
        """Whether sharing one view between both states allows all that may happen."""
        subject = self.subject
        if not subject.engines.may_abstract:
            return False
        if obligation.about is not About.RELATED:
            return True
        marks = 0
        for mode in self.modes(obligation):
            outcome, results = subject.supports(mode)
            marks |= outcome | results
        if marks & subject.moved_mark:
            return False
        moving = subject.machine.translation.reads | {MODE, LOCATION, MEMORY}
        return not (marks & subject.viewed_mark and obligation.differ & moving)

    def together(
        self, obligation: Obligation, pair: Pair, goal: Truth, *, whole: bool
    ) -> list[Truth] | None:
        """What must hold together; None if it never does. Without `whole`, assumptions that
        have nothing to do with the goal are left out."""
        conditions = [goal]
        if obligation.about is About.RELATED:
            conditions.append(pair.relation)
        assumptions = self._assumptions(obligation, pair)
        if False in conditions or False in assumptions:
            return None
        return [*conditions, *(assumptions if whole else _cone(conditions, assumptions))]

    def concretely(self, obligation: Obligation) -> list[Truth] | None:
        """What must hold together on concrete translation; None if it never does, or the
        relation is too large to be said."""
        pair = self.pair(obligation, CONCRETE)
        if obligation.about is About.RELATED and pair.touched_cells > MOST_CELLS:
            return None
        return self.together(obligation, pair, obligation.goal(pair), whole=True)

    def _assumptions(self, obligation: Obligation, pair: Pair) -> list[Truth]:
        subject = self.subject
        found = [*subject.well_formed(obligation.first), *subject.operands.conditions]
        found += [subject.condition(obligation.first, expr) for expr in obligation.constraints]
        found.append(pair.first.walks_are_apart)
        if obligation.about is not About.ONE:
            second = subject.well_formed(obligation.second)
            found += [pair.second.condition(condition) for condition in second]
            found.append(pair.second.walks_are_apart)
        return [condition for condition in dict.fromkeys(found) if condition is not True]


def _cone(goals: Sequence[Truth], assumptions: Sequence[Truth]) -> list[Truth]:
    """The assumptions that share symbols with the goals, directly or through one another."""
    reached = 0
    for goal in goals:
        reached |= support(goal)
    chosen: list[Truth] = []
    left = list(assumptions)
    while True:
        near = [condition for condition in left if support(condition) & reached]
        if not near:
            return chosen
        chosen += near
        left = [condition for condition in left if not support(condition) & reached]
        for condition in near:
            reached |= support(condition)
