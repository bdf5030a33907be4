"""What a check rests on, as SMT-LIB 2, so that another solver can be asked.

A "no, it cannot happen" rests on conditions that cannot hold together (formal model, section 9):
the solver found that, or they came to `False` by rewriting. Each set that the solver was asked
about becomes one file `HASH.smt2`, and the steps of rewriting (`checker.rewriting`) some more. A
file is named by its content; it says which question led to it.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

HEAD = """\
; {question}
; {content}: the answer must be unsat.
(set-logic QF_AUFBV)
"""

CONDITIONS = "These conditions cannot hold together"
STEPS = "One of these steps of rewriting is wrong"

SUFFIX = ".smt2"

WRITING = 5
"""How much longer a task may take whose reasons are written down."""

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


def write(benchmark: str, content: str = CONDITIONS) -> None:
    """Keep one set of conditions, given as declarations and assertions. Raises OSError."""
    (export,) = _current
    lines = [line for line in benchmark.splitlines() if not line.startswith((";", "(set-info"))]
    body = _symbols_quoted("\n".join(lines)) + "\n"
    name = hashlib.sha256(body.encode()).hexdigest()[:16]
    path = export.folder / (name + SUFFIX)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(
            HEAD.format(question=export.question, content=content) + body, encoding="utf-8"
        )
        draft.replace(path)


def _symbols_quoted(text: str) -> str:
    """With `|bars|` about symbols that need them: Z3 writes a prime without."""
    parts = text.split("|")  # every other part is in bars already
    parts[::2] = [_BARE_PRIME.sub(r"|\g<0>|", part) for part in parts[::2]]
    return "|".join(parts)
