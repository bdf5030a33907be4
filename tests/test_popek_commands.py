"""The verbs that need no solver: list, lint, fmt, asm, disasm, run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from popek import library
from popek.exit_status import ExitStatus
from popek.main import VERBS, main
from tests.document import ROOT, blocks

MACHINE = next(
    block.text for block in blocks(ROOT / "docs" / "diagnostics.md") if block.name == "machine.isa"
)
LOOPING = """
instruction JMP (to : bits(8)) = 8'h10 to asm "jmp {to}" { P = to }
instruction HALT () = 8'h11 asm "halt" { require M >= supervisor  wait }
instruction FAIL () = 8'h12 asm "fail" { trap twice }
cause twice : fault { trap outside }
"""

Popek = Callable[..., tuple[int, str, str]]


@pytest.fixture
def popek(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Popek:
    """Runs the command in a folder with `toy.isa`; status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    Path("toy.isa").write_text(
        MACHINE.replace("reset", "").replace(
            "supervisor = 1 }", "supervisor = 1 } reset supervisor"
        )
        + LOOPING,
        encoding="utf-8",
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_every_verb_is_in_the_help_and_has_its_own(popek: Popek) -> None:
    _, text, _ = popek("--help")

    assert [verb for verb in VERBS if f"popek {verb} " not in text] == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_explains_itself(verb: str, popek: Popek) -> None:
    with pytest.raises(SystemExit) as ended:
        popek(verb, "--help")

    assert ended.value.code == 0


def test_without_arguments_the_help_is_shown_as_an_error(popek: Popek) -> None:
    status, text, _ = popek()

    assert status == 2
    assert "A first session" in text


def test_the_bundled_descriptions_are_listed_with_their_titles(popek: Popek) -> None:
    status, text, _ = popek("list")

    assert status == 0
    assert "pg74/pg74  " in text
    assert "Popek and Goldberg" in text


def test_a_bundled_description_is_found_by_its_last_name() -> None:
    path = library.locate("pg74")

    assert path is not None
    assert path.name == "pg74.isa"


def test_a_part_of_a_description_is_not_a_description() -> None:
    assert "m68k/common" not in library.names()


@pytest.mark.parametrize("name", library.names())
def test_every_bundled_description_is_well_formed(name: str, popek: Popek) -> None:
    status, _, errors = popek("lint", name)

    assert errors == ""
    assert status == 0


def test_lint_says_what_it_found(popek: Popek) -> None:
    status, text, _ = popek("lint", "toy.isa")

    assert (status, text) == (0, "toy.isa: 6 instructions, 1 configurations, 0 claims\n")


def test_an_assembled_program_is_listed_with_addresses_and_cells(popek: Popek) -> None:
    program = write("p.s", "begin: add 3\n  jmp begin\n")

    status, text, _ = popek("asm", "toy.isa", program)

    assert status == 0
    assert text == "00  02 03  begin: add 3\n02  10 00  jmp begin\n"


def test_an_image_disassembles_to_the_program_it_came_from(popek: Popek) -> None:
    program = write("p.s", "add 3\nsetr 9\n.cell 255\nhalt\n")
    popek("asm", "toy.isa", program, "-o", "image")

    status, text, _ = popek("disasm", "toy.isa", "image", "--raw")

    assert status == 0
    assert [line.split("  ")[-1].strip() for line in text.splitlines()] == [
        "add 3",
        "setr 9",
        ".cell 0xff",
        "halt",
    ]
    assert Path("image").read_bytes() == bytes([2, 3, 1, 9, 255, 17])


def test_a_program_as_json_has_its_segments(popek: Popek) -> None:
    program = write("p.s", ".org 16\nstart: halt\n")

    _, text, _ = popek("asm", "toy.isa", program, "--format", "json")

    document = json.loads(text)
    assert document["segments"] == [{"address": 16, "cells": [17]}]
    assert document["entry"] == 16


def test_an_error_in_a_program_has_a_place_and_a_code(popek: Popek) -> None:
    program = write("p.s", "add 3\nad 4\n")

    status, _, errors = popek("asm", "toy.isa", program)

    assert status == 2
    assert "error[E0801]" in errors
    assert "p.s:2:1" in errors


def test_a_run_ends_when_the_machine_waits_for_good(popek: Popek) -> None:
    program = write("p.s", "add 3\nadd 4\nhalt\n")

    status, text, _ = popek("run", "toy.isa", program)

    assert status == ExitStatus.HOLDS
    assert text.startswith("stopped after 3 steps: waiting")
    assert "  A  0x07\n" in text


def test_a_run_that_does_not_end_is_undecided(
    popek: Popek, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("popek.verb_run.BOUND", 50)
    program = write("p.s", "jmp 0\n")

    status, text, _ = popek("run", "toy.isa", program)

    assert status == ExitStatus.UNDECIDED
    assert "stopped after 50 steps" in text


def test_a_run_does_the_steps_asked_for(popek: Popek) -> None:
    program = write("p.s", "jmp 0\n")

    status, text, _ = popek("run", "toy.isa", program, "--steps", "7")

    assert status == ExitStatus.HOLDS
    assert "stopped after 7 steps" in text


def test_a_trap_while_a_trap_is_delivered_ends_the_run(popek: Popek) -> None:
    program = write("p.s", "fail\n")

    status, text, _ = popek("run", "toy.isa", program)

    assert status == ExitStatus.REFUTED
    assert "(outside)" in text


def test_a_trace_shows_instructions_and_traps(popek: Popek) -> None:
    program = write("p.s", "add 1\nhalt\n")

    _, _, trace = popek("run", "toy.isa", program, "--trace", "--set", "M=user", "--steps", "2")

    assert trace.splitlines() == [
        "0x00  add 1",
        "0x02  halt                            trap violation() : privilege",
    ]


def test_registers_are_set_by_number_by_name_and_by_element(popek: Popek) -> None:
    program = write("p.s", "halt\n")

    status, text, _ = popek(
        "run", "toy.isa", program, "--set", "A=0xFE", "--set", "M=user", "--steps", "0"
    )

    assert status == 0
    assert "  A  0xFE (254, -2)\n" in text
    assert "  M  user\n" in text


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("A", "write `REGISTER=VALUE`"),
        ("Aa=1", "did you mean `A`"),
        ("A=256", "`A` has 8 bits"),
        ("A=soon", "the value is a number"),
        ("A[0]=1", "`A` is one register"),
    ],
)
def test_a_setting_that_cannot_be_is_answered_with_a_cure(
    setting: str, words: str, popek: Popek
) -> None:
    program = write("p.s", "halt\n")

    status, _, errors = popek("run", "toy.isa", program, "--set", setting)

    assert status == 2
    assert words in errors


def test_the_state_as_json_is_hexadecimal(popek: Popek) -> None:
    program = write("p.s", "add 200\nhalt\n")

    _, text, _ = popek("run", "toy.isa", program, "--format", "json")

    document = json.loads(text)
    assert document["stop"] == "waiting"
    assert document["state"]["A"] == "0xc8"
    assert document["memory"] == {"0x0": "0x2", "0x1": "0xc8", "0x2": "0x11"}


def test_fmt_writes_the_one_style_and_then_has_nothing_to_say(popek: Popek) -> None:
    write("wide.isa", 'isa   "Wide"\n\n\n\nparam   N=3\n')

    before, named, _ = popek("fmt", "--check", "wide.isa")
    written, _, _ = popek("fmt", "wide.isa")
    after, nothing, _ = popek("fmt", "--check", "wide.isa")

    assert (before, named) == (1, "would change wide.isa\n")
    assert written == 0
    assert (after, nothing) == (0, "")


def test_fmt_refuses_what_it_cannot_parse_and_leaves_it_alone(popek: Popek) -> None:
    write("bad.isa", "isa isa\n")

    status, _, errors = popek("fmt", "bad.isa")

    assert status == 2
    assert "bad.isa:1:5" in errors
    assert Path("bad.isa").read_text(encoding="utf-8") == "isa isa\n"


def test_an_interrupted_run_says_so_with_its_own_status(tmp_path: Path) -> None:
    (tmp_path / "toy.isa").write_text(MACHINE + LOOPING, encoding="utf-8")
    (tmp_path / "p.s").write_text("jmp 0\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "popek", "run", "toy.isa", "p.s", "--steps", "1000000000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)

    _, errors = process.communicate(timeout=30)

    assert process.returncode == ExitStatus.INTERRUPTED
    assert errors == "popek: interrupted\n"


def test_the_help_is_printed_soon() -> None:
    command = [sys.executable, "-m", "popek", "--help"]

    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)

    assert time.perf_counter() - start < 2  # bench/run.py measures; this finds a heavy import
