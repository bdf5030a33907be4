"""Answering one obligation about an instruction: fold, prove, find a model, replay it.

A obligation is about one run, or about two runs in related states. First the view is abstract: what
cannot hold there can never hold. What can is solved again with the concrete translation, and the
states found are replayed on the concrete machine before the answer is yes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from time import process_time
from typing import TypeAlias

from checker.answers import Answer, Undecided
from checker.assignment import Assignment, Evaluation
from checker.components import LOCATION, MEMORY, MODE
from checker.operand_sets import FORM
from checker.pairs import Pair
from checker.replay import Replay
from checker.replay import Side as Replayed
from checker.second_state import literal, related
from checker.seeds import joined, near
from checker.sides import PRIME
from checker.solve import LITTLE, SOME, WHOLE, Proved, Refuted, Solver, Unknown, Verdict
from checker.states import Case, Cases, Known
from checker.subject import ABSTRACT, CONCRETE, Level, Subject
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, support
from checker.variations import Variations, samples, swapped
from checker.witness import FEW_TRIES, MOST_TRIES, lessen
from spec.ir import Expr

MOST_CELLS = 24
"""Touched cells up to which the correspondence of places is spelled out in general."""

MOST_CELLS_IN_FORMS = 64
"""The same where one form of each operand is chosen."""

MOST_FORMS = 1
"""Operands of states that showed something which are tried by themselves."""

MOST_REMEMBERED = 12
"""Assignments kept that showed something, to try them on the next obligations."""

MOST_UNDECIDED = 4
"""Obligations that ran out of time, after which the others get a part of it; escapes get all."""

SAMPLES = 160
"""States with any operands that are tried for a question about one run."""

MOST_VARIED = 6
"""Of these, those that are varied."""

MOST_SEEDS = 2
"""Of these, those near which a yes is looked for."""

Goal: TypeAlias = Callable[[Pair], Truth]
Check: TypeAlias = Callable[[Sequence[Replayed]], Sequence[str]]
"""The property on replayed runs: names of what shows it, empty if it does not hold."""


class About(Enum):
    ONE = auto()  # a run of the first mode
    RELATED = auto()  # two runs in related states
    LITERAL = auto()  # two runs in states equal but for the mode, choices apart


@dataclass(frozen=True, slots=True)
class Obligation:
    """May states in these modes, with these conditions on the first one, reach the goal?"""

    scope: str  # the instruction and the configuration
    asks: str  # the property, components and modes
    about: About
    first: int
    second: int
    goal: Goal
    check: Check
    differ: frozenset[str] = frozenset()
    equal: frozenset[str] = frozenset()  # elements that a different location does not free
    constraints: tuple[Expr, ...] = ()
    homes: tuple[
        tuple[str, str], ...
    ] = ()  # elements of the second state, held by others in the first
    shared: bool = True  # the same under every configuration with these constraints

    @property
    def name(self) -> str:
        return f"{self.scope}/{self.asks}"


@dataclass(frozen=True, slots=True)
class Shown:
    """States, replayed, in which the goal is reached, and the values that gave them."""

    pair: Pair
    values: Assignment
    case: Case


@dataclass(frozen=True, slots=True)
class Found:
    """`shown` is given exactly for yes."""

    answer: Answer
    shown: Shown | None = None


@dataclass(slots=True)
class Log:
    """What was announced, left open and found wrong on the way."""

    announce: Callable[[str], None]
    skip: frozenset[str] = frozenset()
    undecided: list[Undecided] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)


class Prover:
    """Asks obligations about one subject."""

    def __init__(self, subject: Subject, solver: Solver, replay: Replay, log: Log) -> None:
        self.subject = subject
        self.replay = replay
        self.log = log
        self._solver = solver
        self._cases = Cases(subject, replay)
        self._evaluations: dict[tuple[int, frozenset[tuple[str, int]]], Evaluation] = {}
        self._bases: dict[tuple[int, tuple[Expr, ...]], Assignment | None] = {}
        self._pairs: dict[object, Pair] = {}
        self._answers: dict[tuple[object, ...], Found] = {}
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._end = math.inf  # in processor seconds: no question is begun after it
        self._plain: dict[tuple[int, tuple[Expr, ...]], dict[Term, int] | None] = {}
        self._solved: list[Assignment] = []  # values that showed something, the latest first

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
        vouched = self._abstraction_vouches(obligation)
        memory = self._touches_memory(obligation)
        pair = self.pair(obligation, ABSTRACT)
        goal: Truth = True
        if vouched:
            goal = obligation.goal(pair)
            if goal is False:
                return Found(Answer.NO)
        shown = self._guessed(obligation, pair, goal, exact=vouched and not memory)
        if shown is None and memory:
            shown = self._seen_before(obligation) or self._varied(obligation)
        if shown is not None:
            return Found(Answer.YES, shown)
        if vouched and not memory:
            return self._settle(obligation, pair, goal)
        found: Verdict = Unknown("not asked")
        if vouched:
            found = self._verdict(obligation, ABSTRACT, LITTLE)
        if isinstance(found, Proved):
            return Found(Answer.NO)
        shown = self._with_known_operands(obligation) or self._apart(obligation)
        return self._meeting(obligation) if shown is None else Found(Answer.YES, shown)

    def _in_the_end(self, obligation: Obligation) -> Found:
        """The answer to what was not answered at first."""
        found: Verdict | None = None
        if self._abstraction_vouches(obligation):
            found = self._verdict(obligation, ABSTRACT, LITTLE)
        for part in (SOME, WHOLE):
            if isinstance(found, Unknown):
                pair = self.pair(obligation, ABSTRACT)
                goal = obligation.goal(pair)
                found = self._solve(obligation, pair, goal, whole=False, part=part)
            if isinstance(found, Proved):
                return Found(Answer.NO)
            shown = self._near_known(obligation) if part == SOME else None
            if shown is not None:
                return Found(Answer.YES, shown)
        return self._concretely(obligation)

    def at_sight(self, obligation: Obligation) -> Answer:
        """Yes or no where that takes no solver, unknown otherwise; nothing is noted."""
        if not self._abstraction_vouches(obligation):
            return Answer.UNKNOWN
        pair = self.pair(obligation, ABSTRACT)
        goal = obligation.goal(pair)
        if goal is False:
            return Answer.NO
        if self._touches_memory(obligation):
            return Answer.UNKNOWN
        shown = self._guessed(obligation, pair, goal, exact=True)
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
        vouched = self._abstraction_vouches(obligation)
        if vouched and obligation.goal(self.pair(obligation, ABSTRACT)) is False:
            return True
        memory = self._touches_memory(obligation)
        shown = (self._seen_before(obligation) or self._varied(obligation)) if memory else None
        if shown is not None:
            self._keep(obligation, Found(Answer.YES, shown))
            return False
        marked = any(self.subject.is_marked(mode) for mode in self._modes(obligation))
        part = LITTLE if marked else SOME
        if vouched and isinstance(self._verdict(obligation, ABSTRACT, part), Proved):
            return True
        shown = self._with_known_operands(obligation) if memory else None
        if shown is not None:
            self._keep(obligation, Found(Answer.YES, shown))
            return False
        return (marked or not vouched) and isinstance(
            self._verdict(obligation, CONCRETE, part), Proved
        )

    def _verdict(self, obligation: Obligation, level: Level, part: float) -> Verdict:
        """What the solver says at one level in a part of its time, without replay; remembered."""
        asks = obligation.asks if obligation.shared else obligation.name
        modes = (obligation.first, obligation.second)
        key = (asks, modes, obligation.constraints, level)
        found = self._verdicts.get(key)
        if found is None:
            pair = self.pair(obligation, level)
            goal = obligation.goal(pair)
            related = obligation.about is About.RELATED
            if goal is False:
                found = Proved()
            elif level is CONCRETE and related and pair.touched_cells > MOST_CELLS:
                found = Unknown(f"{pair.touched_cells} cells are touched")
            else:
                found = self._solve(obligation, pair, goal, whole=False, part=part)
                conditions = self._conditions(obligation, pair, goal, whole=True)
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
        base = self.base(joint.first, joint.constraints)
        if given is None or base is None:
            return []
        found = []
        for single in singles:
            own = self.pair(single, CONCRETE)
            values = given.copy()
            case = self._case(single, own, values, base)
            if self.shows(single, case):
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

    def lessened(self, obligation: Obligation, shown: Shown) -> Case:
        """The case with the least values found that show the same, run by the description's own
        text of the instruction; escapes are shown to people, so more is tried for them."""
        base = self.base(obligation.first, obligation.constraints)
        assert base is not None

        def shows(less: Assignment) -> bool:
            return bool(self.shows(obligation, self._case(obligation, shown.pair, less, base)))

        lessen(shown.values, base, shows, FEW_TRIES if obligation.shared else MOST_TRIES)
        two = obligation.about is not About.ONE
        case = self._cases.case(shown.pair, two, shown.values, base, whole=True)
        if not self.shows(obligation, case):
            self.log.defects.append(f"{obligation.name}: the states found do not replay")
        return case

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

    def _touches_memory(self, obligation: Obligation) -> bool:
        return any(self.subject.touches_memory(mode) for mode in self._modes(obligation))

    def _modes(self, obligation: Obligation) -> set[int]:
        if obligation.about is About.ONE:
            return {obligation.first}
        return {obligation.first, obligation.second}

    def _abstraction_vouches(self, obligation: Obligation) -> bool:
        """Whether sharing one view between both states allows all that may happen."""
        subject = self.subject
        if not subject.engines.may_abstract:
            return False
        if obligation.about is not About.RELATED:
            return True
        marks = 0
        for mode in self._modes(obligation):
            outcome, results = subject.supports(mode)
            marks |= outcome | results
        if marks & subject.moved_mark:
            return False
        moving = subject.machine.translation.reads | {MODE, LOCATION, MEMORY}
        return not (marks & subject.viewed_mark and obligation.differ & moving)

    # -- concrete translation

    def _concretely(self, obligation: Obligation) -> Found:
        for attempt in self._attempts(obligation):
            pair = self.pair(attempt, CONCRETE)
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

    # -- solving

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
                    shown = self._replayed(obligation, pair, assignment)
                    if shown is not None:
                        return Found(Answer.YES, shown)
        self.log.defects.append(f"{obligation.name}: the states found do not replay")
        return self._give_up(obligation, "the states found do not replay")

    def _apart(self, obligation: Obligation) -> Shown | None:
        """States in which no two accesses to memory meet: much easier to find, mostly enough."""
        conditions = self._concrete_conditions(obligation)
        if conditions is None:
            return None
        self.log.announce(obligation.name)
        values = self._solver.find_apart(*conditions)
        pair = self.pair(obligation, CONCRETE)
        return None if values is None else self._replayed(obligation, pair, values)

    def _meeting(self, obligation: Obligation) -> Found | None:
        """The answer by where accesses to memory meet, if that is soon found."""
        conditions = self._concrete_conditions(obligation)
        if conditions is None:
            return None
        self.log.announce(obligation.name)
        match self._solver.meet(*conditions):
            case Proved():
                return Found(Answer.NO)
            case Refuted(assignment):
                pair = self.pair(obligation, CONCRETE)
                shown = self._replayed(obligation, pair, assignment)
                return None if shown is None else Found(Answer.YES, shown)
            case Unknown():
                return None

    def _near_known(self, obligation: Obligation) -> Shown | None:
        """States whose accesses are where they were in states that showed something else."""
        base = self.base(obligation.first, obligation.constraints)
        conditions = self._concrete_conditions(obligation)
        if base is None or conditions is None:
            return None
        pair = self.pair(obligation, CONCRETE)
        engine = self.subject.engines.concrete
        tried: list[list[Truth]] = []
        for seed in self._solved[:MOST_SEEDS]:
            left = near(engine, conditions, Known(seed, base), PRIME)
            if left is None or left in tried:
                continue
            tried.append(left)
            self.log.announce(obligation.name)
            found = self._solver.find(*left)
            if found is not None:
                values = joined(seed, found, self.subject.memory.args[0])
                shown = self._replayed(obligation, pair, values)
                if shown is not None:
                    return shown
        return None

    def _with_known_operands(self, obligation: Obligation) -> Shown | None:
        """States in which the operands are as in some that showed something: of many forms of
        operands at once, most of which touch memory, a solver finds states with difficulty."""
        fields = self.subject.forms
        base = self.base(obligation.first, obligation.constraints)
        if not fields or base is None:
            return None
        pair = self.pair(obligation, CONCRETE)
        if obligation.about is About.RELATED and pair.touched_cells > MOST_CELLS_IN_FORMS:
            return None
        conditions = self._conditions(obligation, pair, obligation.goal(pair), whole=True)
        if conditions is None:
            return None
        for values in self._operands_to_try(obligation, pair, base, fields):
            self.log.announce(obligation.name)
            substitution = Substitution(self.subject.engines.concrete, values)
            found = self._solver.find(*(substitution.truth(c) for c in conditions))
            if found is not None:
                found.symbols.update((field.args[0], value) for field, value in values.items())
                shown = self._replayed(obligation, pair, found)
                if shown is not None:
                    return shown
        return None

    def _operands_to_try(
        self, obligation: Obligation, pair: Pair, base: Assignment, fields: Sequence[Term]
    ) -> Iterator[dict[Term, int]]:
        """Operands that touch the least memory, then those of what showed something last."""
        plain = self._plain_operands(obligation, pair, base, fields)
        if plain is not None:
            yield plain
        for seed in self._solved[:MOST_FORMS]:
            known = Known(seed, base)
            yield {field: known.symbol(field.args[0]) for field in fields}

    def _plain_operands(
        self, obligation: Obligation, pair: Pair, base: Assignment, fields: Sequence[Term]
    ) -> dict[Term, int] | None:
        """Operands with which the instruction retires in the base and makes the fewest accesses;
        None if none were found."""
        key = (obligation.first, obligation.constraints)
        if key not in self._plain:
            subject = self.subject
            least: tuple[int, dict[Term, int]] | None = None
            for values in samples(
                {field.args[0]: (1 << field.width) - 1 for field in fields},
                subject.operands.conditions,
                subject.engines.terms,
                base,
                subject.machine.isa.memory,
                SAMPLES,
            ):
                run = self._cases.case(pair, False, values, base).runs[0]
                count = len(run.outcome.accesses.virtual)
                if run.retires and (least is None or count < least[0]):
                    own = {
                        field: values.symbols[field.args[0]]
                        for field in fields
                        if field.args[0].endswith(FORM)
                    }
                    least = (count, own)
            self._plain[key] = None if least is None else least[1]
        return self._plain[key]

    def _concrete_conditions(self, obligation: Obligation) -> list[Truth] | None:
        """What must hold together on concrete translation; None if it never does, or the
        relation is too large to be said."""
        pair = self.pair(obligation, CONCRETE)
        if obligation.about is About.RELATED and pair.touched_cells > MOST_CELLS:
            return None
        return self._conditions(obligation, pair, obligation.goal(pair), whole=True)

    def _give_up(self, obligation: Obligation, reason: str) -> Found:
        reason = "time-out" if reason in ("timeout", "canceled") else reason
        self.log.undecided.append(Undecided(obligation.name, reason))
        return Found(Answer.UNKNOWN)

    def _solve(
        self, obligation: Obligation, pair: Pair, goal: Truth, *, whole: bool, part: float = WHOLE
    ) -> Verdict:
        conditions = self._conditions(obligation, pair, goal, whole=whole)
        if conditions is None:
            return Proved()
        self.log.announce(obligation.name)
        if obligation.shared and len(self.log.undecided) >= MOST_UNDECIDED:
            part = min(part, SOME)
        return self._solver.solve(*conditions, part=part)

    def _conditions(
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

    # -- replay

    def _guessed(
        self, obligation: Obligation, pair: Pair, goal: Truth, *, exact: bool
    ) -> Shown | None:
        """Try some simple states before asking the solver; `exact`: the goal needs no memory."""
        base = self.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        for values in guesses(obligation, pair, goal, base):
            if exact and not self._evaluation(values, base).truth(goal):
                continue
            case = self._case(obligation, pair, values, base)
            if self.shows(obligation, case):
                return Shown(pair, values, case)
        return None

    def _evaluation(self, values: Assignment, base: Assignment) -> Evaluation:
        """What terms are worth where an assignment without arrays, or else the base, says so."""
        key = (id(base), frozenset(values.symbols.items()))
        found = self._evaluations.get(key)
        if found is None:
            merged = Assignment({**base.symbols, **values.symbols})
            found = self._evaluations[key] = Evaluation(merged, self.subject.machine.isa.memory)
        return found

    def _replayed(self, obligation: Obligation, pair: Pair, values: Assignment) -> Shown | None:
        base = self.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        case = self._case(obligation, pair, values, base)
        if not self.shows(obligation, case):
            return None
        if pair.level is CONCRETE:
            self._remember(values)
        return Shown(pair, values, case)

    def _remember(self, values: Assignment) -> None:
        self._solved.insert(0, values)
        del self._solved[MOST_REMEMBERED:]

    def _seen_before(self, obligation: Obligation) -> Shown | None:
        """States that showed something else and show this, too."""
        base = self.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        pair = self.pair(obligation, CONCRETE)
        for place, values in enumerate(self._solved):
            case = self._case(obligation, pair, values, base)
            if self.shows(obligation, case):
                self._solved.insert(0, self._solved.pop(place))
                return Shown(pair, values.copy(), case)  # each is lessened for its own ends
        return None

    def _varied(self, obligation: Obligation) -> Shown | None:
        """States near those that showed something, if these show this."""
        base = self.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        pair = self.pair(obligation, CONCRETE)
        if obligation.about is not About.RELATED:
            return self._sampled(obligation, pair, base)

        def run(values: Assignment) -> Case:
            return self._case(obligation, pair, values, base)

        for seed in self._varied_seeds():
            for values in Variations(pair, seed, base, run, self.replay).states():
                case = run(values)
                if self.shows(obligation, case):
                    values = values.copy()
                    self._remember(values)
                    return Shown(pair, values.copy(), case)
        return None

    def _varied_seeds(self) -> list[Assignment]:
        """The first states of what was found last, then the second ones, then the base."""
        latest = self._solved[:MOST_VARIED]
        other = [swapped(seed) for seed in latest if any(n.endswith(PRIME) for n in seed.symbols)]
        return [*latest, *other[: MOST_VARIED // 2], Assignment()]

    def _sampled(self, obligation: Obligation, pair: Pair, base: Assignment) -> Shown | None:
        """States with any operands and registers, and all else as in the base, that show it."""
        subject = self.subject
        for values in samples(
            subject.own(frozenset(self._modes(obligation))),
            subject.operands.conditions,
            subject.engines.terms,
            base,
            subject.machine.isa.memory,
            SAMPLES,
        ):
            case = self._case(obligation, pair, values, base)
            if self.shows(obligation, case):
                self._remember(values)
                return Shown(pair, values.copy(), case)
        return None

    def _case(
        self, obligation: Obligation, pair: Pair, values: Assignment, base: Assignment
    ) -> Case:
        return self._cases.case(pair, obligation.about is not About.ONE, values, base)

    def shows(self, obligation: Obligation, case: Case) -> Sequence[str]:
        """What in the replayed runs shows the property, if the states are as asked."""
        replay = self.replay
        if not all(replay.well_formed(run.before) for run in case.runs):
            return ()
        if any(run.walks_what_it_stored for run in case.runs):
            return ()
        if not replay.holds(case.runs[0].before, obligation.constraints):
            return ()
        match obligation.about:
            case About.RELATED if not replay.related(
                case.runs[0], case.runs[1], obligation.differ, obligation.equal, obligation.homes
            ):
                return ()
            case About.LITERAL if not replay.literally_equal(case.runs[0], case.runs[1]):
                return ()
            case _:
                return obligation.check(case.runs)

    def base(self, mode: int, constraints: tuple[Expr, ...]) -> Assignment | None:
        """Values for what a obligation leaves open: at reset, or else any well-formed state."""
        key = (mode, constraints)
        if key not in self._bases:
            self._bases[key] = self._find_base(mode, constraints)
        return self._bases[key]

    def satisfiable(self, mode: int, constraints: tuple[Expr, ...]) -> Answer:
        """Whether some well-formed state in the mode, with operands as asked, satisfies them."""
        if self.base(mode, constraints) is not None:
            return Answer.YES
        subject = self.subject
        conditions = [*subject.well_formed(mode), *subject.operands.conditions]
        conditions += [subject.condition(mode, expr) for expr in constraints]
        proved = isinstance(self._solver.solve(*conditions), Proved)
        return Answer.NO if proved else Answer.UNKNOWN

    def _find_base(self, mode: int, constraints: tuple[Expr, ...]) -> Assignment | None:
        """A state, the same one for all instructions, with operands that this one may have."""
        subject, bases = self.subject, self.replay.bases
        key = (mode, constraints)
        if key not in bases:
            bases[key] = self._find_state(mode, constraints)
        state = bases[key]
        operands = subject.operands.conditions
        if state is None or self._holds(state, operands):
            return state
        verdict = self._solver.solve(*operands)
        if not isinstance(verdict, Refuted):
            return None
        return Assignment({**state.symbols, **verdict.assignment.symbols}, state.arrays)

    def _find_state(self, mode: int, constraints: tuple[Expr, ...]) -> Assignment | None:
        """As at reset, all 0, or as at reset but for what the conditions speak of."""
        subject = self.subject
        conditions = list(subject.well_formed(mode))
        conditions += [subject.condition(mode, expr) for expr in constraints]
        reset = subject.reset(mode)
        for candidate in (reset, Assignment()):
            if self._holds(candidate, conditions):
                return candidate
        verdict = self._solver.solve(*conditions)
        if not isinstance(verdict, Refuted):
            return None
        found = verdict.assignment
        symbols = {**reset.symbols, **found.symbols}
        return Assignment(symbols, {**reset.arrays, **found.arrays}, found.results)

    def _holds(self, values: Assignment, conditions: Sequence[Truth]) -> bool:
        evaluation = Evaluation(values, self.subject.machine.isa.memory)
        return all(evaluation.truth(condition) for condition in conditions)


def guesses(
    obligation: Obligation, pair: Pair, goal: Truth, base: Assignment
) -> Iterator[Assignment]:
    """Simple values of what runs depend on, the two states apart where they may be and where that
    matters to the goal. They repeat between goals, so that what follows from them is known."""
    subject = pair.subject
    modes = (obligation.first, obligation.second)
    if goal is not True:
        symbols = subject.engines.terms.symbols(support(goal))
    elif obligation.about is not About.ONE:
        symbols = [value for value in pair.second.start.values() if isinstance(value, Term)]
    else:
        symbols = []
    apart = [s for s in symbols if s.op is Op.SYMBOL and s.args[0].endswith(PRIME)]
    own = subject.own(frozenset(modes))
    for filled in (False, True):
        if filled and not own:
            return
        values = dict(own) if filled else {}
        if not apart or obligation.first != obligation.second:
            yield Assignment(dict(values))
        for ones in (False, True) if apart else ():
            given = dict(values)
            for symbol in apart:
                name = symbol.args[0]
                other = base.symbols.get(name.removesuffix(PRIME), 0)
                given[name] = (1 << symbol.width) - 1 if ones else other ^ 1
            yield Assignment(given)


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
