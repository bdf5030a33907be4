"""IA-32 against the literature: its escapes, each decided, and what UMIP mends."""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import ConfigurationReport, Report
from spec.ir import Isa
from spec.load import load

FOLDER = Path(__file__).resolve().parent.parent / "isas" / "x86"
MENDED = {"SGDT", "SIDT", "SLDT", "SMSW", "STR"}
LOOKING = {"LAR", "LSL", "VERR", "VERW"}  # at descriptors in memory
FLAGS = {"PUSHFD", "POPFD"}
ORDINARY = {"INC r32", "LGDT", "HLT", "ARPL"}
CHOSEN = sorted(MENDED | LOOKING | FLAGS | ORDINARY)


def description(name: str) -> Isa:
    isa = load(str(FOLDER / f"{name}.isa")).isa
    assert isa is not None
    return isa


def escaping(configuration: ConfigurationReport) -> set[str]:
    return {row.instruction for row in configuration.instructions if row.escape is Answer.YES}


def undecided(report: Report) -> list[str]:
    return [row.label for c in report.configurations for row in c.instructions if row.undecided]


@pytest.fixture(scope="module")
def report() -> Report:
    """Of some instructions with UMIP in the processor, off (`rings`) and on (`umip`)."""
    return check(description("ia32_umip"), only=CHOSEN, timeout=60.0)


def test_what_reads_tables_descriptors_or_flags_escapes(report: Report) -> None:
    rings, _ = report.configurations

    assert escaping(rings) == MENDED | LOOKING | FLAGS


def test_umip_takes_five_escapes_away_and_leaves_the_rest(report: Report) -> None:
    rings, umip = report.configurations

    assert escaping(rings) - escaping(umip) == MENDED
    assert escaping(umip) == LOOKING | FLAGS


def test_nothing_among_them_is_left_undecided(report: Report) -> None:
    assert undecided(report) == []
    assert report.all_defects == ()


@pytest.mark.deep
def test_every_claim_about_the_whole_holds_and_umip_mends_five_escapes() -> None:
    """All of both descriptions: `pytest -m deep tests/test_checker_ia32.py`."""
    plain = check(description("ia32"))
    whole = check(description("ia32_umip"))
    (before,) = plain.configurations
    rings, umip = whole.configurations

    assert undecided(plain) == undecided(whole) == []
    assert plain.claims_hold is whole.claims_hold is Answer.YES
    assert escaping(before) == escaping(rings)
    assert escaping(rings) - escaping(umip) == MENDED
    assert escaping(umip) <= escaping(rings)
    assert classes(rings, but=MENDED) == classes(before, but=MENDED)
    assert classes(umip, but=MENDED) == classes(rings, but=MENDED)


def classes(configuration: ConfigurationReport, *, but: set[str]) -> dict[str, tuple[object, ...]]:
    """What is found of each other instruction that UMIP is not about."""
    return {
        row.label: (
            row.privileged,
            row.control_sensitive,
            row.behaviour_sensitive,
            row.result_sensitive,
            row.trap_sensitive,
            row.user_sensitive,
            row.escape,
            row.hybrid_escape,
        )
        for row in configuration.instructions
        if row.instruction not in but and "CR4" not in row.label
    }
