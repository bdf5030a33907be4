"""The state of a machine: its elements and its memory, as plain integers."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias, TypeVar

from spec.ir import Isa, Memory

BYTE_PAGE_CELLS = 4096
WIDE_PAGE_CELLS = 256

Page: TypeAlias = bytearray | list[int]

C = TypeVar("C", bound="Cells")


class Cells:
    """Physical memory: a sparse map from cell address to value; unwritten cells hold 0.

    Pages are shared between copies until one of them writes. `pages` is open for reading;
    whoever writes a page takes it from `owned`, or, if it is not there, from `writable`.
    """

    __slots__ = ("edits", "mask", "owned", "page_cells", "page_shift", "pages", "value_mask")

    def __init__(self, memory: Memory) -> None:
        page_cells = BYTE_PAGE_CELLS if memory.cell_width <= 8 else WIDE_PAGE_CELLS
        sixteenth = 1 << max(0, memory.address_width - 4)
        self.page_cells = min(page_cells, sixteenth)
        self.page_shift = self.page_cells.bit_length() - 1
        self.mask = (1 << memory.address_width) - 1
        self.value_mask = (1 << memory.cell_width) - 1
        self.pages: dict[int, Page] = {}
        self.owned: dict[int, Page] = {}
        self.edits = 0  # assignments by `cells[address] = value`, here or in what this copies

    def __getitem__(self, address: int) -> int:
        address &= self.mask
        page = self.pages.get(address >> self.page_shift)
        return 0 if page is None else page[address & (self.page_cells - 1)]

    def __setitem__(self, address: int, value: int) -> None:
        address &= self.mask
        page = self.writable(address >> self.page_shift)
        page[address & (self.page_cells - 1)] = value & self.value_mask
        self.edits += 1

    def writable(self, number: int) -> Page:
        """Page `number`, created if absent and no longer shared with any copy."""
        page = self.owned.get(number)
        if page is not None:
            return page
        page = self.pages.get(number)
        if page is None:
            page = bytearray(self.page_cells) if self.value_mask <= 0xFF else [0] * self.page_cells
        else:
            page = page[:]
        self.pages[number] = page
        self.owned[number] = page
        return page

    def copy(self) -> "Cells":
        return self._copy_into(object.__new__(Cells))

    def _copy_into(self, twin: C) -> C:
        twin.page_cells = self.page_cells
        twin.page_shift = self.page_shift
        twin.mask = self.mask
        twin.value_mask = self.value_mask
        twin.pages = dict(self.pages)
        twin.owned = {}
        twin.edits = self.edits
        self.owned.clear()
        return twin

    def put(self, other: "Cells", start: int, size: int) -> None:
        """Copy the first `size` cells of another memory of the same kind to `start`."""
        offsets = self.page_cells - 1
        if start & offsets or size & offsets:
            for address, value in other.written():
                if address < size:
                    self[start + address] = value
            return
        other.owned.clear()  # pages are shared from now on
        shift = self.page_shift
        for number, page in other.pages.items():
            if number < size >> shift:
                self.owned.pop(number + (start >> shift), None)
                self.pages[number + (start >> shift)] = page
        self.edits += 1

    def written(self) -> Iterator[tuple[int, int]]:
        """Address and value of every cell that is not 0, by address."""
        for number in sorted(self.pages):
            start = number << self.page_shift
            for offset, value in enumerate(self.pages[number]):
                if value:
                    yield start + offset, value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cells):
            return NotImplemented
        return all(self.same_page(other, n, n) for n in self.pages.keys() | other.pages.keys())

    __hash__ = None  # type: ignore[assignment]  # typeshed has no other way to say mutable

    def same_page(self, other: "Cells", number: int, place: int) -> bool:
        """Whether a page holds the same as page `place` of another memory."""
        return _same(self.pages.get(number), other.pages.get(place))


def _same(mine: Page | None, theirs: Page | None) -> bool:
    if mine is theirs:
        return True
    if mine is None or theirs is None:
        return not any(mine or theirs or ())
    return mine == theirs


class MachineState:
    """Values of all state elements by name (`scalars`, `arrays`) and of memory (`cells`).

    Values lie in `0 .. 2**width - 1`. Mutable; `copy` shares what neither side changes, so take
    an array to be changed from `own_array`.
    """

    __slots__ = ("_owned", "arrays", "cells", "scalars")

    def __init__(self, isa: Isa) -> None:
        """Every element at its reset value, memory all 0."""
        self.scalars: dict[str, int] = {}
        self.arrays: dict[str, list[int]] = {}
        for element in isa.elements:
            if element.length is None:
                self.scalars[element.name] = element.reset
            else:
                self.arrays[element.name] = [element.reset] * element.length
        self._owned: set[str] = set(self.arrays)
        self.cells = Cells(isa.memory)

    def own_array(self, element: str) -> list[int]:
        """The array, no longer shared with any copy."""
        if element not in self._owned:
            self.arrays[element] = self.arrays[element][:]
            self._owned.add(element)
        return self.arrays[element]

    def copy(self) -> "MachineState":
        twin: MachineState = object.__new__(MachineState)
        twin.scalars = dict(self.scalars)
        twin.arrays = dict(self.arrays)
        twin._owned = set()
        self._owned.clear()
        twin.cells = self.cells.copy()
        return twin

    def reset(self, isa: Isa) -> None:
        """Give every element its reset value; memory keeps its contents."""
        fresh = MachineState(isa)
        self.scalars, self.arrays, self._owned = fresh.scalars, fresh.arrays, fresh._owned

    def update(self, values: Mapping[str, int]) -> None:
        """Set scalar elements, and array members by the name `x[3]`."""
        for name, value in values.items():
            array, bracket, index = name.partition("[")
            if bracket:
                self.own_array(array)[int(index.removesuffix("]"), 0)] = value
            elif name in self.scalars:
                self.scalars[name] = value
            else:
                raise KeyError(name)

    def load_cells(self, address: int, values: "bytes | list[int]") -> None:
        """Put consecutive cells into memory, from a physical address on."""
        for offset, value in enumerate(values):
            self.cells[address + offset] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MachineState):
            return NotImplemented
        return (
            self.scalars == other.scalars
            and self.arrays == other.arrays
            and self.cells == other.cells
        )

    __hash__ = None  # type: ignore[assignment]  # typeshed has no other way to say mutable

    def differences(self, other: "MachineState") -> dict[str, tuple[int, int]]:
        """What differs: `x[3]`-like names (memory cells as `[0x10]`), with both values."""
        found: dict[str, tuple[int, int]] = {}
        for name, value in self.scalars.items():
            if value != other.scalars[name]:
                found[name] = (value, other.scalars[name])
        for name, values in self.arrays.items():
            for index, (mine, theirs) in enumerate(zip(values, other.arrays[name], strict=True)):
                if mine != theirs:
                    found[f"{name}[{index}]"] = (mine, theirs)
        before, after = dict(self.cells.written()), dict(other.cells.written())
        for address in sorted(before.keys() | after.keys()):
            mine, theirs = before.get(address, 0), after.get(address, 0)
            if mine != theirs:
                found[f"[0x{address:x}]"] = (mine, theirs)
        return found


def dump(isa: Isa, state: MachineState) -> str:
    """The state as text: scalars, then arrays, then memory cells that are not 0."""
    lines = []
    for element in isa.elements:
        digits = (element.width + 3) // 4
        if element.length is None:
            value = state.scalars[element.name]
            names = [name for name, encoding in element.values if encoding == value]
            lines.append(
                f"{element.name} = 0x{value:0{digits}x} {names[0] if names else ''}".rstrip()
            )
        else:
            values = state.arrays[element.name]
            for start in range(0, len(values), 8):
                row = " ".join(f"{value:0{digits}x}" for value in values[start : start + 8])
                lines.append(f"{element.name}[{start}..] = {row}")
    cell_digits = (isa.memory.cell_width + 3) // 4
    rows: dict[int, dict[int, int]] = {}
    for address, value in state.cells.written():
        rows.setdefault(address & ~15, {})[address & 15] = value
    for start, row_cells in rows.items():
        row = " ".join(f"{row_cells.get(i, 0):0{cell_digits}x}" for i in range(16))
        lines.append(f"{isa.memory.name}[0x{start:x}..] = {row}")
    return "\n".join(lines)
