"""The search for states that show a yes: guesses, states near known ones, and what a solver soon finds.

Whatever is found is replayed on the concrete machine; what does not show the property there is no answer.
"""

from collections.abc import Iterator, Sequence

from checker.assignment import Assignment, Evaluation
from checker.bases import Bases
from checker.conditions import MOST_CELLS, Conditions
from checker.obligations import About, Log, Obligation, Shown
from checker.operand_sets import FORM
from checker.pairs import Pair
from checker.seeds import joined, near
from checker.sides import PRIME
from checker.solve import SOME, Refuted, Solver, Unknown
from checker.states import Case, Cases, Known
from checker.subject import CONCRETE
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, support
from checker.variations import Variations, samples, swapped
from checker.witness import FEW_TRIES, MOST_TRIES, lessen
from spec.ir import Expr

MOST_CELLS_IN_FORMS = 64
"""The same where one form of each operand is chosen."""

MOST_FORMS = 1
"""Operands of states that showed something which are tried by themselves."""

MOST_REMEMBERED = 12
"""Assignments kept that showed something, to try them on the next obligations."""

MOST_HOPELESS = 3
"""How much more often a search with known operands may run out of time than help, until it is
left to the other searches."""

MORE = 3 * SOME
"""Its part of the time where no other search can be made."""

SAMPLES = 160
"""States with any operands that are tried for a question about one run."""

MOST_VARIED = 6
"""Of these, those that are varied."""

MOST_SEEDS = 2
"""Of these, those near which a yes is looked for."""


class Showing:
    """About one subject; what showed something is tried on the next obligations."""

    def __init__(self, conditions: Conditions, bases: Bases, solver: Solver, log: Log) -> None:
        self.subject = conditions.subject
        self.conditions = conditions
        self.bases = bases
        self.replay = bases.replay
        self.log = log
        self._solver = solver
        self._cases = Cases(self.subject, self.replay)
        self._evaluations: dict[tuple[int, frozenset[tuple[str, int]]], Evaluation] = {}
        self._plain: dict[tuple[int, tuple[Expr, ...]], dict[Term, int] | None] = {}
        self._hopeless = 0
        self._solved: list[Assignment] = []  # values that showed something, the latest first

    def lessened(self, obligation: Obligation, shown: Shown) -> Case:
        """The case with the least values found that show the same, run by the description's own
        text of the instruction; escapes are shown to people, so more is tried for them."""
        base = self.bases.base(obligation.first, obligation.constraints)
        assert base is not None

        def shows(less: Assignment) -> bool:
            return bool(self.shows(obligation, self.case(obligation, shown.pair, less, base)))

        lessen(shown.values, base, shows, FEW_TRIES if obligation.shared else MOST_TRIES)
        two = obligation.about is not About.ONE
        case = self._cases.case(shown.pair, two, shown.values, base, whole=True)
        if not self.shows(obligation, case):
            self.log.defects.append(f"{obligation.name}: the states found do not replay")
        return case

    def guessed(
        self, obligation: Obligation, pair: Pair, goal: Truth, *, exact: bool
    ) -> Shown | None:
        """Try some simple states before asking the solver; `exact`: the goal needs no memory."""
        base = self.bases.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        for values in guesses(obligation, pair, goal, base):
            if exact and not self._evaluation(values, base).truth(goal):
                continue
            case = self.case(obligation, pair, values, base)
            if self.shows(obligation, case):
                return Shown(pair, values, case)
        return None

    def seen_before(self, obligation: Obligation) -> Shown | None:
        """States that showed something else and show this, too."""
        base = self.bases.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        pair = self.conditions.pair(obligation, CONCRETE)
        for place, values in enumerate(self._solved):
            case = self.case(obligation, pair, values, base)
            if self.shows(obligation, case):
                self._solved.insert(0, self._solved.pop(place))
                return Shown(pair, values.copy(), case)  # each is lessened for its own ends
        return None

    def varied(self, obligation: Obligation) -> Shown | None:
        """States near those that showed something, if these show this."""
        base = self.bases.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        pair = self.conditions.pair(obligation, CONCRETE)
        if obligation.about is not About.RELATED:
            return self._sampled(obligation, pair, base)

        def run(values: Assignment) -> Case:
            return self.case(obligation, pair, values, base)

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
            subject.own(frozenset(self.conditions.modes(obligation))),
            subject.operands.conditions,
            subject.engines.terms,
            base,
            subject.machine.isa.memory,
            SAMPLES,
        ):
            case = self.case(obligation, pair, values, base)
            if self.shows(obligation, case):
                self._remember(values)
                return Shown(pair, values.copy(), case)
        return None

    def near_known(self, obligation: Obligation) -> Shown | None:
        """States whose accesses are where they were in states that showed something else."""
        base = self.bases.base(obligation.first, obligation.constraints)
        conditions = self.conditions.concretely(obligation)
        if base is None or conditions is None:
            return None
        pair = self.conditions.pair(obligation, CONCRETE)
        engine = self.subject.engines.concrete
        tried: list[list[Truth]] = []
        for seed in self._solved[:MOST_SEEDS]:
            left = near(engine, conditions, Known(seed, base), PRIME)
            if left is None or left in tried:
                continue
            tried.append(left)
            self.log.announce(obligation.name)
            found = self._solver.find(*left)
            if isinstance(found, Refuted):
                values = joined(seed, found.assignment, self.subject.memory.args[0])
                shown = self.replayed(obligation, pair, values)
                if shown is not None:
                    return shown
        return None

    def with_known_operands(self, obligation: Obligation) -> Shown | None:
        """States in which the operands are as in some that showed something: of many forms of
        operands at once, most of which touch memory, a solver finds states with difficulty."""
        fields = self.subject.forms
        base = self.bases.base(obligation.first, obligation.constraints)
        if not fields or base is None:
            return None
        pair = self.conditions.pair(obligation, CONCRETE)
        if obligation.about is About.RELATED and pair.touched_cells > MOST_CELLS_IN_FORMS:
            return None
        last = obligation.about is About.RELATED and pair.touched_cells > MOST_CELLS
        if self._hopeless >= MOST_HOPELESS and not last:
            return None
        conditions = self.conditions.together(obligation, pair, obligation.goal(pair), whole=True)
        if conditions is None:
            return None
        for values in self._operands_to_try(obligation, pair, base, fields):
            self.log.announce(obligation.name)
            substitution = Substitution(self.subject.engines.concrete, values)
            settled = [substitution.truth(c) for c in conditions]
            found = self._solver.find(*settled, part=MORE if last else SOME)
            if isinstance(found, Unknown):
                self._hopeless += 1
            if isinstance(found, Refuted):
                known = {field.args[0]: value for field, value in values.items()}
                found.assignment.symbols.update(known)
                shown = self.replayed(obligation, pair, found.assignment)
                if shown is not None:
                    self._hopeless -= 1
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

    def apart(self, obligation: Obligation) -> Shown | None:
        """States in which no two accesses to memory meet: much easier to find, mostly enough."""
        conditions = self.conditions.concretely(obligation)
        if conditions is None:
            return None
        self.log.announce(obligation.name)
        values = self._solver.find_apart(*conditions)
        pair = self.conditions.pair(obligation, CONCRETE)
        return None if values is None else self.replayed(obligation, pair, values)

    def replayed(self, obligation: Obligation, pair: Pair, values: Assignment) -> Shown | None:
        base = self.bases.base(obligation.first, obligation.constraints)
        if base is None:
            return None
        case = self.case(obligation, pair, values, base)
        if not self.shows(obligation, case):
            return None
        if pair.level is CONCRETE:
            self._remember(values)
        return Shown(pair, values, case)

    def _remember(self, values: Assignment) -> None:
        self._solved.insert(0, values)
        del self._solved[MOST_REMEMBERED:]

    def case(
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

    def _evaluation(self, values: Assignment, base: Assignment) -> Evaluation:
        """What terms are worth where an assignment without arrays, or else the base, says so."""
        key = (id(base), frozenset(values.symbols.items()))
        found = self._evaluations.get(key)
        if found is None:
            merged = Assignment({**base.symbols, **values.symbols})
            found = self._evaluations[key] = Evaluation(merged, self.subject.machine.isa.memory)
        return found


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
