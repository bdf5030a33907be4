"""What the solver proved, asked of another one."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checker import rewriting
from checker.answers import OperandSet
from checker.folding import Folding
from checker.questions import ClassesOf, Posed, Setting
from checker.terms import Term, Value
from checker.work import answer
from popek.main import main
from spec.load import load

ROOT = Path(__file__).resolve().parent.parent

cvc5 = pytest.mark.skipif(shutil.which("cvc5") is None, reason="cvc5 is not installed")

Fake = Callable[[str], str]


@pytest.fixture(autouse=True)
def nothing_recorded_afterwards() -> Iterator[None]:
    yield
    rewriting.record(None)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a check leaves."""
    folder = tmp_path_factory.mktemp("left")
    assert main(["check", "m68k/m68000", "--jobs", "1", "--smt", str(folder)]) == 0
    return folder


@pytest.fixture
def proofs(left: Path, tmp_path: Path) -> Path:
    """A copy, to be changed at will."""
    return Path(shutil.copytree(left, tmp_path / "proofs"))


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

    assert main(["recheck", str(proofs), "--solver", "cvc5", "--timeout", "120"]) == 0

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


@cvc5
def test_a_wrong_rule_of_rewriting_is_contradicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report believes the rule; the other solver does not."""
    right = Folding.extend

    def wrong(self: Folding, operand: Value, from_width: int, signed: bool, width: int) -> Value:
        if not signed and width == 32 and isinstance(operand, Term):
            return 0
        return right(self, operand, from_width, signed, width)

    monkeypatch.setattr(Folding, "extend", wrong)
    isa = load(str(ROOT / "isas" / "m68k" / "m68000.isa")).isa
    assert isa is not None
    moved = next(i for i in isa.instructions if i.name == "MOVE to SR")
    question = Posed(0, ClassesOf(isa.configurations[0], moved, OperandSet()))
    answer(Setting((isa,), 10_000, str(tmp_path)), question, frozenset(), lambda name: None)

    assert main(["recheck", str(tmp_path), "--solver", "cvc5"]) == 1

    contradicted = re.findall(r"(\w+\.smt2): sat", capsys.readouterr().out)
    assert contradicted
    for name in contradicted:
        assert "One of these steps of rewriting is wrong" in (tmp_path / name).read_text()


@cvc5
def test_another_solver_agrees_with_what_a_proof_rested_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prove", "pg74", "--jobs", "1", "--smt", str(tmp_path)]) == 0
    kinds = {path.read_text().splitlines()[1] for path in tmp_path.iterdir()}
    assert len(kinds) == 2  # what Z3 found, and what rewriting did
    capsys.readouterr()

    assert main(["recheck", str(tmp_path), "--solver", "cvc5"]) == 0

    assert " 0 contradicted, 0 without an answer" in capsys.readouterr().out


def test_each_file_is_named_by_its_content_and_says_what_it_is_for(proofs: Path) -> None:
    for path in proofs.iterdir():
        first, _, third, *_ = path.read_text(encoding="utf-8").splitlines()
        assert first.startswith("; m68k/m68000: ")
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
