"""The monitor's own timer: whether its interrupt can end direct execution (VC-L)."""

from dataclasses import dataclass

from refvmm.executor import Hardware
from refvmm.virtual_machine import VirtualMachine
from spec.ir import Role
from spec.routines import Routine, routines


@dataclass(frozen=True, slots=True)
class Alarm:
    """A signal of the real machine that interrupts it, as long as the guest cannot mask it."""

    hardware: Hardware
    device: str
    condition: Routine

    def would_fire(self) -> bool:
        """Whether the interrupt would be taken now, were the signal raised; the state stays."""
        scalars = self.hardware.state.scalars
        before = scalars[self.device]
        scalars[self.device] = 1
        fires = bool(self.hardware.call(self.condition))
        scalars[self.device] = before
        return fires


def alarm(machine: VirtualMachine) -> Alarm | None:
    """The signal that the configuration leaves to the monitor, in the machine's present state.

    It is the first device that, when raised, makes an interrupt's condition true on the real
    state, and not else. None if the description has no interrupts, or all are masked.
    """
    isa, hardware = machine.monitors[0].real, machine.hardware
    texts = routines(isa, hardware.runtime, "emitted")
    devices = [e.name for e in isa.elements if e.role is Role.DEVICE and e.length is None]
    for interrupt in isa.interrupts:
        condition = texts.value(interrupt.condition)
        for device in devices:
            found = Alarm(hardware, device, condition)
            if not hardware.call(condition) and found.would_fire():
                return found
    return None
