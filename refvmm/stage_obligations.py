"""That a second stage keeps section 6 of the formal model, as plain data.

The monitor maps pages of the region where they lie, and nothing else, whatever was mapped before. So
whatever calls filled the tables, the real machine, which does the guest's own translation through
them, reaches what the virtual machine's translation says, or traps. That is one statement, of every
access in every mode: nothing is kept of what translation said once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations

from checker.proof import Group
from checker.statements import Earlier, Part, Statement, Text, Triple
from refvmm.redirect import present
from refvmm.relation import expressions, guarded, reading, region_fits, upkeep
from refvmm.table_terms import TableTerms, both, either, equal, implies
from spec import ir

_EVERYTHING = ir.Literal(7, 3)


class SecondStage(TableTerms):
    """What is mapped, and what follows."""

    def placing(self) -> Iterator[Statement]:
        """Filling maps a page of the region where it lies."""
        place, slot = self._va("place"), ir.Local("slot", 8)
        wrong = ir.Read("ghost.wrong", 1)
        install = self.functions["vmm.install"]
        page, frame, rights, number = install.parameters
        whole = equal(page, self._base_of(page))
        there = both(present(self.isa.memory, page, self.tables.page), whole)
        right = both(both(there, equal(frame, self._in_region(page))), self._slot(number))
        right = both(right, equal(rights, _EVERYTHING))
        noted: ir.Block = (ir.If(right, (), (ir.Write("ghost.wrong", ir.Literal(1, 1)),)),)
        remove = self.functions["vmm.remove"]
        index = ir.Local("index", 8)
        kept = equal(self._placed(slot), self._base_of(self._placed(slot)))
        turn = self._slot(ir.Read("vmm.turn", 8))
        yield Triple(
            Group.MAP,
            "filling maps a page of the region where it lies",
            None,
            (Part(Text.MONITOR, (ir.Call(None, "vmm.fill", (place,)),)),),
            (
                ("what is mapped is a page of the region", equal(wrong, ir.Literal(0, 1))),
                ("slots name pages", kept),
                ("the turn is a slot's", turn),
            ),
            assume=(
                *expressions(region_fits(self.monitor)),
                *self._page(place),
                equal(wrong, ir.Literal(0, 1)),
                self._slot(slot),
                kept,
                turn,
            ),
            parameters=(place, slot),
            ghosts=(ir.Element("ghost.wrong", 1, ir.Role.CONTROL),),
            functions=(
                ir.Function(install.name, install.parameters, noted, None),
                ir.Function(remove.name, remove.parameters, (), None),
            ),
        )
        (touched,) = (e for e in self.tables.elements if e.name == "vmm.touched")
        address, more = self.functions["vmm.touch"].parameters
        held = ir.Read(touched.name, touched.width, index)
        aligned = equal(held, self._base_of(held))
        yield Triple(
            Group.MAP,
            "pages are noted by their first address",
            None,
            (Part(Text.MONITOR, (ir.Call(None, "vmm.touch", (address, more)),)),),
            (("aligned", aligned),),
            assume=(aligned,),
            parameters=(address, more, index),
        )

    def efficiency(self) -> Iterator[Triple]:
        """VC-X: pages that the monitor reached are filled, and a slot then says so."""
        address, more = self.functions["vmm.touch"].parameters
        fill = self.functions["vmm.fill"]
        (own,) = fill.parameters
        end = ir.Binary(ir.BinaryOp.ADD, address, more, self.pa_width)
        ghosts = (
            ir.Element("ghost.page", self.pa_width, ir.Role.CONTROL),
            ir.Element("ghost.on", 1, ir.Role.CONTROL),
        )
        page, on = ir.Read("ghost.page", self.pa_width), ir.Read("ghost.on", 1)
        found = ir.If(equal(own, page), (ir.Write("ghost.on", ir.Literal(1, 1)),), ())
        touched = either(equal(page, self._base_of(address)), equal(page, self._base_of(end)))
        yield Triple(
            Group.EFFICIENCY,
            "a page that the monitor reaches is filled",
            None,
            (
                Part(
                    Text.MONITOR,
                    (ir.Call(None, "vmm.touch", (address, more)), *upkeep(self.monitor)),
                ),
            ),
            (("it is filled", ir.Truth(on)),),
            assume=(touched, equal(on, ir.Literal(0, 1))),
            parameters=(address, more),
            ghosts=ghosts,
            functions=(replace(fill, body=(found,)),),
        )
        place = self._va("place")
        assumed = (
            *expressions(region_fits(self.monitor)),
            *self._page(place),
            present(self.isa.memory, place, self.tables.page),
            self._slot(ir.Read("vmm.turn", 8)),
        )
        filling = (Part(Text.MONITOR, (ir.Call(None, "vmm.fill", (place,)),)),)
        yield Triple(
            Group.EFFICIENCY,
            "a page that is filled has a slot",
            None,
            filling,
            (("a slot names it", self._named(place)),),
            assume=assumed,
            parameters=(place,),
        )
        named = self._named(page)
        installed = both(implies(ir.Truth(on), named), implies(named, ir.Truth(on)))
        once = self._named_once(page)
        yield Triple(
            Group.EFFICIENCY,
            "what is mapped is what slots name",
            None,
            filling,
            (("a slot names it, or it is not mapped", installed), ("one slot names it", once)),
            assume=(*assumed, installed, once),
            parameters=(place,),
            ghosts=ghosts,
            functions=tuple(
                replace(f, body=(ir.If(equal(f.parameters[0], page), (now,), ()),))
                for name, bit in (("vmm.install", 1), ("vmm.remove", 0))
                for f in (self.functions[name],)
                for now in (ir.Write("ghost.on", ir.Literal(bit, 1)),)
            ),
        )

    def _naming(self, page: ir.Expr) -> list[ir.Expr]:
        """For each slot, whether it names a page."""
        found = []
        for number in range(self.tables.slots):
            slot = ir.Literal(number, 8)
            valid = ir.Truth(ir.Read("vmm.slot.valid", 1, slot))
            found.append(both(valid, equal(self._placed(slot), page)))
        return found

    def _named(self, page: ir.Expr) -> ir.Expr:
        return reduce(either, self._naming(page))

    def _named_once(self, page: ir.Expr) -> ir.Expr:
        found: ir.Expr = ir.Boolean(True)
        for one, other in combinations(self._naming(page), 2):
            found = both(found, ir.Not(both(one, other)))
        return found

    def _placed(self, slot: ir.Expr) -> ir.Expr:
        return ir.Read("vmm.slot.place", self.pa_width, slot)

    def reached(
        self, modes: Sequence[tuple[str, int]], access: ir.Access, cells: int
    ) -> Iterator[Triple]:
        """Section 6, at any address, in each virtual mode that runs directly."""
        va = ir.Local("va", self.view_width)
        real, virtual = self._found("real"), self._found("virtual")
        inside = present(self.isa.memory, virtual[1], cells)
        same = both(inside, equal(real[1], self._in_region(virtual[1])))
        for name, mode in modes:
            yield Triple(
                Group.MAP,
                f"{access.name.lower()} of {cells}, virtual mode {name}",
                mode,
                (
                    Part(Text.REAL, self._look("real", va, cells, access)),
                    Part(
                        Text.MONITOR,
                        (*reading(self.monitor, mode), *self._look("virtual", va, cells, access)),
                    ),
                ),
                (
                    (
                        "what is reached is what the virtual machine reaches",
                        implies(real[0], both(virtual[0], same)),
                    ),
                ),
                assume=(*self.running, *expressions(guarded(self.monitor))),
                parameters=(va,),
                defined=self.defined,
                earlier=self._earlier(),
            )

    def _earlier(self) -> tuple[Earlier, ...]:
        """All calls that the monitor makes."""
        place, slot = self._va("page"), ir.Local("slot", 8)
        page = (*self._page(place), self._slot(slot))
        inside = present(self.isa.memory, place, self.tables.page)
        install = self._install(place, self._in_region(place), _EVERYTHING, slot)
        return (
            Earlier((install,), (place, slot), (*page, inside)),
            Earlier((self._remove(place, slot),), (place, slot), page),
        )
