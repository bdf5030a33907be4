"""Explain the classes of one instruction, or a diagnostic's code.

For every property that holds: the definition, and the witness, its runs side by side.
"""

import argparse
import sys

from popek.catalogue import CODE, entries
from popek.description import read
from popek.exit_status import ExitStatus
from popek.explanation import explain
from popek.messages import complaint, show
from popek.options import add_color, add_format
from popek.solving import add_solving, cache_of

EPILOG = """\
examples:
  popek explain m68000 "MOVE from SR"
  popek explain rv32 CSRRW mstatus --config msu
  popek explain E0203
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("isa", metavar="ISA", help="a description, or the code of a diagnostic")
    parser.add_argument("instruction", metavar="INSTRUCTION", nargs="?", help="as the manual says")
    parser.add_argument(
        "operands", metavar="OPERANDS", nargs="?", help="one operand set, such as a register's name"
    )
    add_solving(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.instruction is None:
        return _code(arguments.isa, arguments.color)
    isa = read(arguments.isa, arguments.color, cache_of(arguments))
    return ExitStatus.BAD_INPUT if isa is None else explain(isa, arguments)


def _code(code: str, color: str) -> int:
    entry = entries().get(code.upper())
    if entry is not None:
        sys.stdout.write(entry + "\n")
        return ExitStatus.HOLDS
    problem = (
        complaint("E0904", f"there is no diagnostic `{code}`", help="docs/diagnostics.md has them")
        if CODE.fullmatch(code.upper())
        else complaint(
            "E0905",
            "`explain` needs an instruction",
            help=f"write `popek explain {code} INSTRUCTION`, or `popek explain CODE`",
        )
    )
    show((problem,), color)
    return ExitStatus.BAD_INPUT
