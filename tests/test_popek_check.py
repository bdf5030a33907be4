"""`popek check` and `popek explain` as a user meets them, on a machine of a few instructions."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from popek.main import main
from tests.document import ROOT, blocks

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
MACHINE = next(
    block.text for block in blocks(ROOT / "docs" / "diagnostics.md") if block.name == "machine.isa"
)
SHOWS_MODE = (
    'instruction MODE () = 8\'h10 asm "mode" doc "A := the mode." { A = zext(bits(M), 8) }\n'
)
HARD = """
register X, Y : bits(128)
instruction HARD () = 8'h11 asm "hard" {
  if X * Y == 128'h0C34ACE1A84C6AB18C09D47FCAB764C9 && X < Y && Y[127:62] == 0 && X > 1 { R = 1 }
}
"""
"""Whether it is control-sensitive on R needs the two factors of a product of two random primes of 62 bits."""

Popek = Callable[..., tuple[int, str, str]]


@pytest.fixture
def popek(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Popek:
    """Runs the command in a folder with the text as `toy.isa`; status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, verb: str, *arguments: str) -> tuple[int, str, str]:
        Path("toy.isa").write_text(MACHINE + text, encoding="utf-8")
        status = main([verb, "toy.isa", *arguments, "--jobs", "1", "--cache", "kept"])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_a_machine_that_can_be_virtualized_passes_without_claims(popek: Popek) -> None:
    status, text, errors = popek("", "check")

    assert (status, errors) == (0, "")
    assert "  configured  yes" in text


def test_a_machine_that_cannot_be_virtualized_fails_without_claims(popek: Popek) -> None:
    status, text, _ = popek(SHOWS_MODE, "check")

    assert status == 1
    assert "  configured  no               no                         yes\n" in text
    assert text.index("configured") < text.index("classes") < text.index("escapes")


def test_it_passes_when_the_description_says_so(popek: Popek) -> None:
    status, text, _ = popek(
        SHOWS_MODE + "claim classic not virtualizable\nclaim classic escapes MODE\n", "check"
    )

    assert status == 0
    assert "claims: 2 of 2 hold" in text


def test_a_claim_that_does_not_hold_is_shown_with_its_line_and_reason(popek: Popek) -> None:
    status, text, _ = popek("claim NOP sensitive\nclaim classic virtualizable\n", "check")

    assert status == 1
    line = (MACHINE + "claim NOP sensitive").count("\n") + 1
    assert f"does not hold  line {line}  " in text


def test_what_the_solver_does_not_answer_in_time_is_undecided(popek: Popek) -> None:
    status, text, _ = popek(HARD, "check", "--timeout", "0.05")

    assert status == 3
    assert "unknown" in text
    assert "undecided" in text


def test_the_json_of_a_real_check_follows_the_schema(popek: Popek) -> None:
    status, text, _ = popek(SHOWS_MODE, "check", "--format", "json")

    document = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    (configuration,) = document["configurations"]
    assert status == 1
    assert configuration["verdicts"]["configured"] == {
        "theorem1": "no",
        "theorem2": "no",
        "theorem3": "yes",
    }
    assert [escape["instruction"] for escape in configuration["escapes"]] == ["MODE"]
    assert configuration["escapes"][0]["replayed"] is True


def test_a_check_of_one_instruction_gives_its_class_and_no_verdict(popek: Popek) -> None:
    status, text, _ = popek(SHOWS_MODE, "check", "--only", "nop")

    assert status == 0
    assert "Theorem 1 (VMM)" not in text
    assert "NOP" in text
    assert "SETR" not in text


def test_a_second_check_gives_the_same_report_and_status(popek: Popek) -> None:
    first = popek(SHOWS_MODE, "check")

    second = popek(SHOWS_MODE, "check")

    assert second == first
    assert list(Path("kept", "reports").iterdir())


def test_an_edit_is_seen(popek: Popek) -> None:
    before, _, _ = popek(SHOWS_MODE, "check")

    after, text, _ = popek(SHOWS_MODE.replace("{ A", "{ require M >= supervisor  A"), "check")

    assert (before, after) == (1, 0)
    assert "  configured  yes" in text


def test_an_explanation_gives_the_definition_and_both_runs(popek: Popek) -> None:
    status, text, _ = popek(SHOWS_MODE, "explain", "MODE")

    assert status == 0
    assert '"A := the mode."' in text
    assert "behaviour-sensitive on mode" in text
    assert "Popek and Goldberg 1974, section 3" in text
    assert "real machine, in user  virtual machine, in supervisor" in text


def test_an_explanation_can_be_of_one_operand_set(popek: Popek) -> None:
    either = """
enum Which : bits(8) { shown = 0, hidden = 1 }
instruction GET (w : Which) = 8'h10 w asm "get {w}" {
  A = if w == shown then zext(bits(M), 8) else 0
}
"""

    _, shown, _ = popek(either, "explain", "GET", "shown")
    _, hidden, _ = popek(either, "explain", "GET", "hidden")
    unknown, _, errors = popek(either, "explain", "GET", "lost")

    assert "behaviour: mode" in shown
    assert "innocuous" in hidden
    assert "behaviour: mode" not in hidden
    assert unknown == 2
    assert "E0906" in errors


def test_an_interrupted_check_leaves_a_usable_cache(tmp_path: Path) -> None:
    (tmp_path / "toy.isa").write_text(MACHINE + HARD, encoding="utf-8")
    command = [sys.executable, "-m", "popek", "check", "toy.isa", "--cache", "kept"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--timeout", "600"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "kept" / "results.sqlite3").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)

    text, errors = process.communicate(timeout=30)
    again = subprocess.run(
        [*command, "--only", "NOP"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )

    assert (process.returncode, text, errors) == (130, "", "popek: interrupted\n")
    assert again.returncode == 0
    assert again.stderr == ""
