"""One table of the verdicts of many descriptions, and of how they stand to the literature.

Without a name: of all bundled descriptions. All of them are checked at once, so no processor
waits while a question is open; what is known already is not asked again.
"""

import argparse
import sys

from checker.answers import Answer
from checker.report import Report
from popek import library
from popek.asking import check_named
from popek.console import palette_for
from popek.exit_status import ExitStatus, worst
from popek.options import add_color
from popek.render_json import render_json
from popek.render_verdicts import as_markdown, as_text
from popek.solving import add_solving

EPILOG = """\
exit status: as of `popek check` for each description; 1 also if what a description quotes from
the literature differs from what was found without a reason, or agrees although it gives one.

examples:
  popek verdicts                                  the whole library
  popek verdicts pg74 my.isa
  popek verdicts --format markdown > verdicts.md  with escapes, witnesses and the literature
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "isas", metavar="ISA", nargs="*", help="a description (default: all bundled ones)"
    )
    add_solving(parser)
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "json"),
        default="text",
        help="form of the results",
    )
    add_color(parser)
    parser.set_defaults(only=[])


def run(arguments: argparse.Namespace) -> int:
    results = check_named(arguments.isas or library.names(), arguments)
    reports = [report for report, _ in results if report is not None]
    match arguments.format:
        case "json":
            sys.stdout.write(render_json(reports))
        case "markdown":
            sys.stdout.write(as_markdown(reports))
        case _:
            sys.stdout.write(as_text(reports, palette_for(sys.stdout, arguments.color)))
    return worst([*(status for _, status in results), *map(_literature, reports)])


def _literature(report: Report) -> ExitStatus:
    unsettled = [said.claim.holds for said in report.literature if not said.settled]
    if not unsettled:
        return ExitStatus.HOLDS
    undecided = all(holds is Answer.UNKNOWN for holds in unsettled)
    return ExitStatus.UNDECIDED if undecided else ExitStatus.REFUTED
