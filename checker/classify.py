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
from checker.obligations import Log, Prover
from checker.replay import Replay
from checker.sensitivity import Classifier
from checker.solve import Solver
from checker.subject import Subject, engines_of
from spec.ir import Configuration, Instruction, Isa


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
    subject = _subject(isa, instruction, operands)
    solver = Solver(isa.memory, timeout_ms)
    log = Log(announce, skip)
    prover = Prover(subject, solver, Replay(subject.machine), log)
    found = Classifier(prover, configuration).classification()
    return replace(
        found,
        seconds=perf_counter() - started,
        solver_seconds=solver.seconds,
        solver_calls=solver.calls,
    )


_subjects: list[tuple[Isa, Instruction, OperandSet, Subject]] = []


def _subject(isa: Isa, instruction: Instruction, operands: OperandSet) -> Subject:
    """The subject, kept from the call before."""
    for known_isa, known, chosen, subject in _subjects:
        if known_isa is isa and known is instruction and chosen == operands:
            return subject
    subject = Subject(engines_of(machine_of(isa)), instruction, operands)
    _subjects[:] = [(isa, instruction, operands, subject)]
    return subject
