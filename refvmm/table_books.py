"""The books of shadow tables: what was installed last for a page is what a valid slot says."""

from collections.abc import Iterator

from checker.proof import Group
from checker.statements import Part, Statement, Text, Triple
from refvmm.redirect import present
from refvmm.relation import expressions, region_fits, upkeep
from refvmm.table_terms import RIGHT, TableTerms, both, either, equal, implies
from spec import ir


class Books(TableTerms):
    """`install` and `remove` stand for their contract here: ghosts note the last call for a page."""

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
                ("no slot is valid", implies(was, ir.Not(ir.Truth(valid)))),
            ),
            assume=(self._slot(ir.Local("slot", 8)),),
            parameters=(ir.Local("slot", 8),),
            ghosts=ghosts,
            functions=functions,
        )
        index = ir.Local("index", 2)
        touched = ir.Read("vmm.touched", self.va_width, index)
        aligned = equal(touched, self._base_of(touched))
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
                install.name, install.parameters, (ir.If(equal(va, page), installed, ()),), None
            ),
            ir.Function(
                remove.name, remove.parameters, (ir.If(equal(own, page), removed, ()),), None
            ),
        )

    def _books(self) -> list[tuple[str, ir.Expr]]:
        on = ir.Truth(ir.Read("ghost.on", 1))
        slot = ir.Read("ghost.slot", 8)
        page = ir.Read("ghost.page", self.va_width)
        frame = self._in_region(self._slot_element("frame", self.pa_width, slot))
        said = both(
            both(self._slot(slot), ir.Truth(self._slot_element("valid", 1, slot))),
            both(
                equal(self._slot_element("tag", self.va_width, slot), page),
                both(
                    equal(frame, ir.Read("ghost.frame", self.pa_width)),
                    equal(self._slot_element("rights", 3, slot), ir.Read("ghost.rights", 3)),
                ),
            ),
        )
        turn = ir.Read("vmm.turn", 8)
        return [
            ("what is installed is what a slot says", implies(on, said)),
            ("the turn is a slot's", self._slot(turn)),
            (
                "no page is installed twice",
                equal(ir.Read("ghost.twice", 1), ir.Literal(0, 1)),
            ),
        ]

    def _protected(self) -> tuple[ir.Expr, tuple[ir.Local, ...]]:
        """No page that the walk of one slot read is writable through another, or itself."""
        reader, writer = ir.Local("reader", 8), ir.Local("writer", 8)
        number = ir.Local("number", 8)
        rights = self._slot_element("rights", 3, writer)
        writable = both(
            ir.Truth(self._slot_element("valid", 1, writer)), ir.Truth(ir.Extract(rights, 2, 2))
        )
        frame = self._slot_element("frame", self.pa_width, writer)
        read = both(self._walked(reader, number), equal(self._walk(reader, number), frame))
        inside = both(self._slot(reader), self._slot(writer))
        return implies(both(inside, both(writable, read)), ir.Boolean(False)), (
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
            unchanged = both(unchanged, equal(before, after))
        valid, tag, frame, rights, walks = now
        said: ir.Expr = both(
            both(equal(tag, va), ir.Not(ir.Truth(ir.Read("vmm.walk.lost", 1)))),
            both(
                equal(frame, self._base_of(frame, self.pa_width)),
                present(self.isa.memory, frame, self.tables.page),
            ),
        )
        for access, right in RIGHT.items():
            index = ir.Literal(access.value, 2)
            reached = ir.Not(ir.Truth(ir.Read("ghost.refused", 1, index)))
            there = equal(frame, ir.Read("ghost.place", self.pa_width, index))
            granted = ir.Truth(ir.Extract(rights, right, right))
            said = both(said, implies(granted, both(reached, there)))
        said = both(said, equal(walks, ir.Read("vmm.walks", 8)))
        for number, page in enumerate(walk):
            noted = ir.Read("vmm.walk", self.pa_width, ir.Literal(number, 8))
            said = both(said, equal(page, noted))
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
            (("the slot says so", either(unchanged, implies(ir.Truth(valid), said))),),
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
