"""Diagnostics as text, in the form of house style (and of rustc)."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from popek.console import PLAIN, Palette
from spec.diagnostics import Diagnostic, Label, Severity

_WINDOW = 100  # characters of a source line that are shown


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label points: 1-based line and column, and that line's text."""

    path: str
    line: int
    column: int
    text: str
    length: int  # characters of the span on that line, at least 1


def render_diagnostics(
    diagnostics: Iterable[Diagnostic],
    palette: Palette = PLAIN,
    texts: Mapping[str, str] | None = None,
) -> str:
    """All findings, each followed by a blank line.

    `texts` holds the files' texts, by path; those it lacks are read.
    """
    known = dict(texts or {})
    return "".join(_render(d, known, palette) + "\n" for d in diagnostics)


def _render(diagnostic: Diagnostic, texts: dict[str, str], palette: Palette) -> str:
    style = "red" if diagnostic.severity is Severity.ERROR else "yellow"
    head = palette.paint(f"{diagnostic.severity.value}[{diagnostic.code}]", style)
    lines = [f"{head}: {palette.paint(diagnostic.message, 'bold')}"]
    labels = [label for label in (diagnostic.label, *diagnostic.others) if label.span.path]
    places = [place_of(label, texts) for label in labels]
    margin = " " * max((len(str(place.line)) for place in places), default=1)
    for index, (place, label) in enumerate(zip(places, labels, strict=True)):
        lines += _excerpt(place, label.text, margin, style if index == 0 else "blue", palette)
    for word, text in (("note", diagnostic.note), ("help", diagnostic.help)):
        if text:
            first, *rest = text.splitlines()
            lines.append(f"{margin} {palette.paint('=', 'blue')} {word}: {first}")
            lines += [f"{margin}   {' ' * len(word)}  {line}" for line in rest]
    return "\n".join(lines) + "\n"


def place_of(label: Label, texts: dict[str, str]) -> Place:
    """Line and column of a label; `texts` keeps what was read, by path."""
    span = label.span
    if span.path not in texts:
        texts[span.path] = _read(span.path)
    text = texts[span.path]
    start = min(span.start, len(text))
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", begin)
    end = len(text) if end < 0 else end
    return Place(
        span.path,
        text.count("\n", 0, begin) + 1,
        start - begin + 1,
        text[begin:end].rstrip("\r"),
        max(1, min(span.end, end) - start),
    )


def _excerpt(place: Place, note: str, margin: str, style: str, palette: Palette) -> list[str]:
    bar = palette.paint("|", "blue")
    arrow = palette.paint("-->" if style != "blue" else ":::", "blue")
    where = f"{margin}{arrow} {place.path}:{place.line}:{place.column}"
    if not place.text.strip():
        return [where, *([f"{margin} {bar} {note}"] if note else [])]
    shown, offset = _clip(place)
    length = min(place.length, max(1, _WINDOW - offset))
    before = " " * sum(map(_columns, shown[:offset]))
    mark = "^" if style != "blue" else "-"
    marks = mark * max(1, sum(map(_columns, shown[offset : offset + length])))
    pointer = palette.paint(f"{marks} {note}".rstrip(), style)
    number = palette.paint(str(place.line).rjust(len(margin)), "blue")
    return [
        where,
        f"{margin} {bar}",
        f"{number} {bar} {shown}",
        f"{margin} {bar} {before}{pointer}",
    ]


def _clip(place: Place) -> tuple[str, int]:
    """The part of the line that is shown, printable, and where in it the span begins."""
    text = "".join(_printable(c) for c in place.text)
    offset = place.column - 1
    if len(text) <= _WINDOW:
        return text, offset
    begin = max(0, min(offset - _WINDOW // 3, len(text) - _WINDOW))
    return text[begin : begin + _WINDOW], offset - begin


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character == "\t" else "\N{REPLACEMENT CHARACTER}"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
