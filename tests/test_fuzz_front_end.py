"""Whatever the text, loading a description ends soon, in a description or in diagnostics."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popek.render_diagnostic import render_diagnostics
from spec.lint import warnings
from spec.load import load

ROOT = Path(__file__).resolve().parent.parent
SEEDS = [
    *(ROOT / "isas" / "pg74").glob("*.isa"),
    *(path for path in (ROOT / "tests" / "rejected").glob("*.isa") if path.stat().st_size < 4000),
    ROOT / "tests" / "rejected" / "machine.part",
]
TOKEN = re.compile(
    rb"\s+|//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|\d+'[hdb][0-9a-fA-F]+|\w+|[=!<>&|+:.]{2}|.", re.DOTALL
)
TEXTS = [text for text in (path.read_bytes() for path in SEEDS) if len(text) > 40]
WORDS = sorted({token for text in TEXTS for token in TOKEN.findall(text) if token.strip()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the seeds, so that includes and bases are found."""
    folder = tmp_path_factory.mktemp("fuzz")
    for path in SEEDS:
        shutil.copy(path, folder)
    return folder


def load_text(folder: Path, text: bytes) -> None:
    """Load, and hold what must be true of every result."""
    path = folder / "mutant.isa"
    path.write_bytes(text)

    loaded = load(str(path))

    assert loaded.isa is not None or loaded.diagnostics
    found = loaded.diagnostics + (warnings(loaded.isa) if loaded.isa is not None else ())
    for diagnostic in found:
        assert re.fullmatch(r"[EW]\d{4}", diagnostic.code)
        assert diagnostic.message
        assert not diagnostic.message.endswith(".")
        assert 0 <= diagnostic.label.span.start <= diagnostic.label.span.end
    assert len(render_diagnostics(found[:5], texts=loaded.texts)) < 20_000


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    """A seed with a few bytes removed, repeated, or replaced by any others."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        middle = draw(
            st.one_of(st.binary(max_size=4), st.just(text[start:end] * 2), st.sampled_from(WORDS))
        )
        text = text[:start] + middle + text[end:]
    return text


@st.composite
def mutated_tokens(draw: st.DrawFn) -> bytes:
    """A seed with some of its words replaced by others, swapped, removed or doubled."""
    tokens = TOKEN.findall(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(tokens) - 1))
        other = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["word", "remove", "double", "swap", "move"])):
            case "word":
                tokens[at] = b" " + draw(st.sampled_from(WORDS)) + b" "
            case "remove":
                tokens[at] = b" "
            case "double":
                tokens.insert(at, tokens[at])
            case "swap":
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case "move":
                low, high = min(at, other), max(at, other)
                part = tokens[low : min(high, low + 40)]
                tokens[low : low + len(part)] = []
                tokens[at:at] = part
    return b"".join(tokens)


@settings(max_examples=150)
@given(mutated_bytes())
def test_a_description_with_changed_bytes_is_loaded_or_rejected(folder: Path, text: bytes) -> None:
    load_text(folder, text)


@settings(max_examples=300)
@given(mutated_tokens())
def test_a_description_with_changed_words_is_loaded_or_rejected(folder: Path, text: bytes) -> None:
    load_text(folder, text)
