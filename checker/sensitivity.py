"""The order in which the obligations about an instruction are asked, and what the answers mean."""

import math

from checker.answers import Answer, Classification, Traps
from checker.classes import NOT_MEMORY, Definitions, EscapeClauses
from checker.component_answers import Answers
from checker.components import LOCATION, MEMORY, MODE, may_differ
from checker.dependence import Dependence, changeable
from checker.first_witnesses import FirstWitnesses
from checker.prover import Prover
from checker.subject import ABSTRACT
from spec.ir import Configuration, Expr, TrapClass
from spec.told_modes import told_modes

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN


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
        self._witnesses = FirstWitnesses(prover)
        self._dependence = Dependence(
            self._witnesses, self.definitions, self.user, self.top, self.scope
        )

    def classification(self) -> Classification:
        """All answers; what the solver left open is among `undecided`."""
        traps = self._traps(self.user, self.constraints)
        privileged = self._privileged()
        control = self._control()
        with self.prover.within(self.fine_seconds):
            behaviour, result = self._dependence.behaviour()
        own = {LOCATION, MEMORY, *self.machine.control, *self.machine.members}
        escape, hybrid = self._escape("escape", mirrored=True)
        violation, hybrid_violation = self._semantic(escape, hybrid)
        with self.prover.within(self.fine_seconds):
            trap_sensitive = self._dependence.trap_sensitive()
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
            | self._dependence.together.get(self.user, NO),
            supervisor_sensitive=control.in_mode(self.top)
            | behaviour.in_mode(self.top, own)
            | self._dependence.together.get(self.top, NO),
            user_mode_noop=self._noop(),
            escape=escape,
            hybrid_escape=hybrid,
            semantic_violation=violation,
            hybrid_semantic_violation=hybrid_violation,
            traps_in_top=self._traps(self.top, ()),
            refused=self._refused(traps),
            witnesses=tuple(self._witnesses.kept.values()),
            undecided=tuple(dict.fromkeys(log.undecided)),
            defects=tuple(log.defects),
        )

    # -- traps

    def _traps(self, mode: int, constraints: tuple[Expr, ...]) -> Traps:
        traps = self.definitions.traps(mode, constraints)
        retires = self.definitions.retires(mode, constraints)
        trapping, retiring = self.prover.ask(traps), self.prover.ask(retires)
        match trapping.answer, retiring.answer:
            case (Answer.YES, Answer.YES):
                self._witnesses.keep(trapping, traps, "traps", "")
                self._witnesses.keep(retiring, retires, "retires", "")
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
        against = self._witnesses.ask(
            self.definitions.not_privileged(self.user, self.top), "not_privileged"
        )
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
            for component in changeable(self.prover, self.definitions, mode):
                decided = answers.of(component) is YES
                if decided and (mode not in (self.user, self.top) or answers.in_mode(mode) is YES):
                    continue
                if (component, mode) in seen:
                    continue
                obligation = self.definitions.control_sensitive(component, mode)
                found = self._witnesses.found(obligation, "control_sensitive", component)
                answers.note(component, mode, found.answer)
                if found.shown is not None:
                    (ended,) = found.shown.case.runs
                    changed = self.prover.replay.changed(ended)
                    for other in changeable(self.prover, self.definitions, mode):
                        if other in changed:
                            seen.add((other, mode))
                            answers.note(other, mode, YES)
        return answers

    def _noop(self) -> Answer:
        answer = NO
        for other in self.scope:
            if other != self.user and answer is not YES:
                obligation = self.definitions.user_mode_noop(self.user, other)
                answer |= self._witnesses.ask(obligation, "user_mode_noop", MODE)
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
            self._witnesses.keep(found, obligation, clauses.property, clause)
            answer |= found.answer
            if found.answer is YES:
                break
        return answer

    def _semantic(self, escape: Answer, hybrid: Answer) -> tuple[Answer, Answer]:
        if (escape is NO and hybrid is NO) or not self.configuration.mirrored:
            return escape, hybrid
        return self._escape("semantic_violation", mirrored=False)
