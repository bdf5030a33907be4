"""A run that fails as an obligation says; the states that a counterexample describes, and their texts."""

from dataclasses import dataclass, replace

from checker.proof import Counterexample
from checker.statements import Simulation
from refvmm.derive import Monitor
from refvmm.relation import homes
from refvmm.vm_map import bare_state
from spec.concrete import ConcreteEngine
from spec.ir import (
    Element,
    Isa,
)
from spec.outcome import Retired
from spec.state import MachineState

_VALUES = 40


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run that fails as the obligation says.

    `state`: the virtual machine's before it, as far as it is not 0. `differences`: an element, a
    cell or the outcome, on the bare machine and on the virtual one.
    """

    how: str
    state: tuple[tuple[str, str], ...]
    differences: tuple[tuple[str, str, str], ...]
    assembly: str = ""


def combined_state(
    monitor: Monitor, counterexample: Counterexample, ghosts: tuple[Element, ...] = ()
) -> MachineState:
    """The combined state that a counterexample describes."""
    state = MachineState(replace(monitor.real, elements=(*monitor.real.elements, *ghosts)))
    state.scalars.update(counterexample.scalars)
    for name, content in counterexample.arrays:
        array = state.own_array(name)
        for index in range(len(array)):
            array[index] = 0
        for index, value in content:
            if index < len(array):
                array[index] = value
    for address, value in counterexample.cells:
        state.cells[address] = value
    return state


def presented(monitor: Monitor, statement: Simulation, state: MachineState) -> MachineState:
    """The virtual machine's state at the start of a statement."""
    read = ConcreteEngine(monitor.virtual).run(state, statement.before, {})
    assert isinstance(read, Retired)
    return virtual_state(monitor, read.state)


def virtual_state(monitor: Monitor, now: MachineState) -> MachineState:
    """The virtual machine's state that a combined state holds."""
    size, start = now.scalars["region.size"], now.scalars["region.base"]
    found = bare_state(monitor.description, size)
    where = homes(monitor)
    for name in found.scalars:
        found.scalars[name] = now.scalars[where.get(name, name)]
    for name in found.arrays:
        found.arrays[name] = now.arrays[where.get(name, name)][:]
    mask = now.cells.mask
    for address, value in now.cells.written():
        if (address - start) & mask < size:
            found.cells[(address - start) & mask] = value
    return found


def values_of(isa: Isa, state: MachineState) -> tuple[tuple[str, str], ...]:
    """Elements and cells that are not 0."""
    found = [(name, value) for name, value in state.scalars.items()]
    for name, values in state.arrays.items():
        found += [(f"{name}[{index}]", value) for index, value in enumerate(values)]
    found += [(f"{isa.memory.name}[0x{at:X}]", value) for at, value in state.cells.written()]
    shown = [(name, text_of(value)) for name, value in found if value]
    return tuple(shown[:_VALUES]) + ((("and more", "..."),) if len(shown) > _VALUES else ())


def text_of(value: object) -> str:
    return f"0x{value:X}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
