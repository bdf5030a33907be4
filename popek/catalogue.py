"""The catalogue of diagnostics, docs/diagnostics.md, by code."""

import re
from pathlib import Path

PATH = Path(__file__).parent.parent / "docs" / "diagnostics.md"
"""Present in a checkout and in an editable installation; a wheel does not carry it."""

CODE = re.compile(r"[EW]\d{4}")

_ENTRY = re.compile(r"^### ([EW]\d{4})\b.*?(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def entries() -> dict[str, str]:
    """The text of every entry, by code; empty when the catalogue is not installed."""
    if not PATH.exists():
        return {}
    return {found[1]: found[0].strip() for found in _ENTRY.finditer(PATH.read_text("utf-8"))}
