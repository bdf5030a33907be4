"""Decide whether the machine of a description can be virtualized, and show why or why not.

The report begins with the verdicts: `letter` (the definitions as the paper states them),
`configured` (with the control bits that the VMM fixes), `semantic` (direct execution does what
the virtual machine would do), each for Theorem 1 (VMM), 2 (recursive) and 3 (hybrid). Then come
the classes of all instructions, a witness for each escape, and the description's claims.
"""

import argparse
import importlib
import sys

from checker.recall import recall
from checker.report import Report
from popek.console import palette_for
from popek.exit_status import ExitStatus, worst
from popek.library import locate
from popek.messages import show, unknown_description
from popek.options import add_color, add_format, add_isa
from popek.render_json import render_json
from popek.render_report import render_report
from popek.solving import add_solving, cache_of

EPILOG = """\
exit status: 0 every claim holds (and, where a configuration has no claim about its verdict, the
configured verdict of Theorem 1 is yes); 1 not so; 2 bad input; 3 something is undecided.

examples:
  popek check pg74                          the machine of the paper
  popek check my.isa --only LPSW --timeout 60
  popek check rv32 ia32 --format json | jq '.[].configurations[].verdicts'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser, several=True)
    parser.add_argument(
        "--only",
        metavar="INSTRUCTION",
        action="append",
        default=[],
        help="only this instruction (may be repeated); no verdicts then",
    )
    add_solving(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    statuses: list[ExitStatus] = []
    reports: list[Report] = []
    for name in arguments.isas:
        report, status = _checked(name, arguments)
        statuses.append(status)
        if report is None:
            continue
        reports.append(report)
        if arguments.format == "text":
            text = render_report(report, palette_for(sys.stdout, arguments.color))
            sys.stdout.write(("\n" if len(reports) > 1 else "") + text)
    if arguments.format == "json" and reports:
        sys.stdout.write(render_json(reports))
    return worst(statuses)


def _checked(name: str, arguments: argparse.Namespace) -> tuple[Report | None, ExitStatus]:
    """The report of one description, None if it is bad input; all messages are shown."""
    path = locate(name)
    if path is None:
        show((unknown_description(name),), arguments.color)
        return None, ExitStatus.BAD_INPUT
    known = recall(cache_of(arguments), str(path), recall_options(arguments))
    if known is not None:
        show(known.diagnostics, arguments.color)
        return known.report, ExitStatus(known.status)
    asking = importlib.import_module("popek.asking")  # lazily: most checks change nothing
    result: tuple[Report | None, ExitStatus] = asking.ask(name, path, arguments)
    return result


def recall_options(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What besides the description decides about a report."""
    only = (f"only={name.casefold()}" for name in sorted(set(arguments.only)))
    configurations = (f"config={name.casefold()}" for name in sorted(set(arguments.config)))
    return (*only, *configurations)
