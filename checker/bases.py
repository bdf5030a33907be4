"""States that complete what an obligation leaves open, one for each mode and its constraints."""

from collections.abc import Sequence

from checker.answers import Answer
from checker.assignment import Assignment, Evaluation
from checker.replay import Replay
from checker.solve import Proved, Refuted, Solver
from checker.subject import Subject
from checker.terms import Truth
from spec.ir import Expr


class Bases:
    """Of one subject."""

    def __init__(self, subject: Subject, solver: Solver, replay: Replay) -> None:
        self.subject = subject
        self.replay = replay
        self._solver = solver
        self._bases: dict[tuple[int, tuple[Expr, ...]], Assignment | None] = {}

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
