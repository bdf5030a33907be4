"""Whole checks of the large bundled descriptions: each says what its claims say, in full."""

from pathlib import Path

import pytest

from popek.main import main

NAMES = ("m68k/m68000", "m68k/m68000_s_bit", "m68k/m68010", "m68k/m68010_board")


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_holds_and_nothing_is_left_undecided(
    name: str, library_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", name, "--timeout", "60", "--cache", str(library_cache)])

    printed = capsys.readouterr()
    assert "does not hold" not in printed.out
    assert "undecided" not in printed.out
    assert status == 0
