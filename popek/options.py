"""Options that verbs share."""

import argparse
from collections.abc import Callable


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
