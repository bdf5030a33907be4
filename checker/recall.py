"""Whole reports kept between runs: if no file changed, a check is one read.

The command line asks here first, before it loads a description, the parser, the checker or the
IR. A report is kept only if more time would not have changed it. Where a file has changed, the
results in `checker.cache` still are of use.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from checker import answers, report
from checker.report import ConfigurationReport, Report
from checker.schedule import TIME_OUT
from checker.version import digest, version
from spec import diagnostics, kept, source
from spec.diagnostics import Diagnostic
from spec.source import text_of


@dataclass(frozen=True, slots=True)
class Recalled:
    """A report with what loading the description found, and the exit status it led to."""

    report: Report
    diagnostics: tuple[Diagnostic, ...]
    status: int
    files: tuple[tuple[str, str], ...]  # each file that was read, and a hash of its text


def recall(directory: Path | None, path: str, options: Sequence[str]) -> Recalled | None:
    """What was kept for that path (as the user named it) and those options, if it still holds."""
    if directory is None:
        return None
    started = time.perf_counter()
    found = kept.read(_entry(directory, path, options), _PLAIN)
    if not isinstance(found, Recalled):
        return None
    if any(_text_digest(file) != text for file, text in found.files):
        return None
    timing = replace(found.report.timing, seconds=time.perf_counter() - started)
    return replace(found, report=replace(found.report, timing=timing))


def keep(
    directory: Path | None,
    path: str,
    options: Sequence[str],
    found: Report,
    remarks: Sequence[Diagnostic],
    texts: Mapping[str, str],
    status: int,
) -> None:
    """Keep a report; `remarks` and `texts` are those of `spec.loaded.Loaded`."""
    if directory is None or not _lasting(found):
        return
    files = tuple((file, digest(text)) for file, text in texts.items())
    timing = replace(found.timing, cached=found.timing.classified)
    whole = replace(found, timing=timing, configurations=tuple(map(_cached, found.configurations)))
    kept.write(
        _entry(directory, path, options), Recalled(whole, tuple(remarks), int(status), files)
    )


def _lasting(found: Report) -> bool:
    reasons = [
        *(f.reason for f in found.facts),
        *(f.reason for c in found.configurations for f in (c.efficient, *c.facts)),
        *(u.reason for c in found.configurations for r in c.instructions for u in r.undecided),
    ]
    return (
        not found.defects and not found.notes and not any(TIME_OUT in reason for reason in reasons)
    )


def _cached(configuration: ConfigurationReport) -> ConfigurationReport:
    rows = tuple(replace(row, cached=True) for row in configuration.instructions)
    return replace(configuration, instructions=rows)


def _entry(directory: Path, path: str, options: Sequence[str]) -> Path:
    return directory / "reports" / digest(os.getcwd(), path, version(), *options)[:32]


def _text_digest(file: str) -> str:
    with suppress(OSError, ValueError):
        return digest(text_of(Path(file).read_bytes()))
    return ""


_PLAIN = (answers, report, diagnostics, source, sys.modules[__name__])
