"""docs/diagnostics.md: every code of the sources is there, and its example triggers it."""

import re
from pathlib import Path

import pytest

from popek.catalogue import entries
from spec.assembly import assemble
from spec.diagnostics import Diagnostic
from spec.image import read_words
from spec.ir import Isa
from spec.lint import warnings
from spec.load import load
from tests.document import ROOT, blocks

CATALOGUE = ROOT / "docs" / "diagnostics.md"
SOURCES = [path for layer in ("spec", "checker", "popek") for path in (ROOT / layer).rglob("*.py")]
ENTRIES = entries()

UNPRINTABLE = {
    "E0104": "param N = " + "(" * 2000 + "1" + ")" * 2000,
    "E0105": "param N = " + "9" * 2000,
    "E0502": "\udcff",
    "E0504": "/" * 5_000_000,
}
"""Examples too long or too odd for a page."""


def example(code: str) -> tuple[str, str]:
    """Language and text of an entry's example."""
    if code in UNPRINTABLE:
        return "isa", UNPRINTABLE[code]
    found = re.search(r"^```(\w+)\n(.*?)^```$", ENTRIES[code], re.MULTILINE | re.DOTALL)
    assert found, f"{code} has no example"
    return found[1], found[2]


@pytest.fixture(scope="module")
def machine() -> str:
    """The machine that the examples are added to."""
    return next(block.text for block in blocks(CATALOGUE) if block.name == "machine.isa")


@pytest.fixture
def isa(machine: str, tmp_path: Path) -> Isa:
    path = tmp_path / "machine.isa"
    path.write_text(machine, encoding="utf-8")
    loaded = load(str(path))
    assert loaded.isa is not None
    return loaded.isa


def findings(code: str, machine: str, isa: Isa, folder: Path) -> tuple[Diagnostic, ...]:
    language, text = example(code)
    if language == "asm":
        result = assemble(isa, text)
        return tuple(result) if isinstance(result, list) else ()
    if language == "words":
        read = read_words(isa, text)
        return (read,) if isinstance(read, Diagnostic) else ()
    path = folder / "example.isa"
    whole = text if text.startswith("isa ") else f"{machine}\n{text}\n"
    path.write_text(whole, encoding="utf-8", errors="surrogateescape")
    loaded = load(str(path))
    return loaded.diagnostics + (warnings(loaded.isa) if loaded.isa is not None else ())


def test_every_code_in_the_sources_is_in_the_catalogue_and_no_other() -> None:
    used = {
        code
        for path in SOURCES
        for code in re.findall(r'"([EW]\d{4})"', path.read_text(encoding="utf-8"))
    }

    assert used == set(ENTRIES)


@pytest.mark.parametrize("code", ENTRIES)
def test_the_example_of_a_code_triggers_it(
    code: str, machine: str, isa: Isa, tmp_path: Path
) -> None:
    if code not in UNPRINTABLE and example(code)[0] == "console":
        assert f"[{code}]" in ENTRIES[code]  # the session itself is run by tests/test_docs.py
        return

    found = findings(code, machine, isa, tmp_path)

    assert code in {diagnostic.code for diagnostic in found}


@pytest.mark.parametrize("code", ENTRIES)
def test_every_entry_has_a_cause_and_a_cure(code: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", ENTRIES[code], flags=re.MULTILINE | re.DOTALL)

    assert re.search(r"^\*\*Cure\.\*\* \S", prose, re.MULTILINE)
    assert len(prose.split("**Cure.**")[0].split("\n", 1)[1].strip()) > 20
