"""The bundled descriptions, and how the command line names a description."""

import difflib
import os
from pathlib import Path

import isas

SUFFIX = ".isa"


def root() -> Path:
    """The folder of the bundled descriptions."""
    return Path(next(iter(isas.__path__)))


def names() -> tuple[str, ...]:
    """The bundled descriptions that stand for themselves (`riscv/rv32`), in alphabetical order.

    A file that does not begin with `isa` or `extends` is part of another and is not listed.
    """
    folder = root()
    found = (
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*" + SUFFIX)
        if _stands_alone(path)
    )
    return tuple(sorted(found))


def locate(name: str) -> Path | None:
    """The file that an ISA argument means; None if there is none.

    A path of an existing file or folder is itself; otherwise the name of a bundled description,
    whole (`pg74/pg74`) or its last part when that is unambiguous (`pg74`).
    """
    if os.path.exists(name):
        return Path(name)
    if name.endswith(SUFFIX):
        name = name.removesuffix(SUFFIX)
    bundled = names()
    matches = [n for n in bundled if n == name] or [
        n for n in bundled if n.rsplit("/", 1)[-1] == name
    ]
    return _shown(root() / (matches[0] + SUFFIX)) if len(matches) == 1 else None


def near(name: str) -> tuple[str, ...]:
    """Bundled descriptions that the user may have meant, the likeliest first."""
    bundled = names()
    last = {n.rsplit("/", 1)[-1]: n for n in bundled}
    wanted = name.removesuffix(SUFFIX)
    close = [
        last.get(match, match)
        for match in difflib.get_close_matches(wanted, [*bundled, *last], n=4, cutoff=0.5)
    ]
    ambiguous = [n for n in bundled if wanted in n]
    return tuple(dict.fromkeys([*ambiguous, *close]))


def _shown(path: Path) -> Path:
    """The path from the current folder if it lies below, as diagnostics show it."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _stands_alone(path: Path) -> bool:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words and not line.lstrip().startswith("//"):
            return words[0] in ("isa", "extends")
    return False
