"""Messages to the user, on stderr."""

import sys
from collections.abc import Mapping, Sequence

from popek import library
from popek.console import palette_for
from popek.render_diagnostic import render_diagnostics
from spec.diagnostics import Diagnostic, Label, Severity
from spec.source import NOWHERE

MAXIMUM = 50
"""Diagnostics of one description that are shown."""


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


def unknown_description(name: str) -> Diagnostic:
    """An ISA argument that means nothing."""
    near = " or ".join(f"`{n}`" for n in library.near(name))
    return complaint(
        "E0901",
        f"there is no description `{name}`",
        note="it is neither a file nor the name of a bundled description",
        help=f"did you mean {near}?" if near else "`popek list` shows the bundled descriptions",
    )
