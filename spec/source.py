"""Source texts and places in them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range `[start, end)` of characters in the file at `path`.

    Lines and columns are computed from the text when a diagnostic is rendered.
    """

    path: str
    start: int
    end: int


NOWHERE = Span("", 0, 0)
"""The span of what no one wrote (built-in or generated)."""


def text_of(content: bytes) -> str:
    """The text of a file. Raises UnicodeDecodeError."""
    return content.decode("utf-8-sig").replace("\r\n", "\n")
