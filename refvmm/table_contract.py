"""The contract of `install` and `remove`, and what follows from it where a slot says what translation says."""

from collections.abc import Iterator

from checker.proof import Group
from checker.statements import Anew, Earlier, Part, Text, Triple
from refvmm.redirect import present
from refvmm.table_terms import RIGHT, TableTerms, both, either, equal, implies, like
from spec import ir


class Contract(TableTerms):
    """A page is reached only through the last call for it."""

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
            ir.Not(equal(page, other)),
            ir.Not(equal(page, third)),
        )

        def look(name: str) -> Part:
            return Part(Text.REAL, self._look(name, va, cells, access))

        def call(statement: ir.Stmt, anew: Anew = Anew.NO) -> Part:
            return Part(Text.MONITOR, (statement,), anew)

        a, b, c, d = (self._found(name) for name in "abcd")
        granted = ir.Truth(ir.Extract(rights, RIGHT[access], RIGHT[access]))
        place = ir.Binary(ir.BinaryOp.ADD, pa, self._offset(va), self.pa_width)
        right_place = both(granted, equal(a[1], place))
        never = ir.Not(a[0])
        label = f"{access.name.lower()} of {cells}"
        yield self._contract(
            f"empty tables reach nothing, {label}",
            (look("a"), call(theirs), look("b")),
            both(never, ir.Not(b[0])),
            assume,
            parameters,
            empty=True,
        )
        o, p = self._found("o"), self._found("p")
        off = both(ir.Not(o[0]), ir.Not(p[0]))
        yield self._contract(
            f"an installed page is reached as granted, {label}",
            (look("o"), call(mine), look("a")),
            implies(ir.Not(o[0]), implies(a[0], right_place)),
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
            implies(off, implies(b[0], like(b, a))),
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
            implies(d[0], either(like(d, a), either(like(d, b), like(d, c)))),
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
                implies(off, both(ir.Not(a[0]), ir.Not(b[0]))),
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
                both(
                    implies(a[0], either(like(a, e), like(a, f))),
                    implies(b[0], either(like(b, e), either(like(b, f), like(b, g)))),
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
            both(implies(c[0], like(c, a)), implies(d[0], either(like(d, a), like(d, b)))),
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
            constants=self._unfilled() if empty else (),
            defined=self.defined,
            empty=empty,
            earlier=() if empty else self._earlier(),
        )

    def _unfilled(self) -> tuple[tuple[str, int], ...]:
        """Tables that are elements and not in memory, as after reset."""
        written = self._written_by("vmm.install") | self._written_by("vmm.remove")
        return tuple((e.name, e.reset) for e in self.monitor.real.elements if e.name in written)

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
        slot_says = both(
            both(whole[0], equal(real[1], self._in_region(there))),
            both(
                equal(whole[1], self._base_of(whole[1], self.pa_width)),
                present(memory, whole[1], self.tables.page),
            ),
        )
        section6 = both(
            both(virtual[0], equal(real[1], self._in_region(virtual[1]))),
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
            (("section 6", implies(both(real[0], slot_says), section6)),),
            assume=(*self.running, *self._in_a_page(va, cells, access)),
            parameters=(va,),
            defined=self.defined,
        )
