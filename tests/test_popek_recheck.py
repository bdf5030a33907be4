"""What the solver proved, asked of another one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from popek.main import main

cvc5 = pytest.mark.skipif(shutil.which("cvc5") is None, reason="cvc5 is not installed")

Fake = Callable[[str], str]


@pytest.fixture
def proofs(tmp_path: Path) -> Path:
    folder = tmp_path / "proofs"
    assert main(["check", "m68k/m68000", "--jobs", "1", "--smt", str(folder)]) == 0
    return folder


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A solver that says the same of everything."""

    def solver(says: str) -> str:
        path = tmp_path / "solver"
        path.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return solver


@cvc5
def test_another_solver_agrees_with_what_a_check_rested_on(
    proofs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    many = len(list(proofs.iterdir()))

    assert main(["recheck", str(proofs), "--solver", "cvc5"]) == 0

    assert f"cvc5 on {many} sets of conditions: {many} impossible as found" in (
        capsys.readouterr().out
    )
    assert many > 5


@cvc5
def test_what_can_hold_after_all_is_contradicted(
    proofs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file without its last assertion; at least one of them then has a model."""
    for path in proofs.iterdir():
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: text.rindex("(assert")] + "(check-sat)\n", encoding="utf-8")
    capsys.readouterr()

    assert main(["recheck", str(proofs), "--solver", "cvc5", "--format", "json"]) == 1

    assert "sat" in json.loads(capsys.readouterr().out)["answers"].values()


def test_each_file_is_named_by_its_content_and_says_what_it_is_for(proofs: Path) -> None:
    for path in proofs.iterdir():
        first, _, third, *_ = path.read_text(encoding="utf-8").splitlines()
        assert first.startswith("; m68k/m68000: classic")
        assert third == "(set-logic QF_AUFBV)"


def test_no_answer_is_not_agreement(
    proofs: Path, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recheck", str(proofs), "--solver", fake("echo unknown")]) == 3
    assert main(["recheck", str(proofs), "--solver", fake("sleep 5"), "--timeout", "0.01"]) == 3
    assert main(["recheck", str(proofs), "--solver", fake("exit 4")]) == 3

    text = capsys.readouterr().out
    assert ".smt2: unknown" in text
    assert ".smt2: no answer in 0.01 s" in text
    assert ".smt2: exit status 4" in text


def test_a_folder_that_cannot_be_made_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert main(["check", "pg74", "--smt", str(tmp_path / "file" / "proofs")]) == 2

    assert "E0908" in capsys.readouterr().err
