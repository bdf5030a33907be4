"""The parts of a monitor in which a fault can be put: its blocks, and the monitor with another one.

Routines are those of sensitive instructions: what another one does is done by the processor.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from refvmm.derive import Monitor
from refvmm.redirect import PREFIX
from refvmm.vocabulary import vocabulary
from spec import ir
from spec.effects import statements

Site = tuple[str, Monitor]
"""Where a fault was put, and the monitor with it there."""


@dataclass(frozen=True, slots=True)
class Part:
    """A block of a monitor: what it is, and the monitor with another one in its place."""

    name: str
    block: ir.Block
    put: Callable[[ir.Block], Monitor]

    def sites(self, blocks: Iterable[ir.Block]) -> Iterator[Site]:
        for block in blocks:
            if block != self.block:
                yield self.name, self.put(block)


def sensitive_routines(monitor: Monitor) -> Iterator[Part]:
    """Interpreter routines of sensitive instructions."""
    instructions = monitor.virtual.instructions
    sensitive = {i.name for i in vocabulary(monitor.description).sensitive}
    for number, routine in enumerate(instructions):
        if routine.name not in sensitive:
            continue

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(instructions[number], body=block)
            return with_virtual(
                monitor,
                replace(monitor.virtual, instructions=with_item(instructions, number, changed)),
            )

        yield Part(f"routine {routine.name}", routine.body, put)


def reflections(monitor: Monitor) -> Iterator[Part]:
    """Trap deliveries and those of virtual interrupts, in the virtual machine."""
    causes = monitor.virtual.causes
    for number, cause in enumerate(causes):

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(causes[number], delivery=block)
            return with_virtual(
                monitor, replace(monitor.virtual, causes=with_item(causes, number, changed))
            )

        yield Part(f"reflection {cause.name}", cause.delivery, put)
    interrupts = monitor.virtual.interrupts
    for number, interrupt in enumerate(interrupts):

        def put_interrupt(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(interrupts[number], delivery=block)
            return with_virtual(
                monitor, replace(monitor.virtual, interrupts=with_item(interrupts, number, changed))
            )

        yield Part(f"interrupt {interrupt.name}", interrupt.delivery, put_interrupt)


def function_parts(monitor: Monitor, names: Iterable[str]) -> Iterator[Part]:
    """The functions of the virtual machine that have one of the names."""
    functions, wanted = monitor.virtual.functions, set(names)
    for number, function in enumerate(functions):
        if function.name not in wanted:
            continue

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(functions[number], body=block)
            return with_virtual(
                monitor, replace(monitor.virtual, functions=with_item(functions, number, changed))
            )

        yield Part(f"function {function.name}", function.body, put)


def own_blocks(monitor: Monitor) -> Iterator[Part]:
    """What the monitor does before and after the guest runs."""
    yield Part("save", monitor.save, lambda block: replace(monitor, save=block))
    yield Part("resume", monitor.resume, lambda block: _resuming(monitor, block))


def _resuming(monitor: Monitor, block: ir.Block) -> Monitor:
    """With another `resume`; what ends it is also the upkeep of the shadow tables."""
    tables = monitor.shadow
    if tables is not None:
        own = len(monitor.resume) - len(tables.upkeep)
        if block[:own] == monitor.resume[:own]:
            tables = replace(tables, upkeep=block[own:])
    return replace(monitor, resume=block, shadow=tables)


Item = TypeVar("Item")


def with_virtual(monitor: Monitor, virtual: ir.Isa) -> Monitor:
    return replace(monitor, virtual=virtual)


def with_item(items: tuple[Item, ...], number: int, item: Item) -> tuple[Item, ...]:
    """The items with another one at a place."""
    return (*items[:number], item, *items[number + 1 :])


def _called(monitor: Monitor, parts: Iterable[ir.Block]) -> set[str]:
    """The functions that blocks call, and those call."""
    by_name = {f.name: f.body for f in monitor.virtual.functions}
    found: set[str] = set()
    left = list(parts)
    while left:
        for statement in statements(left.pop()):
            if isinstance(statement, ir.Call) and statement.function not in found:
                found.add(statement.function)
                left.append(by_name[statement.function])
    return found


def routine_parts(monitor: Monitor) -> list[Part]:
    """Routines of sensitive instructions and the description's functions that they call."""
    routines = list(sensitive_routines(monitor))
    called = _called(monitor, (part.block for part in routines))
    translation = _called(monitor, (_body(monitor, monitor.virtual.translate),))
    own = {
        n for n in called - translation if n.startswith(PREFIX) and n != monitor.virtual.translate
    }
    return [*routines, *function_parts(monitor, own)]


def trap_parts(monitor: Monitor) -> list[Part]:
    """Reflections, virtual interrupts, and the functions that they and their conditions call."""
    parts = list(reflections(monitor))
    called = _called(monitor, (part.block for part in parts))
    return [*parts, *function_parts(monitor, (n for n in called if n.startswith(PREFIX)))]


def translation_parts(monitor: Monitor) -> list[Part]:
    """The virtual machine's `translate`, and the functions that it calls."""
    body = _body(monitor, monitor.virtual.translate)
    names = {monitor.virtual.translate, *_called(monitor, (body,))}
    return list(function_parts(monitor, (n for n in names if n.startswith(PREFIX))))


def _body(monitor: Monitor, name: str) -> ir.Block:
    (function,) = [f for f in monitor.virtual.functions if f.name == name]
    return function.body


def control_homes(monitor: Monitor) -> set[str]:
    """Where the virtual control state is kept."""
    return set(monitor.block.homes.values())


def relocators(monitor: Monitor) -> Iterator[Part]:
    """What adds the region's start to an address of the guest's."""
    names = [f.name for f in monitor.virtual.functions]
    yield from own_blocks(monitor)
    yield from function_parts(
        monitor, (n for n in names if n.startswith(("vmm.load", "vmm.store", "vmm.fill")))
    )


def shadow_functions(monitor: Monitor) -> Iterator[Part]:
    """What fills the shadow tables, and what notices that they are stale."""
    yield from function_parts(monitor, ("vmm.stored", "vmm.fill", "vmm.note"))
