"""Whole reports of the small bundled descriptions, as last read by a person."""

import pytest

from popek.main import main
from tests.golden import agrees

NAMES = (
    "pg74/pg74",
    "pg74/pg74_jrst1",
    "pg74/pg74_lra",
    "pg74/pg74_noop",
    "pg74/pg74_svc",
    "tiny/sptbr",
    "tiny/mret",
    "tiny/invlpg",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_golden_one_and_every_claim_holds(
    name: str, update_golden: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", name, "--no-cache", "--jobs", "1"])

    printed = capsys.readouterr()
    assert status == 0
    assert agrees(f"check_{name.replace('/', '_')}.txt", printed.out, update_golden)
