"""Descriptions kept between runs, keyed by the texts of their files and by this package's source.

A hit loads neither the parser nor the type checker. Only descriptions without errors are kept.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

from spec import diagnostics, ir, kept, loaded, source
from spec.loaded import Loaded
from spec.source import text_of

_PLAIN = (ir, source, diagnostics, loaded)


def load_cached(path: str, directory: Path | None) -> Loaded:
    """What `spec.load.load` gives; `directory` is where descriptions are kept, None: nowhere."""
    if directory is None:
        return _load(path)
    entry = directory / "descriptions" / _key(path)
    found = kept.read(entry, _PLAIN)
    if isinstance(found, Loaded) and all(_unchanged(*file) for file in found.texts.items()):
        return found
    fresh = _load(path)
    if fresh.isa is not None:
        kept.write(entry, fresh)
    return fresh


def _load(path: str) -> Loaded:
    result: Loaded = import_module("spec.load").load(path)  # lazily: a hit needs no parser
    return result


def _unchanged(path: str, text: str) -> bool:
    with suppress(OSError, ValueError):
        return text_of(Path(path).read_bytes()) == text
    return False


def _key(path: str) -> str:
    """Paths stand in diagnostics and spans as they were given, so they count as they are."""
    texts = (os.getcwd(), path, _version())
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:32]


@cache
def _version() -> str:
    """A hash of the source of this package."""
    state = hashlib.sha256()
    for file in sorted(Path(__file__).resolve().parent.iterdir()):
        if file.suffix in (".py", ".lark"):
            state.update(file.name.encode())
            state.update(file.read_bytes())
    return state.hexdigest()
