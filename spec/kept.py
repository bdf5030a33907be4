"""Single files of plain data kept between runs, each written in one step.

Keeping can only save time: what cannot be read or written is as good as not kept.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from spec.pickled import dumps, loads

KEEP_DAYS = 60
"""Files not written for so long are dropped when the next one is."""

_DAY = 86_400


def read(entry: Path, modules: Sequence[ModuleType]) -> Any:
    """What is kept there, or None; `modules` are those that may occur in it."""
    try:
        return loads(entry.read_bytes(), modules)
    except Exception:  # anything may be wrong with bytes of a damaged file
        return None


def write(entry: Path, value: object) -> None:
    """Keep a value: other processes read all of it or none."""
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        unfinished = entry.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(dumps(value))
        unfinished.replace(entry)
        _drop_old(entry.parent)


def _drop_old(folder: Path) -> None:
    oldest = time.time() - KEEP_DAYS * _DAY
    for file in folder.iterdir():
        if file.suffix != ".sqlite3" and file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)
