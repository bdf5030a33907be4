"""Disassemble an image of the memory (or show what an assembly text assembles to).

Words that are no instruction are shown as `.cell`; a listing assembles to the same cells again.
"""

import argparse
import sys

from checker.directory import default_directory
from popek.description import read
from popek.exit_status import ExitStatus
from popek.options import add_color, add_isa, number
from popek.program_file import read_program
from popek.table import table
from popek.verb_asm import address, cells
from spec.encoding import codec_of
from spec.ir import Isa
from spec.program import Program, Segment
from spec.template import disassemble


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_isa(parser)
    parser.add_argument("file", metavar="FILE", help="an image; `-` is standard input")
    parser.add_argument(
        "--origin", type=number, default=0, metavar="ADDRESS", help="of its first cell (default: 0)"
    )
    parser.add_argument("--raw", action="store_true", help="an image even if it looks like text")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, default_directory())
    if isa is None:
        return ExitStatus.BAD_INPUT
    program = read_program(
        isa, arguments.file, arguments.origin, arguments.color, raw=arguments.raw
    )
    if program is None:
        return ExitStatus.BAD_INPUT
    rows = [row for segment in program.segments for row in _rows(isa, program, segment)]
    sys.stdout.write("".join(line + "\n" for line in table(rows, (20, 60, 200), indent="")))
    return ExitStatus.HOLDS


def _rows(isa: Isa, program: Program, segment: Segment) -> list[tuple[str, str, str]]:
    codec = codec_of(isa)
    symbols = {name: value for name, value in program.symbols.items() if value}
    rows = []
    at = 0
    while at < len(segment.cells):
        rest = segment.cells[at:]
        decoded = codec.decode_cells(rest)
        place = segment.address + at
        if decoded is None or decoded.length > len(rest):
            used = rest[: codec.cells_per_unit]
            text = ".cell " + ", ".join(f"0x{cell:x}" for cell in used)
        else:
            used = rest[: decoded.length]
            text = disassemble(isa, decoded, place, symbols)
        rows.append((address(isa, place), cells(isa, used), text))
        at += len(used)
    return rows
