"""On which components an instruction depends: alone, together, and in which modes.

The relation between the two states only grows with the components that may differ. So questions about
many components at once settle most of them, and only what is left is asked about one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeAlias

from checker.answers import Answer, Components
from checker.classes import Definitions
from checker.component_answers import Answers
from checker.components import LOCATION, MEMORY, MODE
from checker.first_witnesses import FirstWitnesses
from checker.obligations import Obligation
from checker.prover import Prover
from checker.subject import ABSTRACT
from checker.terms import Term, support

Define: TypeAlias = Callable[[frozenset[str], int, int], Obligation]
"""The obligation about components that differ, and the modes of the two states."""

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
BEHAVIOUR, RESULT = "behaviour_sensitive", "result_sensitive"


class Dependence:
    """Of one instruction; `scope` are the modes that a configuration speaks of."""

    def __init__(
        self,
        witnesses: FirstWitnesses,
        definitions: Definitions,
        user: int,
        top: int,
        scope: Sequence[int],
    ) -> None:
        self.prover = witnesses.prover
        self.subject = self.prover.subject
        self.machine = self.subject.machine
        self.definitions = definitions
        self.user, self.top, self.scope = user, top, scope
        self.together: dict[int, Answer] = {}  # sensitive on control components only together
        self._witnesses = witnesses
        self._delayed: list[tuple[str, str, int]] = []  # property, component, mode

    def behaviour(self) -> tuple[Answers, Answers]:
        """P&G, "behavior sensitive", and the same for instructions that may also change control
        state (result-sensitive)."""
        behaviour, result = Answers(), Answers()
        every = self._linked(self.scope)
        if self._nowhere(self.definitions.result_sensitive, every):
            return behaviour, result
        for first, second in combinations(self.scope, 2):
            self._two_modes(behaviour, result, first, second)
        for mode in self.scope:
            self._one_mode(behaviour, result, mode, self._candidates(mode))
        self._put_off(behaviour, result)
        for answers, define in (
            (behaviour, self.definitions.behaviour_sensitive),
            (result, self.definitions.result_sensitive),
        ):
            if answers.any is NO and not self._nowhere(define, every):
                self._joint(answers, define, every | {MODE})
        for mode in (self.user, self.top):
            own = self._linked([mode]) - set(self.machine.outside)
            if len(own) > 1 and behaviour.in_mode(mode, own) is NO:
                obligation = self.definitions.behaviour_sensitive(own, mode, mode)
                if not self.prover.excludes(obligation):
                    answer = self.prover.ask(obligation).answer
                    self.together[mode] = self.together.get(mode, NO) | answer
        return behaviour, result

    def _nowhere(self, define: Define, every: frozenset[str]) -> bool:
        """Whether nothing depends on any of the components nor on the mode, however they differ.

        The relation only grows with the components that may differ, so this settles all of them.
        """
        return all(self.prover.excludes(define(every, mode, mode)) for mode in self.scope) and all(
            self.prover.excludes(define(every | {MODE}, first, second))
            for first, second in combinations(self.scope, 2)
        )

    def _narrowed(
        self, define: Callable[[frozenset[str]], Obligation], names: list[str]
    ) -> list[str]:
        """The components that questions about several at once do not exclude."""
        seen = {name: self.prover.at_sight(define(frozenset({name}))) for name in names}
        open_ = [name for name in names if seen[name] is UNKNOWN]
        left = {*self._told_apart(define, open_), *(n for n in names if seen[n] is YES)}
        return [name for name in names if name in left]

    def _told_apart(
        self, define: Callable[[frozenset[str]], Obligation], names: list[str]
    ) -> list[str]:
        """Those that one question about all does not exclude: what its states show for one
        component alone is settled, and the rest is asked about again."""
        settled: list[str] = []
        left = names
        while len(left) > 1:
            singles = {name: define(frozenset({name})) for name in left}
            shown = self.prover.singled_out(define(frozenset(left)), list(singles.values()))
            if shown is None:
                return settled
            found = [name for name in left if singles[name] in shown]
            settled += found
            left = [name for name in left if name not in found]
            if not found:
                likely = self._likeliest(left)
                found_out = self.prover.soon(singles[likely])
                if found_out is None or found_out.answer is not YES:
                    break
                settled.append(likely)
                left.remove(likely)
        return settled + left

    def _likeliest(self, names: list[str]) -> str:
        """One on which an instruction that depends on any of them depends for sure, or else one
        that decides more than where things lie."""
        for name in (LOCATION, MEMORY):
            if name in names:
                return name
        moving = self.machine.translation.reads
        return next((name for name in names if name not in moving), names[0])

    def _two_modes(self, behaviour: Answers, result: Answers, first: int, second: int) -> None:
        """Sensitivity on the mode alone, for one pair of modes."""
        if behaviour.of(MODE) is YES:
            return
        differ = frozenset({MODE})
        self._both(behaviour, result, differ, first, second)

    def _one_mode(
        self, behaviour: Answers, result: Answers, mode: int, candidates: list[str]
    ) -> None:
        """Sensitivity on each component alone, both states in one mode."""
        definitions = self.definitions
        own = {LOCATION, MEMORY, *self.machine.control, *self.machine.members}
        known = mode not in (self.user, self.top) or behaviour.in_mode(mode, own) is YES
        open_ = [c for c in candidates if not (known and behaviour.of(c) is YES)]
        for component in self._narrowed(
            lambda differ: definitions.behaviour_sensitive(differ, mode, mode), open_
        ):
            answer = self._soon(BEHAVIOUR, component, mode)
            if answer is not None:
                behaviour.note(component, mode, answer)
                result.note(component, mode, answer)
        open_ = [c for c in candidates if result.of(c) is not YES]
        for component in self._narrowed(
            lambda differ: definitions.result_sensitive(differ, mode, mode), open_
        ):
            answer = self._soon(RESULT, component, mode)
            if answer is not None:
                result.note(component, mode, answer)

    def _soon(self, property_: str, component: str, mode: int) -> Answer | None:
        """The answer, or None where it is put off."""
        obligation = self._define(property_)(frozenset({component}), mode, mode)
        found = self.prover.soon(obligation)
        if found is None:
            self._delayed.append((property_, component, mode))
            return None
        self._witnesses.keep(found, obligation, property_, "", (component,))
        return found.answer

    def _put_off(self, behaviour: Answers, result: Answers) -> None:
        """Ask what was put off, as far as other answers have not made it needless."""
        own = {LOCATION, MEMORY, *self.machine.control, *self.machine.members}
        no_result: set[tuple[str, int]] = set()  # so behaviour does not depend on it either
        for property_, component, mode in sorted(self._delayed, key=lambda put: put[0] != RESULT):
            answers = result if property_ == RESULT else behaviour
            if answers.of(component) is YES and (
                property_ == RESULT
                or mode not in (self.user, self.top)
                or behaviour.in_mode(mode, own) is YES
            ):
                continue
            if (component, mode) in no_result:
                behaviour.note(component, mode, NO)
                continue
            obligation = self._define(property_)(frozenset({component}), mode, mode)
            answer = self._witnesses.ask(obligation, property_, component)
            answers.note(component, mode, answer)
            if property_ == BEHAVIOUR:
                result.note(component, mode, answer)
            elif answer is NO:
                no_result.add((component, mode))

    def _define(self, property_: str) -> Define:
        if property_ == RESULT:
            return self.definitions.result_sensitive
        return self.definitions.behaviour_sensitive

    def _both(
        self, behaviour: Answers, result: Answers, differ: frozenset[str], first: int, second: int
    ) -> None:
        name = "+".join(sorted(differ))
        obligation = self.definitions.behaviour_sensitive(differ, first, second)
        answer = self._witnesses.ask(obligation, "behaviour_sensitive", name)
        behaviour.note(name, first, answer)
        if answer is not YES and result.of(name) is not YES:
            obligation = self.definitions.result_sensitive(differ, first, second)
            answer = self._witnesses.ask(obligation, "result_sensitive", name)
        result.note(name, first, answer)

    def _candidates(self, mode: int) -> list[str]:
        """Components other than the mode on which runs in a mode may depend."""
        run = self.subject.run(mode, ABSTRACT)
        if run.retires is False:
            return []
        outcome, results = self.subject.supports(mode)
        found = self._depended_on(mode, outcome | results)
        if self.machine.isa.mode.element in run.written:  # hidden members may come to be seen
            found += [name for name in self.machine.hidden(mode) if name not in found]
        return found

    def _depended_on(self, mode: int, reached: int) -> list[str]:
        """Components in a support; all that placement depends on, if it carries a mark."""
        machine = self.machine
        names = [*machine.control, *machine.outside, *machine.hidden(mode)]
        start = self.subject.start(mode)

        def depended(name: str) -> bool:
            symbol = start[name]
            return isinstance(symbol, Term) and bool(symbol.support & reached)

        found = [name for name in names if depended(name)]
        subject, engines = self.subject, self.subject.engines
        marked = reached & subject.marks or not engines.may_abstract
        if marked:
            viewed = reached & (subject.viewed_mark | subject.moved_mark)
            placing = machine.translation.reads if viewed else subject.placing(mode)
            found += [n for n in names if n in placing and n not in found]
        sized = machine.size is not None and depended(machine.size)
        if marked or sized or machine.moving & set(found):
            found.append(LOCATION)
        if marked:
            found.append(MEMORY)
        return found

    def _linked(self, modes: Iterable[int]) -> frozenset[str]:
        """Components that runs depend on or may change, and those that invariants tie to them."""
        found: set[str] = set()
        for mode in modes:
            if self.subject.run(mode, ABSTRACT).retires is False:
                continue
            outcome, results = self.subject.supports(mode)
            reached = outcome | results
            conditions = self.subject.well_formed(mode)
            for _ in conditions:
                for condition in conditions:
                    if support(condition) & reached:
                        reached |= support(condition)
            found |= {*self._candidates(mode), *self._depended_on(mode, reached)}
            found |= set(changeable(self.prover, self.definitions, mode)) - {MODE}
        return frozenset(found)

    def _joint(self, answers: Answers, define: Define, every: frozenset[str]) -> None:
        """A smallest set of components on which the instruction depends only together."""
        if len(every) < 2:
            return
        answer = self._ask_over_modes(define, every)
        if answer is not YES and len(every) > 2:
            answer |= self._ask_over_modes(define, every - {MODE})
        if answer is NO:
            return
        least = every
        for component in sorted(every, key=lambda name: (name != MODE, name)):
            if answer is YES and len(least) > 1:
                fewer = least - {component}
                least = fewer if self._ask_over_modes(define, fewer) is YES else least
        for first, second in self._mode_pairs(least):
            name = "+".join(sorted(least))
            answers.note(name, first, self.prover.ask(define(least, first, second)).answer)

    def _ask_over_modes(self, define: Define, differ: frozenset[str]) -> Answer:
        answer = NO
        for first, second in self._mode_pairs(differ):
            if answer is not YES:
                answer |= self.prover.ask(define(differ, first, second)).answer
        return answer

    def _mode_pairs(self, differ: frozenset[str]) -> list[tuple[int, int]]:
        if MODE in differ:
            return list(combinations(self.scope, 2))
        return [(mode, mode) for mode in self.scope]

    def trap_sensitive(self) -> Components:
        """What decides in user mode whether the instruction retires or traps."""
        answers = Answers()
        if self.subject.run(self.user, ABSTRACT).retires is False:
            return answers.components()
        candidates = self._depended_on(self.user, self.subject.supports(self.user)[0])
        for component in self._narrowed(
            lambda differ: self.definitions.trap_sensitive(differ, self.user, self.user), candidates
        ):
            differ = frozenset({component})
            obligation = self.definitions.trap_sensitive(differ, self.user, self.user)
            answers.note(
                component, self.user, self._witnesses.ask(obligation, "trap_sensitive", component)
            )
        for other in self.scope:
            if other != self.user and answers.of(MODE) is not YES:
                obligation = self.definitions.trap_sensitive(frozenset({MODE}), self.user, other)
                answers.note(
                    MODE, self.user, self._witnesses.ask(obligation, "trap_sensitive", MODE)
                )
        return answers.components()


def changeable(prover: Prover, definitions: Definitions, mode: int) -> list[str]:
    """Components that a run in the mode may change, by its text."""
    obligation = definitions.retires(mode, ())
    return prover.conditions.pair(obligation, ABSTRACT).first.changeable()
