"""What holds of a monitor's state: while the guest runs, and while the monitor does.

All conditions are over the combined state. `reading` is the inverse of the VM map, written out
beside `save`, which is proved against it.
"""

from collections.abc import Iterable, Iterator

from refvmm import control_block
from refvmm.control_block import MARK, placed
from refvmm.derive import Monitor
from refvmm.redirect import PREFIX, base, size
from spec import ir
from spec.expressions import reads

Named = tuple[str, ir.Expr]


def homes(monitor: Monitor) -> dict[str, str]:
    """Where the virtual machine's elements are, as far as they are not in place."""
    found = dict(monitor.block.homes)
    counted = monitor.description.memory.size
    if counted is not None:
        found[counted] = "region.size"
    return found


def reading(monitor: Monitor, mode: int) -> ir.Block:
    """Bring the homes up to date while the guest runs in a virtual mode: the inverse of f.

    A run that began in that mode may have gone on to another one, which the real mode tells.
    """
    if not monitor.told:
        return (*_clocks(monitor), *_bank(monitor, mode))
    return (*_mode(monitor), *_clocks(monitor), *_any_bank(monitor))


def _mode(monitor: Monitor) -> Iterator[ir.Stmt]:
    """The virtual mode, in one of the modes that may run."""
    mode = monitor.description.mode
    home = monitor.block.home(mode.element)
    value: ir.Expr = ir.Read(home, mode.width)
    for virtual, real in monitor.told:
        value = ir.Select(
            in_mode(monitor, real), ir.Literal(virtual, mode.width), value, mode.width
        )
    known = ir.Read(home, mode.width)
    runs: ir.Expr = ir.Boolean(False)
    for virtual in monitor.direct:
        here = ir.Compare(ir.CompareOp.EQ, known, ir.Literal(virtual, mode.width))
        runs = ir.Logic(ir.LogicOp.OR, runs, here)
    yield ir.If(runs, (ir.Write(home, value),), ())


def _any_bank(monitor: Monitor) -> Iterator[ir.Stmt]:
    isa = monitor.description
    home = ir.Read(monitor.block.home(isa.mode.element), isa.mode.width)
    for bank in isa.banks:
        members = dict(bank.members)
        for mode, member in bank.members:
            here = ir.Compare(ir.CompareOp.EQ, home, ir.Literal(mode, isa.mode.width))
            real = ir.Read(members[monitor.real_mode(mode)], bank.width)
            yield ir.If(here, (ir.Write(monitor.block.home(member), real),), ())


def _clocks(monitor: Monitor) -> Iterator[ir.Stmt]:
    for clock in monitor.block.clocks:
        for index in indices(clock):
            now = ir.Read(clock.name, clock.width, index)
            since = ir.Binary(
                ir.BinaryOp.SUB, now, ir.Read(MARK + clock.name, clock.width, index), clock.width
            )
            kept = ir.Read(PREFIX + clock.name, clock.width, index)
            value = ir.Binary(ir.BinaryOp.ADD, kept, since, clock.width)
            yield ir.Write(PREFIX + clock.name, value, index)


def _bank(monitor: Monitor, mode: int) -> Iterator[ir.Stmt]:
    for bank in monitor.description.banks:
        members = dict(bank.members)
        seen = monitor.block.home(members[mode])
        yield ir.Write(seen, ir.Read(members[monitor.real_mode(mode)], bank.width))


def indices(element: ir.Element) -> tuple[ir.Expr | None, ...]:
    if element.length is None:
        return (None,)
    return tuple(ir.Literal(number, 32) for number in range(element.length))


def tick(isa: ir.Isa) -> ir.Block:
    """Time goes on by one."""
    return tuple(
        ir.Write(e.name, ir.Binary(ir.BinaryOp.ADD, now, ir.Literal(1, e.width), e.width), index)
        for e in isa.elements
        if e.role is ir.Role.TIME
        for index in indices(e)
        for now in (ir.Read(e.name, e.width, index),)
    )


def region_fits(monitor: Monitor) -> list[Named]:
    """Assumed of a placement."""
    memory = monitor.description.memory
    wide = memory.address_width + 2
    end = ir.Binary(
        ir.BinaryOp.ADD,
        ir.Extend(base(memory), False, wide),
        ir.Extend(size(memory), False, wide),
        wide,
    )
    cells = ir.Literal(1 << memory.address_width, wide)
    fits = ir.Compare(ir.CompareOp.ULE, end, cells)
    found: list[Named] = [("the region lies in memory", fits)]
    if memory.size is not None:
        counted = ir.Extend(ir.Read(memory.size, memory.address_width + 1), False, wide)
        found.append(
            ("the region lies in what memory there is", ir.Compare(ir.CompareOp.ULE, end, counted))
        )
    return [*found, *tables_fit(monitor)]


def tables_fit(monitor: Monitor) -> list[Named]:
    """Assumed of a placement with shadow tables."""
    page, tables = monitor.configuration.page, monitor.configuration.monitor_size
    memory = monitor.description.memory
    width, wide = memory.address_width, memory.address_width + 2
    own = ir.Read("monitor.base", width)
    found: list[Named] = []
    if page is not None:
        mask = page - 1
        for name, cells in (("begins", base(memory)), ("has", size(memory))):
            low = ir.Binary(ir.BinaryOp.AND, cells, ir.Literal(mask, cells.width), cells.width)
            whole = ir.Compare(ir.CompareOp.EQ, low, ir.Literal(0, cells.width))
            found.append((f"the region {name} whole pages", whole))
        low = ir.Binary(ir.BinaryOp.AND, own, ir.Literal(mask, width), width)
        aligned = ir.Compare(ir.CompareOp.EQ, low, ir.Literal(0, width))
        found.append(("the tables begin at a page", aligned))
    if tables:

        def end(start: ir.Expr, cells: ir.Expr) -> ir.Expr:
            return ir.Binary(ir.BinaryOp.ADD, ir.Extend(start, False, wide), cells, wide)

        last = end(own, ir.Literal(tables, wide))
        region = end(base(memory), ir.Extend(size(memory), False, wide))
        apart = ir.Logic(
            ir.LogicOp.OR,
            ir.Compare(ir.CompareOp.ULE, last, ir.Extend(base(memory), False, wide)),
            ir.Compare(ir.CompareOp.ULE, region, ir.Extend(own, False, wide)),
        )
        fits = ir.Compare(ir.CompareOp.ULE, last, ir.Literal(1 << width, wide))
        found += [("the tables lie in memory", fits), ("the tables lie outside the region", apart)]
    return found


def settled(monitor: Monitor) -> list[Named]:
    """Constraints and invariants of the real machine."""
    isa = monitor.description
    named = [(f"constrain {text}", e) for text, e in monitor.constraints]
    return [*named, *((f"invariant {text} (real machine)", e) for text, e in isa.invariants)]


def composed(monitor: Monitor) -> list[Named]:
    """The composed elements follow from the virtual machine's."""
    found: list[Named] = []
    for element, index, value in control_block.composed(monitor.real, monitor.configuration):
        now = ir.Read(element, value.width, index)
        wanted = placed(monitor.redirect.expr(value))
        name = element if index is None else f"{element}[{index.value}]"
        found.append((f"`{name}` is composed", ir.Compare(ir.CompareOp.EQ, now, wanted)))
    return found


def mirrored(monitor: Monitor) -> list[Named]:
    """What constraints speak of is mirrored while the guard holds."""
    if monitor.guard is None:
        return []
    found: list[Named] = []
    for element in monitor.block.bound:
        home = ir.Read(monitor.block.home(element.name), element.width)
        place = ir.Read(monitor.block.place(element.name), element.width)
        same = ir.Compare(ir.CompareOp.EQ, place, home)
        kept = ir.Logic(ir.LogicOp.OR, ir.Not(monitor.guard), same)
        found.append((f"`{element.name}` is mirrored", kept))
    return found


def used(monitor: Monitor) -> tuple[ir.Expr, ...]:
    """Of the local `va`: a guest linked for the configuration uses it. Efficiency is asked of no others."""
    linked = monitor.configuration.linked
    return () if linked is None else (linked[1],)


def guarded(monitor: Monitor) -> list[Named]:
    """What holds besides while the guest runs directly."""
    return [] if monitor.guard is None else [("the guard", monitor.guard)]


def fixed(monitor: Monitor) -> tuple[tuple[str, int], ...]:
    """What has one value while the guest runs directly, homes of what is mirrored included."""
    bound = {
        monitor.block.place(element.name): monitor.block.home(element.name)
        for element in monitor.block.bound
        if monitor.guard is not None
    }
    homes = [(bound[name], value) for name, value in monitor.fixed if name in bound]
    return (*monitor.fixed, *homes)


def marked(monitor: Monitor) -> list[Named]:
    """Virtual time is up to date."""
    return [
        (
            f"`{clock.name}` was looked at",
            ir.Compare(
                ir.CompareOp.EQ,
                ir.Read(clock.name, clock.width, index),
                ir.Read(MARK + clock.name, clock.width, index),
            ),
        )
        for clock in monitor.block.clocks
        for index in indices(clock)
    ]


def in_real_mode(monitor: Monitor, virtual: int) -> Named:
    """While the guest runs in a virtual mode."""
    return "the real mode", in_mode(monitor, monitor.real_mode(virtual))


def in_mode(monitor: Monitor, real: int) -> ir.Expr:
    mode = monitor.description.mode
    now = ir.Read(mode.element, mode.width)
    return ir.Compare(ir.CompareOp.EQ, now, ir.Literal(real, mode.width))


def while_running(monitor: Monitor) -> list[Named]:
    return [*region_fits(monitor), *settled(monitor), *composed(monitor), *mirrored(monitor)]


def while_monitoring(monitor: Monitor) -> list[Named]:
    """What saving leaves, and all that the monitor does keeps."""
    changing = {element for element, _ in monitor.configuration.compose}
    kept = [(text, e) for text, e in settled(monitor) if not reads(e) & changing]
    return [*region_fits(monitor), *kept, *marked(monitor)]


def upkeep(monitor: Monitor) -> ir.Block:
    """What resume does with shadow tables."""
    return monitor.shadow.upkeep if monitor.shadow is not None else ()


def resumption(monitor: Monitor) -> ir.Block:
    """What resume does besides."""
    own = upkeep(monitor)
    assert not own or monitor.resume[-len(own) :] == own
    return monitor.resume[: len(monitor.resume) - len(own)]


def expressions(named: Iterable[Named]) -> tuple[ir.Expr, ...]:
    return tuple(e for _, e in named)
