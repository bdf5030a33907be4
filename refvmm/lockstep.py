"""Bare and virtual machine side by side, compared through the VM map after every step."""

from dataclasses import dataclass

from refvmm.bare_machine import BareMachine
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import virtual_state
from spec.machine import Machine, Step
from spec.outcome import Trapped
from spec.state import MachineState


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first step after which the machines were not in related states.

    `differences`: element or cell -> value of the bare machine, of the virtual one.
    """

    step: int
    bare: Step
    virtual: Step
    differences: dict[str, tuple[object, object]]


def presented(machine: VirtualMachine) -> MachineState:
    """The state of the innermost virtual machine."""
    state = machine.state
    for monitor in machine.monitors:
        state = virtual_state(monitor, state)
    return state


def differences(
    bare: Machine | BareMachine, virtual: VirtualMachine
) -> dict[str, tuple[object, object]]:
    """Where the virtual machine is not in the state that the bare one is in."""
    found: dict[str, tuple[object, object]] = {}
    found.update(bare.state.differences(presented(virtual)))
    if bare.waiting != virtual.waiting:
        found["waiting"] = (bare.waiting, virtual.waiting)
    if _cause(bare.double_trap) != _cause(virtual.double_trap):
        found["double trap"] = (_cause(bare.double_trap), _cause(virtual.double_trap))
    return found


def _cause(trapped: Trapped | None) -> tuple[object, ...] | None:
    return None if trapped is None else (trapped.cause, trapped.arguments)


def lockstep(bare: Machine | BareMachine, virtual: VirtualMachine, limit: int) -> Divergence | None:
    """Step both until they differ, `limit` steps are done, or a double trap stops both."""
    for number in range(limit):
        steps = bare.step(), virtual.step()
        found = differences(bare, virtual)
        if steps[0].interrupt != steps[1].interrupt:
            found["interrupt"] = (steps[0].interrupt, steps[1].interrupt)
        if found:
            return Divergence(number, *steps, found)
        if bare.double_trap is not None:
            return None
    return None
