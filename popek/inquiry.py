"""Checks that are not known yet: load the descriptions, ask the checker, keep the reports."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from checker.check import Asked, check_all
from checker.recall import keep
from popek.asking import Result, recall_options
from popek.console import Progress
from popek.exit_status import ExitStatus
from popek.judgement import judge
from popek.messages import show
from popek.selection import selection
from popek.solving import cache_of
from spec.load_cache import load_cached
from spec.loaded import Loaded


def ask(named: Sequence[tuple[str, Path]], arguments: argparse.Namespace) -> dict[str, Result]:
    """The report for each name, None if its description is bad input; messages are shown."""
    cache = cache_of(arguments)
    results: dict[str, Result] = {name: (None, ExitStatus.BAD_INPUT) for name, _ in named}
    sound: list[tuple[str, Path, Loaded, Asked]] = []
    for name, path in named:
        loaded = load_cached(str(path), cache)
        show(loaded.diagnostics, arguments.color, loaded.texts)
        if loaded.isa is None:
            continue
        chosen = selection(loaded.isa, arguments.only, arguments.config, arguments.color)
        if chosen is not None:
            configurations, only = chosen.configurations or None, chosen.instructions or None
            sound.append((name, path, loaded, Asked(loaded.isa, name, configurations, only)))
    with Progress() as progress:
        reports = check_all(
            [asked for *_, asked in sound],
            jobs=arguments.jobs,
            timeout=arguments.timeout,
            cache=cache,
            progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
            smt=getattr(arguments, "smt", None),  # an option of `check` and `prove` alone
        )
    for (name, path, loaded, asked), report in zip(sound, reports, strict=True):
        status = judge(report, asked.isa.claims)
        options = recall_options(arguments)
        keep(cache, str(path), options, report, loaded.diagnostics, loaded.texts, int(status))
        results[name] = report, status
    return results
