"""The same text with another machine's state: what turns a description into interpreter routines.

P&G's interpreter routine v_i does in software what instruction i does to the virtual machine. It
is i's own body, read over the place where the monitor keeps the virtual machine: every state
element X is replaced by its home, every access to physical memory goes through a routine that
relocates the address into the region. Nothing else changes; so a redirected description is a
description again, and may be redirected once more (a monitor under a monitor).
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from spec import ir
from spec.rewrite import transform
from spec.source import Span

PREFIX = "vm."


class Noted(Enum):
    """Which accesses the monitor's tables want to know of."""

    NOTHING = 0
    VIEW = 1  # those through the current view call `vmm.touch`, stores besides `vmm.stored`
    PLACES = 2  # all to the guest's memory call `vmm.touch`, walks of its own tables included


@dataclass(frozen=True, slots=True)
class Redirect:
    """A place for each element; `homes` without an entry means in place.

    `memory` is that of the machine. A change of a home in `watched` sets `vmm.stale` (see
    `refvmm.shadow`).
    `widths` collects the sizes, in bits, of the accesses to physical memory that were redirected.
    """

    homes: Mapping[str, str]
    memory: ir.Memory
    noted: Noted = Noted.NOTHING
    watched: frozenset[str] = frozenset()
    widths: set[int] = field(default_factory=set)

    # -- expressions and statements

    def expr(self, expr: ir.Expr) -> ir.Expr:
        def leaf(e: ir.Expr) -> ir.Expr | None:
            if isinstance(e, ir.Read):
                index = None if e.index is None else self.expr(e.index)
                return ir.Read(self.homes.get(e.element, e.element), e.width, index)
            return None

        return transform(expr, leaf)

    def block(self, block: ir.Block) -> ir.Block:
        """The block over the virtual machine; the names of new locals begin with `vmm.`."""
        return _Body(self).block(block)

    def function(self, function: ir.Function) -> ir.Function:
        return replace(function, name=PREFIX + function.name, body=_Body(self).block(function.body))

    def isa(self, isa: ir.Isa, elements: tuple[ir.Element, ...]) -> ir.Isa:
        """The virtual machine as a description over `elements`.

        Its functions have the prefix `vm.`; the routines of `relocation` are still to be added.
        Its `translate` gives virtual physical addresses.
        """
        home = self.homes.get
        mode = replace(isa.mode, element=home(isa.mode.element, isa.mode.element))
        self.widths.add(isa.fetch.unit_width)
        return replace(
            isa,
            elements=elements,
            banks=tuple(
                replace(b, members=tuple((m, home(e, e)) for m, e in b.members)) for b in isa.banks
            ),
            mode=mode,
            translate=PREFIX + isa.translate,
            functions=tuple(self.function(f) for f in isa.functions),
            instructions=tuple(replace(i, body=self.block(i.body)) for i in isa.instructions),
            causes=tuple(replace(c, delivery=self.block(c.delivery)) for c in isa.causes),
            undecodable=replace(
                isa.undecodable, arguments=tuple(self.expr(a) for a in isa.undecodable.arguments)
            ),
            interrupts=tuple(
                ir.Interrupt(i.name, self.expr(i.condition), self.block(i.delivery))
                for i in isa.interrupts
            ),
            invariants=tuple((text, self.expr(e)) for text, e in isa.invariants),
            configurations=(),
            claims=(),
            literature=(),
        )


class _Body:
    """Redirects one body; counts its new locals."""

    def __init__(self, redirect: Redirect) -> None:
        self._redirect = redirect
        self._memory = redirect.memory
        self._count = 0

    def block(self, block: ir.Block) -> ir.Block:
        return tuple(s for statement in block for s in self._statement(statement))

    def _statement(self, statement: ir.Stmt) -> Iterator[ir.Stmt]:
        expr = self._redirect.expr
        homes = self._redirect.homes
        match statement:
            case ir.Assign(name, value):
                yield ir.Assign(name, expr(value))
            case ir.Write(element, value, index):
                place = homes.get(element, element)
                if place in self._redirect.watched:
                    yield _staling(ir.Read(place, value.width, self._optional(index)), expr(value))
                yield ir.Write(place, expr(value), self._optional(index))
            case ir.Load(target, address, width, access, mode, span):
                at = yield from self._reach(address, width, access, mode, span)
                yield self._access(f"vmm.load{width}", target, (at,), width)
            case ir.Store(address, value, width, mode, span):
                kept = ir.Local(self._fresh("vmm.value"), width)
                yield ir.Assign(
                    kept.name, expr(value)
                )  # before translation can change what it reads
                at = yield from self._reach(address, width, ir.Access.WRITE, mode, span)
                yield self._access(f"vmm.store{width}", None, (at, kept), width)
            case ir.LoadPhysical(target, address, width):
                yield self._access(f"vmm.load{width}", target, (expr(address),), width)
            case ir.StorePhysical(address, value, width):
                yield self._access(f"vmm.store{width}", None, (expr(address), expr(value)), width)
            case ir.Translate(target, address, size, access, mode, width):
                yield ir.Translate(target, expr(address), size, access, self._optional(mode), width)
            case ir.Probe(target, address, size, access, mode):
                yield ir.Probe(target, expr(address), size, access, self._optional(mode))
            case ir.Call(target, function, arguments):
                yield ir.Call(target, PREFIX + function, tuple(expr(a) for a in arguments))
            case ir.If(condition, then, orelse):
                yield ir.If(expr(condition), self.block(then), self.block(orelse))
            case ir.Trap(cause, trap_class, arguments, span):
                yield ir.Trap(cause, trap_class, tuple(expr(a) for a in arguments), span)
            case ir.Return(value):
                yield ir.Return(expr(value))
            case ir.Choose() | ir.Wait():
                yield statement
            case _:
                assert_never(statement)

    def _reach(
        self,
        address: ir.Expr,
        width: int,
        access: ir.Access,
        mode: ir.Expr | None,
        span: Span,
    ) -> Generator[ir.Stmt, None, ir.Local]:
        """Translate as the virtual machine does; gives the virtual physical address."""
        at = ir.Local(self._fresh("vmm.at"), self._memory.address_width)
        size = width // self._memory.cell_width
        virtual = self._redirect.expr(address)
        yield ir.Translate(at.name, virtual, size, access, self._optional(mode), at.width)
        if self._redirect.noted is Noted.VIEW and mode is None:
            yield ir.Call(None, "vmm.touch", (virtual,))
        return at

    def _access(
        self, routine: str, target: str | None, arguments: tuple[ir.Expr, ...], width: int
    ) -> ir.Stmt:
        self._redirect.widths.add(width)
        return ir.Call(target, routine, arguments)

    def _optional(self, expr: ir.Expr | None) -> ir.Expr | None:
        return None if expr is None else self._redirect.expr(expr)

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"


def _staling(old: ir.Read, new: ir.Expr) -> ir.Stmt:
    changed = ir.Bit(ir.Compare(ir.CompareOp.NE, old, new))
    return ir.Write("vmm.stale", ir.Binary(ir.BinaryOp.OR, ir.Read("vmm.stale", 1), changed, 1))


# --------------------------------------------------------------------------- relocation


def relocation(memory: ir.Memory, widths: Iterable[int], noted: Noted) -> list[ir.Function]:
    """The routines that reach the region: cell `a` of the virtual machine is `region.base + a`.

    Cells at `region.size` and beyond are absent: they read as 0, and nothing is written there.
    """
    single = memory.cell_width
    routines = []
    for width in sorted({*widths, single}):
        routines += [_load(memory, width, noted), _store(memory, width, noted)]
    return routines


def base(memory: ir.Memory) -> ir.Read:
    return ir.Read("region.base", memory.address_width)


def size(memory: ir.Memory) -> ir.Read:
    return ir.Read("region.size", memory.address_width + 1)


def present(memory: ir.Memory, address: ir.Expr, cells: int) -> ir.Expr:
    """All of the cells from a virtual physical address on lie in the region."""
    wide = memory.address_width + 1
    end = ir.Binary(ir.BinaryOp.ADD, ir.Extend(address, False, wide), ir.Literal(cells, wide), wide)
    return ir.Compare(ir.CompareOp.ULE, end, size(memory))


def _load(memory: ir.Memory, width: int, noted: Noted) -> ir.Function:
    address = ir.Local("address", memory.address_width)
    cells = width // memory.cell_width
    whole: ir.Block = (
        *(_told("vmm.touch", address, cells) if noted is Noted.PLACES else ()),
        ir.LoadPhysical("value", _real(memory, address), width),
        ir.Return(ir.Local("value", width)),
    )
    parts: list[ir.Stmt] = []
    value: ir.Expr | None = None
    if cells == 1:
        value = ir.Literal(0, width)
    else:
        for number in range(cells):
            part = ir.Local(f"cell{number}", memory.cell_width)
            at = _beyond(address, number)
            parts.append(ir.Call(part.name, f"vmm.load{memory.cell_width}", (at,)))
            joined = memory.cell_width * (number + 1)
            if value is None:
                value = part
            elif memory.big_endian:
                value = ir.Concat(value, part, joined)
            else:
                value = ir.Concat(part, value, joined)
    assert value is not None
    body = ir.If(present(memory, address, cells), whole, (*parts, ir.Return(value)))
    return ir.Function(f"vmm.load{width}", (address,), (body,), width)


def _store(memory: ir.Memory, width: int, noted: Noted) -> ir.Function:
    address, value = ir.Local("address", memory.address_width), ir.Local("value", width)
    cells = width // memory.cell_width
    whole: tuple[ir.Stmt, ...] = (ir.StorePhysical(_real(memory, address), value, width),)
    if noted is Noted.VIEW:
        whole += _told("vmm.stored", address, cells)
    if noted is Noted.PLACES:
        whole = (*_told("vmm.touch", address, cells), *whole)
    parts: list[ir.Stmt] = []
    for number in range(cells) if cells > 1 else ():
        place = cells - 1 - number if memory.big_endian else number
        low = place * memory.cell_width
        cell = ir.Extract(value, low + memory.cell_width - 1, low)
        parts.append(
            ir.Call(None, f"vmm.store{memory.cell_width}", (_beyond(address, number), cell))
        )
    body = ir.If(present(memory, address, cells), whole, tuple(parts))
    return ir.Function(f"vmm.store{width}", (address, value), (body,), None)


def _told(routine: str, address: ir.Local, cells: int) -> tuple[ir.Stmt, ...]:
    return (ir.Call(None, routine, (address, ir.Literal(cells - 1, address.width))),)


def _real(memory: ir.Memory, address: ir.Expr) -> ir.Expr:
    return ir.Binary(ir.BinaryOp.ADD, base(memory), address, memory.address_width)


def _beyond(address: ir.Local, cells: int) -> ir.Expr:
    if cells == 0:
        return address
    return ir.Binary(ir.BinaryOp.ADD, address, ir.Literal(cells, address.width), address.width)
