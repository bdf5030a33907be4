"""Reading the descriptions that the command line names."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from popek import library
from popek.console import palette_for
from popek.render_diagnostic import render_diagnostics
from spec.diagnostics import Diagnostic, Label, Severity
from spec.ir import Isa
from spec.load_cache import load_cached
from spec.source import NOWHERE

MAXIMUM = 50
"""Diagnostics of one description that are shown."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an ISA argument gave: the description, or None and errors among the diagnostics."""

    name: str
    isa: Isa | None
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]


def read(name: str, color: str, cache: Path | None = None) -> Isa | None:
    """The description an argument names; None after its errors were shown on stderr."""
    return read_all((name,), color, cache)[0].isa


def read_all(
    names: Sequence[str],
    color: str,
    cache: Path | None = None,
    examine: Callable[[Isa], tuple[Diagnostic, ...]] = lambda isa: (),
) -> tuple[Reading, ...]:
    """Every description, in order; all findings about all of them are shown on stderr.

    `cache` is a folder for what was read, `examine` finds more in a description without errors.
    """
    readings = tuple(_reading(name, cache, examine) for name in names)
    for reading in readings:
        show(reading.diagnostics, color, reading.texts)
    return readings


def show(
    diagnostics: Sequence[Diagnostic], color: str, texts: Mapping[str, str] | None = None
) -> None:
    """Diagnostics on stderr, at most `MAXIMUM` of them; `texts` are the files' by path."""
    palette = palette_for(sys.stderr, color)
    sys.stderr.write(render_diagnostics(diagnostics[:MAXIMUM], palette, texts))
    if len(diagnostics) > MAXIMUM:
        sys.stderr.write(f"and {len(diagnostics) - MAXIMUM} more\n")


def complaint(code: str, message: str, note: str = "", help: str = "") -> Diagnostic:
    """An error about the command line itself: it has no place in a file."""
    return Diagnostic(Severity.ERROR, code, message, Label(NOWHERE), note=note, help=help)


def _reading(
    name: str, cache: Path | None, examine: Callable[[Isa], tuple[Diagnostic, ...]]
) -> Reading:
    path = library.locate(name)
    if path is None:
        return Reading(name, None, (_unknown(name),), {})
    loaded = load_cached(str(path), cache)
    more = () if loaded.isa is None else examine(loaded.isa)
    return Reading(name, loaded.isa, loaded.diagnostics + more, loaded.texts)


def _unknown(name: str) -> Diagnostic:
    near = " or ".join(f"`{n}`" for n in library.near(name))
    return complaint(
        "E0901",
        f"there is no description `{name}`",
        note="it is neither a file nor the name of a bundled description",
        help=f"did you mean {near}?" if near else "`popek list` shows the bundled descriptions",
    )
