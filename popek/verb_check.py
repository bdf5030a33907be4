"""Decide whether the machine of a description can be virtualized, and show why or why not.

The report begins with the verdicts: `letter` (the definitions as the paper states them),
`configured` (with the control bits that the VMM fixes), `semantic` (direct execution does what
the virtual machine would do), each for Theorem 1 (VMM), 2 (recursive) and 3 (hybrid). Then come
the classes of all instructions, a witness for each escape, and the description's claims.
"""

import argparse
import sys

from checker.check import check
from checker.report import Report
from popek.console import Progress, palette_for
from popek.description import read_all
from popek.exit_status import ExitStatus
from popek.judgement import judge, worst
from popek.options import add_color, add_format, add_isa
from popek.render_json import render_json
from popek.render_report import render_report
from popek.selection import selection
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
    cache = cache_of(arguments)
    readings = read_all(arguments.isas, arguments.color, cache)
    statuses = [ExitStatus.BAD_INPUT for reading in readings if reading.isa is None]
    reports: list[Report] = []
    for reading in readings:
        if reading.isa is None:
            continue
        chosen = selection(reading.isa, arguments.only, arguments.config, arguments.color)
        if chosen is None:
            statuses.append(ExitStatus.BAD_INPUT)
            continue
        with Progress() as progress:
            report = check(
                reading.isa,
                source=reading.name,
                configurations=chosen.configurations or None,
                only=chosen.instructions or None,
                jobs=arguments.jobs,
                timeout=arguments.timeout,
                cache=cache,
                progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
            )
        reports.append(report)
        statuses.append(judge(report, reading.isa.claims))
        if arguments.format == "text":
            text = render_report(report, palette_for(sys.stdout, arguments.color))
            sys.stdout.write(("\n" if len(reports) > 1 else "") + text)
    if arguments.format == "json" and reports:
        sys.stdout.write(render_json(reports))
    return worst(statuses)
