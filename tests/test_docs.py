"""What the documents show is what happens."""

import re
from pathlib import Path

import pytest

from tests.document import ROOT, Block, blocks, commands, matches, replay, run

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_session_in_a_document_is_what_the_program_prints(
    document: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()

    assert replay(document, folder) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))

    assert [t for t in targets if not (document.parent / t).exists()] == []


def test_the_documents_show_sessions_to_test() -> None:
    shown = [
        c for d in DOCUMENTS for b in blocks(d) if b.language == "console" for c in commands(b)
    ]

    assert len(shown) >= 5


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    last = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]

    assert last in readme


def test_a_session_that_prints_something_else_is_found(tmp_path: Path) -> None:
    document = tmp_path / "wrong.md"
    document.write_text("```console\n$ echo one\ntwo\n```\n", encoding="utf-8")

    (wrong,) = replay(document, tmp_path)

    assert wrong == "line 1: $ echo one\none\n"


def test_an_ellipsis_stands_for_any_lines() -> None:
    assert matches("a\n...\nd\n", "a\nb\nc\nd\n")
    assert matches("a\n...\n", "a\n")
    assert not matches("a\n...\nd\n", "a\nb\n")
    assert not matches("a.c\n", "abc\n")


def test_the_commands_of_a_block_have_their_own_output() -> None:
    block = Block("console", "", "$ one\nx\n$ two\n", 1)

    assert [(c.text, c.expected) for c in commands(block)] == [("one", "x\n"), ("two", "")]


def test_the_shell_finds_popek(tmp_path: Path) -> None:
    assert run("popek --help | head -1", tmp_path).startswith("popek decides")
