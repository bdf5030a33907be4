"""That shadow tables keep section 6 of the formal model, as plain data.

Three layers. The *contract* of `install` and `remove`, about the real translation of any page after
at most two calls: a page is reached only through the last call for it. The *books*, about the slots:
what was installed last for any page is what a valid slot says (`install` and `remove` stand for
their contract there). The *meaning* of a slot: the virtual translation of its page is what it says,
whatever the region holds outside the pages that the slot's walk read; and no such page can be
written through a slot. Together with `relation`, section 6 holds at every access.
"""

from collections.abc import Iterator, Sequence

from checker.proof import Group
from checker.statements import Part, Settled, Simulation, Statement, Text, Triple
from refvmm.derive import Monitor
from refvmm.redirect import Noted, base
from refvmm.relation import expressions, homes, region_fits, upkeep, while_running
from refvmm.stage_obligations import SecondStage
from refvmm.table_books import Books
from refvmm.table_contract import Contract
from refvmm.table_efficiency import Reaching
from refvmm.table_meaning import Meaning
from refvmm.table_terms import TableTerms, both
from spec import ir
from spec.effects import function_reads, statements
from spec.expressions import reads

_PLACES = ("region.base", "region.size", "monitor.base")


def shadow_obligations(
    monitor: Monitor,
    direct: Sequence[tuple[str, int]],
    accesses: Iterator[tuple[ir.Access, int]],
) -> Iterator[Statement]:
    """`direct`: the virtual modes that run directly; without any the tables matter to nobody."""
    assert monitor.shadow is not None
    reals = dict.fromkeys(monitor.real_mode(mode) for _, mode in direct)
    given = monitor, monitor.shadow, tuple(reals)
    kept = _Upkeep(*given)
    contract, books, meaning = Contract(*given), Books(*given), Meaning(*given)
    yield from kept.footprint()
    if not direct:
        return
    found = list(accesses)
    if monitor.shadow.noted is Noted.PLACES:
        stage = SecondStage(*given)
        yield from stage.placing()
        yield kept.start()
        for access, cells in found:
            yield from stage.reached(direct, access, cells)
        yield from stage.efficiency()
        return
    yield from kept.dependence()
    for access, cells in found:
        for statement in (*contract.contract(access, cells), contract.relation(access, cells)):
            yield from contract.in_real_modes(statement)
    yield from books.books()
    yield books.filled()
    yield from meaning.stores()
    yield from meaning.noting()
    for access in dict.fromkeys(access for access, _ in found):
        yield meaning.meaning(access)
    reaching = Reaching(*given)
    for access, cells in found:
        yield from reaching.installed(direct, access, cells)
    yield from reaching.filling()
    yield reaching.touched()


class _Upkeep(TableTerms):
    """What the routines may touch, and what they depend on."""

    # -- what the routines may touch

    def footprint(self) -> Iterator[Statement]:
        """The upkeep leaves the virtual machine and the real machine's constraints alone."""
        yield self._upkeep_writes()
        va, slot = self._va("page"), ir.Local("slot", 8)
        pa, rights = ir.Local("frame", self.pa_width), ir.Local("rights", 3)
        assumed = (*self._page(va), self._slot(slot))
        yield self._tables_apart()
        calls = {
            "install": (
                self._install(va, pa, rights, slot),
                (va, pa, rights, slot),
                (*assumed, *self._frame(pa)),
            ),
            "remove": (self._remove(va, slot), (va, slot), assumed),
        }
        written = self._written_by("vmm.install") | self._written_by("vmm.remove")
        kept = tuple(n for n in (*self.monitor.block.homes, *_PLACES) if n not in written)
        for name, (call, parameters, assume) in calls.items():
            for mode_name, mode in self.isa.mode.members:
                yield Simulation(
                    Group.MAP,
                    f"{name} changes nothing but the tables, virtual mode {mode_name}",
                    mode,
                    Text.MONITOR,
                    (call,),
                    (),
                    assume=(*expressions(region_fits(self.monitor)), *assume),
                    parameters=parameters,
                    keep=kept,
                    tables=True,
                )
            yield Triple(
                Group.MAP,
                f"{name} keeps the relation",
                None,
                (Part(Text.MONITOR, (call,)),),
                tuple(while_running(self.monitor)),
                assume=(*self.running, *assume),
                parameters=parameters,
            )

    def _tables_apart(self) -> Triple:
        """A cell of the tables is none of the region."""
        cell = ir.Local("cell", self.pa_width)
        cells = ir.Literal(self.monitor.configuration.monitor_size, self.pa_width + 1)
        own, region = (
            ir.Compare(
                ir.CompareOp.ULT,
                ir.Extend(
                    ir.Binary(ir.BinaryOp.SUB, cell, start, self.pa_width), False, self.pa_width + 1
                ),
                size,
            )
            for start, size in (
                (ir.Read("monitor.base", self.pa_width), cells),
                (base(self.isa.memory), ir.Read("region.size", self.pa_width + 1)),
            )
        )
        return Triple(
            Group.MAP,
            "the tables lie outside the region",
            None,
            (),
            (("no cell is in both", ir.Not(both(own, region))),),
            assume=expressions(region_fits(self.monitor)),
            parameters=(cell,),
        )

    def _upkeep_writes(self) -> Settled:
        """Only the monitor's own elements, and memory through `install` and `remove`."""
        reached = self._called(upkeep(self.monitor), {"vmm.install", "vmm.remove"})
        translation = self._called((ir.Call(None, self.monitor.virtual.translate, ()),))
        bodies = [upkeep(self.monitor), *(self.functions[n].body for n in reached | translation)]
        wrong = [
            s
            for body in bodies
            for s in statements(body)
            if isinstance(s, ir.Store | ir.StorePhysical)
            or (isinstance(s, ir.Write) and not s.element.startswith("vmm."))
        ]
        return Settled(
            Group.MAP, "upkeep writes the monitor's own only", not wrong, "it writes more"
        )

    def dependence(self) -> Iterator[Statement]:
        """What translation depends on changes only where the monitor sees it."""
        where = homes(self.monitor)
        bare = {f.name: f for f in self.isa.functions}
        inputs = function_reads(bare, self.isa.translate) | {self.isa.mode.element}
        guests = {n for n, _ in self.monitor.configuration.homes}
        loose = sorted(n for n in inputs if n not in where or n in guests)
        yield Settled(
            Group.MAP,
            "translation reads only what the monitor keeps",
            not loose,
            f"the guest itself changes {', '.join(loose)}",
        )
        unseen = sorted(
            where[n]
            for n in inputs
            if n in where and where[n] not in self.tables.watched and n != self.isa.memory.size
        )
        yield Settled(
            Group.MAP, "what translation reads is watched", not unseen, f"not so {unseen}"
        )
        composed = {n for _, value in self.monitor.configuration.compose for n in reads(value)}
        yield Settled(
            Group.MAP,
            "composed elements follow from the placement alone",
            not composed or None,
            f"they follow from {', '.join(sorted(composed))}",
        )
        names = self._called((self._remove(self._va("page"), ir.Local("slot", 8)),))
        names |= self._called((ir.Call(None, "vmm.install", ()),))
        memory_reads = [
            s
            for name in names
            for s in statements(self.functions[name].body)
            if isinstance(s, ir.Load | ir.LoadPhysical | ir.Translate | ir.Probe)
        ]
        yield Settled(
            Group.MAP,
            "install and remove read no memory",
            not memory_reads or None,
            "what they do may depend on what the guest writes",
        )
        unstaled = sorted(set(self._unstaled()))
        yield Settled(
            Group.MAP,
            "a change of what translation reads makes the slots stale",
            not unstaled,
            f"not so in {', '.join(unstaled)}",
        )
        yield self.start()

    def start(self) -> Settled:
        resets = [e.name for e in self.tables.elements if e.reset]
        return Settled(Group.START, "no slot is valid at the start", not resets, f"not 0: {resets}")

    def _unstaled(self) -> Iterator[str]:
        """Routines that write a watched element without a look at whether it changes."""
        virtual = self.monitor.virtual
        bodies = [(i.name, i.body) for i in virtual.instructions]
        bodies += [(c.name, c.delivery) for c in virtual.causes]
        bodies += [(i.name, i.delivery) for i in virtual.interrupts]
        bodies += [(f.name, f.body) for f in virtual.functions]
        for name, body in bodies:
            for block in _blocks(body):
                before: ir.Stmt | None = None
                for statement in block:
                    if isinstance(statement, ir.Write) and statement.element in self.tables.watched:
                        if not _stales(before, statement):
                            yield name
                    elif (
                        isinstance(statement, ir.Write)
                        and statement.element == "vmm.stale"
                        and not _only_sets(statement)
                    ):
                        yield name
                    before = statement


def _blocks(block: ir.Block) -> Iterator[ir.Block]:
    yield block
    for statement in block:
        if isinstance(statement, ir.If):
            yield from _blocks(statement.then)
            yield from _blocks(statement.orelse)


def _stales(before: ir.Stmt | None, write: ir.Write) -> bool:
    """The statement before notes whether the write changes anything."""
    match before:
        case ir.Write("vmm.stale", ir.Binary(ir.BinaryOp.OR, _, ir.Bit(changed))):
            old = ir.Read(write.element, write.value.width, write.index)
            return changed == ir.Compare(ir.CompareOp.NE, old, write.value)
        case _:
            return False


def _only_sets(write: ir.Write) -> bool:
    match write.value:
        case ir.Literal(1, 1):
            return True
        case ir.Binary(ir.BinaryOp.OR, ir.Read("vmm.stale"), _):
            return True
        case _:
            return False
