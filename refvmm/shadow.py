"""Shadow tables: the real translation tables, filled page by page as the guest reaches them.

A slot is one page that the real machine can reach. A slot stands for what the virtual
translation says of its page: for the same place and the same rights, or fewer. What the virtual
translation depends on is watched: elements that it reads make all slots stale when they change, and pages of
memory that its walks read are never mapped writable, so that a store there comes to the monitor.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from refvmm.control_block import ControlBlock, placed
from refvmm.redirect import Noted, base, present
from spec import ir
from spec.effects import function_reads, statements
from spec.rewrite import in_block

TOUCHED = 4
"""Pages of one instruction that are filled at once: the latest that it touched."""

_FETCH, _READ, _WRITE = 1, 2, 4
_RIGHT = {ir.Access.FETCH: _FETCH, ir.Access.READ: _READ, ir.Access.WRITE: _WRITE}


@dataclass(frozen=True, slots=True)
class Shadow:
    """What shadow tables add to a monitor."""

    elements: tuple[ir.Element, ...]
    functions: tuple[ir.Function, ...]
    upkeep: ir.Block  # ends `resume`
    watched: frozenset[str]  # homes; a change of one makes the slots stale
    page: int  # cells
    slots: int
    walks: int  # pages that the walks of one slot may read
    noted: Noted = Noted.VIEW


def shadow(isa: ir.Isa, configuration: ir.Configuration, block: ControlBlock, slots: int) -> Shadow:
    """Shadow tables of `slots` pages."""
    assert configuration.install is not None and configuration.remove is not None
    assert configuration.page is not None
    functions = {f.name: f for f in isa.functions}
    inputs = {isa.mode.element, *function_reads(functions, isa.translate)}
    maker = _Maker(isa, configuration.page, slots, _loads(functions, isa.translate))
    return Shadow(
        elements=tuple(maker.elements()),
        functions=(
            maker.touch(),
            maker.note(),
            maker.stored(),
            maker.fill(),
            own("vmm.install", configuration.install),
            own("vmm.remove", configuration.remove),
        ),
        upkeep=tuple(maker.upkeep()),
        watched=frozenset(block.homes[name] for name in inputs if name in block.homes),
        page=configuration.page,
        slots=slots,
        walks=maker.walks,
    )


def own(name: str, routine: ir.Function) -> ir.Function:
    """A routine of the configuration as the monitor's."""
    return ir.Function(name, routine.parameters, in_block(routine.body, placed), None)


def _loads(functions: dict[str, ir.Function], name: str) -> int:
    """A bound on the physical loads of one run of a function."""
    found = 0
    for statement in statements(functions[name].body):
        if isinstance(statement, ir.LoadPhysical):
            found += 1
        elif isinstance(statement, ir.Call):
            found += _loads(functions, statement.function)
    return found


class _Maker:
    """Builds the routines; all addresses they keep are those of a page's first cell."""

    def __init__(self, isa: ir.Isa, page: int, slots: int, walks: int) -> None:
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        self.memory = isa.memory
        self.page = page
        self.slots = slots
        self.walks = walks
        self.va_width = translate.parameters[0].width
        self.pa_width = isa.memory.address_width
        self.va = ir.Local("va", self.va_width)

    def elements(self) -> Iterator[ir.Element]:
        def scalar(name: str, width: int) -> ir.Element:
            return ir.Element(f"vmm.{name}", width, ir.Role.CONTROL)

        def array(name: str, width: int, length: int) -> ir.Element:
            return ir.Element(f"vmm.{name}", width, ir.Role.CONTROL, length)

        yield array("slot.valid", 1, self.slots)
        yield array("slot.tag", self.va_width, self.slots)
        yield array("slot.frame", self.pa_width, self.slots)
        yield array("slot.rights", 3, self.slots)
        yield array("slot.walk", self.pa_width, max(1, self.slots * self.walks))
        yield array("slot.walks", 8, self.slots)
        yield scalar("turn", 8)
        yield scalar("stale", 1)
        yield array("touched", self.va_width, TOUCHED)
        yield array("touched.valid", 1, TOUCHED)
        yield scalar("touch.turn", 2)
        yield array("walk", self.pa_width, max(1, self.walks))
        yield scalar("walks", 8)
        yield scalar("walk.lost", 1)

    # -- noting

    def touch(self) -> ir.Function:
        """The interpreted instruction reached an address of the current view."""
        at = ir.Read("vmm.touch.turn", 2)
        body: ir.Block = (
            ir.Write("vmm.touched", self._base_of(self.va, self.va_width), at),
            ir.Write("vmm.touched.valid", _one(1), at),
            ir.Write("vmm.touch.turn", ir.Binary(ir.BinaryOp.ADD, at, ir.Literal(1, 2), 2)),
        )
        return ir.Function("vmm.touch", (self.va,), body, None)

    def note(self) -> ir.Function:
        """The virtual translation reads cells of memory."""
        address, more = self._range()
        first, last = self._pages(address, more)
        count = ir.Read("vmm.walks", 8)
        known = _any(
            _and(_below(number, count), _same(self._walk(number), first))
            for number in range(self.walks)
        )
        append: ir.Block = (
            ir.Write("vmm.walk", first, count),
            ir.Write("vmm.walks", ir.Binary(ir.BinaryOp.ADD, count, ir.Literal(1, 8), 8)),
        )
        full = ir.Compare(ir.CompareOp.ULE, ir.Literal(self.walks, 8), count)
        lost: ir.Block = (ir.Write("vmm.walk.lost", _one(1)),)
        body: ir.Block = (
            ir.If(ir.Not(_same(first, last)), lost, ()),
            ir.If(known, (), (ir.If(full, lost, append),)),
        )
        return ir.Function("vmm.note", (address, more), body, None)

    def stored(self) -> ir.Function:
        """The monitor stores into the region, where a slot's walk may have read."""
        address, more = self._range()
        first, last = self._pages(address, more)
        read = _any(
            _and(self._walked(slot, number), _or(_same(page, first), _same(page, last)))
            for slot in range(self.slots)
            for number in range(self.walks)
            for page in (self._slot_walk(slot, number),)
        )
        body: ir.Block = (ir.If(read, (ir.Write("vmm.stale", _one(1)),), ()),)
        return ir.Function("vmm.stored", (address, more), body, None)

    def _range(self) -> tuple[ir.Local, ir.Local]:
        return ir.Local("address", self.pa_width), ir.Local("more", self.pa_width)

    def _pages(self, address: ir.Local, more: ir.Local) -> tuple[ir.Expr, ir.Expr]:
        end = ir.Binary(ir.BinaryOp.ADD, address, more, self.pa_width)
        return self._base_of(address, self.pa_width), self._base_of(end, self.pa_width)

    # -- filling

    def upkeep(self) -> Iterator[ir.Stmt]:
        flush = [s for slot in range(self.slots) for s in self._drop(slot)]
        yield ir.If(ir.Truth(ir.Read("vmm.stale", 1)), (*flush, ir.Write("vmm.stale", _one(0))), ())
        for number in range(TOUCHED):
            index = ir.Literal(number, 2)
            fill = ir.Call(None, "vmm.fill", (ir.Read("vmm.touched", self.va_width, index),))
            touched = ir.Truth(ir.Read("vmm.touched.valid", 1, index))
            yield ir.If(touched, (fill, ir.Write("vmm.touched.valid", _one(0), index)), ())

    def _drop(self, slot: int) -> Iterator[ir.Stmt]:
        """Unmap what a slot maps."""
        index = ir.Literal(slot, 8)
        tag = ir.Read("vmm.slot.tag", self.va_width, index)
        yield ir.If(
            self._valid(slot),
            (
                ir.Call(None, "vmm.remove", (tag, index)),
                ir.Write("vmm.slot.valid", _one(0), index),
            ),
            (),
        )

    def fill(self) -> ir.Function:
        """Map a page as the virtual translation does, if all of it lies in the region."""
        va, width = self.va, self.pa_width
        rights, frame = ir.Local("rights", 3), ir.Local("frame", width)
        slot = ir.Local("slot", 8)
        body: list[ir.Stmt] = [
            ir.Write("vmm.walks", ir.Literal(0, 8)),
            ir.Write("vmm.walk.lost", _one(0)),
            ir.Assign(rights.name, ir.Literal(0, 3)),
            ir.Assign(frame.name, ir.Literal(0, width)),
            *self._probing(rights, frame),
        ]
        usable = _and(
            ir.Not(_same(rights, ir.Literal(0, 3))),
            _and(
                ir.Not(ir.Truth(ir.Read("vmm.walk.lost", 1))),
                _and(
                    present(self.memory, frame, self.page),
                    _same(frame, self._base_of(frame, width)),
                ),
            ),
        )
        install: list[ir.Stmt] = [
            ir.If(self._read_by_walks(frame), (_clear(rights, _WRITE),), ()),
            *self._protecting(),
            *self._choosing(slot),
        ]
        index = slot
        for name, value in (
            ("valid", _one(1)),
            ("tag", va),
            ("frame", frame),
            ("rights", rights),
            ("walks", ir.Read("vmm.walks", 8)),
        ):
            install.append(ir.Write(f"vmm.slot.{name}", value, index))
        for number in range(self.walks):
            install.append(
                ir.Write("vmm.slot.walk", self._walk(number), self._walk_index(slot, number))
            )
        real = ir.Binary(ir.BinaryOp.ADD, base(self.memory), frame, width)
        install.append(ir.Call(None, "vmm.install", (va, real, rights, slot)))
        body.append(ir.If(usable, tuple(install), ()))
        return ir.Function("vmm.fill", (va,), tuple(body), None)

    def _probing(self, rights: ir.Local, frame: ir.Local) -> Iterator[ir.Stmt]:
        """Which accesses reach the page, all at the same place."""
        for access, right in _RIGHT.items():
            reached, at = ir.Local(f"reached{right}", 0), ir.Local(f"at{right}", frame.width)
            fits = _or(_same(rights, ir.Literal(0, 3)), _same(frame, at))
            grant: ir.Block = (
                ir.Assign(frame.name, at),
                ir.Assign(rights.name, ir.Binary(ir.BinaryOp.OR, rights, ir.Literal(right, 3), 3)),
            )
            yield ir.Probe(reached.name, self.va, 1, access)
            yield ir.If(
                reached,
                (
                    ir.Translate(at.name, self.va, 1, access, None, frame.width),
                    ir.If(fits, grant, ()),
                ),
                (),
            )

    def _read_by_walks(self, frame: ir.Expr) -> ir.Expr:
        """Some walk, this page's own included, reads the page at `frame`."""
        own = (
            _and(_below(number, ir.Read("vmm.walks", 8)), _same(self._walk(number), frame))
            for number in range(self.walks)
        )
        others = (
            _and(self._walked(slot, number), _same(self._slot_walk(slot, number), frame))
            for slot in range(self.slots)
            for number in range(self.walks)
        )
        return _any((*own, *others))

    def _protecting(self) -> Iterator[ir.Stmt]:
        """Unmap pages that were writable and that this page's walk read."""
        for slot in range(self.slots):
            frame = ir.Read("vmm.slot.frame", self.pa_width, ir.Literal(slot, 8))
            rights = ir.Read("vmm.slot.rights", 3, ir.Literal(slot, 8))
            writable = ir.Truth(ir.Extract(rights, 2, 2))
            read = _any(
                _and(_below(number, ir.Read("vmm.walks", 8)), _same(self._walk(number), frame))
                for number in range(self.walks)
            )
            yield ir.If(_and(writable, read), tuple(self._drop(slot)), ())

    def _choosing(self, slot: ir.Local) -> Iterator[ir.Stmt]:
        """The slot that maps the page already, else the one whose turn it is; emptied."""
        turn = ir.Read("vmm.turn", 8)
        after = ir.Binary(ir.BinaryOp.ADD, turn, ir.Literal(1, 8), 8)
        wrapped = ir.Select(
            ir.Compare(ir.CompareOp.ULT, after, ir.Literal(self.slots, 8)),
            after,
            ir.Literal(0, 8),
            8,
        )
        yield ir.Assign(slot.name, turn)
        for number in range(self.slots):
            tag = ir.Read("vmm.slot.tag", self.va_width, ir.Literal(number, 8))
            mine = _and(self._valid(number), _same(tag, self.va))
            yield ir.If(mine, (ir.Assign(slot.name, ir.Literal(number, 8)),), ())
        yield ir.If(_same(slot, turn), (ir.Write("vmm.turn", wrapped),), ())
        for number in range(self.slots):
            yield ir.If(_same(slot, ir.Literal(number, 8)), tuple(self._drop(number)), ())

    # -- reading the tables

    def _base_of(self, address: ir.Expr, width: int) -> ir.Expr:
        mask = ((1 << width) - 1) & ~(self.page - 1)
        return ir.Binary(ir.BinaryOp.AND, address, ir.Literal(mask, width), width)

    def _walk(self, number: int) -> ir.Expr:
        return ir.Read("vmm.walk", self.pa_width, ir.Literal(number, 8))

    def _slot_walk(self, slot: int, number: int) -> ir.Expr:
        index = ir.Literal(slot * self.walks + number, 16)
        return ir.Read("vmm.slot.walk", self.pa_width, index)

    def _walk_index(self, slot: ir.Expr, number: int) -> ir.Expr:
        start = ir.Binary(
            ir.BinaryOp.MUL, ir.Extend(slot, False, 16), ir.Literal(self.walks, 16), 16
        )
        return ir.Binary(ir.BinaryOp.ADD, start, ir.Literal(number, 16), 16)

    def _valid(self, slot: int) -> ir.Expr:
        return ir.Truth(ir.Read("vmm.slot.valid", 1, ir.Literal(slot, 8)))

    def _walked(self, slot: int, number: int) -> ir.Expr:
        walks = ir.Read("vmm.slot.walks", 8, ir.Literal(slot, 8))
        return _and(self._valid(slot), _below(number, walks))


def _one(value: int) -> ir.Expr:
    return ir.Literal(value, 1)


def _and(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.AND, left, right)


def _or(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.OR, left, right)


def _any(conditions: Iterable[ir.Expr]) -> ir.Expr:
    found: ir.Expr = ir.Boolean(False)
    for condition in conditions:
        found = _or(found, condition) if found != ir.Boolean(False) else condition
    return found


def _same(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Compare(ir.CompareOp.EQ, left, right)


def _below(number: int, count: ir.Expr) -> ir.Expr:
    return ir.Compare(ir.CompareOp.ULT, ir.Literal(number, count.width), count)


def _clear(rights: ir.Local, right: int) -> ir.Stmt:
    kept = ir.Literal(7 & ~right, 3)
    return ir.Assign(rights.name, ir.Binary(ir.BinaryOp.AND, rights, kept, 3))
