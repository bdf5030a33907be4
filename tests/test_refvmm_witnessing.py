"""Witnesses of escapes as programs that tell the virtual machine from the bare one."""

from dataclasses import replace

import pytest

from checker.answers import Witness
from checker.check import check
from refvmm.derive import derive
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from refvmm.witnessing import witnessed
from tests.test_refvmm_derive import described

TAE = Strategy.TRAP_AND_EMULATE


def trial(name: str, number: int) -> tuple[Trial, Programs]:
    isa = described(name)
    configuration = isa.configurations[number]
    placement = trial_placement(isa, configuration)
    tried = Trial([derive(isa, configuration)], [placement], TAE)
    return tried, Programs(isa, configuration, tried.size)


def witness_of(name: str, number: int, instruction: str) -> Witness:
    isa = described(name)
    asked = check(isa, configurations=[isa.configurations[number].name], only=[instruction], jobs=1)
    (report,) = asked.configurations
    return report.escapes[0].witnesses[0]


@pytest.mark.parametrize(
    ("name", "number", "instruction"),
    [
        ("pg74/pg74_lra", 0, "LRA"),
        ("pg74/pg74_noop", 0, "LOWER"),
        ("x86/ia32", 0, "SMSW"),
        pytest.param("x86/ia32", 0, "LDS", marks=pytest.mark.deep),
        ("x86/v8086_286", 0, "SGDT"),
        ("pdp10/ka10", 0, "PUSHJ"),
        ("pdp11/pdp11_45", 0, "SPL"),
        pytest.param("arm/armv7a", 0, "ANDS PC", marks=pytest.mark.deep),
        ("beta/beta_relocated", 0, "JMP"),
    ],
)
def test_an_escape_diverges_where_its_witness_says(
    name: str, number: int, instruction: str
) -> None:
    tried, programs = trial(name, number)

    found = witnessed(tried, programs, instruction, witness_of(name, number, instruction))

    assert found is not None
    scenario, divergence = found
    assert len(scenario.program) <= 2
    decoded = [step.decoded for step in (divergence.bare, divergence.virtual)]
    assert all(d is not None and d.instruction.name == instruction for d in decoded)
    assert tried.run(scenario) is not None
    assert tried.virtual.direct > 0


def test_a_witness_of_an_instruction_that_is_no_escape_does_not_diverge() -> None:
    tried, programs = trial("pg74/pg74", 0)
    witness = replace(witness_of("pg74/pg74_lra", 0, "LRA"), fields=())

    assert witnessed(tried, programs, "HALT", witness) is None
