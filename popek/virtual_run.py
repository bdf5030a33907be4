"""A program under a monitor, and beside it the same program on the bare machine."""

import argparse
import sys
from collections.abc import Sequence

from checker.report_json import JSON
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.number import digits
from popek.options import at_least, number
from popek.program_file import read_program
from popek.render_json import dumps
from popek.run_state import final_state, settings, state_json
from popek.strategy_choice import Choice
from popek.trace import trace_line
from refvmm.derive import Monitor
from refvmm.lockstep import Divergence, differences, presented
from refvmm.processor import stack
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state
from spec.encoding import Codec
from spec.ir import Isa
from spec.machine import Machine, Run, Stop
from spec.state import MachineState

BOUND = 100_000
"""Steps, if --steps is not given."""


def add_running(parser: argparse.ArgumentParser) -> None:
    """What `popek vmm` needs to run a program."""
    parser.add_argument(
        "programs",
        metavar="PROGRAM",
        nargs="*",
        help="run this under the monitor: assembly text or an image; `-` is standard input;"
        " several are guests of one machine",
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
        help="in the virtual machine, before the first step (may be repeated)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--nest",
        type=at_least(int, 1),
        default=1,
        metavar="N",
        help="so many monitors, each in the virtual machine of the one before",
    )
    how.add_argument(
        "--guests",
        type=at_least(int, 1),
        default=1,
        metavar="N",
        help="so many guests on one machine; the programs are dealt out to them in turn",
    )
    parser.add_argument(
        "--quantum",
        type=at_least(int, 1),
        default=10,
        metavar="N",
        help="after so many steps the monitor's timer lets the next guest run (default: 10)",
    )
    parser.add_argument("--trace", action="store_true", help="show every step on stderr")


def run_program(isa: Isa, choice: Choice, name: str, arguments: argparse.Namespace) -> int:
    """Run the program; the bare machine runs beside it and is compared at every step."""
    values = settings(isa, arguments.set)
    if not isinstance(values, dict):
        show(values, arguments.color)
        return ExitStatus.BAD_INPUT
    program = read_program(isa, name, arguments.origin, arguments.color, raw=arguments.raw)
    if program is None:
        return ExitStatus.BAD_INPUT
    placements = nested(isa, choice, arguments.nest)
    size = placements[-1].region_size if placements else 0
    last = max((s.address + len(s.cells) for s in program.segments), default=0)
    if last > size:
        problem = complaint(
            "E0909",
            "the program does not fit the guest's memory",
            help=f"the guest has 0x{size:x} cells, the program ends at 0x{last:x}"
            if placements
            else "there is no room for so many monitors: take a smaller `--nest`",
        )
        show((problem,), arguments.color)
        return ExitStatus.BAD_INPUT
    state = bare_state(isa, size)
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))
    pc = next(element for element in isa.elements if element.name == isa.pc)
    state.scalars[isa.pc] = program.entry & ((1 << pc.width) - 1)
    state.update(values)
    return _run(isa, choice, state, placements, arguments)


def nested(isa: Isa, choice: Choice, depth: int) -> list[Placement]:
    """Where each guest lies in the memory of its host, the outermost first; empty: no room."""
    found = [choice.placement]
    page = max(1, choice.monitor.configuration.page or 1)
    need = choice.placement.monitor_base + choice.monitor.configuration.monitor_size
    for _ in range(depth - 1):
        size = found[-1].region_size
        base = max(-(-need // page) * page, size // 8 // page * page)
        if base >= size:
            return []
        found.append(Placement(base, size - base, choice.placement.monitor_base))
    return found


def _run(
    isa: Isa,
    choice: Choice,
    state: MachineState,
    placements: Sequence[Placement],
    arguments: argparse.Namespace,
) -> int:
    monitors: list[Monitor] = stack(isa, choice.monitor.configuration, arguments.nest)
    decode = Codec(isa).decode
    virtual = VirtualMachine(
        monitors, MachineState(monitors[0].real), decode, choice.strategy, "emitted"
    )
    virtual.place(state.copy(), placements)
    bare = Machine(isa, state, decode)
    limit = BOUND if arguments.steps is None else arguments.steps
    done, divergence = 0, None
    while done < limit and virtual.double_trap is None and divergence is None:
        if virtual.waiting and virtual.processor.pending() is None:
            break
        emulated = virtual.emulated
        steps = bare.step(), virtual.step()
        if arguments.trace:
            how = "monitor" if virtual.emulated > emulated else "direct "
            print(f"{how}  {trace_line(isa, steps[1])}", file=sys.stderr)
        found = differences(bare, virtual)
        if found:
            divergence = Divergence(done, *steps, found)
        done += 1
    return _ended(isa, choice, virtual, done, divergence, arguments)


def _ended(
    isa: Isa,
    choice: Choice,
    virtual: VirtualMachine,
    done: int,
    divergence: Divergence | None,
    arguments: argparse.Namespace,
) -> int:
    stop = Stop.LIMIT
    if virtual.double_trap is not None:
        stop = Stop.DOUBLE_TRAP
    elif virtual.waiting:
        stop = Stop.WAITING
    ended = Run(stop, done, virtual.double_trap)
    guest = presented(virtual)
    if arguments.format == "json":
        told = state_json(isa, guest, ended)
        assert isinstance(told, dict)
        told |= _summary(choice, virtual, divergence)
        sys.stdout.write(dumps(told))
    else:
        sys.stdout.write(_text(isa, choice, virtual, ended, guest, divergence))
    if divergence is not None or stop is Stop.DOUBLE_TRAP:
        return ExitStatus.REFUTED
    limited = stop is Stop.LIMIT and arguments.steps is None
    return ExitStatus.UNDECIDED if limited else ExitStatus.HOLDS


def _summary(
    choice: Choice, virtual: VirtualMachine, divergence: Divergence | None
) -> dict[str, JSON]:
    return {
        "strategy": choice.strategy.value,
        "because": choice.because,
        "monitors": len(virtual.monitors),
        "direct": virtual.direct,
        "emulated": virtual.emulated,
        "diverged_at": None if divergence is None else divergence.step,
        "differences": None
        if divergence is None
        else {name: [_value(v) for v in pair] for name, pair in divergence.differences.items()},
    }


def _value(value: object) -> JSON:
    return hex(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _text(
    isa: Isa,
    choice: Choice,
    virtual: VirtualMachine,
    ended: Run,
    guest: MachineState,
    divergence: Divergence | None,
) -> str:
    under = "a monitor" if len(virtual.monitors) == 1 else f"{len(virtual.monitors)} monitors"
    trap = f" ({ended.trap.cause})" if ended.trap is not None else ""
    lines = [
        f"under {under}, {choice.strategy.value}: {choice.because}",
        f"stopped after {ended.steps} steps: "
        + (f"{ended.stop.value}{trap}" if divergence is None else "the machines differ"),
        f"the hardware executed {virtual.direct} instructions directly,"
        f" a monitor was called for {virtual.emulated}",
    ]
    if divergence is None:
        lines.append("the bare machine did the same at every step; the guest's state:")
    else:
        pc = next(element for element in isa.elements if element.name == isa.pc)
        lines.append(
            f"the bare machine did something else in step {divergence.step + 1},"
            f" at {digits(divergence.bare.pc, pc.width)}:"
        )
        lines.append(f"  bare machine     {trace_line(isa, divergence.bare)}")
        lines.append(f"  virtual machine  {trace_line(isa, divergence.virtual)}")
        for name, (here, there) in divergence.differences.items():
            lines.append(f"  {name}: {_value(here)} on the bare machine, {_value(there)} here")
        lines.append("the guest's state:")
    return "".join(line + "\n" for line in lines) + final_state(isa, guest)
