"""The user's mistakes, as data. Rendering happens late, in the command line."""

from dataclasses import dataclass, field
from enum import Enum

from spec.source import Span


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Label:
    """A place and what is to be said about it (may be empty)."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is stable and has an entry in docs/diagnostics.md.

    `label` is the smallest span that shows the problem; `note` explains, `help` says what to write.
    """

    severity: Severity
    code: str
    message: str
    label: Label
    others: tuple[Label, ...] = field(default=())
    note: str = ""
    help: str = ""
