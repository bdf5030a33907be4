"""List the bundled descriptions, with their titles."""

import argparse
import re

from popek import library
from popek.exit_status import ExitStatus
from popek.table import table

_TITLE = re.compile(r'^\s*isa\s+"([^"]*)"', re.MULTILINE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # takes none


def run(arguments: argparse.Namespace) -> int:
    del arguments
    rows = [(name, _title(name)) for name in library.names()]
    print("\n".join(table(rows, (40, 200), indent="")))
    return ExitStatus.HOLDS


def _title(name: str) -> str:
    text = (library.root() / (name + library.SUFFIX)).read_text(encoding="utf-8")
    found = _TITLE.search(text)
    return found[1] if found else ""
