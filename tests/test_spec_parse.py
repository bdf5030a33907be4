"""The short loop over Lark's tables reads what Lark reads, or nothing."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from spec.parse import _driver, _lark
from tests.strategies import IN_CI

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "isas").rglob("*.isa"))
TEXTS = [path.read_text(encoding="utf-8") + "\n" for path in FILES]
SHORT = [text for text in TEXTS if len(text) < 4000]
PARTS = [
    *sorted({part for text in TEXTS for part in re.findall(r"\w+|[^\w\s]+", text)}),
    *("\n| ", "\n||", "/*", "*/", "//", '"', "\u00e9", "..", "->", "=>", "8'hFF", "'", "\t", "\f"),
]


@pytest.mark.parametrize("text", TEXTS, ids=[path.stem for path in FILES])
def test_descriptions_are_read_as_lark_reads_them(text: str) -> None:
    tables = _driver()
    assert tables is not None

    tree = tables.parse(text)

    assert tree is not None
    assert repr(tree) == repr(_lark().parse(text))


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A description with a few places replaced by parts of any."""
    text = draw(st.sampled_from(SHORT))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = text[:start] + draw(st.sampled_from(PARTS)) + text[end:]
    return text + "\n"


@settings(max_examples=2000 if IN_CI else 150, deadline=None)
@given(mutants())
def test_what_lark_reads_otherwise_is_left_to_it(text: str) -> None:
    tables = _driver()
    assert tables is not None

    tree = tables.parse(text)

    try:
        expected = repr(_lark().parse(text))
    except UnexpectedInput:
        assert tree is None
    else:
        assert tree is None or repr(tree) == expected
