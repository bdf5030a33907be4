"""What emitted code finds in its surroundings: memory, the log of a run's stores, signals."""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

from spec.concrete import Concrete
from spec.emitted_state import PACKED_SIZES
from spec.ir import BinaryOp, Isa
from spec.state import MachineState, Page

_INTEGERS = Concrete()
WAITS = "waits"
CHANGED = "changed"  # a state element that the code takes for constant


class Runtime:
    """The surroundings of the emitted code of one machine.

    `attach` it to a state before code runs. `writable` are the pages that emitted code may write
    without asking; a page leaves it while `watched` cells lie on it.
    """

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.signals: list[Any] = []
        self.writable: dict[int, Page] = {}
        self.watched: dict[int, int] = {}  # cell -> the value that code was made from
        self.on_change: Callable[[int], None] = lambda cell: None
        self.choices: Sequence[int] = ()
        self._chosen = 0
        self._saved: list[int] = []
        self._order: Literal["big", "little"] = "big" if isa.memory.big_endian else "little"
        self._log: list[tuple[int, int]] = []
        self._watched_pages: set[int] = set()
        self.attach(MachineState(isa))

    def attach(self, state: MachineState) -> None:
        self.state = state
        self._cells = state.cells
        self.writable.clear()
        self._chosen = 0
        self._log.clear()
        for name in state.arrays:
            state.own_array(name)

    def own(self, number: int) -> Page:
        """A page to be written, noted in `writable`."""
        page = self.writable[number] = self._cells.writable(number)
        return page

    def watch(self, cell: int) -> None:
        """Call `on_change` when emitted code changes the cell."""
        self.watched[cell] = self._cells[cell]
        page = cell >> self._cells.page_shift
        self._watched_pages.add(page)
        self.writable.pop(page, None)

    def unwatch(self) -> None:
        """Watch no cell any more."""
        self.watched.clear()
        self._watched_pages.clear()

    def recheck(self, cell: int) -> None:
        """Call `on_change` if the cell is watched and does not hold any more what it did."""
        if cell in self.watched and self.watched[cell] != self._cells[cell]:
            self.on_change(cell)

    def changed(self) -> list[int]:
        """Watched cells that do not hold any more what they did."""
        return [cell for cell, value in self.watched.items() if self._cells[cell] != value]

    def names(self) -> dict[str, object]:
        """The global names of emitted code."""
        order = ">" if self.isa.memory.big_endian else "<"
        found: dict[str, object] = {
            "MISSED": (KeyError, struct.error),
            "SIGNALS": self.signals,
            "WAITS": WAITS,
            "CHANGED": CHANGED,
            "LOG": self._log,
            "load": self.load,
            "store": self._store,
            "log": self._remember,
            "rollback": self._rollback,
            "choose": self._choose,
            "save_choices": lambda: self._saved.append(self._chosen),
            "restore_choices": self._restore_choices,
            "sdiv": lambda left, right, width: _INTEGERS.binary(BinaryOp.SDIV, left, right, width),
            "srem": lambda left, right, width: _INTEGERS.binary(BinaryOp.SREM, left, right, width),
        }
        for size, letter in zip(PACKED_SIZES, "HIQ", strict=True):
            form = struct.Struct(order + letter)
            found[f"U{size}"] = form.unpack_from
            found[f"P{size}"] = form.pack_into
        return found

    def load(self, address: int, size: int) -> int:
        """The value of `size` cells."""
        value, width, cells = 0, self.isa.memory.cell_width, self._cells
        places = range(size) if self.isa.memory.big_endian else range(size - 1, -1, -1)
        for place in places:
            value = value << width | cells[address + place]
        return value

    def _store(self, address: int, size: int, value: int) -> bool:
        """Whether a watched cell got another value."""
        width, cells, hit = self.isa.memory.cell_width, self._cells, False
        place = address & cells.mask
        number, offset = place >> cells.page_shift, place & (cells.page_cells - 1)
        in_page = offset + size <= cells.page_cells and number not in self._watched_pages
        if width == 8 and in_page:
            page = self.writable[number] = cells.writable(number)
            page[offset : offset + size] = value.to_bytes(size, self._order)
            return False
        for step in range(size):
            cell = (address + step) & cells.mask
            place = size - 1 - step if self.isa.memory.big_endian else step
            part = value >> (place * width) & cells.value_mask
            number = cell >> cells.page_shift
            page = cells.writable(number)
            page[cell & (cells.page_cells - 1)] = part
            if number not in self._watched_pages:
                self.writable[number] = page
            elif cell in self.watched and self.watched[cell] != part:
                self.on_change(cell)
                hit = True
        return hit

    def _remember(self, address: int, size: int) -> None:
        cells = self._cells
        for cell in range(address, address + size):
            self._log.append((cell & cells.mask, cells[cell]))

    def _rollback(self, mark: int) -> None:
        while len(self._log) > mark:
            cell, value = self._log.pop()
            self._store(cell, 1, value)

    def _restore_choices(self) -> None:
        self._chosen = self._saved.pop()

    def _choose(self, width: int) -> int:
        position, self._chosen = self._chosen, self._chosen + 1
        value = self.choices[position] if position < len(self.choices) else 0
        return value & ((1 << width) - 1)
