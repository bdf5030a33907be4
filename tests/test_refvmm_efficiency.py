"""VC-X: what the guest may reach in its region is reached; and mutants, each killed by an obligation."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Counterexample, Group
from checker.statements import Simulation
from refvmm.derive import Monitor, derive
from refvmm.mutant_proofs import Means, Tried, proofs_of_mutants
from refvmm.mutants import SLOW, mutants
from refvmm.obligations import hosted, obligations
from refvmm.replaying import replay
from refvmm.strategy import Strategy
from spec import ir
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"
DIRECT = Strategy.TRAP_AND_EMULATE


def derived(name: str) -> Monitor:
    isa = load(ISAS / f"{name}.isa").isa
    assert isa is not None
    return derive(isa, isa.configurations[0])


def failing(monitor: Monitor) -> dict[tuple[Group, str], Answer]:
    """All obligations that are not proved."""
    context = hosted(monitor)
    return {
        (found.group, found.name): found.answer
        for statement in obligations(monitor, DIRECT)
        for found in discharge(context, statement, timeout_ms=30_000)
        if found.answer is not Answer.YES
    }


def with_function(monitor: Monitor, name: str, body: ir.Block) -> Monitor:
    functions = tuple(
        replace(f, body=body) if f.name == name else f for f in monitor.virtual.functions
    )
    return replace(monitor, virtual=replace(monitor.virtual, functions=functions))


def no_counterexample(statement: Simulation) -> Counterexample | None:
    return None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("pg74/pg74", "relocation too narrow@compose R.b"),
        ("tiny/sptbr", "page not installed@function vmm.fill"),
        ("tiny/sptbr", "page not noted@function vmm.touch"),
    ],
)
def test_a_monitor_that_costs_time_and_nothing_else_is_refuted_by_vc_x_alone(
    name: str, fault: str
) -> None:
    (mutant,) = [m for m in mutants(derived(name), slow=True) if m.name == fault]

    found = failing(mutant.monitor)

    assert {group for group, _ in found} == {Group.EFFICIENCY}
    assert set(found.values()) == {Answer.NO}


def test_programs_are_not_asked_for_faults_that_cost_time_alone() -> None:
    names = {m.name.partition("@")[0] for m in mutants(derived("tiny/sptbr"))}

    assert names.isdisjoint(fault.name for fault in SLOW)


def test_a_page_that_is_not_reached_though_it_is_installed_is_refuted_by_a_run() -> None:
    monitor = with_function(derived("tiny/sptbr"), "vmm.install", ())
    asked = [
        s
        for s in obligations(monitor, DIRECT)
        if s.name == "what is installed is reached, read of 1"
    ]

    ((statement, found),) = [(s, *discharge(hosted(monitor), s)) for s in asked]

    assert found.answer is Answer.NO
    assert found.counterexample is not None
    shown = replay(monitor, DIRECT, statement, found.counterexample, no_counterexample)
    assert shown is not None
    assert shown.differences[0][0] == "the access is reached"


def test_a_segment_that_two_registers_cannot_hold_is_not_reached_on_the_ka10() -> None:
    monitor = derived("pdp10/ka10_jrst")
    asked = [s for s in obligations(monitor, DIRECT) if s.group is Group.EFFICIENCY]

    found = {f.name: f.answer for s in asked for f in discharge(hosted(monitor), s)}

    assert {n.rpartition(" ")[2]: a for n, a in found.items() if " read " in n} == {
        "executive": Answer.YES,
        "user": Answer.NO,
    }


@cache
def tried_of_the_paper() -> tuple[Tried, ...]:
    means = Means(jobs=1, timeout=30, cache=None, bound=60)
    return tuple(proofs_of_mutants(derived("pg74/pg74"), DIRECT, means, most=1))


def test_mutants_of_the_machine_of_the_paper_are_killed_by_proof_but_for_one_that_is_none() -> None:
    found = tried_of_the_paper()

    surviving = [t for t in found if t.by is None]
    assert [(t.mutant.name, t.missing) for t in surviving] == [("bound off by one@resume", 0)]
    killed = [t for t in found if t.by is not None]
    assert len(killed) >= 10
    assert all(t.run is not None for t in killed)
    narrow = {t.mutant.name: t.by for t in found}["relocation too narrow@compose R.b"]
    assert narrow is not None and narrow.group is Group.EFFICIENCY


def test_only_what_a_fault_touches_is_asked() -> None:
    touched = {t.mutant.name: t.touched for t in tried_of_the_paper()}

    assert touched["privilege not checked@routine HALT"] == 2  # one for each virtual mode


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "surviving"),
    [
        ("tiny/sptbr", ["function vmm.fill"]),
        ("riscv/rv32", ["function vmm.load16", "function vmm.load32"]),
    ],
)
def test_mutants_of_monitors_with_shadow_tables_are_killed_by_proof(
    name: str, surviving: list[str]
) -> None:
    """`pytest -m deep tests/test_refvmm_efficiency.py`; whole pages make the survivors no faults."""
    means = Means(jobs=2, timeout=10, cache=None, bound=200)

    found = list(proofs_of_mutants(derived(name), DIRECT, means))

    alive = [t.mutant.name for t in found if t.by is None]
    assert alive == [f"bound off by one@{place}" for place in surviving]
