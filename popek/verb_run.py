"""Run a program on the bare machine: no monitor, no operating system, the traps delivered.

The machine starts in its reset state with the program in physical memory and the program counter
at `start` (or at --origin); --set changes registers first. Then it runs until it waits for good,
or for --steps steps; the state at the end is shown.

Exit status: 0 it stopped by itself or did the steps asked for, 3 it was still running at the
default bound, 1 a trap was raised while another was delivered.
"""

import argparse
import sys

from checker.directory import default_directory
from popek.description import read
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.options import add_color, add_format, add_isa, at_least, number
from popek.program_file import read_program
from popek.render_json import dumps
from popek.run_state import final_state, settings, state_json
from popek.trace import trace_line
from spec.ir import Isa
from spec.machine import Machine, Run, Stop
from spec.program import Program
from spec.state import MachineState

BOUND = 1_000_000
"""Steps, if --steps is not given."""

EPILOG = """\
examples:
  popek run pg74 program.s --trace
  popek run rv32 program.bin --origin 0x80000000 --steps 1000 --set 'x[2]=0x80010000'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser)
    parser.add_argument(
        "program", metavar="PROGRAM", help="assembly text or an image; `-` is standard input"
    )
    parser.add_argument("--raw", action="store_true", help="an image even if it looks like text")
    parser.add_argument("--steps", type=at_least(int, 0), metavar="N", help="run at most N steps")
    parser.add_argument(
        "--origin", type=number, default=0, metavar="ADDRESS", help="where it begins (default: 0)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="REGISTER=VALUE",
        help="before the first step; `x[3]` is an element (may be repeated)",
    )
    parser.add_argument("--trace", action="store_true", help="show every step on stderr")
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, default_directory())
    if isa is None:
        return ExitStatus.BAD_INPUT
    values = settings(isa, arguments.set)
    if not isinstance(values, dict):
        show(values, arguments.color)
        return ExitStatus.BAD_INPUT
    program = read_program(
        isa, arguments.program, arguments.origin, arguments.color, raw=arguments.raw
    )
    if program is None:
        return ExitStatus.BAD_INPUT
    machine = _machine(isa, program, values)
    if machine is None:
        show((complaint("E0909", "the program does not fit the memory"),), arguments.color)
        return ExitStatus.BAD_INPUT
    if arguments.trace:
        machine.on_step = lambda step: print(trace_line(isa, step), file=sys.stderr)
    ended = machine.run(BOUND if arguments.steps is None else arguments.steps)
    if arguments.format == "json":
        sys.stdout.write(dumps(state_json(isa, machine.state, ended)))
    else:
        sys.stdout.write(f"{_reason(ended)}\n{final_state(isa, machine.state)}")
    return _status(ended, bounded=arguments.steps is not None)


def _machine(isa: Isa, program: Program, values: dict[str, int]) -> Machine | None:
    state = MachineState(isa)
    size = 1 << isa.memory.address_width
    for segment in program.segments:
        if segment.address + len(segment.cells) > size:
            return None
        state.load_cells(segment.address, list(segment.cells))
    pc = next(element for element in isa.elements if element.name == isa.pc)
    state.scalars[isa.pc] = program.entry & ((1 << pc.width) - 1)
    state.update(values)
    return Machine(isa, state, engine="emitted")


def _reason(ended: Run) -> str:
    trap = f" ({ended.trap.cause})" if ended.trap is not None else ""
    return f"stopped after {ended.steps} steps: {ended.stop.value}{trap}"


def _status(ended: Run, *, bounded: bool) -> ExitStatus:
    match ended.stop:
        case Stop.DOUBLE_TRAP:
            return ExitStatus.REFUTED
        case Stop.LIMIT if not bounded:
            return ExitStatus.UNDECIDED
        case _:
            return ExitStatus.HOLDS
