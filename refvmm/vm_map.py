"""The VM map: which real state stands for a state of the virtual machine (P&G, section 3, and f)."""

from dataclasses import dataclass

from refvmm.control_block import MARK
from refvmm.derive import Monitor
from spec.concrete import ConcreteEngine
from spec.ir import Configuration, Isa
from spec.outcome import Retired
from spec.state import Cells, MachineState, Page


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the guest's memory and the monitor's tables lie in the host's; all in cells."""

    region_base: int
    region_size: int
    monitor_base: int


def default_placement(isa: Isa, configuration: Configuration) -> Placement:
    """The guest in the upper half of memory, the monitor's tables one page above 0."""
    half = 1 << (isa.memory.address_width - 1)
    return Placement(half, half, configuration.page or 0)


class BoundedCells(Cells):
    """Memory of which only the first `size` cells exist; the others read 0 and keep nothing."""

    __slots__ = ("size",)

    def __init__(self, isa: Isa, size: int) -> None:
        super().__init__(isa.memory)
        self.size = size

    def __setitem__(self, address: int, value: int) -> None:
        if address & self.mask < self.size:
            super().__setitem__(address, value)

    def copy(self) -> "BoundedCells":
        twin: BoundedCells = self._copy_into(object.__new__(BoundedCells))
        twin.size = self.size
        return twin

    def writable(self, number: int) -> Page:
        """Also for emitted code; `size` must be a multiple of the page then."""
        if number << self.page_shift >= self.size:
            return bytearray(self.page_cells) if self.value_mask <= 0xFF else [0] * self.page_cells
        return super().writable(number)


def bare_state(isa: Isa, size: int) -> MachineState:
    """The reset state of a machine with `size` cells of memory."""
    state = MachineState(isa)
    state.cells = BoundedCells(isa, size)
    if isa.memory.size is not None:
        state.scalars[isa.memory.size] = size
    return state


def place(monitor: Monitor, bare: MachineState, placement: Placement) -> MachineState:
    """f: the real state, with the guest about to run, that stands for a state of the bare machine.

    The real machine is otherwise as after reset, with what the constraints determine.
    """
    state = saved(monitor, bare, placement)
    outcome = ConcreteEngine(monitor.virtual).run(state, monitor.resume, {})
    assert isinstance(outcome, Retired)
    return outcome.state


def saved(
    monitor: Monitor, bare: MachineState, placement: Placement, blank: MachineState | None = None
) -> MachineState:
    """The real state with the guest saved, as its monitor sees it; `resume` has still to be run.

    `blank`: the real machine's state after reset, if it is at hand.
    """
    state = MachineState(monitor.real) if blank is None else blank.copy()
    scalars, arrays = state.scalars, state.arrays
    home = monitor.block.home
    for name, value in bare.scalars.items():
        scalars[home(name)] = value
    for name, values in bare.arrays.items():
        arrays[home(name)] = values[:]
    for clock in monitor.block.clocks:
        if clock.length is None:
            scalars[MARK + clock.name] = scalars[clock.name]
        else:
            arrays[MARK + clock.name] = arrays[clock.name][:]
    scalars.update(monitor.fixed)
    scalars["region.base"] = placement.region_base
    scalars["region.size"] = placement.region_size
    scalars["monitor.base"] = placement.monitor_base
    state.cells.put(bare.cells, placement.region_base, placement.region_size)
    fill_tables(monitor, state, placement)
    return state


def fill_tables(monitor: Monitor, state: MachineState, placement: Placement) -> None:
    """Give the monitor's own memory the contents that it has at the start."""
    fill = monitor.configuration.monitor_fill
    if fill:
        for number in range(monitor.configuration.monitor_size):
            state.cells[placement.monitor_base + number] = fill


def virtual_state(monitor: Monitor, state: MachineState, with_memory: bool = True) -> MachineState:
    """The state of the bare machine that a real state, with the guest running, stands for."""
    saved = ConcreteEngine(monitor.virtual).run(state, monitor.save, {})
    assert isinstance(saved, Retired)
    isa, now = monitor.description, saved.state
    size = now.scalars["region.size"]
    bare = bare_state(isa, size)
    for name in bare.scalars:
        bare.scalars[name] = now.scalars[monitor.block.home(name)]
    for name in bare.arrays:
        bare.arrays[name] = now.arrays[monitor.block.home(name)][:]
    if with_memory:
        start = now.scalars["region.base"]
        for address, value in now.cells.written():
            if start <= address < start + size:
                bare.cells[address - start] = value
    return bare
