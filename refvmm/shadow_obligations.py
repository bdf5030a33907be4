"""That shadow tables keep section 6 of the formal model, as plain data.

Three layers. The *contract* of `install` and `remove`, about the real translation of any page after
at most two calls: a page is reached only through the last call for it. The *books*, about the slots:
what was installed last for any page is what a valid slot says (`install` and `remove` stand for
their contract there). The *meaning* of a slot: the virtual translation of its page is what it says,
whatever the region holds outside the pages that the slot's walk read; and no such page can be
written through a slot. Together with `relation`, section 6 holds at every access.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from checker.proof import Group
from checker.statements import Anew, Earlier, Part, Settled, Simulation, Statement, Text, Triple
from refvmm import control_block
from refvmm.control_block import placed
from refvmm.derive import Monitor
from refvmm.redirect import base, present
from refvmm.relation import (
    expressions,
    homes,
    region_fits,
    upkeep,
    while_running,
)
from refvmm.shadow import Shadow
from spec import ir
from spec.effects import function_reads, statements
from spec.expressions import reads

_RIGHT = {ir.Access.FETCH: 0, ir.Access.READ: 1, ir.Access.WRITE: 2}
_PLACES = ("region.base", "region.size", "monitor.base")


def shadow_obligations(
    monitor: Monitor,
    direct: Sequence[tuple[str, int]],
    accesses: Iterator[tuple[ir.Access, int]],
) -> Iterator[Statement]:
    """`direct`: the virtual modes that run directly; without any the tables matter to nobody."""
    assert monitor.shadow is not None
    reals = dict.fromkeys(monitor.real_mode(mode) for _, mode in direct)
    maker = _Maker(monitor, monitor.shadow, tuple(reals))
    yield from maker.footprint()
    if not direct:
        return
    yield from maker.dependence()
    found = list(accesses)
    for access, cells in found:
        for statement in (*maker.contract(access, cells), maker.relation(access, cells)):
            yield from maker.in_real_modes(statement)
    yield from maker.books()
    yield maker.filled()
    yield from maker.stores()
    yield from maker.noting()
    for access in dict.fromkeys(access for access, _ in found):
        yield maker.meaning(access)


class _Maker:
    def __init__(self, monitor: Monitor, tables: Shadow, real_modes: tuple[int, ...]) -> None:
        self.monitor = monitor
        self.real_modes = real_modes
        self.tables = tables
        self.isa = monitor.description
        (translate,) = [f for f in self.isa.functions if f.name == self.isa.translate]
        self.va_width = translate.parameters[0].width
        self.pa_width = self.isa.memory.address_width
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
            (("no cell is in both", ir.Not(_and(own, region))),),
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
        resets = [e.name for e in self.tables.elements if e.reset]
        yield Settled(Group.START, "no slot is valid at the start", not resets, f"not 0: {resets}")

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

    # -- the contract of install and remove

    def contract(self, access: ir.Access, cells: int) -> Iterator[Triple]:
        va, page = self._va("va"), self._base_of(self._va("va"))
        other, third = self._va("other"), self._va("third")
        slot, slots = ir.Local("slot", 8), ir.Local("other slot", 8)
        pa, pas = ir.Local("frame", self.pa_width), ir.Local("other frame", self.pa_width)
        rights, more = ir.Local("rights", 3), ir.Local("other rights", 3)
        mine = self._install(page, pa, rights, slot)
        theirs = self._install(other, pas, more, slots)
        another = self._install(third, pa, rights, slot)
        parameters = (va, other, third, slot, slots, pa, pas, rights, more)
        assume = (
            *self.running,
            *self._page(other),
            *self._page(third),
            *self._frame(pa),
            *self._frame(pas),
            self._slot(slot),
            self._slot(slots),
            ir.Not(_same(page, other)),
            ir.Not(_same(page, third)),
        )

        def look(name: str) -> Part:
            return Part(Text.REAL, self._look(name, va, cells, access))

        def call(statement: ir.Stmt, anew: Anew = Anew.NO) -> Part:
            return Part(Text.MONITOR, (statement,), anew)

        a, b, c, d = (self._found(name) for name in "abcd")
        granted = ir.Truth(ir.Extract(rights, _RIGHT[access], _RIGHT[access]))
        place = ir.Binary(ir.BinaryOp.ADD, pa, self._offset(va), self.pa_width)
        right_place = _and(granted, _same(a[1], place))
        never = ir.Not(a[0])
        label = f"{access.name.lower()} of {cells}"
        yield self._contract(
            f"empty tables reach nothing, {label}",
            (look("a"), call(theirs), look("b")),
            _and(never, ir.Not(b[0])),
            assume,
            parameters,
            empty=True,
        )
        o, p = self._found("o"), self._found("p")
        off = _and(ir.Not(o[0]), ir.Not(p[0]))
        yield self._contract(
            f"an installed page is reached as granted, {label}",
            (look("o"), call(mine), look("a")),
            _implies(ir.Not(o[0]), _implies(a[0], right_place)),
            assume,
            parameters,
        )
        yield self._contract(
            f"and no otherwise after another page, {label}",
            (
                look("o"),
                call(theirs),
                look("p"),
                call(mine, Anew.START),
                look("a"),
                call(theirs),
                look("b"),
            ),
            _implies(off, _implies(b[0], _like(b, a))),
            assume,
            parameters,
        )
        yield self._contract(
            f"other pages do not reach a page, {label}",
            (
                look("a"),
                call(theirs),
                look("b"),
                call(another, Anew.START),
                look("c"),
                call(theirs),
                look("d"),
            ),
            _implies(d[0], _or(_like(d, a), _or(_like(d, b), _like(d, c)))),
            assume,
            parameters,
        )
        e, f, g = (self._found(name) for name in "efg")
        gone = self._remove(page, slot)
        for name, first in (("", ()), (" after it was installed", (call(mine, Anew.START),))):
            yield self._contract(
                f"a removed page is not reached{name}, {label}",
                (
                    look("o"),
                    call(theirs),
                    look("p"),
                    *first,
                    call(gone, Anew.NO if first else Anew.START),
                    look("a"),
                    call(theirs),
                    look("b"),
                ),
                _implies(off, _and(ir.Not(a[0]), ir.Not(b[0]))),
                assume,
                parameters,
            )
        for name, between in (("installing", another), ("removing", self._remove(third, slots))):
            yield self._contract(
                f"{name} another page does not keep it from being removed, {label}",
                (
                    call(gone),
                    look("e"),
                    call(between),
                    look("f"),
                    call(gone, Anew.START),
                    call(theirs),
                    look("g"),
                    call(between, Anew.START),
                    call(gone),
                    look("a"),
                    call(theirs),
                    look("b"),
                ),
                _and(
                    _implies(a[0], _or(_like(a, e), _like(a, f))),
                    _implies(b[0], _or(_like(b, e), _or(_like(b, f), _like(b, g)))),
                ),
                assume,
                parameters,
            )
        yield self._contract(
            f"removing another page reaches nothing more, {label}",
            (
                look("a"),
                call(theirs),
                look("b"),
                call(self._remove(third, slot), Anew.START),
                look("c"),
                call(theirs),
                look("d"),
            ),
            _and(_implies(c[0], _like(c, a)), _implies(d[0], _or(_like(d, a), _like(d, b)))),
            assume,
            parameters,
        )

    def _contract(
        self,
        name: str,
        parts: tuple[Part, ...],
        show: ir.Expr,
        assume: tuple[ir.Expr, ...],
        parameters: tuple[ir.Local, ...],
        empty: bool = False,
    ) -> Triple:
        return Triple(
            Group.MAP,
            name,
            None,
            parts,
            ((name, show),),
            assume=assume,
            parameters=parameters,
            defined=self.defined,
            empty=empty,
            earlier=() if empty else self._earlier(),
        )

    def _earlier(self) -> tuple[Earlier, ...]:
        """All calls that the monitor makes."""
        va, slot = self._va("page"), ir.Local("slot", 8)
        pa, rights = ir.Local("frame", self.pa_width), ir.Local("rights", 3)
        page = (*self._page(va), self._slot(slot))
        return (
            Earlier(
                (self._install(va, pa, rights, slot),),
                (va, pa, rights, slot),
                (*page, *self._frame(pa)),
            ),
            Earlier((self._remove(va, slot),), (va, slot), page),
        )

    # -- from the tables to section 6

    def relation(self, access: ir.Access, cells: int) -> Triple:
        """A page is reached as its slot says; then so is every place in it."""
        va = self._va("va")
        page = self._base_of(va)
        real, whole, virtual = (self._found(name) for name in ("real", "whole", "virtual"))
        there = ir.Binary(ir.BinaryOp.ADD, whole[1], self._offset(va), self.pa_width)
        memory = self.isa.memory
        slot_says = _and(
            _and(whole[0], _same(real[1], self._in_region(there))),
            _and(
                _same(whole[1], self._base_of(whole[1], self.pa_width)),
                present(memory, whole[1], self.tables.page),
            ),
        )
        section6 = _and(
            _and(virtual[0], _same(real[1], self._in_region(virtual[1]))),
            present(memory, virtual[1], cells),
        )
        return Triple(
            Group.MAP,
            f"section 6 follows from the slot, {access.name.lower()} of {cells}",
            None,
            (
                Part(Text.REAL, self._look("real", va, cells, access)),
                Part(
                    Text.MONITOR,
                    (
                        *self._look("whole", page, 1, access),
                        *self._look("virtual", va, cells, access),
                    ),
                ),
            ),
            (("section 6", _implies(_and(real[0], slot_says), section6)),),
            assume=self.running,
            parameters=(va,),
            defined=self.defined,
        )

    # -- the books

    def books(self) -> Iterator[Statement]:
        va = self._va("va")
        kept = self._books()
        protected, pair = self._protected()
        fill: ir.Block = (ir.Call(None, "vmm.fill", (va,)),)
        flush = upkeep(self.monitor)[:1]
        ghosts, functions = self._ghosts()
        more, translate = self._any_translation()
        common = expressions(region_fits(self.monitor))
        valid = self._slot_element("valid", 1, ir.Local("slot", 8))
        for name, block, parameters, assume in (
            ("filling", fill, (va,), self._page(va)),
            ("flushing", flush, (), ()),
        ):
            yield Triple(
                Group.MAP,
                f"{name} keeps the books",
                None,
                (Part(Text.MONITOR, block),),
                tuple(kept),
                assume=(*common, *expressions(kept), *assume),
                parameters=parameters,
                ghosts=(*ghosts, *more),
                functions=(*functions, translate),
            )
            yield Triple(
                Group.MAP,
                f"{name} leaves no page that walks read writable",
                None,
                (Part(Text.MONITOR, block),),
                (("no page that walks read is writable", protected),),
                assume=(*common, *expressions(kept), *assume, protected),
                parameters=(*parameters, *pair),
                ghosts=(*ghosts, *more),
                functions=(*functions, translate),
            )
        stale = ir.Truth(ir.Read("vmm.stale", 1))
        was = ir.Local("was stale", 0)
        yield Triple(
            Group.MAP,
            "what is stale is flushed",
            None,
            (Part(Text.MONITOR, (ir.Assign(was.name, stale), *flush)),),
            (
                ("it is stale no longer", ir.Not(stale)),
                ("no slot is valid", _implies(was, ir.Not(ir.Truth(valid)))),
            ),
            assume=(self._slot(ir.Local("slot", 8)),),
            parameters=(ir.Local("slot", 8),),
            ghosts=ghosts,
            functions=functions,
        )
        index = ir.Local("index", 2)
        touched = ir.Read("vmm.touched", self.va_width, index)
        aligned = _same(touched, self._base_of(touched))
        yield Triple(
            Group.MAP,
            "pages are noted by their first address",
            None,
            (Part(Text.MONITOR, (ir.Call(None, "vmm.touch", (va,)),)),),
            (("aligned", aligned),),
            assume=(aligned,),
            parameters=(va, index),
        )

    def _ghosts(self) -> tuple[tuple[ir.Element, ...], tuple[ir.Function, ...]]:
        """The last call for a page, which may be any."""
        elements = (
            ir.Element("ghost.page", self.va_width, ir.Role.CONTROL),
            ir.Element("ghost.on", 1, ir.Role.CONTROL),
            ir.Element("ghost.frame", self.pa_width, ir.Role.CONTROL),
            ir.Element("ghost.rights", 3, ir.Role.CONTROL),
            ir.Element("ghost.slot", 8, ir.Role.CONTROL),
            ir.Element("ghost.twice", 1, ir.Role.CONTROL),
        )
        install, remove = self.functions["vmm.install"], self.functions["vmm.remove"]
        va, pa, rights, slot = install.parameters
        page = ir.Read("ghost.page", self.va_width)
        on = ir.Read("ghost.on", 1)
        installed: ir.Block = (
            ir.If(ir.Truth(on), (ir.Write("ghost.twice", ir.Literal(1, 1)),), ()),
            ir.Write("ghost.on", ir.Literal(1, 1)),
            ir.Write("ghost.frame", pa),
            ir.Write("ghost.rights", rights),
            ir.Write("ghost.slot", slot),
        )
        removed: ir.Block = (ir.Write("ghost.on", ir.Literal(0, 1)),)
        own = remove.parameters[0]
        return elements, (
            ir.Function(
                install.name, install.parameters, (ir.If(_same(va, page), installed, ()),), None
            ),
            ir.Function(
                remove.name, remove.parameters, (ir.If(_same(own, page), removed, ()),), None
            ),
        )

    def _books(self) -> list[tuple[str, ir.Expr]]:
        on = ir.Truth(ir.Read("ghost.on", 1))
        slot = ir.Read("ghost.slot", 8)
        page = ir.Read("ghost.page", self.va_width)
        frame = self._in_region(self._slot_element("frame", self.pa_width, slot))
        said = _and(
            _and(self._slot(slot), ir.Truth(self._slot_element("valid", 1, slot))),
            _and(
                _same(self._slot_element("tag", self.va_width, slot), page),
                _and(
                    _same(frame, ir.Read("ghost.frame", self.pa_width)),
                    _same(self._slot_element("rights", 3, slot), ir.Read("ghost.rights", 3)),
                ),
            ),
        )
        turn = ir.Read("vmm.turn", 8)
        return [
            ("what is installed is what a slot says", _implies(on, said)),
            ("the turn is a slot's", self._slot(turn)),
            (
                "no page is installed twice",
                _same(ir.Read("ghost.twice", 1), ir.Literal(0, 1)),
            ),
        ]

    def _protected(self) -> tuple[ir.Expr, tuple[ir.Local, ...]]:
        """No page that the walk of one slot read is writable through another, or itself."""
        reader, writer = ir.Local("reader", 8), ir.Local("writer", 8)
        number = ir.Local("number", 8)
        rights = self._slot_element("rights", 3, writer)
        writable = _and(
            ir.Truth(self._slot_element("valid", 1, writer)), ir.Truth(ir.Extract(rights, 2, 2))
        )
        frame = self._slot_element("frame", self.pa_width, writer)
        read = _and(self._walked(reader, number), _same(self._walk(reader, number), frame))
        inside = _and(self._slot(reader), self._slot(writer))
        return _implies(_and(inside, _and(writable, read)), ir.Boolean(False)), (
            reader,
            writer,
            number,
        )

    # -- the meaning of a slot

    def filled(self) -> Triple:
        """A slot that filling changed says what translation said of the page."""
        va, slot = self._va("va"), ir.Local("slot", 8)
        ghosts, functions = self._ghosts()
        more, translate = self._any_translation()
        fields = [("valid", 1), ("tag", self.va_width), ("frame", self.pa_width)]
        fields += [("rights", 3), ("walks", 8)]
        now: list[ir.Expr] = [self._slot_element(n, w, slot) for n, w in fields]
        walk = [self._walk(slot, ir.Literal(n, 8)) for n in range(self.tables.walks)]
        old = [ir.Local(f"old {n}", e.width) for n, e in enumerate((*now, *walk))]
        unchanged: ir.Expr = ir.Boolean(True)
        for before, after in zip(old, (*now, *walk), strict=True):
            unchanged = _and(unchanged, _same(before, after))
        valid, tag, frame, rights, walks = now
        said: ir.Expr = _and(
            _and(_same(tag, va), ir.Not(ir.Truth(ir.Read("vmm.walk.lost", 1)))),
            _and(
                _same(frame, self._base_of(frame, self.pa_width)),
                present(self.isa.memory, frame, self.tables.page),
            ),
        )
        for access, right in _RIGHT.items():
            index = ir.Literal(access.value, 2)
            reached = ir.Not(ir.Truth(ir.Read("ghost.refused", 1, index)))
            there = _same(frame, ir.Read("ghost.place", self.pa_width, index))
            granted = ir.Truth(ir.Extract(rights, right, right))
            said = _and(said, _implies(granted, _and(reached, there)))
        said = _and(said, _same(walks, ir.Read("vmm.walks", 8)))
        for number, page in enumerate(walk):
            noted = ir.Read("vmm.walk", self.pa_width, ir.Literal(number, 8))
            said = _and(said, _same(page, noted))
        return Triple(
            Group.MAP,
            "a filled slot says what translation said",
            None,
            (
                Part(
                    Text.MONITOR,
                    (
                        *(ir.Assign(o.name, e) for o, e in zip(old, (*now, *walk), strict=True)),
                        ir.Call(None, "vmm.fill", (va,)),
                    ),
                ),
            ),
            (("the slot says so", _or(unchanged, _implies(ir.Truth(valid), said))),),
            assume=(
                *expressions(region_fits(self.monitor)),
                *self._page(va),
                self._slot(slot),
                self._slot(ir.Read("vmm.turn", 8)),
            ),
            parameters=(va, slot),
            ghosts=(*ghosts, *more),
            functions=(*functions, translate),
        )

    def _any_translation(self) -> tuple[tuple[ir.Element, ...], ir.Function]:
        """Translation that says anything of a page, and notes any walk."""
        routine = self.functions[self.monitor.virtual.translate]
        access = routine.parameters[1]
        lost = ir.Read("ghost.lost", 1)
        elements = (
            ir.Element("ghost.refused", 1, ir.Role.CONTROL, 4),
            ir.Element("ghost.place", self.pa_width, ir.Role.CONTROL, 4),
            ir.Element("ghost.walk", self.pa_width, ir.Role.CONTROL, max(1, self.tables.walks)),
            ir.Element("ghost.walks", 8, ir.Role.CONTROL),
            ir.Element("ghost.lost", 1, ir.Role.CONTROL),
        )
        noted: list[ir.Stmt] = [
            ir.Write("vmm.walks", ir.Read("ghost.walks", 8)),
            ir.Write("vmm.walk.lost", lost),
        ]
        for number in range(self.tables.walks):
            index = ir.Literal(number, 8)
            noted.append(ir.Write("vmm.walk", ir.Read("ghost.walk", self.pa_width, index), index))
        refused = ir.Truth(ir.Read("ghost.refused", 1, access))
        body: ir.Block = (
            *noted,
            ir.If(refused, (ir.Trap("refused", ir.TrapClass.MEMORY),), ()),
            ir.Return(ir.Read("ghost.place", self.pa_width, access)),
        )
        return elements, ir.Function(routine.name, routine.parameters, body, routine.result)

    def noting(self) -> Iterator[Statement]:
        """What a walk reads is noted, and stays so; or it is lost, and then nothing is installed."""
        address, more = self.functions["vmm.note"].parameters
        page = ir.Local("page", self.pa_width)
        end = ir.Binary(ir.BinaryOp.ADD, address, more, self.pa_width)
        first, last = (self._base_of(place, self.pa_width) for place in (address, end))
        lost = ir.Truth(ir.Read("vmm.walk.lost", 1))
        was = ir.Local("was", 0)
        note = ir.Call(None, "vmm.note", (address, more))
        for name, block, show in (
            ("what a walk reads is noted", (note,), _and(self._noted(first), self._noted(last))),
            (
                "what is noted stays noted",
                (ir.Assign(was.name, _or(lost, self._noted(page))), note),
                _implies(was, self._noted(page)),
            ),
        ):
            yield Triple(
                Group.MAP,
                name,
                None,
                (Part(Text.MONITOR, block),),
                ((name, _or(lost, show)),),
                parameters=(address, more, page),
            )
        own = {"vmm.walk", "vmm.walks", "vmm.walk.lost"}
        probing = self._called(self.functions["vmm.fill"].body[:-1], {"vmm.note"})
        probing |= self._called((ir.Call(None, self.monitor.virtual.translate, ()),), {"vmm.note"})
        loose = sorted(n for n in probing if self._writes(n) & own)
        yield Settled(
            Group.MAP, "only what notes pages changes the notes", not loose, f"not so {loose}"
        )

    def _noted(self, page: ir.Expr) -> ir.Expr:
        found: ir.Expr = ir.Boolean(False)
        for n in range(self.tables.walks):
            number = ir.Literal(n, 8)
            noted = ir.Compare(ir.CompareOp.ULT, number, ir.Read("vmm.walks", 8))
            same = _same(ir.Read("vmm.walk", self.pa_width, number), page)
            found = _or(found, _and(noted, same))
        return found

    def meaning(self, access: ir.Access) -> Triple:
        """What translation says of a page depends on no other cells than those of pages noted."""
        va = self._va("va")
        was, found = self._found("was"), self._found("found")
        bits = (self.tables.page - 1).bit_length()
        numbers = self.pa_width - bits
        told = ir.Element("ghost.told", 1, ir.Role.CONTROL, 1 << numbers)

        def number(place: ir.Expr) -> ir.Expr:
            return ir.Extract(place, self.pa_width - 1, bits)

        address, more = self.functions["vmm.note"].parameters
        end = ir.Binary(ir.BinaryOp.ADD, address, more, self.pa_width)
        one = ir.Literal(1, 1)
        note = ir.Function(
            "vmm.note",
            (address, more),
            tuple(ir.Write(told.name, one, number(place)) for place in (address, end)),
            None,
        )
        cell = ir.Local("cell", self.pa_width)
        return Triple(
            Group.MAP,
            f"translation depends on noted pages alone, {access.name.lower()}",
            None,
            (
                Part(Text.MONITOR, self._look("was", va, 1, access)),
                Part(Text.MONITOR, self._look("found", va, 1, access), Anew.REGION, was[0]),
            ),
            (("it is the same", _like(was, found)),),
            assume=(*expressions(region_fits(self.monitor)), *self._page(va)),
            parameters=(va,),
            ghosts=(told,),
            functions=(note,),
            agree=ir.Truth(ir.Read(told.name, 1, number(cell))),
            marks=told.name,
        )

    def stores(self) -> Iterator[Triple]:
        """A store of the monitor where a walk read makes the slots stale.

        `vmm.stored` does for the pages that it is told of; each store tells it of all that it changes.
        """
        memory = self.isa.memory
        single = memory.cell_width
        address, more = self.functions["vmm.stored"].parameters
        end = ir.Binary(ir.BinaryOp.ADD, address, more, self.pa_width)
        pages = [self._base_of(place, self.pa_width) for place in (address, end)]
        stale = ir.Truth(ir.Read("vmm.stale", 1))
        yield Triple(
            Group.MAP,
            "vmm.stored makes the slots stale where a walk read",
            None,
            (Part(Text.MONITOR, (ir.Call(None, "vmm.stored", (address, more)),)),),
            tuple(
                (f"the {name} page", _or(stale, ir.Not(self._read_by_walks(page))))
                for name, page in zip(("first", "last"), pages, strict=True)
            ),
            parameters=(address, more),
        )
        cell = ir.Local("cell", self.pa_width)
        noted = ir.Read("ghost.page", self.pa_width)
        told = ir.Read("ghost.told", 1)
        ghosts = (
            ir.Element("ghost.page", self.pa_width, ir.Role.CONTROL),
            ir.Element("ghost.told", 1, ir.Role.CONTROL),
        )
        is_told = _or(*(_same(noted, page) for page in pages))
        telling = ir.If(is_told, (ir.Write("ghost.told", ir.Literal(1, 1)),), ())
        stored = ir.Function("vmm.stored", (address, more), (telling,), None)
        was, now = ir.Local("was", single), ir.Local("now", single)
        place = self._in_region(cell)
        for name, function in self.functions.items():
            if not (name.startswith("vmm.store") and name.removeprefix("vmm.store").isdigit()):
                continue
            start, value = function.parameters
            offset = ir.Binary(ir.BinaryOp.SUB, cell, start, self.pa_width)
            cells = ir.Literal(value.width // single, self.pa_width)
            reached = ir.Compare(ir.CompareOp.ULT, offset, cells)
            store = ir.Call(None, name, (start, value))
            own = _same(noted, self._base_of(cell, self.pa_width))
            look = (
                ir.LoadPhysical(was.name, place, single),
                store,
                ir.LoadPhysical(now.name, place, single),
            )
            for sentence, block, show in (
                ("changes no other cells", look, _or(_same(was, now), reached)),
                (
                    "tells of every page that it changes",
                    (store,),
                    _or(ir.Not(_and(own, reached)), ir.Truth(told)),
                ),
            ):
                yield Triple(
                    Group.MAP,
                    f"{name} {sentence}",
                    None,
                    (Part(Text.MONITOR, block),),
                    ((sentence, show),),
                    assume=(*expressions(region_fits(self.monitor)), present(memory, cell, 1)),
                    parameters=(cell, start, value),
                    ghosts=ghosts,
                    functions=(stored,),
                )

    def _read_by_walks(self, page: ir.Expr) -> ir.Expr:
        found: ir.Expr = ir.Boolean(False)
        for slot in range(self.tables.slots):
            for number in range(self.tables.walks):
                places = ir.Literal(slot, 8), ir.Literal(number, 8)
                noted = _same(self._walk(*places), page)
                found = _or(found, _and(self._walked(*places), noted))
        return found

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
        return (_same(va, self._base_of(va)),)

    def _frame(self, pa: ir.Expr) -> tuple[ir.Expr, ...]:
        return (_same(pa, self._base_of(pa, self.pa_width)),)

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
        return _and(ir.Truth(self._slot_element("valid", 1, slot)), _and(counted, bounded))

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


def _like(first: tuple[ir.Local, ir.Local], second: tuple[ir.Local, ir.Local]) -> ir.Expr:
    """The second look-up succeeds too, with the same place."""
    return _and(second[0], _same(first[1], second[1]))


def _same(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Compare(ir.CompareOp.EQ, left, right)


def _and(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.AND, left, right)


def _or(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.OR, left, right)


def _implies(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return _or(ir.Not(left), right)
