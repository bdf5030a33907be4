"""Options of the verbs that ask the solver."""

import argparse
import os
from pathlib import Path

from checker.directory import default_directory
from popek.messages import complaint, show
from popek.options import at_least


def add_solving(parser: argparse.ArgumentParser) -> None:
    """What steers the checker."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        action="append",
        default=[],
        help="only this configuration (may be repeated)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=at_least(int, 1),
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="processes (default: one for each processor)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=at_least(float, 0.001),
        default=10.0,
        help="for each question to the solver (default: 10); without an answer it is unknown",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        default=default_directory(),
        help="keep answers here, so that an edit asks again only what it touched",
    )
    where.add_argument("--no-cache", action="store_true", help="ask everything again")


def cache_of(arguments: argparse.Namespace) -> Path | None:
    """Where answers are kept; None after `--no-cache`."""
    return None if arguments.no_cache else Path(arguments.cache)


def add_smt(parser: argparse.ArgumentParser) -> None:
    """Where what an answer rests on is left, for other solvers."""
    parser.add_argument(
        "--smt",
        metavar="DIR",
        type=Path,
        help="ask everything again, and leave here what it rests on, for `popek recheck`",
    )


def make_smt(arguments: argparse.Namespace) -> bool:
    """Make the folder of `--smt`, if one is asked for; False after it was said why it cannot be."""
    if arguments.smt is None:
        return True
    arguments.no_cache = True  # what is known is not proved again
    try:
        arguments.smt.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot write `{arguments.smt}`: {(error.strerror or str(error)).lower()}"
        show((complaint("E0908", reason),), arguments.color)
        return False
    return True
