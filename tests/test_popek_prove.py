"""The verb `prove`: what it prints, its exit statuses, and what it keeps."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proving import prove
from checker.schedule import Progress
from popek import library, mutant_report
from popek.exit_status import ExitStatus
from popek.main import main
from popek.proof_report import ProofReport
from popek.render_proof import render_proof
from refvmm.derive import derive
from refvmm.mutant_proofs import Tried, proofs_of_mutants
from refvmm.obligations import hosted, obligations
from refvmm.strategy import Strategy
from spec.load import load
from tests.golden import agrees

ROOT = Path(__file__).resolve().parent.parent

SCHEMA = json.loads((ROOT / "docs" / "proof.schema.json").read_text(encoding="utf-8"))

Popek = Callable[..., tuple[int, str, str]]

PROVED_UNDER_INTERPRET = (
    *("pg74/", "tiny/", "lc3/", "beta/", "m68k/", "pdp10/", "pdp11/", "mips/", "riscv/"),
    *("x86/v8086", "ia64/", "aarch64/", "arm/armv7a", "vax/"),
)
"""How their names begin; docs/prove.md says what became of the others."""


@pytest.fixture
def popek(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Popek:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_the_machine_of_the_paper_is_proved_for_all_programs(popek: Popek) -> None:
    status, text, _ = popek("prove", "pg74", "--strategy", "trap-and-emulate")

    assert status == ExitStatus.HOLDS
    assert text.splitlines()[-1].startswith("proved for all programs")
    assert "assumptions:" in text


@pytest.mark.parametrize(
    "name",
    [
        *("tiny/mret", "lc3", "beta", "ks10"),
        *(
            pytest.param(name, marks=pytest.mark.deep)
            for name in library.names()
            if name.startswith(PROVED_UNDER_INTERPRET)
        ),
    ],
)
def test_a_monitor_that_interprets_everything_is_proved(popek: Popek, name: str) -> None:
    """The deep ones: `pytest -m deep tests/test_popek_prove.py`"""
    status, text, _ = popek("prove", name, "--strategy", "interpret")

    assert status == ExitStatus.HOLDS
    proved = [line for line in text.splitlines() if line.startswith("proved for all programs")]
    assert len(proved) == text.count(": interpret\n")


def test_an_escape_is_refuted_with_the_run_that_shows_it(popek: Popek) -> None:
    status, text, _ = popek(
        "prove", "pg74_jrst1", "--strategy", "trap-and-emulate", "--only", "JRST 1"
    )

    assert status == ExitStatus.REFUTED
    assert "refuted: VC-D JRST 1 in virtual mode supervisor" in text
    assert "instruction: jrst1" in text
    assert "proved for all programs" not in text


def test_what_was_asked_for_only_is_not_proved_for_all_programs(popek: Popek) -> None:
    status, text, _ = popek("prove", "pg74", "--strategy", "interpret", "--only", "VC-DEC")

    assert status == ExitStatus.HOLDS
    assert text.splitlines()[-1].startswith("what was asked for is proved")


def test_the_json_names_every_obligation_and_assumption(popek: Popek) -> None:
    status, text, _ = popek(
        "prove", "pg74", "--strategy", "interpret", "--only", "VC-R", "--format", "json"
    )

    document = json.loads(text)
    assert status == ExitStatus.HOLDS
    assert document["schema"] == 1
    assert not document["proved_for_all_programs"] and document["partial"]
    assert {o["group"] for o in document["obligations"]} == {"VC-R"}
    assert {o["answer"] for o in document["obligations"]} == {"proved"}
    assert document["assumptions"]


def test_the_json_follows_its_schema_and_its_golden_file(popek: Popek, update_golden: bool) -> None:
    _, text, _ = popek("prove", "pg74_jrst1", "--only", "VC-R", "--format", "json")

    jsonschema.validate(json.loads(text), SCHEMA)
    assert agrees("prove_pg74_jrst1.json", text, update_golden)


def test_the_json_of_a_refuted_obligation_has_the_run_that_fails(popek: Popek) -> None:
    status, text, _ = popek(
        "prove",
        "pg74_jrst1",
        "--strategy",
        "trap-and-emulate",
        "--only",
        "JRST 1",
        "--format",
        "json",
    )

    document = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    assert status == ExitStatus.REFUTED
    (refuted,) = [o for o in document["obligations"] if o["answer"] == "refuted"]
    assert refuted["witness"]["assembly"].startswith("jrst1")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "strategy": "hope"}, SCHEMA)


def test_a_configuration_that_cannot_host_a_guest_is_bad_input(popek: Popek) -> None:
    status, text, errors = popek("prove", "m68010", "--strategy", "trap-and-emulate")

    assert status == ExitStatus.BAD_INPUT
    assert text == ""
    assert "error[E0915]: `classic` cannot run guests by trap-and-emulate" in errors


def test_an_unknown_obligation_is_bad_input(popek: Popek) -> None:
    status, _, errors = popek("prove", "pg74", "--only", "VC-Q")

    assert status == ExitStatus.BAD_INPUT
    assert "VC-Q" in errors


def test_an_interrupted_proof_goes_on_from_what_it_found(tmp_path: Path) -> None:
    isa = load(ROOT / "isas" / "tiny" / "mret.isa").isa
    assert isa is not None
    monitor = derive(isa, isa.configurations[0])
    stated = list(obligations(monitor, Strategy.INTERPRET))

    def interrupt(at: Progress) -> None:
        if at.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove(hosted(monitor), stated, jobs=1, timeout=10, cache=tmp_path, progress=interrupt)
    second = prove(hosted(monitor), stated, jobs=1, timeout=10, cache=tmp_path)
    third = prove(hosted(monitor), stated, jobs=1, timeout=10, cache=tmp_path)

    assert 20 <= second.cached < len(stated)
    assert third.cached == len(stated)
    assert {d.answer for found in third.results for d in found} == {Answer.YES}


class _Everything(frozenset[str]):
    def __contains__(self, item: object) -> bool:
        return True


def test_a_question_that_is_given_up_is_open_and_not_proved() -> None:
    isa = load(ROOT / "isas" / "pg74" / "pg74.isa").isa
    assert isa is not None
    monitor = derive(isa, isa.configurations[0])
    name = "fetch of 1, virtual mode user"
    (statement,) = [s for s in obligations(monitor, Strategy.TRAP_AND_EMULATE) if s.name == name]

    found = discharge(hosted(monitor), statement, skip=_Everything())

    assert [d.answer for d in found] == [Answer.UNKNOWN]
    report = ProofReport("", "", "", "", "", found, (), (), (), False, (), ())
    assert not report.proved
    assert report.status is ExitStatus.UNDECIDED
    assert render_proof(report).splitlines()[-1] == "not proved: 1 obligations are open"


def test_mutants_are_listed_with_the_obligation_that_fails(
    popek: Popek, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(*arguments: Any, **named: Any) -> Iterator[Tried]:
        return islice(proofs_of_mutants(*arguments, **named), 10)

    monkeypatch.setattr(mutant_report, "proofs_of_mutants", first)

    status, text, _ = popek(
        "prove", "pg74", "--strategy", "trap-and-emulate", "--mutants", "--format", "json"
    )

    document = json.loads(text)
    assert status == ExitStatus.REFUTED
    (configuration,) = document["configurations"]
    rows = {row["mutant"]: row for row in configuration["mutants"]}
    assert rows["routine missing@routine HALT"]["killed by"]["group"] == "VC-E"
    assert rows["bound off by one@resume"]["killed by"] is None
    assert configuration["killed"] == len(rows) - 1 == 9


def test_mutants_and_single_obligations_are_not_asked_for_together(
    popek: Popek,
) -> None:
    with pytest.raises(SystemExit):
        popek("prove", "pg74", "--mutants", "--only", "VC-E")
