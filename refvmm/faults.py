"""Changes of IR that make the faults of `mutants`; each yields a block for every place it fits.

What of a monitor a change may touch, `monitor_parts` says; what it stands for, the catalogue.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from refvmm.derive import Monitor, derive
from refvmm.monitor_parts import Site, control_homes, sensitive_routines, with_item, with_virtual
from refvmm.mutation import Drop, in_expr, in_expressions, in_statements
from spec import ir
from spec.effects import operands, statements
from spec.expressions import reads
from spec.rewrite import transform

Blocks: TypeAlias = Callable[[ir.Block], Iterator[ir.Block]]
"""Changed blocks, one for every place of a block where a change applies."""

Change: TypeAlias = Callable[[Monitor], Blocks]


def offset(value: Callable[[ir.Read], ir.Expr]) -> Callable[[ir.Expr], Iterator[ir.Expr]]:
    """Where the region begins is read as another value."""

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == "region.base":
            yield value(expr)

    return change


def bound(expr: ir.Expr) -> Iterator[ir.Expr]:
    """The region is taken to be larger by a cell."""
    if isinstance(expr, ir.Read) and expr.element == "region.size":
        yield ir.Binary(ir.BinaryOp.ADD, expr, ir.Literal(1, expr.width), expr.width)


def narrowed(monitor: Monitor) -> Iterator[Site]:
    """The relocation is composed for a region that is smaller by a cell."""

    def smaller(expr: ir.Expr) -> ir.Expr | None:
        if not isinstance(expr, ir.Local) or expr.name != "region.size":
            return None
        none = ir.Compare(ir.CompareOp.EQ, expr, ir.Literal(0, expr.width))
        less = ir.Binary(ir.BinaryOp.SUB, expr, ir.Literal(1, expr.width), expr.width)
        return ir.Select(none, expr, less, expr.width)

    configuration = monitor.configuration
    for number, (element, value) in enumerate(configuration.compose):
        narrow = transform(value, smaller)
        if narrow != value:
            before, after = configuration.compose[:number], configuration.compose[number + 1 :]
            changed = replace(configuration, compose=(*before, (element, narrow), *after))
            yield f"compose {element}", derive(monitor.description, changed)


def _unmasked(expr: ir.Expr) -> Iterator[ir.Expr]:
    """Low bits that are set to 0, or bits that a constant masks, are kept as they were."""
    match expr:
        case ir.Concat(ir.Extract(whole, high, low), ir.Literal(0, width)) if low == width:
            yield ir.Extract(whole, high, 0)
        case ir.Binary(ir.BinaryOp.AND, left, ir.Literal()):
            yield left
        case ir.Binary(ir.BinaryOp.AND, ir.Literal(), right):
            yield right
        case _:
            return


def unmasking(monitor: Monitor) -> Blocks:
    """What is written to control state keeps bits that a constant clears."""
    homes = control_homes(monitor)

    def blocks(block: ir.Block) -> Iterator[ir.Block]:
        def change(statement: ir.Stmt) -> Iterator[ir.Block]:
            if isinstance(statement, ir.Write) and statement.element in homes:
                for value in in_expr(statement.value, _unmasked):
                    yield (replace(statement, value=value),)

        return in_statements(block, change)

    return blocks


def unfiltered(monitor: Monitor) -> Blocks:
    """A factor of a conjunction that reads control state is left out."""
    change = _without_factor(control_homes(monitor))
    return lambda block: in_expressions(block, change)


def _without_factor(homes: set[str]) -> Callable[[ir.Expr], Iterator[ir.Expr]]:
    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        match expr:
            case ir.Binary(ir.BinaryOp.AND, left, right) | ir.Logic(ir.LogicOp.AND, left, right):
                if reads(right) & homes:
                    yield left
                if reads(left) & homes:
                    yield right
            case _:
                return

    return change


def decided(monitor: Monitor) -> Blocks:
    """A decision by control state always goes one way."""
    homes = control_homes(monitor)

    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if isinstance(statement, ir.If) and reads(statement.condition) & homes:
            yield statement.orelse
            yield statement.then

    return lambda block: in_statements(block, change)


def modes(monitor: Monitor) -> Blocks:
    """A mode that is computed is always the most, or the least, privileged one."""
    mode = monitor.virtual.mode

    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if isinstance(statement, ir.Write) and statement.element == mode.element:
            for _, encoding in (mode.members[-1], mode.members[0]):
                value = ir.Literal(encoding, mode.width)
                if statement.value != value:
                    yield (replace(statement, value=value),)

    return lambda block: in_statements(block, change)


def former(monitor: Monitor) -> Blocks:
    """The mode before a trap is saved as the least privileged one."""
    mode, homes = monitor.virtual.mode, control_homes(monitor)

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == mode.element:
            yield ir.Literal(mode.members[0][1], mode.width)

    def blocks(block: ir.Block) -> Iterator[ir.Block]:
        def saved(statement: ir.Stmt) -> Iterator[ir.Block]:
            if isinstance(statement, ir.Write) and statement.element in homes:
                for value in in_expr(statement.value, change):
                    yield (replace(statement, value=value),)
            if isinstance(statement, ir.Call) and statement.function.startswith("vmm.store"):
                address, stored = statement.arguments
                for value in in_expr(stored, change):
                    yield (replace(statement, arguments=(address, value)),)

        return in_statements(block, saved)

    return blocks


def following(monitor: Monitor) -> Blocks:
    """What is saved is the address after the instruction instead of its own."""

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == monitor.virtual.pc:
            yield ir.Binary(ir.BinaryOp.ADD, expr, ir.Literal(4, expr.width), expr.width)

    return lambda block: in_expressions(block, change)


def dropping(which: Callable[[Monitor, ir.Stmt], bool]) -> Change:
    """Statements of one kind are left out, one at a time."""

    def change(monitor: Monitor) -> Blocks:
        return lambda block: in_statements(block, Drop(lambda s: which(monitor, s)))

    return change


def is_privilege_check(monitor: Monitor, statement: ir.Stmt) -> bool:
    """It traps in one of its arms because of the mode."""
    return isinstance(statement, ir.If) and any(
        isinstance(s, ir.Trap) and s.trap_class is ir.TrapClass.PRIVILEGE
        for s in (*statement.then, *statement.orelse)
    )


def is_memory_check(monitor: Monitor, statement: ir.Stmt) -> bool:
    """It does something in one arm only, and does not return there."""
    if not isinstance(statement, ir.If) or not (statement.then or statement.orelse):
        return False
    arms = [arm for arm in (statement.then, statement.orelse) if arm]
    return len(arms) == 1 and not any(isinstance(s, ir.Return) for s in statements(arms[0]))


def is_legalization(monitor: Monitor, statement: ir.Stmt) -> bool:
    """Only changes control state, and only sometimes."""
    homes = control_homes(monitor)
    if not isinstance(statement, ir.If) or statement.orelse:
        return False
    return all(isinstance(s, ir.Write) and s.element in homes for s in statement.then)


def is_control_write(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element in control_homes(monitor)


def is_mode_write(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element == monitor.virtual.mode.element


def _is_conditional_wait(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.If) and any(isinstance(s, ir.Wait) for s in statement.then)


def waiting(monitor: Monitor) -> Blocks:
    """A wait that depends on something always happens, and any wait never."""

    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if _is_conditional_wait(monitor, statement):
            yield (ir.Wait(),)
        if isinstance(statement, ir.Wait):
            yield ()

    return lambda block: in_statements(block, change)


def swapped(monitor: Monitor) -> Blocks:
    """Of two cases that are tried in order, the second is tried first."""

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        match expr:
            case ir.Select(first, a, ir.Select(second, b, c, _), width) if a != b:
                if _exclude_each_other(first, second):
                    return
                yield ir.Select(second, b, ir.Select(first, a, c, width), width)
            case _:
                return

    return lambda block: in_expressions(block, change)


def _exclude_each_other(first: ir.Expr, second: ir.Expr) -> bool:
    """Both ask whether the same is equal to some constant; then their order does not matter."""
    match first, second:
        case (
            ir.Compare(ir.CompareOp.EQ, one, ir.Literal()),
            ir.Compare(ir.CompareOp.EQ, other, ir.Literal()),
        ):
            return one == other
        case _:
            return False


def missing(monitor: Monitor) -> Iterator[Site]:
    """A routine of a sensitive instruction does nothing."""
    for part in sensitive_routines(monitor):
        if part.block:
            yield part.name, part.put(())


def wrong_cause(monitor: Monitor) -> Iterator[Site]:
    """A trap is delivered as another one that passes on the same."""
    causes = monitor.virtual.causes
    for number, cause in enumerate(causes):
        for other in (*causes[number + 1 :], *causes[:number]):
            same = [p.width for p in other.parameters] == [p.width for p in cause.parameters]
            names = [p.name for p in other.parameters] == [p.name for p in cause.parameters]
            if same and names and other.delivery != cause.delivery:
                changed = replace(cause, delivery=other.delivery)
                yield (
                    f"reflection {cause.name}",
                    with_virtual(
                        monitor, replace(monitor.virtual, causes=with_item(causes, number, changed))
                    ),
                )
                break


def interrupts_swapped(monitor: Monitor) -> Iterator[Site]:
    """The lowest priority comes first."""
    interrupts = monitor.virtual.interrupts
    if len(interrupts) > 1:
        yield (
            "interrupts",
            with_virtual(monitor, replace(monitor.virtual, interrupts=interrupts[::-1])),
        )


def conditions(monitor: Monitor) -> Iterator[Site]:
    """A factor of an interrupt's condition is left out."""
    change = _without_factor(control_homes(monitor))
    interrupts = monitor.virtual.interrupts
    for number, interrupt in enumerate(interrupts):
        for condition in in_expr(interrupt.condition, change):
            changed = replace(interrupt, condition=condition)
            yield (
                f"interrupt {interrupt.name}",
                with_virtual(
                    monitor,
                    replace(monitor.virtual, interrupts=with_item(interrupts, number, changed)),
                ),
            )


def is_flush(monitor: Monitor, statement: ir.Stmt) -> bool:
    """What is done where the tables are stale."""
    return isinstance(statement, ir.If) and "vmm.stale" in reads(statement.condition)


def is_staling(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element == "vmm.stale"


def is_protection(monitor: Monitor, statement: ir.Stmt) -> bool:
    """It takes rights away from a page that a walk read."""
    return (
        isinstance(statement, ir.If)
        and any(isinstance(s, ir.Assign) and s.name == "rights" for s in statement.then)
        and "vmm.slot.walks" in {n for e in operands(statement) for n in reads(e)}
    )


def is_removal(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Call) and statement.function == "vmm.remove"


def is_installation(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Call) and statement.function == "vmm.install"


def is_touch(monitor: Monitor, statement: ir.Stmt) -> bool:
    """It notes that the guest touched a page."""
    return isinstance(statement, ir.Write) and statement.element == "vmm.touched.valid"


def is_bank_switch(monitor: Monitor, statement: ir.Stmt) -> bool:
    """It writes a member of a bank, or its home, where a mode is seen."""
    members = {name for bank in monitor.description.banks for _, name in bank.members}
    members |= {monitor.block.home(name) for name in members}
    return isinstance(statement, ir.If) and any(
        isinstance(s, ir.Write) and s.element in members for s in statement.then
    )


def is_clock_write(monitor: Monitor, statement: ir.Stmt) -> bool:
    clocks = {monitor.block.home(clock.name) for clock in monitor.block.clocks}
    return isinstance(statement, ir.Write) and statement.element in clocks
