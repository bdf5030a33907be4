"""Options that verbs share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path


def add_isa(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The descriptions a verb works on, as `isa` or `isas`."""
    parser.add_argument(
        "isas" if several else "isa",
        metavar="ISA",
        nargs="+" if several else None,
        help="a description: a file, or the name of a bundled one (`popek list`)",
    )


def add_color(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="color the output (default: on a terminal)",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the results"
    )


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
        default=default_cache(),
        help="keep answers here, so that an edit asks again only what it touched",
    )
    where.add_argument("--no-cache", action="store_true", help="ask everything again")


def cache_of(arguments: argparse.Namespace) -> Path | None:
    """Where answers are kept; None after `--no-cache`."""
    return None if arguments.no_cache else Path(arguments.cache)


def default_cache() -> Path:
    """$XDG_CACHE_HOME/popek, or ~/.cache/popek."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "popek"


def at_least(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    """A parser of numbers not below `least`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"`{text}` is not a number") from None
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return parse


def number(text: str) -> int:
    """A number of the machine: decimal, or 0x, 0b, 0o."""
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number") from None
