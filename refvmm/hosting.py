"""Whether a configuration, with the guest's memory at some place, can host a guest at all."""

from collections.abc import Iterator

from refvmm.derive import Monitor
from refvmm.strategy import Strategy, direct_modes
from refvmm.vm_map import Placement, bare_state, place
from spec.concrete import ConcreteEngine


def obstacles(monitor: Monitor, placement: Placement, strategy: Strategy) -> tuple[str, ...]:
    """Sentences that say what is in the way; empty if nothing is.

    That translation then does what section 6 of the formal model asks is for proofs to show.
    """
    return (*_region(monitor, placement), *_relocation(monitor, placement, strategy))


def _region(monitor: Monitor, placement: Placement) -> Iterator[str]:
    memory = monitor.description.memory
    cells = 1 << memory.address_width
    start, end = placement.region_base, placement.region_base + placement.region_size
    if placement.region_size < 1:
        yield "the guest has no memory: its region has no cells"
    if start < 0 or end > cells:
        yield f"the region 0x{start:x} to 0x{end:x} is not in the memory of 0x{cells:x} cells"
    page, tables = monitor.configuration.page, monitor.configuration.monitor_size
    if page is not None and (start % page or placement.region_size % page):
        yield f"the region does not begin and end at a page of {page} cells"
    if tables:
        first, last = placement.monitor_base, placement.monitor_base + tables
        if page is not None and first % page:
            yield f"the monitor's tables do not begin at a page of {page} cells"
        if first < end and start < last:
            yield "the monitor's tables overlap the guest's region"
        if last > cells:
            yield f"the monitor's tables, 0x{tables:x} cells, do not fit below 0x{cells:x}"


def _relocation(monitor: Monitor, placement: Placement, strategy: Strategy) -> Iterator[str]:
    if not direct_modes(monitor, strategy):
        return
    configuration, isa = monitor.configuration, monitor.description
    if not configuration.compose and configuration.install is None:
        yield (
            f"`{configuration.name}` does not say how the real relocation follows from the"
            " virtual one: it needs `compose`, or `install` and `remove`"
        )
        return
    if next(_region(monitor, placement), None) is not None:
        return
    state = place(monitor, bare_state(isa, placement.region_size), placement)
    engine = ConcreteEngine(monitor.real)
    for text, constraint in monitor.constraints:
        if not engine.value(state, constraint):
            yield (
                f"`constrain {text}` does not hold in the real machine when the guest starts:"
                " `compose` must give the elements that it names"
            )
