"""A virtual machine on a monitor (on monitors), step by step."""

from collections.abc import Sequence

from refvmm.derive import Monitor
from refvmm.processor import Hardware, Processor, RealProcessor, VirtualProcessor, texts
from refvmm.strategy import Strategy, direct_modes
from spec.decoding import Decode
from spec.ir import Role
from spec.machine import Step
from spec.outcome import Trapped
from spec.state import MachineState


class VirtualMachine:
    """Steps of the innermost guest: what `spec.machine.Machine` is for the bare machine.

    `monitors`: the one on the real machine first. Real time goes on by one with every step.
    """

    def __init__(
        self,
        monitors: Sequence[Monitor],
        state: MachineState,
        decode: Decode,
        strategy: Strategy = Strategy.TRAP_AND_EMULATE,
    ) -> None:
        self.monitors = tuple(monitors)
        self.hardware = Hardware(state)
        self.double_trap: Trapped | None = None
        self.direct = 0  # instructions that the real machine executed
        self.emulated = 0  # instructions that some monitor did or saw trap
        host: Processor = RealProcessor(monitors[0].real, self.hardware, decode)
        for monitor, text in zip(monitors, texts(monitors), strict=True):
            self.processor = VirtualProcessor(
                host, self.hardware, decode, text, direct_modes(monitor, strategy)
            )
            host = self.processor
        self._time = tuple(e for e in monitors[0].description.elements if e.role is Role.TIME)

    @property
    def state(self) -> MachineState:
        """The real machine's."""
        return self.hardware.state

    @property
    def waiting(self) -> bool:
        return self.hardware.waiting

    def step(self) -> Step:
        """One step of the guest: an interrupt taken, an instruction, or time that goes by."""
        pc = self.state.scalars[self.monitors[0].description.pc]
        pending = self.processor.pending()
        if pending is not None:
            self.hardware.waiting = False
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
        self._tick()
        return done

    def _tick(self) -> None:
        for element in self._time:
            limit = (1 << element.width) - 1
            if element.length is None:
                now = self.state.scalars[element.name]
                self.state.scalars[element.name] = (now + 1) & limit
            else:
                cells = self.state.own_array(element.name)
                cells[:] = [(value + 1) & limit for value in cells]
