"""Reading the descriptions that the command line names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from popek import library
from popek.messages import show, unknown_description
from spec.diagnostics import Diagnostic
from spec.ir import Isa
from spec.load_cache import load_cached


@dataclass(frozen=True, slots=True)
class Reading:
    """What an ISA argument gave: the description, or None and errors among the diagnostics."""

    name: str
    isa: Isa | None
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]


def read(name: str, color: str, cache: Path | None = None) -> Isa | None:
    """The description an argument names; None after its errors were shown on stderr."""
    return read_all((name,), color, cache)[0].isa


def read_all(
    names: Sequence[str],
    color: str,
    cache: Path | None = None,
    examine: Callable[[Isa], tuple[Diagnostic, ...]] = lambda isa: (),
) -> tuple[Reading, ...]:
    """Every description, in order; all findings about all of them are shown on stderr.

    `cache` is a folder for what was read, `examine` finds more in a description without errors.
    """
    readings = tuple(_reading(name, cache, examine) for name in names)
    for reading in readings:
        show(reading.diagnostics, color, reading.texts)
    return readings


def _reading(
    name: str, cache: Path | None, examine: Callable[[Isa], tuple[Diagnostic, ...]]
) -> Reading:
    path = library.locate(name)
    if path is None:
        return Reading(name, None, (unknown_description(name),), {})
    loaded = load_cached(str(path), cache)
    more = () if loaded.isa is None else examine(loaded.isa)
    return Reading(name, loaded.isa, loaded.diagnostics + more, loaded.texts)
