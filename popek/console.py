"""Where output goes: results on stdout, everything else on stderr, color only where it is seen."""

import os
import sys
from dataclasses import dataclass
from typing import TextIO

_CODES = {
    "bold": "1",
    "red": "1;31",
    "green": "32",
    "yellow": "33",
    "blue": "1;34",
    "cyan": "36",
    "faint": "2",
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Colors for one stream; `paint` returns the text unchanged when `enabled` is false."""

    enabled: bool

    def paint(self, text: str, style: str) -> str:
        """`text` in a style: bold, red, green, yellow, blue, cyan or faint."""
        if not self.enabled or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


PLAIN = Palette(enabled=False)


def palette_for(stream: TextIO, when: str) -> Palette:
    """The palette of a stream under `--color` auto, always or never (NO_COLOR is honored)."""
    if when != "auto":
        return Palette(when == "always")
    seen = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return Palette(bool(seen))


class Progress:
    """One line on a terminal that says how far the work is; silent anywhere else.

    As a context manager it removes the line at the end, before results are written.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._length = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._shown and self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()

    def show(self, done: int, total: int, what: str) -> None:
        """`done` of `total` questions are answered; `what` names the latest."""
        if not self._shown:
            return
        width = 24
        filled = width * done // max(total, 1)
        line = f"[{'=' * filled}{' ' * (width - filled)}] {done}/{total} {what}"[:78]
        self._stream.write("\r" + line.ljust(self._length))
        self._stream.flush()
        self._length = len(line)
