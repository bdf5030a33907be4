"""Checks: recalled where nothing has changed, else asked of the checker, all at once, and kept."""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from checker.recall import recall
from checker.report import Report
from popek.exit_status import ExitStatus
from popek.library import locate
from popek.messages import show, unknown_description
from popek.solving import cache_of

Result: TypeAlias = tuple[Report | None, ExitStatus]


def check_named(names: Sequence[str], arguments: argparse.Namespace) -> list[Result]:
    """A report for each name, None where it is bad input; all messages are shown."""
    results: dict[str, Result] = {}
    unknown: list[tuple[str, Path]] = []
    for name in dict.fromkeys(names):
        path = locate(name)
        if path is None:
            show((unknown_description(name),), arguments.color)
            results[name] = None, ExitStatus.BAD_INPUT
            continue
        known = recall(cache_of(arguments), str(path), recall_options(arguments))
        if known is None:
            unknown.append((name, path))
            continue
        show(known.diagnostics, arguments.color)
        results[name] = known.report, ExitStatus(known.status)
    if unknown:
        inquiry = importlib.import_module("popek.inquiry")  # lazily: most checks change nothing
        results |= inquiry.ask(unknown, arguments)
    return [results[name] for name in names]


def recall_options(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What besides the description decides about a report."""
    only = (f"only={name.casefold()}" for name in sorted(set(arguments.only)))
    configurations = (f"config={name.casefold()}" for name in sorted(set(arguments.config)))
    return (*only, *configurations)
