"""Bad input: a message with place and cure, exit status 2, never a traceback, in bounded time."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from popek.main import main

ROOT = Path(__file__).resolve().parent.parent
REJECTED = sorted((ROOT / "tests" / "rejected").glob("*.isa"))

Lint = Callable[..., tuple[int, str]]


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lint:
    """Lint files as the command line would, seen from a folder: exit status and stderr."""

    def run(folder: Path, *names: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        status = main(["lint", *names])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.err

    return run


@pytest.mark.parametrize("path", REJECTED, ids=lambda p: p.stem)
def test_a_rejected_description_gets_the_messages_beside_it(
    path: Path, lint: Lint, update_golden: bool
) -> None:
    status, message = lint(path.parent, path.name)

    expected = path.with_suffix(".expect")
    if update_golden:
        expected.write_text(message, encoding="utf-8")
    assert status == (2 if "error[" in message else 1)
    assert message == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", REJECTED, ids=lambda p: p.stem)
def test_every_message_has_a_place_and_says_what_is_wrong(path: Path) -> None:
    text = path.with_suffix(".expect").read_text(encoding="utf-8")

    findings = [part for part in text.split("\n\n") if part.strip()]

    assert findings
    for finding in findings:
        first, second = finding.splitlines()[:2]
        assert first.startswith(("error[E", "warning[W"))
        assert "-->" in second


def test_all_errors_of_a_file_are_shown_in_one_run() -> None:
    text = (ROOT / "tests" / "rejected" / "several_errors.expect").read_text(encoding="utf-8")

    assert text.count("error[") == 3


def test_an_unknown_name_is_answered_with_near_ones(tmp_path: Path, lint: Lint) -> None:
    status, message = lint(tmp_path, "pg47")

    assert status == 2
    assert "there is no description `pg47`" in message
    assert "pg74" in message


def test_a_folder_is_no_description(tmp_path: Path, lint: Lint) -> None:
    status, message = lint(tmp_path, ".")

    assert status == 2
    assert "error[" in message


def test_an_unreadable_file_is_said_so(tmp_path: Path, lint: Lint) -> None:
    (tmp_path / "loop.isa").symlink_to("loop.isa")

    status, message = lint(tmp_path, "loop.isa")

    assert status == 2
    assert "error[" in message


def noise(seed: int, size: int, alphabet: bytes) -> bytes:
    return bytes(random.Random(seed).choices(alphabet, k=size))


@pytest.mark.parametrize(
    "content",
    [
        noise(1, 10_000_000, bytes(range(256))),
        noise(2, 10_000_000, b'abc{}()[]"=:+ \n0123456789'),
        b'isa "x"\n' + b"\0" * 1_000_000,
        b'isa "x"\nparam N = ' + b"(" * 100_000 + b"1" + b")" * 100_000,
        b'isa "x"\nparam N = ' + b"-" * 200_000 + b"1",
        b'isa "x"\nparam N = ' + b"1 + " * 5_000 + b"1",
        b'isa "x"\nparam N = ' + b"9" * 100_000,
        b'isa "x"\nparam N = 2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 2 ^ 2',
        b'isa "x"\n' + b"when true { " * 20_000 + b"}" * 20_000,
        b'isa "x"\nfn f() { ' + b"if 1 == 1 { " * 20_000 + b"}" * 20_000 + b"}",
        b'isa "x"\n' + b"/* " * 100_000,
        b'isa "' + b"x" * 1_000_000,
        b"\xff\xfei\0s\0a\0",
        b"\xef\xbb\xbf" + b"isa 3",
    ],
    ids=lambda content: f"{len(content)}-bytes-{content[:24]!r}",
)
def test_hostile_files_are_rejected_soon(content: bytes, tmp_path: Path, lint: Lint) -> None:
    (tmp_path / "hostile.isa").write_bytes(content)

    start = time.process_time()
    status, message = lint(tmp_path, "hostile.isa")

    assert status == 2
    assert message.startswith("error[")
    assert len(message) < 20_000
    assert time.process_time() - start < 20


def popek(*arguments: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "popek", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chek", "pg74"], "did you mean `popek check`?"),
        (["--frobnicate"], "unknown option `--frobnicate`"),
        (["check"], "the following arguments are required: ISA"),
        (["check", "pg74", "--jobs", "0"], "0 is less than 1"),
        (["check", "pg74", "--timeout", "soon"], "`soon` is not a number"),
        (["check", "pg74", "--timeout", "nan"], "nan is less than"),
        (["check", "pg74", "--only", "LPWS"], "did you mean `LPSW`"),
        (["check", "pg74", "--config", "clasic"], "did you mean `classic`?"),
        (["check", "nowhere"], "there is no description `nowhere`"),
        (["explain", "pg74"], "`explain` needs an instruction"),
        (["explain", "E9999"], "there is no diagnostic `E9999`"),
        (["explain", "pg74", "LPWS"], "did you mean `LPSW`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_answered_with_a_cure(arguments: list[str], words: str) -> None:
    result = popek(*arguments)

    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    result = subprocess.run(
        [
            "bash",
            "-c",
            f'"{sys.executable}" -m popek --help | true; echo "${{PIPESTATUS[0]}}"',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert result.stdout.strip() in ("0", "141")
    assert result.stderr == ""


def test_output_that_the_terminal_cannot_encode_is_escaped() -> None:
    result = popek("list", env=os.environ | {"PYTHONIOENCODING": "ascii"})

    assert result.returncode == 0


def test_a_defect_is_one_line_and_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("popek.library.names", lambda: 1 // 0)

    status = main(["list"])

    printed = capsys.readouterr()
    assert status == 70
    assert printed.err.count("\n") == 1
    assert "please report it" in printed.err
