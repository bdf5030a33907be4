"""The meaning of a slot: what its page is depends on noted pages alone, and stores there are seen."""

from collections.abc import Iterator

from checker.proof import Group
from checker.statements import Anew, Part, Settled, Statement, Text, Triple
from refvmm.redirect import present
from refvmm.relation import expressions, region_fits
from refvmm.table_terms import TableTerms, both, either, equal, implies, like
from spec import ir


class Meaning(TableTerms):
    """What translation says, and what it is noted to depend on."""

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
            ("what a walk reads is noted", (note,), both(self._noted(first), self._noted(last))),
            (
                "what is noted stays noted",
                (ir.Assign(was.name, either(lost, self._noted(page))), note),
                implies(was, self._noted(page)),
            ),
        ):
            yield Triple(
                Group.MAP,
                name,
                None,
                (Part(Text.MONITOR, block),),
                ((name, either(lost, show)),),
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
            same = equal(ir.Read("vmm.walk", self.pa_width, number), page)
            found = either(found, both(noted, same))
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
            (("it is the same", like(was, found)),),
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
                (f"the {name} page", either(stale, ir.Not(self._read_by_walks(page))))
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
        is_told = either(*(equal(noted, page) for page in pages))
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
            own = equal(noted, self._base_of(cell, self.pa_width))
            look = (
                ir.LoadPhysical(was.name, place, single),
                store,
                ir.LoadPhysical(now.name, place, single),
            )
            for sentence, block, show in (
                ("changes no other cells", look, either(equal(was, now), reached)),
                (
                    "tells of every page that it changes",
                    (store,),
                    either(ir.Not(both(own, reached)), ir.Truth(told)),
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
                noted = equal(self._walk(*places), page)
                found = either(found, both(self._walked(*places), noted))
        return found
