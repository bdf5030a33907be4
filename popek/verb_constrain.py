"""Find the control bits that a VMM must fix on the real machine so that nothing escapes.

A configuration's constraints (`constrain IOPL == 0`) say which values of control state the VMM
keeps while a guest runs. This finds the fewest such constraints under which Theorem 1's condition
(or Theorem 3's) holds, checks the configuration with them, and prints them as the description has
them; or shows the instructions that no such choice stops.
"""

import argparse
import sys

from checker.answers import Answer
from checker.constrain import Constrained, constrain
from checker.report import VerdictKind
from popek.console import Progress, palette_for
from popek.description import read
from popek.exit_status import ExitStatus, worst
from popek.options import add_color, add_format, add_isa
from popek.render_constrained import constrained_json, render_constrained
from popek.render_json import dumps
from popek.selection import selection
from popek.solving import add_solving, cache_of

EPILOG = """\
exit status: 0 constraints were found (or none are needed) and the configured verdict with them is
yes; 1 some instruction escapes whatever is fixed; 2 bad input; 3 something is undecided.

examples:
  popek constrain rv32 --config msu       which counters must trap
  popek constrain v8086 --theorem 3
  popek constrain my.isa --keep           what is missing beside the constraints written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser)
    parser.add_argument(
        "--theorem",
        type=int,
        choices=(1, 3),
        default=1,
        help="1: a VMM (default); 3: a hybrid VMM, which runs only user mode directly",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="beside the constraints that the configuration has (default: instead of them)",
    )
    add_solving(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, cache_of(arguments))
    if isa is None:
        return ExitStatus.BAD_INPUT
    chosen = selection(isa, (), arguments.config, arguments.color)
    if chosen is None:
        return ExitStatus.BAD_INPUT
    names = chosen.configurations
    found = []
    with Progress() as progress:
        for configuration in isa.configurations:
            if not names or configuration.name in names:
                found.append(
                    constrain(
                        isa,
                        configuration,
                        theorem=arguments.theorem,
                        keep=arguments.keep,
                        jobs=arguments.jobs,
                        timeout=arguments.timeout,
                        cache=cache_of(arguments),
                        progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
                    )
                )
    if arguments.format == "json":
        sys.stdout.write(dumps([constrained_json(isa, each) for each in found]))
    else:
        palette = palette_for(sys.stdout, arguments.color)
        sys.stdout.write("\n".join(render_constrained(isa, each, palette) for each in found))
    return worst(_status(each) for each in found)


def _status(found: Constrained) -> ExitStatus:
    if found.beyond_help:
        return ExitStatus.REFUTED
    if found.report is None or found.defects or found.report.all_defects:
        return ExitStatus.UNDECIDED
    (configuration,) = found.report.configurations
    verdict = configuration.verdict(VerdictKind.CONFIGURED, found.theorem).answer
    return ExitStatus.HOLDS if verdict is Answer.YES else ExitStatus.UNDECIDED
