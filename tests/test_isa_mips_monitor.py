"""The VMM's entries of a MIPS TLB have their places, so a page is reached through one of them only."""

from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Group
from refvmm.derive import Monitor, derive
from refvmm.obligations import hosted, obligations
from refvmm.strategy import Strategy
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"


@cache
def relinked() -> Monitor:
    isa = load(ISAS / "mips" / "mips32.isa").isa
    assert isa is not None
    (configuration,) = [c for c in isa.configurations if c.name == "relinked"]
    return derive(isa, configuration)


def answers(*parts: str) -> list[Answer]:
    """Of the obligations whose group and name have one of the parts."""
    monitor = relinked()
    return [
        found.answer
        for statement in obligations(monitor, Strategy.TRAP_AND_EMULATE)
        if any(part in f"{statement.group.value} {statement.name}" for part in parts)
        for found in discharge(hosted(monitor), statement)
    ]


def test_the_tlb_stays_in_order() -> None:
    kept = answers("keeps the relation", "establishes the relation")

    assert kept == [Answer.YES] * 8  # install, remove; resume and the first one in three modes


@pytest.mark.parametrize(
    "name",
    [
        "other pages do not reach a page, read of 4, real mode user",
        "a removed page is not reached after it was installed, read of 4, real mode supervisor",
        "what is installed is reached, read of 4, real mode supervisor",  # as it was linked again
    ],
)
def test_a_page_is_reached_through_what_was_installed_last(name: str) -> None:
    assert answers(name) == [Answer.YES]


@pytest.mark.deep
def test_the_relinked_monitor_is_proved_for_all_programs() -> None:
    """python -m pytest -m deep tests/test_isa_mips_monitor.py"""
    assert set(answers(*(group.value for group in Group))) == {Answer.YES}
