"""All classes of one instruction with one operand set, under one configuration.

`classify` is a function of its arguments; what the solver learned about an instruction is kept
for the next configuration of the same process. It announces the name of each obligation before
it is solved, and leaves those in `skip` unknown ("time-out").
"""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from checker.answers import Classification, OperandSet
from checker.components import machine_of
from checker.obligations import Log
from checker.prover import Prover
from checker.replay import Replay
from checker.sensitivity import Classifier
from checker.solve import Solver
from checker.subject import Subject, engines_of
from spec.ir import Configuration, Instruction, Isa
from spec.specialize import Specializer

FINE = 10
"""Time-outs that the questions on what an instruction depends may take together. Some are hard
in dozens; whether it escapes is asked in any case."""


def classify(
    isa: Isa,
    configuration: Configuration,
    instruction: Instruction,
    operands: OperandSet,
    *,
    timeout_ms: int = 1000,
    skip: frozenset[str] = frozenset(),
    announce: Callable[[str], None] = lambda name: None,
) -> Classification:
    """The classes (formal model, section 3), with witnesses for what can happen."""
    started = perf_counter()
    prover = prover_of(isa, instruction, operands, timeout_ms)
    prover.log = Log(announce, skip)
    seconds, calls = prover.costs
    found = Classifier(prover, configuration, FINE * timeout_ms / 1000).classification()
    return replace(
        found,
        seconds=perf_counter() - started,
        solver_seconds=prover.costs[0] - seconds,
        solver_calls=prover.costs[1] - calls,
    )


class _Known:
    """What the calls before learned: about the description, and about the last instruction."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.machine = machine_of(isa)
        self.replay = Replay(self.machine)
        self.specializer = Specializer(isa)
        self._last: tuple[Instruction, OperandSet, int, Prover] | None = None

    def prover(self, instruction: Instruction, operands: OperandSet, timeout_ms: int) -> Prover:
        if self._last is not None:
            known, chosen, timeout, prover = self._last
            if known is instruction and chosen == operands and timeout == timeout_ms:
                return prover
        subject = Subject(engines_of(self.machine), instruction, operands, self.specializer)
        fields, plain = subject.operand_supports()
        solver = Solver(subject.engines.terms, self.isa.memory, timeout_ms, fields, plain)
        prover = Prover(subject, solver, self.replay, Log(lambda name: None))
        self._last = (instruction, operands, timeout_ms, prover)
        return prover


_known: list[_Known] = []


def prover_of(isa: Isa, instruction: Instruction, operands: OperandSet, timeout_ms: int) -> Prover:
    """One that may know already what was asked about the instruction before; its log is old."""
    if not _known or _known[0].isa is not isa:
        _known[:] = [_Known(isa)]
    return _known[0].prover(instruction, operands, timeout_ms)
