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
    prover = _prover(isa, instruction, operands, timeout_ms)
    prover.log = Log(announce, skip)
    seconds, calls = prover.costs
    found = Classifier(prover, configuration).classification()
    return replace(
        found,
        seconds=perf_counter() - started,
        solver_seconds=prover.costs[0] - seconds,
        solver_calls=prover.costs[1] - calls,
    )


_last: list[tuple[Isa, Instruction, OperandSet, int, Prover]] = []


def _prover(isa: Isa, instruction: Instruction, operands: OperandSet, timeout_ms: int) -> Prover:
    """What was learned in the call before, if it was about the same instruction."""
    for known_isa, known, chosen, timeout, prover in _last:
        same = known_isa is isa and known is instruction
        if same and chosen == operands and timeout == timeout_ms:
            return prover
    machine = _last[0][4].subject.machine if _last and _last[0][0] is isa else machine_of(isa)
    replay = _last[0][4].replay if _last and _last[0][0] is isa else Replay(machine)
    subject = Subject(engines_of(machine), instruction, operands)
    prover = Prover(subject, Solver(isa.memory, timeout_ms), replay, Log(lambda name: None))
    _last[:] = [(isa, instruction, operands, timeout_ms, prover)]
    return prover
