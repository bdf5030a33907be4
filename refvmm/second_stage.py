"""Tables of a second stage: they translate what the guest takes for physical addresses.

The real machine does the guest's own translation, and reads the guest's own tables, through the
second stage. What that says of a page never changes: place `a` of the guest is `region.base + a` with
all rights, if it lies in the region. So nothing makes a slot stale, and nothing need be protected; a page
is mapped after the monitor has reached it for the guest, by an access or by a walk.
"""

from collections.abc import Iterator

from refvmm.redirect import Noted, base, present
from refvmm.shadow import Shadow, own
from spec import ir

TOUCHED = 16
"""Pages of one instruction that are filled at once: the latest that it touched."""

_TURN = TOUCHED.bit_length() - 1
_EVERYTHING = 7


def second_stage(isa: ir.Isa, configuration: ir.Configuration, slots: int) -> Shadow:
    """A second stage of which `slots` pages are mapped at a time."""
    assert configuration.install is not None and configuration.remove is not None
    assert configuration.page is not None
    maker = _Maker(isa.memory, configuration.page, slots)
    return Shadow(
        elements=tuple(maker.elements()),
        functions=(
            maker.touch(),
            maker.fill(),
            own("vmm.install", configuration.install),
            own("vmm.remove", configuration.remove),
        ),
        upkeep=tuple(maker.upkeep()),
        watched=frozenset(),
        page=configuration.page,
        slots=slots,
        walks=0,
        noted=Noted.PLACES,
    )


class _Maker:
    """Builds the routines; all addresses they keep are those of a page's first cell."""

    def __init__(self, memory: ir.Memory, page: int, slots: int) -> None:
        self._memory = memory
        self._page = page
        self._slots = slots
        self._width = memory.address_width
        self._place = ir.Local("place", self._width)

    def elements(self) -> Iterator[ir.Element]:
        for name, width, length in (
            ("slot.valid", 1, self._slots),
            ("slot.place", self._width, self._slots),
            ("turn", 8, None),
            ("touched", self._width, TOUCHED),
            ("touched.valid", 1, TOUCHED),
            ("touch.turn", _TURN, None),
        ):
            yield ir.Element(f"vmm.{name}", width, ir.Role.CONTROL, length)

    def touch(self) -> ir.Function:
        """The monitor reaches cells of the region for the guest."""
        address, more = ir.Local("address", self._width), ir.Local("more", self._width)
        last = ir.Binary(ir.BinaryOp.ADD, address, more, self._width)
        first, end = self._base_of(address), self._base_of(last)
        body: ir.Block = (*self._note(first), ir.If(_differ(first, end), (*self._note(end),), ()))
        return ir.Function("vmm.touch", (address, more), body, None)

    def _note(self, page: ir.Expr) -> Iterator[ir.Stmt]:
        at = ir.Read("vmm.touch.turn", _TURN)
        after = ir.Binary(ir.BinaryOp.ADD, at, ir.Literal(1, _TURN), _TURN)
        yield ir.Write("vmm.touched", page, at)
        yield ir.Write("vmm.touched.valid", ir.Literal(1, 1), at)
        yield ir.Write("vmm.touch.turn", after)

    def upkeep(self) -> Iterator[ir.Stmt]:
        for number in range(TOUCHED):
            index = ir.Literal(number, _TURN)
            fill = ir.Call(None, "vmm.fill", (ir.Read("vmm.touched", self._width, index),))
            done = ir.Write("vmm.touched.valid", ir.Literal(0, 1), index)
            yield ir.If(ir.Truth(ir.Read("vmm.touched.valid", 1, index)), (fill, done), ())

    def fill(self) -> ir.Function:
        """Map a page of the region, if it is not mapped, in the slot whose turn it is."""
        place, slot = self._place, ir.Local("slot", 8)
        mapped: ir.Expr = ir.Boolean(False)
        for number in range(self._slots):
            same = ir.Not(_differ(self._placed(ir.Literal(number, 8)), place))
            held = ir.Logic(ir.LogicOp.AND, self._valid(ir.Literal(number, 8)), same)
            mapped = ir.Logic(ir.LogicOp.OR, mapped, held) if number else held
        after = ir.Binary(ir.BinaryOp.ADD, slot, ir.Literal(1, 8), 8)
        more = ir.Compare(ir.CompareOp.ULT, after, ir.Literal(self._slots, 8))
        remove = ir.Call(None, "vmm.remove", (self._placed(slot), slot))
        real = ir.Binary(ir.BinaryOp.ADD, base(self._memory), place, self._width)
        install: ir.Block = (
            ir.Assign(slot.name, ir.Read("vmm.turn", 8)),
            ir.Write("vmm.turn", ir.Select(more, after, ir.Literal(0, 8), 8)),
            ir.If(self._valid(slot), (remove,), ()),
            ir.Write("vmm.slot.valid", ir.Literal(1, 1), slot),
            ir.Write("vmm.slot.place", place, slot),
            ir.Call(None, "vmm.install", (place, real, ir.Literal(_EVERYTHING, 3), slot)),
        )
        wanted = ir.Logic(ir.LogicOp.AND, ir.Not(mapped), present(self._memory, place, self._page))
        return ir.Function("vmm.fill", (place,), (ir.If(wanted, install, ()),), None)

    def _valid(self, slot: ir.Expr) -> ir.Expr:
        return ir.Truth(ir.Read("vmm.slot.valid", 1, slot))

    def _placed(self, slot: ir.Expr) -> ir.Expr:
        return ir.Read("vmm.slot.place", self._width, slot)

    def _base_of(self, address: ir.Expr) -> ir.Expr:
        mask = ((1 << self._width) - 1) & ~(self._page - 1)
        return ir.Binary(ir.BinaryOp.AND, address, ir.Literal(mask, self._width), self._width)


def _differ(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Compare(ir.CompareOp.NE, left, right)
