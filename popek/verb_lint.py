"""Say whether descriptions are well-formed: all errors and warnings, none of the solver's work.

Exit status: 0 nothing to say, 1 warnings only, 2 errors.
"""

import argparse

from popek.description import read_all
from popek.exit_status import ExitStatus
from popek.options import add_color, add_isa
from spec.lint import warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_isa(parser, several=True)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    readings = read_all(arguments.isas, arguments.color, examine=warnings)
    if any(reading.isa is None for reading in readings):
        return ExitStatus.BAD_INPUT
    if any(reading.diagnostics for reading in readings):
        return ExitStatus.REFUTED
    for reading in readings:
        assert reading.isa is not None
        print(
            f"{reading.name}: {len(reading.isa.instructions)} instructions, "
            f"{len(reading.isa.configurations)} configurations, {len(reading.isa.claims)} claims"
        )
    return ExitStatus.HOLDS
