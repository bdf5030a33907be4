"""`popek constrain` as a user meets it."""

import json
from pathlib import Path

import pytest

from popek.main import main
from tests.test_checker_repairs import TWO_LOCKS

OPEN, END = TWO_LOCKS.index("instruction OPEN"), TWO_LOCKS.index("virtualize")
LOCKED = TWO_LOCKS[:OPEN] + TWO_LOCKS[END:]
CONTRADICTION = TWO_LOCKS[: TWO_LOCKS.index("instruction TELL")] + TWO_LOCKS[END:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def constrain(text: str, *arguments: str) -> int:
    Path("t.isa").write_text(text, encoding="utf-8")
    return main(["constrain", "t.isa", *arguments, "--jobs", "1", "--cache", "kept"])


def test_the_constraints_are_printed_as_the_language_has_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert constrain(LOCKED) == 0

    title, text = capsys.readouterr().out.split("\n", 1)
    assert title.endswith("t  A clock behind two locks")
    assert text == (
        "configuration v: supervisor, user as user\n"
        "With nothing fixed, Theorem 1's condition fails for READ.\n"
        "  constrain ajar == 0  stops READ\n"
        "  constrain open == 0  stops READ\n"
        "Checked with these: configured, Theorem 1: yes; efficient: yes\n"
    )


def test_what_it_found_makes_the_check_pass(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constrain(LOCKED)
    lines = [line.split("  stops")[0] for line in capsys.readouterr().out.splitlines()]
    written = "\n".join(line for line in lines if line.startswith("  constrain"))
    Path("t.isa").write_text(LOCKED.replace("shadow rest", f"shadow rest {written}"))

    assert main(["check", "t.isa", "--jobs", "1", "--no-cache"]) == 0


def test_constraints_that_are_kept_are_not_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = LOCKED.replace("shadow rest", "shadow rest  constrain ajar == 0")

    assert constrain(text, "--keep", "--format", "json") == 0

    (found,) = json.loads(capsys.readouterr().out)
    assert found["constraints"] == ["open == 0"]
    assert found["configured"] == "yes"
    assert [row["instruction"] for row in found["escaping"]] == ["READ"]


def test_what_no_choice_stops_is_shown_with_its_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert constrain(TWO_LOCKS) == 1

    text = capsys.readouterr().out
    assert "No choice of control bits stops\n" in text
    assert "TELL  retires in user with a result that depends on wide (of wide" in text


def test_needs_that_contradict_each_other_leave_it_undecided(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert constrain(CONTRADICTION) == 3

    assert "contradicts itself" in capsys.readouterr().out


def test_an_unknown_configuration_is_bad_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert constrain(LOCKED, "--config", "vv") == 2

    assert "did you mean `v`?" in capsys.readouterr().err


def test_constraints_that_no_state_satisfies_are_no_proof_that_nothing_helps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = LOCKED.replace("shadow rest", "shadow rest  constrain ajar == 0  constrain ajar == 1")

    assert constrain(text, "--keep") == 3

    text = capsys.readouterr().out
    assert "No choice" not in text
    assert "fails for" not in text
    assert "no state satisfies the configuration's constraints" in text
