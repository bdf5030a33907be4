"""The workers' side of a check: the only code of a check that loads the solver."""

from collections.abc import Callable
from typing import assert_never

from checker.answers import Classification, Fact, Repairs
from checker.classify import classify
from checker.efficiency import check_configuration
from checker.invariants import check_invariants
from checker.questions import (
    ClassesOf,
    FactsOf,
    InvariantsOf,
    Posed,
    Question,
    RepairsOf,
    Setting,
)
from checker.repairs import repairs
from checker.rewriting_files import exported
from spec.ir import Isa


def answer(
    setting: Setting, posed: Posed, skip: frozenset[str], announce: Callable[[str], None]
) -> Classification | Repairs | tuple[Fact, ...]:
    """What `checker.schedule` calls for each task."""
    isa = setting.isas[posed.isa]
    with exported(setting.smt, f"{isa.name}: {posed.question.name}", isa.memory):
        return _answer(isa, posed.question, setting.timeout_ms, skip, announce)


def _answer(
    isa: Isa,
    question: Question,
    timeout_ms: int,
    skip: frozenset[str],
    announce: Callable[[str], None],
) -> Classification | Repairs | tuple[Fact, ...]:
    match question:
        case ClassesOf(configuration, instruction, operands):
            return classify(
                isa,
                configuration,
                instruction,
                operands,
                timeout_ms=timeout_ms,
                skip=skip,
                announce=announce,
            )
        case FactsOf(configuration):
            return check_configuration(
                isa, configuration, timeout_ms=timeout_ms, skip=skip, announce=announce
            )
        case InvariantsOf(instruction):
            return check_invariants(
                isa, instruction, timeout_ms=timeout_ms, skip=skip, announce=announce
            )
        case RepairsOf(configuration, instruction, operands, hybrid):
            return repairs(
                isa,
                configuration,
                instruction,
                operands,
                hybrid=hybrid,
                timeout_ms=timeout_ms,
                skip=skip,
                announce=announce,
            )
        case _:
            assert_never(question)
