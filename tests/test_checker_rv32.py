"""The whole check of RV32: what the manual promises of it, and that every claim holds."""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import Report, VerdictKind
from spec.load import load

DESCRIPTION = Path(__file__).resolve().parent.parent / "isas" / "riscv" / "rv32.isa"
YES, NO = Answer.YES, Answer.NO


@pytest.fixture(scope="module")
def report() -> Report:
    isa = load(str(DESCRIPTION)).isa
    assert isa is not None
    return check(isa, timeout=60.0)


@pytest.mark.parametrize("name", ["msu", "su"])
def test_rv32_is_virtualizable_once_the_vmm_fixes_the_counter_enables(
    report: Report, name: str
) -> None:
    (configuration,) = [c for c in report.configurations if c.name == name]

    found = {(v.kind, v.theorem): v.answer for v in configuration.verdicts}

    for kind in (VerdictKind.CONFIGURED, VerdictKind.SEMANTIC):
        assert [found[kind, theorem] for theorem in (1, 2, 3)] == [YES, YES, YES]
    assert [found[VerdictKind.LETTER, theorem] for theorem in (1, 2, 3)] == [NO, NO, YES]
    assert list(configuration.escapes) == []
    assert configuration.efficient.answer is YES


def test_every_claim_about_rv32_holds_and_nothing_is_left_undecided(report: Report) -> None:
    assert report.claims
    assert report.claims_hold is YES
    assert report.all_defects == ()
    assert report.notes == ()
