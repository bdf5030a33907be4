"""Assemble a program in the syntax that the description gives its instructions.

Prints a listing (address, memory cells, source line), or writes an image with --output.
"""

import argparse
import sys
from pathlib import Path

from checker.directory import default_directory
from popek.description import read
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.options import add_color, add_format, add_isa, number
from popek.program_file import image_bytes, read_program
from popek.render_json import dumps
from popek.table import table
from spec.ir import Isa
from spec.program import Program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_isa(parser)
    parser.add_argument("file", metavar="FILE", help="assembly text; `-` is standard input")
    parser.add_argument(
        "--origin", type=number, default=0, metavar="ADDRESS", help="where it begins (default: 0)"
    )
    parser.add_argument("--output", "-o", metavar="IMAGE", help="write the memory cells here")
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, default_directory())
    if isa is None:
        return ExitStatus.BAD_INPUT
    program = read_program(isa, arguments.file, arguments.origin, arguments.color)
    if program is None:
        return ExitStatus.BAD_INPUT
    if arguments.output:
        try:
            Path(arguments.output).write_bytes(image_bytes(isa, program))
        except OSError as error:
            reason = f"cannot write `{arguments.output}`: {(error.strerror or str(error)).lower()}"
            show((complaint("E0908", reason),), arguments.color)
            return ExitStatus.BAD_INPUT
    elif arguments.format == "json":
        sys.stdout.write(program_json(isa, program))
    else:
        sys.stdout.write(listing(isa, program, _source(arguments.file)))
    return ExitStatus.HOLDS


def listing(isa: Isa, program: Program, source: str) -> str:
    """Address, cells and source of every line that became something."""
    texts = source.splitlines()
    rows = [
        (
            address(isa, line.address),
            cells(isa, line.cells[:8]) + (" ..." if len(line.cells) > 8 else ""),
            texts[line.number - 1].strip() if line.number <= len(texts) else "",
        )
        for line in program.lines
        if line.cells
    ]
    return "".join(line + "\n" for line in table(rows, (20, 60, 200), indent=""))


def program_json(isa: Isa, program: Program) -> str:
    """Entry, symbols and segments; cells are numbers."""
    return dumps(
        {
            "schema": 1,
            "isa": isa.name,
            "entry": program.entry,
            "symbols": dict(program.symbols),
            "segments": [
                {"address": segment.address, "cells": list(segment.cells)}
                for segment in program.segments
            ],
        }
    )


def address(isa: Isa, value: int) -> str:
    """An address of a memory cell, with all its digits."""
    return f"{value:0{(isa.memory.address_width + 3) // 4}x}"


def cells(isa: Isa, values: tuple[int, ...]) -> str:
    """Memory cells, in the order of their addresses."""
    return " ".join(f"{value:0{(isa.memory.cell_width + 3) // 4}x}" for value in values)


def _source(name: str) -> str:
    return "" if name == "-" else Path(name).read_text(encoding="utf-8", errors="replace")
