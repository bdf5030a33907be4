"""Symbolic engines for a machine inside another: memory through the region, addresses by section 6.

These say what the virtual machine *is*, beside the monitor's own relocation routines, which are
proved against them.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import TypeAlias

from checker.addressing import Addressing
from checker.entries import Stored
from checker.runs import SymbolicRun, TrapPath
from checker.symbolic import Symbolic
from checker.terms import Term, Terms, Truth, Value
from spec.ir import Access, BinaryOp, Block, CompareOp, Isa, TrapClass

Granted: TypeAlias = tuple[Truth, Truth]
"""That cells exist, and the path on which that may be taken for granted."""


class Hosting(Addressing):
    """A machine whose cell `a` is cell `base + a` of memory, for `a < size`; others are absent.

    `granted` is said for those who ask only of what happens where a `Direct` run retires.
    """

    def __init__(self, isa: Isa, terms: Terms, base: Value, size: Value) -> None:
        super().__init__(isa, terms, abstract=False)
        self._base = base
        self._size = size
        self._relocating = True
        self.hypotheses: tuple[Truth, ...] = ()
        self.granted: Set[Granted] = frozenset()

    def _begin(
        self,
        start: Mapping[str, Value],
        memory: Term,
        frame: Mapping[str, Value | Truth],
        pc_after: Value,
    ) -> None:
        super()._begin(start, memory, frame, pc_after)
        for hypothesis in self.hypotheses:
            self._learn(hypothesis, True)

    @property
    def waits(self) -> Truth:
        """The run that ended last stopped the processor."""
        return self.any(*(end.path for end in self._waited))

    def run_on(
        self,
        start: Mapping[str, Value],
        memory: Term,
        block: Block,
        frame: Mapping[str, Value | Truth],
        pc_after: Value,
    ) -> tuple[SymbolicRun, dict[str, Value | Truth]]:
        """A run, and the values of locals after it."""
        run = self.run(start, memory, block, frame, pc_after)
        return run, self._frames[-1].values

    # -- memory

    def load(self, address: Value, width: int, access: Access, mode: Value | None) -> Value:
        if not self._relocating:
            return super().load(address, width, access, mode)
        cells = width // self.memory.cell_width
        physical = self._reach(address, cells, access, mode)
        return 0 if self.stopped() else self._relocated_load(physical, cells)

    def store(self, address: Value, value: Value, width: int, mode: Value | None) -> None:
        if not self._relocating:
            super().store(address, value, width, mode)
            return
        cells = width // self.memory.cell_width
        physical = self._reach(address, cells, Access.WRITE, mode)
        if not self.stopped():
            self._relocated_store(physical, value, cells)

    def load_physical(self, address: Value, width: int) -> Value:
        if not self._relocating:
            return super().load_physical(address, width)
        return self._relocated_load(address, width // self.memory.cell_width)

    def store_physical(self, address: Value, value: Value, width: int) -> None:
        if not self._relocating:
            super().store_physical(address, value, width)
            return
        self._relocated_store(address, value, width // self.memory.cell_width)

    def present(self, address: Value, cells: int) -> Truth:
        """All cells from an address of the virtual machine on exist."""
        width = self.memory.address_width
        wide = self.extend(address, width, False, width + 1)
        end = self.binary(BinaryOp.ADD, wide, cells, width + 1)
        return self.compare(CompareOp.ULE, end, self._size, width + 1)

    def _present(self, address: Value, cells: int) -> Truth:
        found = self.present(address, cells)
        return (found, self._now()) in self.granted or found

    def _relocated_load(self, address: Value, cells: int) -> Value:
        width = cells * self.memory.cell_width

        def whole() -> None:
            self.give_back(Symbolic.load_physical(self, self._at(address), width), width)

        def parts() -> None:
            self.give_back(self._joined(address, cells) if cells > 1 else 0, width)

        present = self._present(address, cells)
        self.enter({})
        self.branch(present, whole, parts)
        value = self.leave(width)
        assert isinstance(value, int | Term)
        return value

    def _joined(self, address: Value, cells: int) -> Value:
        single = self.memory.cell_width
        found = self._relocated_load(address, 1)
        for number in range(1, cells):
            part = self._relocated_load(self._beyond(address, number), 1)
            width = single * number
            if self.memory.big_endian:
                found = self.concat(found, part, single, width + single)
            else:
                found = self.concat(part, found, width, width + single)
        return found

    def _relocated_store(self, address: Value, value: Value, cells: int) -> None:
        single = self.memory.cell_width

        def whole() -> None:
            Symbolic.store_physical(self, self._at(address), value, cells * single)

        def parts() -> None:
            for number in range(cells) if cells > 1 else ():
                low = single * (cells - 1 - number if self.memory.big_endian else number)
                cell = self.extract(value, cells * single, low + single - 1, low)
                self._relocated_store(self._beyond(address, number), cell, 1)

        present = self._present(address, cells)
        self.enter({})
        self.branch(present, whole, parts)
        self.leave(None)

    def _at(self, address: Value) -> Value:
        return self.binary(BinaryOp.ADD, self._base, address, self.memory.address_width)

    def _beyond(self, address: Value, cells: int) -> Value:
        if cells == 0:
            return address
        return self.binary(BinaryOp.ADD, address, cells, self.memory.address_width)


class Plain(Hosting):
    """A text that runs on the combined state with physical memory as it is."""

    def __init__(self, isa: Isa, terms: Terms, base: Value, size: Value) -> None:
        super().__init__(isa, terms, base, size)
        self._relocating = False


class Recording(Plain):
    """Notes every store, with the value."""

    def __init__(self, isa: Isa, terms: Terms, base: Value, size: Value) -> None:
        super().__init__(isa, terms, base, size)
        self.stored: list[Stored] = []

    def store_physical(self, address: Value, value: Value, width: int) -> None:
        cells = width // self.memory.cell_width
        self.stored.append(Stored(self._now(), address, value, cells))
        super().store_physical(address, value, width)


class Direct(Plain):
    """The real machine under section 6 of the formal model.

    An address in the current mode is refused, for a reason that is left open at each access, or
    leads where the virtual machine's own translation says, inside the region. A run goes on as if
    nothing were refused, and does not retire where something is: so its terms are those of a run
    of the virtual machine to which is granted what it was.
    """

    def __init__(
        self,
        isa: Isa,
        terms: Terms,
        base: Value,
        size: Value,
        homes: Mapping[str, str],
        virtual_mode: int,
    ) -> None:
        super().__init__(isa, terms, base, size)
        self._homes = homes
        self._virtual_mode = virtual_mode
        self._count = 0
        self._probing = False
        self._refused: Truth = False
        self.grants: set[Granted] = set()
        self.strays: Truth = False
        """Some cell that a store has reached so far may lie outside the region."""
        self.page: int | None = None
        self.crossing: Truth = False
        """Some access so far goes beyond the end of a page, if its size is known."""

    def store_cells(self, memory: Term, address: Value, value: Value, size: int) -> Term:
        """`present` of the offset says that all cells lie in the region: the sum is below its size."""
        offset = self.binary(BinaryOp.SUB, address, self._base, self.memory.address_width)
        inside = self.present(offset, size)
        if (inside, self._now()) not in self.grants:
            self.strays = self.either(self.strays, self.both(self._now(), self.negate(inside)))
        return super().store_cells(memory, address, value, size)

    def _by_routine(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        if mode is not None and (isinstance(mode, Term) or mode != self._mode):
            return super()._by_routine(address, size, access, mode)
        self._count += 1
        self._refuse(self.terms.symbol(f"refused {self._count}", 0))
        if self.stopped():
            return 0
        self._relocating = True
        physical = super()._by_routine(address, size, access, self._virtual_mode)
        self._relocating = False
        if self.stopped():
            return 0
        present = self.present(physical, size)
        self._refuse(self.negate(present))
        if not self._probing:
            self.grants.add((present, self._now()))
        if self.page is not None:
            leaves = self.both(self._now(), self._leaves_page(address, size, self.page))
            self.crossing = self.either(self.crossing, leaves)
        return self._at(physical)

    def _leaves_page(self, address: Value, size: int, page: int) -> Truth:
        """An access of more than one cell ends in another page than it begins in."""
        if size == 1 or page == 1:
            return False
        width = self._address_width
        bits = (page - 1).bit_length()
        offset = self.extract(address, width, bits - 1, 0)
        return self.compare(CompareOp.ULT, page - size, offset, bits)

    def _refuse(self, condition: Truth) -> None:
        if self._probing:
            self.branch(condition, lambda: self.trap("refused", TrapClass.HIDDEN, ()), lambda: None)
        else:
            self._refused = self.either(self._refused, self.both(self._now(), condition))

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        self._probing = True
        found = super().probe(address, size, access, mode)
        self._probing = False
        return found

    def run(
        self,
        start: Mapping[str, Value],
        memory: Term,
        block: Block,
        frame: Mapping[str, Value | Truth],
        pc_after: Value,
    ) -> SymbolicRun:
        run = super().run(start, memory, block, frame, pc_after)
        if self._refused is False:
            return run
        hidden = TrapPath(self.both(run.retires, self._refused), "refused", TrapClass.HIDDEN)
        retires = self.both(run.retires, self.negate(self._refused))
        return replace(run, retires=retires, traps=(*run.traps, hidden))

    def read(self, element: str, index: Value | None) -> Value:
        return super().read(
            self._homes.get(element, element) if self._relocating else element, index
        )

    def write(self, element: str, value: Value, index: Value | None) -> None:
        place = self._homes.get(element, element) if self._relocating else element
        super().write(place, value, index)
