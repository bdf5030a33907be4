"""`popek verdicts`: one table of many descriptions, beside the literature."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.report import LiteratureReport
from popek import library
from popek.main import main
from popek.render_verdicts import as_markdown, as_text
from tests.document import ROOT, blocks
from tests.golden import agrees
from tests.sample_report import SAMPLE

PAGE = ROOT / "docs" / "verdicts.md"
QUICK = (
    *("pg74/pg74", "pg74/pg74_jrst1", "pg74/pg74_lra", "pg74/pg74_noop", "pg74/pg74_svc"),
    *("tiny/sptbr", "tiny/mret", "tiny/invlpg", "lc3/lc3", "beta/beta", "beta/beta_repaired"),
    *("m68k/m68000", "m68k/m68000_s_bit", "m68k/m68010", "m68k/m68010_board"),
)
"""Descriptions whose witnesses do not depend on the time that the solver is given."""

MACHINE = next(
    block.text for block in blocks(ROOT / "docs" / "diagnostics.md") if block.name == "machine.isa"
)
SHOWS_MODE = (
    'instruction MODE () = 8\'h10 asm "mode" doc "A := the mode." { A = zext(bits(M), 8) }\n'
    "claim classic not virtualizable\n"
)
AGREED, EXPLAINED, UNEXPLAINED, STALE = SAMPLE.literature

Verdicts = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Verdicts:
    """Runs the command on two machines, a sound one and one that shows its mode."""
    monkeypatch.chdir(tmp_path)

    def run(said: str, *arguments: str) -> tuple[int, str, str]:
        Path("toys").mkdir(exist_ok=True)
        Path("toys/sound.isa").write_text(MACHINE, encoding="utf-8")
        Path("toys/shows.isa").write_text(MACHINE + SHOWS_MODE + said, encoding="utf-8")
        names = ("toys/sound.isa", "toys/shows.isa")
        status = main(["verdicts", *names, *arguments, "--cache", "kept"])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_each_configuration_has_a_line(verdicts: Verdicts) -> None:
    status, text, errors = verdicts("")

    head, *rows = text.splitlines()
    assert (status, errors) == (0, "")
    assert head.split()[:3] == ["description", "Theorem", "1"]
    assert [row.split() for row in rows] == [
        ["toys/sound", "yes", "yes", "yes", "yes", "none", "-"],
        ["toys/shows", "no", "no", "yes", "yes", "MODE", "-"],
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("not virtualizable", 0),
        ("virtualizable", 1),
        ('virtualizable but "MODE was added later"', 0),
        ('not virtualizable but "it was misread"', 1),
    ],
)
def test_a_difference_from_the_literature_wants_a_reason_and_a_reason_a_difference(
    verdicts: Verdicts, said: str, expected: int
) -> None:
    status, text, _ = verdicts(f'literature "Adams 1980" says classic {said}\n')

    assert status == expected
    assert ("Adams 1980" in text) == (expected == 1)


def test_the_second_time_nothing_is_asked(verdicts: Verdicts) -> None:
    first = verdicts("")

    assert verdicts("", "--timeout", "0.001") == first


def test_as_json_it_is_the_reports(verdicts: Verdicts) -> None:
    _, text, _ = verdicts("", "--format", "json")

    assert [document["isa"] for document in json.loads(text)] == ["toys/sound", "toys/shows"]


def test_the_page_has_escapes_and_the_literature(update_golden: bool) -> None:
    assert agrees("sample_verdicts.md", as_markdown([SAMPLE]), update_golden)


@pytest.mark.parametrize(
    ("literature", "expected"),
    [
        ((), "-"),
        ((AGREED, AGREED), "2 agree"),
        ((AGREED, EXPLAINED, UNEXPLAINED, STALE), "1 agree, 1 explained, 2 unexplained"),
    ],
)
def test_the_table_counts_what_agrees_what_is_explained_and_what_is_not(
    literature: tuple[LiteratureReport, ...], expected: str
) -> None:
    text = as_text([replace(SAMPLE, literature=literature)])

    assert text.splitlines()[1].endswith(f"  {expected}")


def test_what_is_undecided_is_not_settled() -> None:
    claim = replace(AGREED.claim, holds=Answer.UNKNOWN)

    for but in ("", "why"):
        assert not LiteratureReport("Adams 1980", claim, but).settled


def written(library_cache: Path, capsys: pytest.CaptureFixture[str], *names: str) -> str:
    options = ["--format", "markdown", "--cache", str(library_cache)]

    status = main(["verdicts", *names, *options])

    assert status == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", QUICK)
def test_the_page_of_verdicts_says_what_the_checker_finds(
    name: str, library_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written by `popek verdicts --format markdown > docs/verdicts.md`."""
    page = PAGE.read_text(encoding="utf-8")

    head, _, section = written(library_cache, capsys, name).partition("\n## ")

    rows = [line for line in head.splitlines() if line.startswith(f"| {name}")]
    assert rows
    assert all(row in page for row in rows)
    assert f"## {section}" in page


def on_the_page() -> list[str]:
    page = PAGE.read_text(encoding="utf-8")
    return [name for name in library.names() if f"(`{name}`)" in page]


def test_the_page_has_all_descriptions() -> None:
    assert set(on_the_page()) == set(library.names())


@pytest.mark.deep
def test_the_whole_page_of_verdicts_is_what_the_checker_finds(
    library_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """python -m pytest -m deep tests/test_popek_verdicts.py"""
    main(["verdicts", *on_the_page(), "--format", "markdown", "--cache", str(library_cache)])

    assert capsys.readouterr().out == PAGE.read_text(encoding="utf-8")
