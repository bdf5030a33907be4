"""The order in which the obligations about an instruction are asked, and what the answers mean."""

import math
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import TypeAlias

from checker.answers import Answer, Classification, Components, Traps, Witness
from checker.classes import NOT_MEMORY, Definitions, EscapeClauses
from checker.components import LOCATION, MEMORY, MODE, may_differ
from checker.obligations import Found, Obligation, Prover
from checker.subject import ABSTRACT
from checker.terms import Term, support
from checker.witness import describe, explaining
from spec.ir import Configuration, Expr, TrapClass
from spec.told_modes import told_modes

Define: TypeAlias = Callable[[frozenset[str], int, int], Obligation]


YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
BEHAVIOUR, RESULT = "behaviour_sensitive", "result_sensitive"


class Answers:
    """The answers to one property, by component (or set of components) and mode."""

    def __init__(self) -> None:
        self._by: dict[tuple[str, int], Answer] = {}

    def note(self, component: str, mode: int, answer: Answer) -> None:
        self._by[component, mode] = self._by.get((component, mode), NO) | answer

    def of(self, component: str) -> Answer:
        return _some(a for (name, _), a in self._by.items() if name == component)

    def in_mode(self, mode: int, components: Iterable[str] | None = None) -> Answer:
        chosen = None if components is None else set(components)
        return _some(
            answer
            for (name, m), answer in self._by.items()
            if m == mode and (chosen is None or set(name.split("+")) <= chosen)
        )

    @property
    def any(self) -> Answer:
        return _some(self._by.values())

    def components(self) -> Components:
        names = list(dict.fromkeys(name for name, _ in self._by))
        return Components(
            tuple(name for name in names if self.of(name) is YES),
            tuple(name for name in names if self.of(name) is UNKNOWN),
        )


class Classifier:
    """Asks everything about one instruction under one configuration."""

    def __init__(
        self, prover: Prover, configuration: Configuration, fine_seconds: float = math.inf
    ) -> None:
        """`fine_seconds`: processor time for all questions on what exactly behaviour depends."""
        self.prover = prover
        self.fine_seconds = fine_seconds
        self.subject = prover.subject
        self.machine = self.subject.machine
        self.configuration = configuration
        modes = dict(self.machine.isa.mode.members)
        self.user = modes[configuration.real_mode]
        self.virtual = [modes[name] for name in configuration.virtual_modes]
        self.real = [modes[real] for _, real in configuration.modes]
        told = told_modes(configuration, self.machine.isa.mode.element)
        self.told = tuple((modes[name], modes[real]) for name, real in told)
        self.top = self.virtual[0]
        self.scope = list(dict.fromkeys([self.user, self.top, *self.virtual, *self.real]))
        self.constraints: tuple[Expr, ...] = tuple(e for _, e in configuration.constraints)
        operands = self.subject.chosen.text
        instruction = self.subject.instruction.name + (f"[{operands}]" if operands else "")
        prefix = f"{self.machine.isa.name}/{instruction}/{configuration.name}"
        self.definitions = Definitions(self.machine, prover.replay, prefix)
        self.witnesses: dict[str, Witness] = {}
        self.put_off: list[tuple[str, str, int]] = []  # property, component, mode
        self.together: dict[int, Answer] = {}  # sensitive on control components only together

    def classification(self) -> Classification:
        traps = self._traps(self.user, self.constraints)
        privileged = self._privileged()
        control = self._control()
        with self.prover.within(self.fine_seconds):
            behaviour, result = self._behaviour()
        own = {LOCATION, MEMORY, *self.machine.control, *self.machine.members}
        escape, hybrid = self._escape("escape", mirrored=True)
        violation, hybrid_violation = self._semantic(escape, hybrid)
        with self.prover.within(self.fine_seconds):
            trap_sensitive = self._trap_sensitive()
        log = self.prover.log
        return Classification(
            instruction=self.subject.instruction.name,
            operands=self.subject.chosen,
            configuration=self.configuration.name,
            traps=traps,
            privileged=privileged,
            control_sensitive=control.components(),
            behaviour_sensitive=behaviour.components(),
            result_sensitive=result.components(),
            trap_sensitive=trap_sensitive,
            user_sensitive=control.in_mode(self.user)
            | behaviour.in_mode(self.user, own)
            | self.together.get(self.user, NO),
            supervisor_sensitive=control.in_mode(self.top)
            | behaviour.in_mode(self.top, own)
            | self.together.get(self.top, NO),
            user_mode_noop=self._noop(),
            escape=escape,
            hybrid_escape=hybrid,
            semantic_violation=violation,
            hybrid_semantic_violation=hybrid_violation,
            traps_in_top=self._traps(self.top, ()),
            refused=self._refused(traps),
            witnesses=tuple(self.witnesses.values()),
            undecided=tuple(dict.fromkeys(log.undecided)),
            defects=tuple(log.defects),
        )

    def _ask(self, obligation: Obligation, property_: str, *parts: str) -> Answer:
        """The answer; the first yes for a property gives its witness."""
        return self._found(obligation, property_, *parts).answer

    def _found(self, obligation: Obligation, property_: str, *parts: str) -> Found:
        found = self.prover.ask(obligation)
        self._keep(found, obligation, property_, "", parts)
        return found

    def _keep(
        self,
        found: Found,
        obligation: Obligation,
        property_: str,
        clause: str,
        components: Iterable[str] = (),
    ) -> None:
        key = f"{property_}/{clause}"
        if found.shown is None or key in self.witnesses:
            return
        case = self.prover.lessened(obligation, found.shown)
        differs = self.prover.shows(obligation, case)
        if clause in ("control", "virtual control"):
            components = differs
        elif clause:
            first, second = (run.before for run in case.runs)
            components = explaining(self.machine, first, second, obligation.differ)
        instruction = self.subject.instruction
        self.witnesses[key] = describe(
            self.machine, instruction, case, property_, clause, tuple(components), differs
        )

    # -- traps

    def _traps(self, mode: int, constraints: tuple[Expr, ...]) -> Traps:
        traps = self.definitions.traps(mode, constraints)
        retires = self.definitions.retires(mode, constraints)
        trapping, retiring = self.prover.ask(traps), self.prover.ask(retires)
        match trapping.answer, retiring.answer:
            case (Answer.YES, Answer.YES):
                self._keep(trapping, traps, "traps", "")
                self._keep(retiring, retires, "retires", "")
                return Traps.SOMETIMES
            case (Answer.YES, Answer.NO):
                return Traps.ALWAYS
            case (Answer.NO, Answer.YES):
                return Traps.NEVER
            case (Answer.NO, Answer.NO):
                name = self.definitions.mode_name(mode)
                where = f"in mode {name}" + (", constrained" if constraints else "")
                prefix = self.definitions.prefix
                self.prover.log.defects.append(f"{prefix}: neither retires nor traps {where}")
                return Traps.UNKNOWN
            case _:
                return Traps.UNKNOWN

    def _refused(self, traps: Traps) -> bool:
        """In the real mode, as the VMM keeps it, there are privilege traps only."""
        if traps is not Traps.ALWAYS:
            return False
        others = tuple(c for c in NOT_MEMORY if c is not TrapClass.PRIVILEGE)
        obligation = self.definitions.traps(self.user, self.constraints, others)
        return self.prover.ask(obligation).answer is NO

    def _privileged(self) -> Answer:
        against = self._ask(self.definitions.not_privileged(self.user, self.top), "not_privileged")
        if against is not NO:
            return ~against
        obligation = self.definitions.privilege_possible(self.user, self.top)
        possible = self.prover.ask(obligation).answer
        if possible is NO:
            prefix = self.definitions.prefix
            self.prover.log.defects.append(f"{prefix}: privileged holds vacuously")
        return possible

    # -- control sensitive

    def _control(self) -> Answers:
        answers = Answers()
        seen: set[tuple[str, int]] = set()  # one run may change several components
        for mode in self.scope:
            run = self.subject.run(mode, ABSTRACT)
            if run.retires is False:
                continue
            for component in self._changeable(mode):
                decided = answers.of(component) is YES
                if decided and (mode not in (self.user, self.top) or answers.in_mode(mode) is YES):
                    continue
                if (component, mode) in seen:
                    continue
                obligation = self.definitions.control_sensitive(component, mode)
                found = self._found(obligation, "control_sensitive", component)
                answers.note(component, mode, found.answer)
                if found.shown is not None:
                    (ended,) = found.shown.case.runs
                    changed = self.prover.replay.changed(ended)
                    for other in self._changeable(mode):
                        if other in changed:
                            seen.add((other, mode))
                            answers.note(other, mode, YES)
        return answers

    def _changeable(self, mode: int) -> list[str]:
        obligation = self.definitions.retires(mode, ())
        return self.prover.pair(obligation, ABSTRACT).first.changeable()

    # -- behaviour sensitive

    def _behaviour(self) -> tuple[Answers, Answers]:
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
            self.put_off.append((property_, component, mode))
            return None
        self._keep(found, obligation, property_, "", (component,))
        return found.answer

    def _put_off(self, behaviour: Answers, result: Answers) -> None:
        """Ask what was put off, as far as other answers have not made it needless."""
        own = {LOCATION, MEMORY, *self.machine.control, *self.machine.members}
        no_result: set[tuple[str, int]] = set()  # so behaviour does not depend on it either
        for property_, component, mode in sorted(self.put_off, key=lambda put: put[0] != RESULT):
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
            answer = self._ask(obligation, property_, component)
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
        answer = self._ask(obligation, "behaviour_sensitive", name)
        behaviour.note(name, first, answer)
        if answer is not YES and result.of(name) is not YES:
            obligation = self.definitions.result_sensitive(differ, first, second)
            answer = self._ask(obligation, "result_sensitive", name)
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
            found |= set(self._changeable(mode)) - {MODE}
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

    # -- trap sensitive

    def _trap_sensitive(self) -> Components:
        answers = Answers()
        if self.subject.run(self.user, ABSTRACT).retires is False:
            return answers.components()
        candidates = self._depended_on(self.user, self.subject.supports(self.user)[0])
        for component in self._narrowed(
            lambda differ: self.definitions.trap_sensitive(differ, self.user, self.user), candidates
        ):
            differ = frozenset({component})
            obligation = self.definitions.trap_sensitive(differ, self.user, self.user)
            answers.note(component, self.user, self._ask(obligation, "trap_sensitive", component))
        for other in self.scope:
            if other != self.user and answers.of(MODE) is not YES:
                obligation = self.definitions.trap_sensitive(frozenset({MODE}), self.user, other)
                answers.note(MODE, self.user, self._ask(obligation, "trap_sensitive", MODE))
        return answers.components()

    def _noop(self) -> Answer:
        answer = NO
        for other in self.scope:
            if other != self.user and answer is not YES:
                obligation = self.definitions.user_mode_noop(self.user, other)
                answer |= self._ask(obligation, "user_mode_noop", MODE)
        return answer

    # -- escapes

    def _escape(self, property_: str, *, mirrored: bool) -> tuple[Answer, Answer]:
        """Whether there is an escape, and whether from the least privileged virtual mode."""
        clauses = self.clauses(property_, mirrored=mirrored)
        *_, least = pairs = list(zip(self.virtual, self.real, strict=True))
        hybrid = escape = self._escapes_from(clauses.for_hybrid(), *least)
        if hybrid is not NO and any(virtual != least[0] for virtual, _ in self.told):
            escape = self._escapes_from(clauses, *least)
        for virtual, real in reversed(pairs[:-1]):
            if escape is not YES:
                escape |= self._escapes_from(clauses, virtual, real)
        return escape, hybrid

    def clauses(self, property_: str, *, mirrored: bool) -> EscapeClauses:
        """The ways in which it can break a VMM; `mirrored`: although mirrored elements differ."""
        kept = self.configuration.passed
        equal = kept if mirrored else (*kept, *self.configuration.mirrored)
        return EscapeClauses(
            self.definitions,
            property_,
            may_differ(self.configuration, self.machine, mirrored=mirrored),
            frozenset(equal),
            frozenset(kept),
            self.configuration.homes,
            self.constraints,
            self.told,
        )

    def _escapes_from(self, clauses: EscapeClauses, virtual: int, real: int) -> Answer:
        answer = NO
        for clause, obligation in clauses.obligations(virtual, real):
            found = self.prover.ask(obligation)
            self._keep(found, obligation, clauses.property, clause)
            answer |= found.answer
            if found.answer is YES:
                break
        return answer

    def _semantic(self, escape: Answer, hybrid: Answer) -> tuple[Answer, Answer]:
        if (escape is NO and hybrid is NO) or not self.configuration.mirrored:
            return escape, hybrid
        return self._escape("semantic_violation", mirrored=False)


def _some(answers: Iterable[Answer]) -> Answer:
    found = NO
    for answer in answers:
        found |= answer
    return found
