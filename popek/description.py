"""Reading the descriptions that the command line names."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from spec.load import load

from popek import library
from popek.console import palette_for
from popek.render_diagnostic import render_diagnostics
from spec.diagnostics import Diagnostic, Label, Severity
from spec.ir import Isa
from spec.source import NOWHERE


@dataclass(frozen=True, slots=True)
class Reading:
    """What an ISA argument gave: the description, or None and errors among the diagnostics."""

    name: str
    isa: Isa | None
    diagnostics: tuple[Diagnostic, ...]


def read(name: str, color: str) -> Isa | None:
    """The description an argument names; None after its errors were shown on stderr."""
    return read_all((name,), color)[0].isa


def read_all(names: Sequence[str], color: str) -> tuple[Reading, ...]:
    """Every description, in order; all findings about all of them are shown on stderr."""
    readings = tuple(_reading(name) for name in names)
    show(tuple(d for reading in readings for d in reading.diagnostics), color)
    return readings


def show(diagnostics: tuple[Diagnostic, ...], color: str) -> None:
    """Diagnostics on stderr."""
    if diagnostics:
        sys.stderr.write(render_diagnostics(diagnostics, palette_for(sys.stderr, color)))


def complaint(code: str, message: str, note: str = "", help: str = "") -> Diagnostic:
    """An error about the command line itself: it has no place in a file."""
    return Diagnostic(Severity.ERROR, code, message, Label(NOWHERE), note=note, help=help)


def _reading(name: str) -> Reading:
    path = library.locate(name)
    if path is None:
        return Reading(name, None, (_unknown(name),))
    result = load(path)
    if isinstance(result, Isa):
        return Reading(name, result, ())
    return Reading(name, None, result)


def _unknown(name: str) -> Diagnostic:
    near = " or ".join(f"`{n}`" for n in library.near(name))
    return complaint(
        "E0901",
        f"there is no description `{name}`",
        note="it is neither a file nor the name of a bundled description",
        help=f"did you mean {near}?" if near else "`popek list` shows the bundled descriptions",
    )
