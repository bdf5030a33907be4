"""Decide whether the machine of a description can be virtualized, and show why or why not.

The report begins with the verdicts: `letter` (the definitions as the paper states them),
`configured` (with the control bits that the VMM fixes), `semantic` (direct execution does what
the virtual machine would do), each for Theorem 1 (VMM), 2 (recursive) and 3 (hybrid). Then come
the classes of all instructions, a witness for each escape, and the description's claims.
"""

import argparse
import sys

from popek.asking import check_named
from popek.console import palette_for
from popek.exit_status import ExitStatus, worst
from popek.options import add_color, add_format, add_isa
from popek.render_json import render_json
from popek.render_report import render_report
from popek.solving import add_smt, add_solving, make_smt

EPILOG = """\
exit status: 0 every claim holds (and, where a configuration has no claim about its verdict, the
configured verdict of Theorem 1 is yes); 1 not so; 2 bad input; 3 something is undecided.

examples:
  popek check pg74                          the machine of the paper
  popek check my.isa --only LPSW --timeout 60
  popek check m68000 --smt proofs && popek recheck proofs
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
    add_smt(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    if not make_smt(arguments):
        return ExitStatus.BAD_INPUT
    results = check_named(arguments.isas, arguments)
    reports = [report for report, _ in results if report is not None]
    if arguments.format == "json" and reports:
        sys.stdout.write(render_json(reports))
    else:
        palette = palette_for(sys.stdout, arguments.color)
        sys.stdout.write("\n".join(render_report(report, palette) for report in reports))
    return worst(status for _, status in results)
