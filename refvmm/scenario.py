"""A guest's start, its program and what happens to it from outside: all that a test run needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from refvmm.executor import Hardware
from refvmm.vm_map import bare_state
from spec.ir import Access, Instruction, Isa, Local, Translate
from spec.routines import Routine, routines
from spec.state import MachineState


@dataclass(frozen=True, slots=True)
class Written:
    """An instruction of a program, at a physical address; fields that are not given are 0.

    `cells` are what it is in memory, as the description's codec gives them.
    """

    address: int
    instruction: Instruction
    fields: Mapping[str, int]
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Before step `step`, a device or other element of the machine changes.

    `element` is None when it is the real machine that is interrupted, which the guest must not
    see; `index` is given for members of arrays.
    """

    step: int
    element: str | None = None
    value: int = 0
    index: int | None = None

    def happen(self, state: MachineState, home: str | None) -> None:
        """Change `home`, which is where the state has the element."""
        if home is None:
            return
        if self.index is None:
            state.scalars[home] = self.value
        else:
            state.own_array(home)[self.index] = self.value


@dataclass(frozen=True, slots=True)
class Scenario:
    """A bare machine of `size` cells of memory; what is not given is as after reset, or 0.

    The program overwrites `cells`, and later instructions earlier ones.
    """

    size: int
    steps: int
    scalars: Mapping[str, int]
    arrays: Mapping[str, tuple[int, ...]]
    cells: Mapping[int, int]  # by physical address
    program: tuple[Written, ...] = ()
    events: tuple[Event, ...] = ()

    def state(self, isa: Isa) -> MachineState:
        """The bare machine's state at the start."""
        state = _blank(isa, self.size).copy()
        state.scalars.update(self.scalars)
        for name, values in self.arrays.items():
            state.arrays[name] = list(values)
        memory = state.cells
        shift, offsets = memory.page_shift, memory.page_cells - 1
        number, page = -1, memory.writable(0)
        for address, value in self.cells.items():
            if address >> shift != number:
                number = address >> shift
                page = memory.writable(number)
            page[address & offsets] = value
        for written in self.program:
            for address, value in enumerate(written.cells, written.address):
                if address < self.size:
                    memory.writable(address >> shift)[address & offsets] = value
        return state


def _blank(isa: Isa, size: int) -> MachineState:
    """The state after reset, made once for the latest descriptions."""
    for known, cells, state in _blanks:
        if known is isa and cells == size:
            return state
    state = bare_state(isa, size)
    _blanks.append((isa, size, state))
    del _blanks[:-_KEPT]
    return state


_KEPT = 16
_blanks: list[tuple[Isa, int, MachineState]] = []


class Translator:
    """Translates addresses of states of one description."""

    def __init__(self, isa: Isa) -> None:
        self._hardware = Hardware(isa)
        self._isa = isa
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        self._address = Local("address", translate.parameters[0].width)
        self._texts = routines(isa, self._hardware.runtime, "emitted")
        self._routines: dict[tuple[int, Access], Routine] = {}

    def attach(self, state: MachineState) -> None:
        """The state that is asked about from now on; asking may change it as accesses do."""
        self._hardware.attach(state)

    def translate(self, address: int, size: int, access: Access) -> int | None:
        """The physical address, or None if the access traps."""
        key = size, access
        routine = self._routines.get(key)
        if routine is None:
            width = self._isa.memory.address_width
            step = Translate("physical", self._address, size, access, None, width)
            routine = self._texts.function((step,), (self._address,), Local("physical", width))
            self._routines[key] = routine
        signals = self._hardware.runtime.signals
        value = self._hardware.call(routine, (address & ((1 << self._address.width) - 1),))
        if signals:
            signals.clear()
            return None
        return int(value)
