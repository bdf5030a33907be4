"""How diagnostics look."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popek.console import Palette
from popek.render_diagnostic import place_of, render_diagnostics
from spec.diagnostics import Diagnostic, Label, Severity
from spec.source import NOWHERE, Span

TOY = 'isa "Toy"\n  R1 = PC + imm4\nlast\n'


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("toy.isa").write_text(TOY, encoding="utf-8")
    return "toy.isa"


def error(span: Span, **more: object) -> Diagnostic:
    label = Label(span, "left is 16 bits, right is 4")
    return Diagnostic(
        Severity.ERROR,
        "E0203",
        "operands of `+` differ in width",
        label,
        **more,  # type: ignore[arg-type]
    )


def test_a_diagnostic_shows_the_line_the_span_and_the_help(toy: str) -> None:
    at = TOY.index("PC")

    text = render_diagnostics([error(Span(toy, at, at + 9), help="write `zext(imm4, 16)`")])

    assert text == (
        "error[E0203]: operands of `+` differ in width\n"
        " --> toy.isa:2:8\n"
        "  |\n"
        "2 |   R1 = PC + imm4\n"
        "  |        ^^^^^^^^^ left is 16 bits, right is 4\n"
        "  = help: write `zext(imm4, 16)`\n"
        "\n"
    )


def test_a_second_place_is_shown_below_the_first(toy: str) -> None:
    other = Label(Span(toy, 0, 3), "the machine begins here")

    text = render_diagnostics([error(Span(toy, 10, 14), others=(other,))])

    assert " ::: toy.isa:1:1\n" in text
    assert "  | --- the machine begins here\n" in text


def test_a_span_past_the_end_points_behind_the_last_character(toy: str) -> None:
    place = place_of(Label(Span(toy, 999, 1000)), {})

    assert (place.line, place.column) == (4, 1)


def test_a_diagnostic_without_a_place_has_no_excerpt() -> None:
    text = render_diagnostics([error(NOWHERE, note="why")])

    assert text.splitlines() == [
        "error[E0203]: operands of `+` differ in width",
        "  = note: why",
        "",
    ]


def test_a_file_that_is_gone_is_still_named() -> None:
    assert "gone.isa:1:1" in render_diagnostics([error(Span("gone.isa", 0, 1))])


def test_a_very_long_line_is_clipped_around_the_span(tmp_path: Path) -> None:
    path = tmp_path / "long.isa"
    path.write_text("x" * 5000 + "HERE" + "y" * 5000, encoding="utf-8")

    text = render_diagnostics([error(Span(str(path), 5000, 5004))])

    source, marks = text.splitlines()[3:5]
    assert len(source) < 120
    assert source.index("HERE") == marks.index("^^^^")


def test_color_is_only_escape_sequences_around_the_same_text(toy: str) -> None:
    diagnostic = error(Span(toy, 0, 3))

    colored = render_diagnostics([diagnostic], Palette(enabled=True))

    assert "\x1b[1;31merror[E0203]\x1b[0m" in colored


@given(st.text(max_size=200), st.integers(0, 250), st.integers(0, 250))
def test_any_text_and_span_can_be_shown(text: str, start: int, length: int) -> None:
    place = place_of(Label(Span("x", start, start + length)), {"x": text})

    assert place.line >= 1
    assert place.column >= 1
    assert place.length >= 1
    assert "\n" not in place.text
