"""A check that is not known yet: load the description, ask the checker, keep the report."""

import argparse
from pathlib import Path

from checker.check import check
from checker.recall import keep
from checker.report import Report
from popek.console import Progress
from popek.exit_status import ExitStatus
from popek.judgement import judge
from popek.messages import show
from popek.selection import selection
from popek.solving import cache_of
from popek.verb_check import recall_options
from spec.load_cache import load_cached


def ask(name: str, path: Path, arguments: argparse.Namespace) -> tuple[Report | None, ExitStatus]:
    """The report of the description at `path`, None if it is bad input; messages are shown."""
    cache = cache_of(arguments)
    loaded = load_cached(str(path), cache)
    show(loaded.diagnostics, arguments.color, loaded.texts)
    if loaded.isa is None:
        return None, ExitStatus.BAD_INPUT
    chosen = selection(loaded.isa, arguments.only, arguments.config, arguments.color)
    if chosen is None:
        return None, ExitStatus.BAD_INPUT
    with Progress() as progress:
        report = check(
            loaded.isa,
            source=name,
            configurations=chosen.configurations or None,
            only=chosen.instructions or None,
            jobs=arguments.jobs,
            timeout=arguments.timeout,
            cache=cache,
            progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
        )
    status = judge(report, loaded.isa.claims)
    options = recall_options(arguments)
    keep(cache, str(path), options, report, loaded.diagnostics, loaded.texts, int(status))
    return report, status
