"""Random programs cannot tell a derived monitor from the bare machine, and do tell broken ones."""

from functools import cache
from random import Random

import pytest

from refvmm.campaign import campaign
from refvmm.mutants import mutants
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from tests.test_refvmm_derive import described

GUESTS = [("pg74/pg74", 0), ("tiny/sptbr", 0), ("riscv/rv32", 0), ("riscv/rv32", 1)]


@cache
def tried(name: str, number: int, strategy: Strategy) -> tuple[Trial, Programs]:
    isa = described(name)
    configuration = isa.configurations[number]
    placement = trial_placement(isa, configuration)
    trial = Trial(stack(isa, configuration, 1), [placement], strategy)
    return trial, Programs(isa, configuration, placement.region_size)


@pytest.mark.parametrize(("name", "number"), GUESTS)
def test_random_programs_cannot_tell_a_monitor_from_the_bare_machine(
    name: str, number: int
) -> None:
    trial, programs = tried(name, number, Strategy.TRAP_AND_EMULATE)
    trial.count.direct = 0

    failure = campaign(trial, programs, 150, seed=1)

    assert failure is None
    assert trial.count.direct > 0


def test_a_scenario_depends_on_its_seed_and_what_was_learnt_only() -> None:
    isa = described("riscv/rv32")
    configuration = isa.configurations[0]
    first, second = (Programs(isa, configuration, 3 << 30) for _ in range(2))

    made = [[p.scenario(Random(seed)) for seed in range(10)] for p in (first, second)]

    assert made[0] == made[1]


def test_mutants_have_names_of_their_own_and_differ_from_the_monitor() -> None:
    isa = described("riscv/rv32")
    (monitor,) = stack(isa, isa.configurations[0], 1)

    found = list(mutants(monitor))

    assert len({mutant.name for mutant in found}) == len(found) > 50
    for mutant in found:
        texts = [
            (m.save, m.resume, m.virtual.functions, m.virtual.instructions, m.virtual.causes)
            for m in (monitor, mutant.monitor)
        ]
        assert texts[0] != texts[1] or monitor.virtual.interrupts != (
            mutant.monitor.virtual.interrupts
        )


@pytest.mark.parametrize(
    "name",
    [
        "offset dropped@resume",
        "offset added twice@function vmm.load32",
        "routine missing@routine LRB",
        "wrong mode@routine LPSW",
        "saved pc wrong@function vm.exchange",
        "privilege not checked@routine LPSW",
    ],
)
def test_random_programs_find_a_mutant_and_shrink_to_one_instruction(name: str) -> None:
    trial, programs = tried("pg74/pg74", 0, Strategy.TRAP_AND_EMULATE)
    (mutant,) = [m for m in mutants(trial.monitors[0]) if m.name == name]
    broken = Trial([mutant.monitor], trial.placements, trial.strategy)

    failure = campaign(broken, programs, 2000, seed=1)

    assert failure is not None
    assert failure.scenario.steps <= 2
    assert len(failure.scenario.program) <= 2
    assert broken.run(failure.scenario) is not None
    assert trial.run(failure.scenario) is None


def test_a_lever_changes_one_field_of_a_register_and_leaves_the_others() -> None:
    isa = described("riscv/rv32")
    programs = Programs(isa, isa.configurations[0], 3 << 30)

    found = programs.experience.levers["satp.MODE"]

    assert {lever.value for lever in found} == {1 << 31}
    assert {lever.means.instruction.name for lever in found} == {"CSRRW", "CSRRS", "CSRRC"}


@pytest.mark.deep
def test_programs_find_that_the_switch_of_paging_alone_leaves_entries_stale() -> None:
    """`pytest -m deep tests/test_refvmm_campaign.py`."""
    trial, programs = tried("riscv/rv32", 0, Strategy.TRAP_AND_EMULATE)
    name = "stale entry@function vm.write_satp"
    (mutant,) = [m for m in mutants(trial.monitors[0], most=100) if m.name == name]
    broken = Trial([mutant.monitor], trial.placements, trial.strategy)

    failure = campaign(broken, programs, 10_000, seed=0)

    assert failure is not None
    assert trial.run(failure.scenario) is None
