"""The workers' side of a check: the only code of a check that loads the solver."""

from collections.abc import Callable
from typing import assert_never

from checker import exporting
from checker.answers import Classification, Fact, Repairs
from checker.classify import classify
from checker.efficiency import check_configuration
from checker.invariants import check_invariants
from checker.questions import ClassesOf, FactsOf, InvariantsOf, Posed, RepairsOf, Setting
from checker.repairs import repairs


def answer(
    setting: Setting, posed: Posed, skip: frozenset[str], announce: Callable[[str], None]
) -> Classification | Repairs | tuple[Fact, ...]:
    """What `checker.schedule` calls for each task."""
    isa, timeout_ms = setting.isas[posed.isa], setting.timeout_ms
    exporting.export_to(setting.smt, f"{isa.name}: {posed.question.name}")
    match posed.question:
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
            assert_never(posed.question)
