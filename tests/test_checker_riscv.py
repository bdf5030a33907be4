"""The whole check of RISC-V: what the manual promises of it, and that every claim holds."""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import Report, VerdictKind
from spec.ir import FieldType, Isa
from spec.load import load

FOLDER = Path(__file__).resolve().parent.parent / "isas" / "riscv"
YES, NO = Answer.YES, Answer.NO


def description(name: str) -> Isa:
    isa = load(str(FOLDER / f"{name}.isa")).isa
    assert isa is not None
    return isa


@pytest.fixture(scope="module", params=["rv32", "rv64"])
def report(request: pytest.FixtureRequest, library_cache: Path) -> Report:
    return check(description(request.param), timeout=120.0, cache=library_cache)


@pytest.mark.parametrize("name", ["msu", "su"])
def test_riscv_is_virtualizable_once_the_vmm_fixes_the_counter_enables(
    report: Report, name: str
) -> None:
    (configuration,) = [c for c in report.configurations if c.name == name]

    found = {(v.kind, v.theorem): v.answer for v in configuration.verdicts}

    for kind in (VerdictKind.CONFIGURED, VerdictKind.SEMANTIC):
        assert [found[kind, theorem] for theorem in (1, 2, 3)] == [YES, YES, YES]
    assert [found[VerdictKind.LETTER, theorem] for theorem in (1, 2, 3)] == [NO, NO, YES]
    assert list(configuration.escapes) == []
    assert configuration.efficient.answer is YES


def test_every_claim_about_riscv_holds_and_nothing_is_left_undecided(report: Report) -> None:
    assert report.claims
    assert report.claims_hold is YES
    assert report.all_defects == ()
    assert report.notes == ()


def test_rv64_has_the_csrs_that_its_notes_count() -> None:
    (csrrw,) = [i for i in description("rv64").instructions if i.name == "CSRRW"]
    (kind,) = [p.type for p in csrrw.parameters if p.name == "csr"]
    assert isinstance(kind, FieldType)

    runs = {run.name: 1 + run.last - run.first for run in kind.runs}

    assert runs == {"pmpaddr": 64, "mhpmcounter": 29, "mhpmevent": 29, "hpmcounter": 29}
    single = [r for r in kind.reported if r.name not in runs]
    protection = [r for r in single if r.name.startswith("pmpcfg")]
    assert (len(protection), len(single) - len(protection)) == (8, 37)
    assert len(kind.values) - runs["hpmcounter"] == 167
