"""A virtual machine on a monitor (on monitors), step by step."""

from collections.abc import Sequence

from refvmm.bare_machine import Clocks
from refvmm.derive import Monitor
from refvmm.executor import Decoder, Hardware, sharing
from refvmm.processor import Processor, RealProcessor, VirtualProcessor, texts
from refvmm.strategy import Strategy, direct_modes
from refvmm.vm_map import Placement, saved
from spec.decoding import Decode
from spec.machine import Step
from spec.outcome import Trapped
from spec.routines import EngineName
from spec.state import MachineState


class VirtualMachine:
    """Steps of the innermost guest: what `spec.machine.Machine` is for the bare machine.

    `monitors`: the one on the real machine first. Real time goes on by one with every step.
    The state is worked on in place.
    """

    def __init__(
        self,
        monitors: Sequence[Monitor],
        state: MachineState,
        decode: Decode | Decoder,
        strategy: Strategy = Strategy.TRAP_AND_EMULATE,
        engine: EngineName = "concrete",
    ) -> None:
        self.monitors = tuple(monitors)
        self.hardware = Hardware(monitors[0].real)
        decoder = sharing(decode)
        host: Processor = RealProcessor(monitors[0].real, self.hardware, decoder, engine)
        for monitor, text in zip(monitors, texts(monitors), strict=True):
            self.processor = VirtualProcessor(
                host, self.hardware, decoder, text, direct_modes(monitor, strategy), engine
            )
            host = self.processor
        elements = monitors[0].description.elements
        self._pc = monitors[0].description.pc
        self._clocks = Clocks(elements)
        self._blanks = tuple(MachineState(monitor.real) for monitor in monitors)
        self.restart(state)

    def restart(self, state: MachineState) -> None:
        """Go on with another state, as if just made."""
        self.hardware.attach(state)
        self.double_trap: Trapped | None = None
        self.direct = 0  # instructions that the real machine executed
        self.emulated = 0  # instructions that some monitor did or saw trap

    def place(self, bare: MachineState, placements: Sequence[Placement]) -> None:
        """Present the machine in this state; a placement for each monitor, the outermost first."""
        state = bare
        for monitor, placement, blank in zip(
            self.monitors[::-1], placements[::-1], self._blanks[::-1], strict=True
        ):
            state = saved(monitor, state, placement, blank)
        self.restart(state)
        self.processor.leave()

    @property
    def state(self) -> MachineState:
        """The real machine's."""
        return self.hardware.state

    @property
    def waiting(self) -> bool:
        return self.hardware.waiting

    def interrupted(self) -> None:
        """The real machine is interrupted: the monitor sees to it, and lets the guest go on."""
        self.processor.enter()
        self.processor.leave()

    def step(self) -> Step:
        """One step of the guest: an interrupt taken, an instruction, or time that goes by."""
        pc = self.state.scalars[self._pc]
        pending = self.processor.pending()
        if pending is not None:
            self.double_trap = self.processor.interrupt(pending)
            done = Step(pc, pending.name, None, self.double_trap)
        elif self.hardware.waiting:
            done = Step(pc, None, None, None)
        else:
            attempt = self.processor.attempt()
            self.emulated += attempt.emulated
            self.direct += not attempt.emulated
            if attempt.trapped is not None:
                self.double_trap = self.processor.reflect(attempt.trapped)
            done = Step(pc, None, attempt.decoded, attempt.trapped)
        self._clocks.tick(self.state)
        return done
