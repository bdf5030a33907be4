"""Where results, reports and descriptions are kept between runs, unless the user says otherwise."""

import os
from pathlib import Path


def default_directory() -> Path:
    """The user's cache directory (XDG), or the local one of Windows."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "popek"
