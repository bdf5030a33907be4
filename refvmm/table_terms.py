"""What statements about shadow tables are made of: look-ups, slots, pages, calls."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from checker.statements import Triple
from refvmm import control_block
from refvmm.control_block import placed
from refvmm.derive import Monitor
from refvmm.page_ends import crosses, within
from refvmm.redirect import Noted, base
from refvmm.relation import expressions, while_running
from refvmm.shadow import Shadow
from spec import ir
from spec.effects import statements

RIGHT = {ir.Access.FETCH: 0, ir.Access.READ: 1, ir.Access.WRITE: 2}
"""The bit of an access among rights."""


class TableTerms:
    """What statements about the tables of one monitor are made of."""

    def __init__(self, monitor: Monitor, tables: Shadow, real_modes: tuple[int, ...]) -> None:
        self.monitor = monitor
        self.real_modes = real_modes
        self.tables = tables
        self.isa = monitor.description
        (translate,) = [f for f in self.isa.functions if f.name == self.isa.translate]
        self.view_width = translate.parameters[0].width
        self.pa_width = self.isa.memory.address_width
        places = tables.noted is Noted.PLACES
        self.va_width = self.pa_width if places else self.view_width  # of what names a page
        self.running = expressions(while_running(monitor))
        self.defined = tuple(
            (n, placed(monitor.redirect.expr(e)))
            for n, index, e in control_block.composed(self.isa, monitor.configuration)
            if index is None
        )
        self.functions = {f.name: f for f in monitor.virtual.functions}

    def in_real_modes(self, triple: Triple) -> Iterator[Triple]:
        """A statement about look-ups, for each real mode that the guest runs in."""
        names = {encoding: name for name, encoding in self.isa.mode.members}
        for real in self.real_modes:
            name = triple.name
            if len(self.real_modes) > 1:
                name += f", real mode {names[real]}"
            yield replace(triple, name=name, real_mode=real)

    # -- parts

    def _look(self, name: str, at: ir.Expr, cells: int, access: ir.Access) -> ir.Block:
        reached, place = self._found(name)
        return (
            ir.Probe(reached.name, at, cells, access),
            ir.Assign(place.name, ir.Literal(0, place.width)),
            ir.If(reached, (ir.Translate(place.name, at, cells, access, None, place.width),), ()),
        )

    def _found(self, name: str) -> tuple[ir.Local, ir.Local]:
        return ir.Local(f"{name}.reached", 0), ir.Local(f"{name}.at", self.pa_width)

    def _va(self, name: str) -> ir.Local:
        return ir.Local(name, self.va_width)

    def _base_of(self, address: ir.Expr, width: int | None = None) -> ir.Expr:
        bits = self.va_width if width is None else width
        mask = ((1 << bits) - 1) & ~(self.tables.page - 1)
        return ir.Binary(ir.BinaryOp.AND, address, ir.Literal(mask, bits), bits)

    def _offset(self, va: ir.Expr) -> ir.Expr:
        bits = (self.tables.page - 1).bit_length()
        return ir.Extend(ir.Extract(va, bits - 1, 0), False, self.pa_width)

    def _page(self, va: ir.Expr) -> tuple[ir.Expr, ...]:
        return (equal(va, self._base_of(va)),)

    def _in_a_page(self, va: ir.Expr, cells: int, access: ir.Access) -> tuple[ir.Expr, ...]:
        """Of an access that translation would let through into the next page too."""
        if crosses(self.isa, self.tables.page, access, cells):
            return (within(va, cells, self.tables.page),)
        return ()

    def _frame(self, pa: ir.Expr) -> tuple[ir.Expr, ...]:
        return (equal(pa, self._base_of(pa, self.pa_width)),)

    def _slot(self, slot: ir.Expr) -> ir.Expr:
        return ir.Compare(ir.CompareOp.ULT, slot, ir.Literal(self.tables.slots, 8))

    def _slot_element(self, name: str, width: int, slot: ir.Expr) -> ir.Expr:
        return ir.Read(f"vmm.slot.{name}", width, slot)

    def _walk(self, slot: ir.Expr, number: ir.Expr) -> ir.Expr:
        row = ir.Binary(
            ir.BinaryOp.MUL, ir.Extend(slot, False, 16), ir.Literal(self.tables.walks, 16), 16
        )
        index = ir.Binary(ir.BinaryOp.ADD, row, ir.Extend(number, False, 16), 16)
        return ir.Read("vmm.slot.walk", self.pa_width, index)

    def _walked(self, slot: ir.Expr, number: ir.Expr) -> ir.Expr:
        """The slot is valid, and its walk has so many pages."""
        walks = self._slot_element("walks", 8, slot)
        counted = ir.Compare(ir.CompareOp.ULT, number, walks)
        bounded = ir.Compare(ir.CompareOp.ULT, number, ir.Literal(self.tables.walks, 8))
        return both(ir.Truth(self._slot_element("valid", 1, slot)), both(counted, bounded))

    def _in_region(self, cell: ir.Expr) -> ir.Expr:
        return ir.Binary(ir.BinaryOp.ADD, base(self.isa.memory), cell, self.pa_width)

    def _install(self, va: ir.Expr, pa: ir.Expr, rights: ir.Expr, slot: ir.Expr) -> ir.Stmt:
        return ir.Call(None, "vmm.install", (va, pa, rights, slot))

    def _remove(self, va: ir.Expr, slot: ir.Expr) -> ir.Stmt:
        return ir.Call(None, "vmm.remove", (va, slot))

    def _called(self, block: ir.Block, besides: Collection[str] = ()) -> set[str]:
        found: set[str] = set()
        left = [s.function for s in statements(block) if isinstance(s, ir.Call)]
        while left:
            name = left.pop()
            if name not in found and name not in besides:
                found.add(name)
                body = self.functions[name].body
                left += [s.function for s in statements(body) if isinstance(s, ir.Call)]
        return found

    def _written_by(self, function: str) -> set[str]:
        names = self._called((ir.Call(None, function, ()),))
        return {element for name in names for element in self._writes(name)}

    def _writes(self, function: str) -> set[str]:
        """What the function itself writes."""
        body = self.functions[function].body
        return {s.element for s in statements(body) if isinstance(s, ir.Write)}


def like(first: tuple[ir.Local, ir.Local], second: tuple[ir.Local, ir.Local]) -> ir.Expr:
    """The second look-up succeeds too, with the same place."""
    return both(second[0], equal(first[1], second[1]))


def equal(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Compare(ir.CompareOp.EQ, left, right)


def both(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.AND, left, right)


def either(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.OR, left, right)


def implies(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return either(ir.Not(left), right)
