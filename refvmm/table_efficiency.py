"""VC-X of shadow tables: once a page is filled, the same access does not trap hiddenly again.

No program can tell a monitor that fills nothing from one that does: these are statements about
P&G's efficiency property, not about equivalence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

from checker.proof import Group
from checker.statements import Part, Text, Triple
from refvmm.redirect import present
from refvmm.relation import expressions, region_fits, upkeep, used
from refvmm.table_books import Books
from refvmm.table_terms import RIGHT, both, either, equal, implies
from spec import ir


class Reaching(Books):
    """What is touched is filled, what is filled is installed, what is installed is reached."""

    def installed(
        self, direct: Sequence[tuple[str, int]], access: ir.Access, cells: int
    ) -> Iterator[Triple]:
        """Translation grants a page what it does; all of this is installed, whatever the tables held."""
        va, slot = self._va("va"), ir.Local("slot", 8)
        page = self._base_of(va)
        wanted, (whole, frame) = self._found("virtual"), self._found(f"whole {access.name}")
        rights: ir.Expr = ir.Literal(0, 3)
        looks: ir.Block = self._look("virtual", va, cells, access)
        for other, right in RIGHT.items():
            reached, place = self._found(f"whole {other.name}")
            looks += self._look(f"whole {other.name}", page, 1, other)
            granted = both(reached, equal(place, frame))
            bit = ir.Select(granted, ir.Literal(1 << right, 3), ir.Literal(0, 3), 3)
            rights = ir.Binary(ir.BinaryOp.OR, rights, bit, 3)
        inside = both(
            equal(frame, self._base_of(frame, self.pa_width)),
            present(self.isa.memory, frame, self.tables.page),
        )
        mode = self.isa.mode
        home = ir.Read(self.monitor.block.home(mode.element), mode.width)
        reached = self._found("real")[0]
        touched = both(wanted[0], whole)
        if access is ir.Access.WRITE:  # writing alone is a right that few machines can give
            read, place = self._found(f"whole {ir.Access.READ.name}")
            touched = both(touched, both(read, equal(place, frame)))
        triple = Triple(
            Group.EFFICIENCY,
            f"what is installed is reached, {access.name.lower()} of {cells}",
            None,
            (
                Part(
                    Text.MONITOR,
                    (*looks, self._install(page, self._in_region(frame), rights, slot)),
                ),
                Part(Text.REAL, self._look("real", va, cells, access)),
            ),
            (("the access is reached", implies(both(touched, inside), reached)),),
            parameters=(va, slot),
            defined=self.defined,
        )
        for stated in self.in_real_modes(triple):
            here = [
                equal(home, ir.Literal(encoding, mode.width))
                for _, encoding in direct
                if self.monitor.real_mode(encoding) == stated.real_mode
            ]
            runs = reduce(either, here)
            inside_page = self._in_a_page(va, cells, access)
            assume = (*self.running, self._slot(slot), runs, *inside_page, *used(self.monitor))
            yield replace(stated, assume=assume)

    def filling(self) -> Iterator[Triple]:
        """Of what translation grants nothing is left out but writing to pages that walks read."""
        va = self._va("va")
        ghosts, functions = self._ghosts()
        more, translate = self._any_translation()
        common = expressions(region_fits(self.monitor))
        same = equal(ir.Read("ghost.page", self.va_width), va)
        for access, right in RIGHT.items():
            frame = self._place(access)
            alike: ir.Expr = ir.Boolean(True)
            for other in RIGHT:
                alike = both(alike, either(self._refused(other), equal(self._place(other), frame)))
            usable = both(
                both(ir.Not(self._refused(access)), alike),
                both(
                    both(
                        ir.Not(ir.Truth(ir.Read("ghost.lost", 1))),
                        equal(frame, self._base_of(frame, self.pa_width)),
                    ),
                    present(self.isa.memory, frame, self.tables.page),
                ),
            )
            read = ir.Local("read by walks", 0)
            kept = both(
                ir.Truth(ir.Read("ghost.on", 1)),
                ir.Truth(ir.Extract(ir.Read("ghost.rights", 3), right, right)),
            )
            protected = read if access is ir.Access.WRITE else ir.Boolean(False)
            yield Triple(
                Group.EFFICIENCY,
                f"a page that translation reaches is installed, {access.name.lower()}",
                None,
                (
                    Part(
                        Text.MONITOR,
                        (
                            ir.Assign(read.name, self._read_by_walks(frame)),
                            ir.Call(None, "vmm.fill", (va,)),
                        ),
                    ),
                ),
                (("it is installed", implies(usable, either(kept, protected))),),
                assume=(*common, *self._page(va), self._slot(ir.Read("vmm.turn", 8)), same),
                parameters=(va,),
                ghosts=(*ghosts, *more),
                functions=(*functions, translate),
            )

    def touched(self) -> Triple:
        """Whatever was touched before, the page that is touched last is filled."""
        va = self._va("va")
        ghosts, functions = self._ghosts()
        fill = self.functions["vmm.fill"]
        (own,) = fill.parameters
        filled: ir.Block = (
            ir.If(
                equal(own, ir.Read("ghost.page", self.va_width)),
                (ir.Write("ghost.on", ir.Literal(1, 1)),),
                (),
            ),
        )
        return Triple(
            Group.EFFICIENCY,
            "a page that an instruction touches is filled",
            None,
            (
                Part(
                    Text.MONITOR,
                    (
                        ir.Call(None, "vmm.touch", (va,)),
                        *upkeep(self.monitor)[:1],
                        ir.Write("ghost.on", ir.Literal(0, 1)),
                        *upkeep(self.monitor)[1:],
                    ),
                ),
            ),
            (("it is filled", ir.Truth(ir.Read("ghost.on", 1))),),
            assume=(equal(ir.Read("ghost.page", self.va_width), self._base_of(va)),),
            parameters=(va,),
            ghosts=ghosts,
            functions=(*functions, replace(fill, body=filled)),
        )

    def _refused(self, access: ir.Access) -> ir.Expr:
        return ir.Truth(ir.Read("ghost.refused", 1, ir.Literal(access.value, 2)))

    def _place(self, access: ir.Access) -> ir.Expr:
        return ir.Read("ghost.place", self.pa_width, ir.Literal(access.value, 2))

    def _read_by_walks(self, frame: ir.Expr) -> ir.Expr:
        """The walk of this page, or that of some slot before it is filled, reads the frame."""
        found: ir.Expr = ir.Boolean(False)
        for number in (ir.Literal(n, 8) for n in range(self.tables.walks)):
            noted = ir.Compare(ir.CompareOp.ULT, number, ir.Read("ghost.walks", 8))
            here = equal(ir.Read("ghost.walk", self.pa_width, number), frame)
            found = either(found, both(noted, here))
            for slot in (ir.Literal(n, 8) for n in range(self.tables.slots)):
                theirs = equal(self._walk(slot, number), frame)
                found = either(found, both(self._walked(slot, number), theirs))
        return found
