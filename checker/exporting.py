"""What the solver proved, as SMT-LIB 2, so that another solver can be asked.

A "no, it cannot happen" rests on conditions that cannot hold together (formal model, section 9).
Each such set becomes one file `HASH.smt2`, named by its content; it says which question led to it. What terms come to by rewriting alone needs no solver and has no file.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

HEAD = """\
; {question}
; These conditions cannot hold together: the answer must be unsat.
(set-logic QF_AUFBV)
"""

SUFFIX = ".smt2"

_BARE_PRIME = re.compile(r"[^\s()]*'[^\s()]*")


@dataclass(frozen=True, slots=True)
class _Export:
    folder: Path
    question: str


_current: list[_Export] = []
"""Of this process; empty while nothing is exported."""


def export_to(folder: str | None, question: str) -> None:
    """From now on, write what is proved to the folder, which exists (None: nowhere)."""
    _current[:] = [] if folder is None else [_Export(Path(folder), question)]


def wanted() -> bool:
    return bool(_current)


def write(benchmark: str) -> None:
    """Keep one set of conditions, given as declarations and assertions. Raises OSError."""
    (export,) = _current
    lines = [line for line in benchmark.splitlines() if not line.startswith((";", "(set-info"))]
    body = _symbols_quoted("\n".join(lines)) + "\n"
    name = hashlib.sha256(body.encode()).hexdigest()[:16]
    path = export.folder / (name + SUFFIX)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(HEAD.format(question=export.question) + body, encoding="utf-8")
        draft.replace(path)


def _symbols_quoted(text: str) -> str:
    """With `|bars|` about symbols that need them: Z3 writes a prime without."""
    parts = text.split("|")  # every other part is in bars already
    parts[::2] = [_BARE_PRIME.sub(r"|\g<0>|", part) for part in parts[::2]]
    return "|".join(parts)
