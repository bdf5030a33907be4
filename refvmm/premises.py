"""What the obligations about a monitor assume, and what of its description they all speak of."""

from collections.abc import Iterator

from refvmm.control_block import MARK
from refvmm.derive import Monitor
from refvmm.relation import (
    expressions,
    guarded,
    homes,
    while_monitoring,
    while_running,
)
from refvmm.strategy import Strategy, direct_modes
from spec import ir
from spec.effects import statements as all_statements

_PLACES = ("region.base", "region.size", "monitor.base")
_VA, _PROBE = "va", "looked for"


class Premises:
    """Of one monitor: `running` holds while a guest runs, `directly` while it runs on the processor,
    `monitoring` while the monitor does. `kept` is what a virtual step leaves as it is."""

    def __init__(self, monitor: Monitor, strategy: Strategy) -> None:
        self.monitor = monitor
        self.isa = monitor.description
        self.virtual = monitor.virtual
        self.modes = self.isa.mode.members
        allowed = direct_modes(monitor, strategy)
        self.direct_modes = [(name, code) for name, code in self.modes if code in allowed]
        self.homes = homes(monitor)
        (translate,) = [f for f in self.isa.functions if f.name == self.isa.translate]
        self.va = ir.Local(_VA, translate.parameters[0].width)
        self.running = expressions(while_running(monitor))
        self.directly = (*self.running, *expressions(guarded(monitor)))
        self.monitoring = expressions(while_monitoring(monitor))
        holding = set(monitor.block.held.values())
        own = {*self.homes} - holding
        not_in_place = [e.name for e in self.isa.elements if e.name in own]
        marks = [MARK + clock.name for clock in monitor.block.clocks]
        self.kept = (*not_in_place, *_PLACES, *marks)

    def fetched(self) -> ir.Block:
        """Fetch a unit; wait if it is the one that was looked for."""
        unit = ir.Local("unit", self.isa.fetch.unit_width)
        same = ir.Compare(ir.CompareOp.EQ, unit, self.unit())
        return (
            ir.Load(unit.name, self.va, unit.width, ir.Access.FETCH),
            ir.If(same, (ir.Wait(),), ()),
        )

    def unit(self) -> ir.Local:
        return ir.Local(_PROBE, self.isa.fetch.unit_width)

    def accesses(self) -> Iterator[tuple[ir.Access, int]]:
        """Kinds and sizes of accesses in the description, fetches included."""
        cell = self.isa.memory.cell_width
        found = {(ir.Access.FETCH, self.isa.fetch.unit_width // cell)}
        bodies = [i.body for i in self.isa.instructions]
        bodies += [f.body for f in self.isa.functions]
        bodies += [c.delivery for c in self.isa.causes]
        for body in bodies:
            for statement in all_statements(body):
                match statement:
                    case ir.Load(_, _, width, access):
                        found.add((access, width // cell))
                    case ir.Store(_, _, width):
                        found.add((ir.Access.WRITE, width // cell))
                    case ir.Translate(_, _, size, access) | ir.Probe(_, _, size, access):
                        found.add((access, size))
                    case _:
                        pass
        yield from sorted(found, key=lambda pair: (pair[0].value, pair[1]))
