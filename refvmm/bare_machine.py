"""The bare machine, for comparison: steps like `spec.machine.Machine`, by either engine.

Made once and restarted on many states, so that its routines are compiled once.
"""

from collections.abc import Iterable

from refvmm.executor import Decoder, Executor, Hardware, sharing
from spec.decoding import Decode
from spec.ir import Element, Isa, Role
from spec.machine import Step
from spec.outcome import Trapped
from spec.routines import EngineName
from spec.state import MachineState


class BareMachine:
    """Works on the state in place."""

    def __init__(
        self,
        isa: Isa,
        state: MachineState,
        decode: Decode | Decoder,
        engine: EngineName = "emitted",
    ) -> None:
        self.isa = isa
        self.hardware = Hardware(isa)
        self._executor = Executor(isa, self.hardware, sharing(decode), engine)
        self._clocks = Clocks(isa.elements)
        self.restart(state)

    def restart(self, state: MachineState) -> None:
        """Go on with another state, as if just made."""
        self.hardware.attach(state)
        self.double_trap: Trapped | None = None

    @property
    def state(self) -> MachineState:
        return self.hardware.state

    @property
    def waiting(self) -> bool:
        return self.hardware.waiting

    def step(self) -> Step:
        """One step, as of `spec.machine.Machine`."""
        pc = self.state.scalars[self.isa.pc]
        pending = self._executor.pending()
        if pending is not None:
            self.double_trap = self._executor.interrupt(pending)
            done = Step(pc, pending.name, None, self.double_trap)
        elif self.hardware.waiting:
            done = Step(pc, None, None, None)
        else:
            attempt = self._executor.instruction()
            if attempt.trapped is not None:
                self.double_trap = self._executor.deliver(attempt.trapped)
            done = Step(pc, None, attempt.decoded, attempt.trapped)
        self._clocks.tick(self.state)
        return done


class Clocks:
    """The elements of time among some."""

    def __init__(self, elements: Iterable[Element]) -> None:
        times = [(e.name, (1 << e.width) - 1, e.length) for e in elements if e.role is Role.TIME]
        self._scalars = [(name, limit) for name, limit, length in times if length is None]
        self._arrays = [(name, limit) for name, limit, length in times if length is not None]

    def tick(self, state: MachineState) -> None:
        """Time goes on by one."""
        scalars = state.scalars
        for name, limit in self._scalars:
            scalars[name] = scalars[name] + 1 & limit
        for name, limit in self._arrays:
            cells = state.own_array(name)
            cells[:] = [value + 1 & limit for value in cells]
