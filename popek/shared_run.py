"""Programs as guests of one real machine, switched by the monitor's timer."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from checker.report_json import JSON
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.program_file import read_program
from popek.render_json import dumps
from popek.run_state import final_state, settings, state_json
from popek.strategy_choice import Choice
from popek.trace import trace_line
from refvmm.multiplexing import Differences, Guests
from refvmm.trial import shared_placements
from refvmm.vm_map import bare_state
from spec.ir import Isa
from spec.machine import Run, Stop
from spec.state import MachineState

BOUND = 100_000
"""Steps of all guests together, if --steps is not given."""


@dataclass(slots=True)
class _Guest:
    """What is known of one guest."""

    program: str
    steps: int = 0
    ended: Stop | None = None
    differences: Differences | None = None


def run_guests(
    isa: Isa, choice: Choice, programs: Sequence[str], arguments: argparse.Namespace
) -> int:
    """Run each program in a guest of its own; beside each runs a bare machine and is compared."""
    values = settings(isa, arguments.set)
    if not isinstance(values, dict):
        show(values, arguments.color)
        return ExitStatus.BAD_INPUT
    placements = shared_placements(isa, choice.monitor.configuration, len(programs))
    if not placements:
        problem = complaint(
            "E0918",
            f"the memory is too small for `{choice.monitor.configuration.name}` so many times",
        )
        show((problem,), arguments.color)
        return ExitStatus.BAD_INPUT
    states = []
    for name in programs:
        state = _loaded(isa, name, placements[0].region_size, arguments)
        if state is None:
            return ExitStatus.BAD_INPUT
        state.update(values)
        states.append(state)
    guests = Guests(choice.monitor, placements, choice.strategy)
    guests.begin(states)
    return _Sharing(isa, choice, guests, programs, arguments).run()


def _loaded(isa: Isa, name: str, size: int, arguments: argparse.Namespace) -> MachineState | None:
    program = read_program(isa, name, arguments.origin, arguments.color, raw=arguments.raw)
    if program is None:
        return None
    last = max((s.address + len(s.cells) for s in program.segments), default=0)
    if last > size:
        problem = complaint(
            "E0909",
            "the program does not fit the guest's memory",
            help=f"each guest has 0x{size:x} cells, the program ends at 0x{last:x}",
        )
        show((problem,), arguments.color)
        return None
    state = bare_state(isa, size)
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))
    pc = next(element for element in isa.elements if element.name == isa.pc)
    state.scalars[isa.pc] = program.entry & ((1 << pc.width) - 1)
    return state


class _Sharing:
    """Guests that take turns until none of them can go on."""

    def __init__(
        self,
        isa: Isa,
        choice: Choice,
        guests: Guests,
        programs: Sequence[str],
        arguments: argparse.Namespace,
    ) -> None:
        self.isa = isa
        self.choice = choice
        self.guests = guests
        self.arguments = arguments
        self.told = [_Guest(name) for name in programs]
        self.switches = 0

    def run(self) -> ExitStatus:
        """Step the guests in turn, a quantum each; a guest that traps gives up the rest of it
        only where the real machine has no timer for the monitor."""
        limit = BOUND if self.arguments.steps is None else self.arguments.steps
        done, used = 0, 0
        while done < limit and self._able():
            number = self.guests.running
            guest = self.told[number]
            turn, found = self.guests.step(guest.steps)
            done, used, guest.steps = done + 1, used + 1, guest.steps + 1
            if self.arguments.trace:
                how = "monitor" if turn.emulated else "direct "
                print(
                    f"guest {number}  {how}  {trace_line(self.isa, turn.virtual)}", file=sys.stderr
                )
            if found:
                guest.differences = found
                break
            self._see(guest)
            over = used >= self.arguments.quantum
            over &= self.guests.alarm is not None or turn.emulated
            if guest.ended is not None or over:
                used = 0
                self._switch(number)
        for guest in self.told:
            guest.ended = guest.ended or Stop.LIMIT
        self._tell()
        if any(g.differences or g.ended is Stop.DOUBLE_TRAP for g in self.told):
            return ExitStatus.REFUTED
        limited = any(g.ended is Stop.LIMIT for g in self.told) and self.arguments.steps is None
        return ExitStatus.UNDECIDED if limited else ExitStatus.HOLDS

    def _see(self, guest: _Guest) -> None:
        """Whether the guest that runs can go on."""
        virtual = self.guests.virtual
        if virtual.double_trap is not None:
            guest.ended = Stop.DOUBLE_TRAP
        elif virtual.waiting and virtual.processor.pending() is None:
            guest.ended = Stop.WAITING

    def _able(self) -> list[int]:
        return [number for number, guest in enumerate(self.told) if guest.ended is None]

    def _switch(self, running: int) -> None:
        """Let the next guest run that can."""
        able = self._able()
        after = [number for number in able if number > running]
        following = (after or able or [running])[0]
        if following != running:
            self.guests.switch(following)
            self.switches += 1

    # -- what is told

    def _tell(self) -> None:
        virtual, strategy = self.guests.virtual, self.choice.strategy.value
        ends = [self._end(number) for number in range(len(self.told))]
        if self.arguments.format == "json":
            document: dict[str, JSON] = {
                "strategy": strategy,
                "because": self.choice.because,
                "timer": None if self.guests.alarm is None else self.guests.alarm.device,
                "switches": self.switches,
                "direct": virtual.direct,
                "emulated": virtual.emulated,
                "guests": [self._document(number, ended) for number, ended in enumerate(ends)],
            }
            sys.stdout.write(dumps(document))
            return
        print(f"{len(self.told)} guests under a monitor, {strategy}: {self.choice.because}")
        alarm, quantum = self.guests.alarm, self.arguments.quantum
        how = "when they trap, for the monitor has no timer"
        if alarm is not None:
            how = f"by the monitor's timer, `{alarm.device}`, every {quantum} steps"
        print(f"switched {self.switches} times, {how}")
        print(
            f"the hardware executed {virtual.direct} instructions directly,"
            f" a monitor was called for {virtual.emulated}"
        )
        for number, ended in enumerate(ends):
            self._tell_guest(number, ended)

    def _end(self, number: int) -> Run:
        guest, bare = self.told[number], self.guests.bare[number]
        assert guest.ended is not None
        return Run(guest.ended, guest.steps, bare.double_trap)

    def _document(self, number: int, ended: Run) -> JSON:
        guest = self.told[number]
        told = state_json(self.isa, self.guests.bare[number].state, ended)
        assert isinstance(told, dict)
        differences: JSON = None
        if guest.differences is not None:
            differences = {n: [str(v) for v in pair] for n, pair in guest.differences.items()}
        return told | {"program": guest.program, "differences": differences}

    def _tell_guest(self, number: int, ended: Run) -> None:
        guest = self.told[number]
        trap = f" ({ended.trap.cause})" if ended.trap is not None else ""
        print(f"guest {number}, {guest.program}:")
        if guest.differences is None:
            print(f"  stopped after {ended.steps} steps: {ended.stop.value}{trap}")
            print("  the bare machine did the same at every step; the guest's state:")
        else:
            print(f"  its bare machine did something else in step {ended.steps}:")
            for name, (here, there) in guest.differences.items():
                print(f"  {name}: {_value(here)} on the bare machine, {_value(there)} here")
            print("  the bare machine's state:")
        for line in final_state(self.isa, self.guests.bare[number].state).splitlines():
            print(f"  {line}".rstrip())


def _value(value: object) -> str:
    known = isinstance(value, int) and not isinstance(value, bool)
    return f"0x{value:X}" if known else str(value)
