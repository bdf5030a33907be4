"""Descriptions kept between runs, keyed by the texts of their files and by this package's source.

A hit loads neither the parser nor the type checker. Only descriptions without errors are kept. A
cache that cannot be read or written is as good as none.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

from spec import diagnostics, ir, loaded, source
from spec.loaded import Loaded, text_of
from spec.pickled import dumps, loads

_PLAIN = (ir, source, diagnostics, loaded)


def load_cached(path: str, directory: Path | None) -> Loaded:
    """What `spec.load.load` gives; `directory` is where descriptions are kept, None: nowhere."""
    if directory is None:
        return _load(path)
    entry = directory / f"{_key(path)}.description"
    found = _read(entry)
    if found is None:
        found = _load(path)
        if found.isa is not None:
            _write(entry, found)
    return found


def _load(path: str) -> Loaded:
    result: Loaded = import_module("spec.load").load(path)  # lazily: a hit needs no parser
    return result


def _read(entry: Path) -> Loaded | None:
    """What is kept, if every text is still what it was."""
    try:
        found = loads(entry.read_bytes(), _PLAIN)
        if isinstance(found, Loaded) and all(
            text_of(Path(path).read_bytes()) == text for path, text in found.texts.items()
        ):
            return found
    except Exception:  # anything may be wrong with bytes of a damaged file
        return None
    return None


def _write(entry: Path, found: Loaded) -> None:
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        unfinished = entry.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(dumps(found))
        unfinished.replace(entry)  # in one step: another process reads all of it or none


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
