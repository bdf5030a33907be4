import subprocess
import sys
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import pytest

from checker.answers import Answer, Fact, Undecided
from checker.recall import Recalled, keep, recall
from checker.report import Report, Timing
from spec.diagnostics import Diagnostic, Label, Severity
from spec.source import Span
from tests.sample_report import SAMPLE

ROOT = Path(__file__).resolve().parent.parent
WARNING = Diagnostic(Severity.WARNING, "W0001", "odd", Label(Span("tiny.isa", 1, 2)), note="a note")


def _decided(report: Report) -> Report:
    """The sample without what time may change."""
    configurations = tuple(
        replace(
            c,
            instructions=tuple(replace(row, undecided=()) for row in c.instructions),
            facts=(),
            efficient=Fact("efficient", Answer.YES),
        )
        for c in report.configurations
    )
    return replace(report, configurations=configurations, facts=(), notes=(), defects=())


DECIDED = _decided(SAMPLE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.isa"
    path.write_text('isa "Tiny"\n')
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class Status(IntEnum):
    """As the command line has them: a class that a cache must not need in order to be read."""

    REFUTED = 1


def _keep(kept: Path, file: Path, report: Report = DECIDED, *options: str) -> None:
    texts = {str(file): file.read_text()}
    keep(kept, str(file), options, report, [WARNING], texts, Status.REFUTED)


def _recall(kept: Path, file: Path, *options: str) -> Recalled | None:
    return recall(kept, str(file), options)


def test_what_was_kept_is_recalled_with_its_diagnostics_and_status(kept: Path, file: Path) -> None:
    _keep(kept, file)

    found = _recall(kept, file)

    assert found is not None
    assert (found.diagnostics, found.status) == ((WARNING,), 1)
    assert found.diagnostics[0].label.span == WARNING.label.span
    assert all(row.cached for c in found.report.configurations for row in c.instructions)
    fresh = [replace(row, cached=True) for c in DECIDED.configurations for row in c.instructions]
    assert [row for c in found.report.configurations for row in c.instructions] == fresh
    assert replace(found.report, configurations=(), timing=Timing()) == replace(
        DECIDED, configurations=(), timing=Timing()
    )


def test_an_edit_is_noticed_even_while_the_check_runs(kept: Path, file: Path) -> None:
    before = file.read_text()
    file.write_text('isa "Edited"\n')
    keep(kept, str(file), (), DECIDED, [], {str(file): before}, 0)

    assert _recall(kept, file) is None
    file.write_text(before)
    assert _recall(kept, file) is not None


def test_a_file_that_vanished_is_noticed(kept: Path, file: Path) -> None:
    _keep(kept, file)
    file.unlink()

    assert _recall(kept, file) is None


def test_other_options_are_another_report(kept: Path, file: Path) -> None:
    _keep(kept, file, DECIDED, "--only", "X")

    assert _recall(kept, file) is None
    assert _recall(kept, file, "--only", "Y") is None
    assert _recall(kept, file, "--only", "X") is not None


@pytest.mark.parametrize("place", ["row", "fact", "efficient", "defect", "note"])
def test_a_report_that_may_yet_change_is_not_kept(kept: Path, file: Path, place: str) -> None:
    (first, *rest) = DECIDED.configurations
    late = Fact("slow", Answer.UNKNOWN, "time-out after 10 s")
    row = replace(first.instructions[0], undecided=(Undecided("a/b", "time-out"),))
    report = {
        "row": replace(DECIDED, configurations=(replace(first, instructions=(row,)), *rest)),
        "fact": replace(DECIDED, facts=(late,)),
        "efficient": replace(DECIDED, configurations=(replace(first, efficient=late), *rest)),
        "defect": replace(DECIDED, defects=("X: our own mistake",)),
        "note": replace(DECIDED, notes=("the cache is full",)),
    }[place]

    _keep(kept, file, report)

    assert _recall(kept, file) is None


def test_a_damaged_entry_is_forgotten(kept: Path, file: Path) -> None:
    _keep(kept, file)
    (entry,) = (kept / "reports").iterdir()
    entry.write_bytes(entry.read_bytes()[:-10])

    assert _recall(kept, file) is None


def test_without_a_directory_nothing_is_kept(file: Path) -> None:
    keep(None, str(file), (), DECIDED, [], {}, 0)

    assert recall(None, str(file), ()) is None


def test_recalling_loads_neither_the_ir_nor_the_solver(kept: Path, file: Path) -> None:
    _keep(kept, file)
    script = (
        "import sys; from pathlib import Path; from checker.recall import recall;"
        "assert recall(Path(sys.argv[1]), sys.argv[2], ());"
        "print(sorted({'z3', 'lark', 'spec.ir', 'sqlite3', 'multiprocessing'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(kept), str(file)]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
