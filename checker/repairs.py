"""What a VMM may fix so that an instruction does not escape (formal model, section 5)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from checker.answers import Answer, Fixed, OperandSet, Repairs, Undecided, Witness
from checker.classify import prover_of
from checker.components import constraint, fixable
from checker.obligations import Log, Obligation, Shown
from checker.prover import Prover
from checker.replay import Side
from checker.sensitivity import Classifier
from checker.states import Case
from checker.witness import describe, explaining
from spec.ir import Configuration, Element, Instruction, Isa, TrapClass

MOST_FIXED = 2
"""Elements that may have to be fixed together for one instruction."""

MOST_LOOKED = 4000
"""Sets of fixed elements that are looked at for one instruction, mostly by one replay each."""

MOST_ASKED = 60
"""Those of them about which the solver is asked."""

NARROW = 3
"""Bits up to which all values are tried; of wider elements, those of its enumeration, or else
0 and all ones."""


def repairs(
    isa: Isa,
    configuration: Configuration,
    instruction: Instruction,
    operands: OperandSet,
    *,
    hybrid: bool = False,
    timeout_ms: int = 1000,
    skip: frozenset[str] = frozenset(),
    announce: Callable[[str], None] = lambda name: None,
) -> Repairs:
    """The smallest sets of fixed control elements under which there is no escape.

    Whatever stops an escape fixes something that its real run reads, so only that is tried. What
    makes a run trap by its memory is no help: a guest could not run.
    """
    prover = prover_of(isa, instruction, operands, timeout_ms)
    prover.log = Log(announce, skip)
    search = _Search(prover, configuration, hybrid)
    ways = search.ways()
    if ways == [()]:
        return Repairs(instruction.name, operands, Answer.NO)
    return Repairs(
        instruction.name,
        operands,
        Answer.YES if search.first else Answer.UNKNOWN,
        tuple(ways),
        None if ways else search.witness(),
        tuple(sorted(search.partly)),
        () if ways else tuple(dict.fromkeys(prover.log.undecided)),
    )


class _Search:
    """Breadth first: from each set that an escape survives, to those with one element more."""

    def __init__(self, prover: Prover, configuration: Configuration, hybrid: bool) -> None:
        self._prover = prover
        self._configuration = configuration
        self._hybrid = hybrid
        self._machine = prover.subject.machine
        self._elements = {e.name: e for e in fixable(self._machine, configuration)}
        self._known: list[tuple[Obligation, Case]] = []
        self.first: tuple[str, Obligation, Shown] | None = None
        self.partly: set[str] = set()  # elements of which not every value was tried

    def ways(self) -> list[tuple[Fixed, ...]]:
        level: list[tuple[Fixed, ...]] = [()]
        looked = asked = 0
        while level and len(level[0]) <= MOST_FIXED:
            enough: list[tuple[Fixed, ...]] = []
            further: dict[tuple[Fixed, ...], None] = {}
            for fixed in level:
                if looked == MOST_LOOKED or asked == MOST_ASKED:
                    return enough or self._give_up()
                looked += 1
                if self._starves(fixed) or not self._possible(fixed):
                    continue
                case = self._survivor(fixed)
                if case is None:
                    asked += 1
                    answer, case = self._escape(fixed)
                    enough += [fixed] if answer is Answer.NO else []
                if case is not None and len(fixed) < MOST_FIXED:
                    further |= dict.fromkeys(self._larger(fixed, case))
            if enough:
                return enough
            level = list(further)
        return []

    def _possible(self, fixed: tuple[Fixed, ...]) -> bool:
        """Whether some state satisfies these and the configuration's own constraints; where that
        is not known, or of those alone none does, that is noted."""
        classifier = Classifier(self._prover, self._constrained(fixed))
        constraints = classifier.constraints
        found = Answer.NO
        for mode in classifier.real:
            found |= self._prover.bases.satisfiable(mode, constraints)
        if found is Answer.UNKNOWN:
            self._note("whether any state satisfies the constraints is unknown")
        elif found is Answer.NO and not fixed:
            self._note("no state satisfies the configuration's constraints")
        return found is Answer.YES

    def _give_up(self) -> list[tuple[Fixed, ...]]:
        self._note("too many choices")
        return []

    def _note(self, reason: str) -> None:
        name = f"{self._prover.subject.instruction.name}/what to fix"
        self._prover.log.undecided.append(Undecided(name, reason))

    def _larger(self, fixed: tuple[Fixed, ...], case: Case) -> Iterator[tuple[Fixed, ...]]:
        """With one element more that the real run reads, at another value than there."""
        real = self._run(case, fixed)
        before = {name for name, _ in fixed}
        for name in sorted({name for name, _ in real.reads} & self._elements.keys() - before):
            element = self._elements[name]
            values = _values(element)
            if len(values) < 1 << element.width and not element.values:
                self.partly.add(name)
            for value in values:
                if value != real.before.scalars[name]:
                    yield tuple(sorted((*fixed, (name, value))))

    def _run(self, case: Case, fixed: tuple[Fixed, ...]) -> Side:
        """The case's real run, from the state with these elements fixed."""
        real = case.runs[0]
        state = real.before.copy()
        state.scalars.update(fixed)
        instruction, fields = self._prover.subject.instruction, dict(case.fields)
        return self._prover.replay.side(
            state, instruction, fields, case.length, real.choices, watched=True
        )

    def _starves(self, fixed: tuple[Fixed, ...]) -> bool:
        """Whether it makes the first escape found trap by its memory."""
        if self.first is None:
            return False
        real = self._run(self.first[2].case, fixed)
        return real.traps(TrapClass.MEMORY) or real.traps(TrapClass.HIDDEN)

    def _constrained(self, fixed: tuple[Fixed, ...]) -> Configuration:
        written = tuple(constraint(self._elements[name], value) for name, value in fixed)
        before = self._configuration.constraints
        return replace(self._configuration, constraints=(*before, *written))

    def _obligations(self, fixed: tuple[Fixed, ...]) -> Iterator[tuple[str, Obligation]]:
        classifier = Classifier(self._prover, self._constrained(fixed))
        clauses = classifier.clauses("escape", mirrored=True)
        *_, least = pairs = list(zip(classifier.virtual, classifier.real, strict=True))
        if self._hybrid:
            yield from clauses.for_hybrid().obligations(*least)
            return
        for virtual, real in reversed(pairs):
            yield from clauses.obligations(virtual, real)

    def _survivor(self, fixed: tuple[Fixed, ...]) -> Case | None:
        """An escape found before, or one that it becomes with these fixed."""
        constraints = tuple(e for _, e in self._constrained(fixed).constraints)
        for obligation, case in self._known:
            changed = replace(case, runs=(self._run(case, fixed), *case.runs[1:]))
            if self._prover.showing.shows(replace(obligation, constraints=constraints), changed):
                return changed
        return None

    def _escape(self, fixed: tuple[Fixed, ...]) -> tuple[Answer, Case | None]:
        answer = Answer.NO
        for clause, obligation in self._obligations(fixed):
            found = self._prover.ask(obligation)
            answer |= found.answer
            if found.shown is not None:
                self._known.append((obligation, found.shown.case))
                self.first = self.first or (clause, obligation, found.shown)
                return Answer.YES, found.shown.case
        return answer, None

    def witness(self) -> Witness | None:
        """The first escape found, with the least values."""
        if self.first is None:
            return None
        clause, obligation, shown = self.first
        case = self._prover.showing.lessened(obligation, shown)
        differs = components = self._prover.showing.shows(obligation, case)
        if clause not in ("control", "virtual control"):
            first, second = (run.before for run in case.runs)
            components = explaining(self._machine, first, second, obligation.differ)
        instruction = self._prover.subject.instruction
        return describe(
            self._machine, instruction, case, "escape", clause, tuple(components), differs
        )


def _values(element: Element) -> list[int]:
    if element.values:
        return sorted({encoding for _, encoding in element.values})
    if element.width <= NARROW:
        return list(range(1 << element.width))
    return [0, (1 << element.width) - 1]
