"""Whole checks of the small descriptions, solver and worker processes included."""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import Report, VerdictKind
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"
YES, NO = Answer.YES, Answer.NO


def _check(name: str, cache: Path) -> Report:
    isa = load(str(ISAS / f"{name}.isa")).isa
    assert isa is not None
    return check(isa, timeout=30.0, cache=cache)


@pytest.mark.parametrize(
    ("name", "theorem1", "theorem3", "escapes"),
    [
        ("pg74/pg74", YES, YES, []),
        ("pg74/pg74_jrst1", NO, YES, ["JRST 1"]),
        ("pg74/pg74_noop", NO, YES, ["LOWER"]),
        ("pg74/pg74_lra", NO, NO, ["LRA"]),
        ("pg74/pg74_svc", YES, YES, []),
        ("tiny/sptbr", YES, YES, []),
        ("tiny/mret", NO, YES, ["MRET"]),
        ("tiny/invlpg", NO, NO, ["INVLPG"]),
        ("beta/beta", NO, YES, ["JMP", "BEQ", "BNE"]),
    ],
)
def test_a_small_description_has_the_verdicts_of_the_paper(
    name: str, theorem1: Answer, theorem3: Answer, escapes: list[str], library_cache: Path
) -> None:
    report = _check(name, library_cache)

    (classic,) = report.configurations
    assert [e.instruction for e in classic.escapes] == escapes
    assert all(e.replayed and e.witnesses[0].assembly for e in classic.escapes)
    found = {(v.kind, v.theorem): v.answer for v in classic.verdicts}
    for kind in VerdictKind:
        assert [found[kind, 1], found[kind, 2], found[kind, 3]] == [theorem1, theorem1, theorem3]
    assert classic.efficient.answer is YES
    assert report.claims
    assert report.claims_hold is YES
    assert report.all_defects == ()
    assert report.notes == ()
