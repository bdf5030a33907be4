"""What computes the answers, as a hash: a result of another version counts for nothing."""

import hashlib
import os
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def digest(*texts: str) -> str:
    """One hash of several texts."""
    state = hashlib.sha256()
    for text in texts:
        raw = text.encode(errors="surrogateescape")  # as file names may be
        state.update(len(raw).to_bytes(8, "big"))
        state.update(raw)
    return state.hexdigest()


@cache
def version() -> str:
    """What computes answers: the source of `spec` and `checker`, the solver, and Python."""
    here = Path(__file__).resolve().parent
    files = sorted(
        path
        for folder in (here, here.parent / "spec")
        for path in folder.iterdir()
        if path.suffix in (".py", ".lark")
    )
    state = hashlib.sha256()
    for path in files:
        state.update(f"{path.parent.name}/{path.name}".encode())
        state.update(path.read_bytes())
    solver = f"{installed_version('z3_solver')} {_solver_stamp()}"
    return digest(state.hexdigest(), solver, sys.version)


@cache
def installed_version(distribution: str) -> str:
    """The version of an installed distribution, without importing it; `unknown` if not found.

    Reads the folder names that installers leave: `importlib.metadata` takes longer to load than
    everything else a check with a full cache does.
    """
    pattern = re.compile(rf"{re.escape(distribution)}-([^-]+)\.(dist|egg)-info", re.IGNORECASE)
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if match := pattern.match(name):
                return match[1]
    return "unknown"


def _solver_stamp() -> str:
    """Tells apart solvers that were not installed as a distribution."""
    found = find_spec("z3")
    if found is None or found.origin is None:
        return "no solver"
    return str(Path(found.origin).stat().st_size)
