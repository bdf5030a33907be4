"""What must hold while the guest runs on the real processor: its steps are the virtual machine's.

P&G, Lemma 1: an innocuous instruction does the same there; and what is not the guest's stays as it is.
"""

from collections.abc import Iterator
from dataclasses import replace

from checker.proof import Group
from checker.statements import (
    Armed,
    Part,
    Recovered,
    Simulation,
    Statement,
    Text,
    Triple,
)
from refvmm.page_ends import crosses
from refvmm.premises import Premises
from refvmm.redirect import Noted, present
from refvmm.relation import (
    expressions,
    fixed,
    in_real_mode,
    reading,
    region_fits,
    settled,
    used,
)
from spec import ir
from spec.effects import statements as all_statements

_OUTSIDE = (ir.Role.CONTROL, ir.Role.TIME, ir.Role.DEVICE, ir.Role.MODE)


class Direct(Premises):
    """For the virtual modes that the strategy runs directly; without any there is nothing to show."""

    def direct(self) -> Iterator[Statement]:
        """Of every instruction, of fetching, of what traps leave behind, and of every access."""
        if self.direct_modes:
            yield self._isolated()
        for mode in self.direct_modes:
            read = reading(self.monitor, mode[1])
            for instruction in self.isa.instructions:
                yield replace(
                    self._run_directly(instruction.name, mode, instruction.body, read),
                    instruction=instruction.name,
                )
            yield replace(
                self._run_directly("fetch", mode, self.fetched(), read),
                group=Group.INFORMATION,
                owner=None,
                parameters=(self.va, self.unit()),
            )
            for cause in self.isa.causes:
                yield Recovered(
                    f"{cause.name}, virtual mode {mode[0]}",
                    mode[1],
                    cause.delivery,
                    cause.parameters,
                    self._guest(mode[1]),
                    self._overwritten(cause, mode[1]),
                    self.directly,
                )
            if self.monitor.shadow is None:
                for access, cells in self.accesses():
                    yield from self._reached(mode, access, cells)

    def _run_directly(
        self, what: str, mode: tuple[str, int], body: ir.Block, read: ir.Block
    ) -> Simulation:
        return Simulation(
            Group.DIRECT,
            f"{what} in virtual mode {mode[0]}",
            mode[1],
            Text.DIRECT,
            body,
            body,
            assume=self.directly,
            before=read,
            after=read,
            forward=True,
            show=self._follows() if self.monitor.told else (),
            keep=self._owned(mode[1]),
            owner=Group.OWN,
            constants=fixed(self.monitor),
            page=self._ending_in_a_page(),
        )

    def _ending_in_a_page(self) -> int | None:
        """Of shadow tables, which say nothing of an access from one page into the next."""
        tables = self.monitor.shadow
        if tables is None or tables.noted is not Noted.VIEW:
            return None
        lets_through = (crosses(self.isa, tables.page, *found) for found in self.accesses())
        return tables.page if any(lets_through) else None

    def _reached(
        self, mode: tuple[str, int], access: ir.Access, cells: int
    ) -> tuple[Triple, Triple]:
        """Section 6 for composed relocation, at any address; and VC-X, that no trap is hidden.

        A place that is not reached although the region holds it is interpreted: no program can tell.
        """
        memory = self.isa.memory
        real, there = _lookup("real", self.va, cells, access, memory)
        virtual, here = _lookup("virtual", self.va, cells, access, memory)
        inside = _and(ir.Local("virtual.reached", 0), present(memory, here, cells))
        place = ir.Binary(ir.BinaryOp.ADD, ir.Read("region.base", here.width), here, here.width)
        same = ir.Compare(ir.CompareOp.EQ, there, place)
        reached = ir.Local("real.reached", 0)
        exact = Triple(
            Group.MAP,
            f"{access.name.lower()} of {cells}, virtual mode {mode[0]}",
            mode[1],
            (
                Part(Text.REAL, real),
                Part(Text.MONITOR, (*reading(self.monitor, mode[1]), *virtual)),
            ),
            (
                (
                    "what is reached is what the virtual machine reaches",
                    _implies(reached, _and(inside, same)),
                ),
            ),
            assume=self.directly,
            parameters=(self.va,),
        )
        every = (("what the virtual machine reaches is reached", _implies(inside, reached)),)
        name = f"what is in the region is reached, {exact.name}"
        assume = (*exact.assume, *used(self.monitor))
        return exact, replace(exact, group=Group.EFFICIENCY, name=name, show=every, assume=assume)

    def _follows(self) -> tuple[tuple[str, ir.Expr], ...]:
        """The real mode is still the one of the virtual mode."""
        mode = self.isa.mode
        virtual = ir.Read(self.monitor.block.home(mode.element), mode.width)
        found: ir.Expr = ir.Boolean(False)
        for _, encoding in self.direct_modes:
            here = ir.Compare(ir.CompareOp.EQ, virtual, ir.Literal(encoding, mode.width))
            pair = _and(here, in_real_mode(self.monitor, encoding)[1])
            found = ir.Logic(ir.LogicOp.OR, found, pair)
        return (("the real mode is not that of the virtual mode", found),)

    def _owned(self, mode: int) -> tuple[str, ...]:
        """What is not the guest's: it stays while the guest runs."""
        guest = set(self._guest(mode))
        if self.monitor.told:
            guest.add(self.isa.mode.element)
        real = [e.name for e in self.isa.elements if e.role in _OUTSIDE or e.bank is not None]
        own = [e.name for e in self.monitor.real.elements if e not in self.isa.elements]
        return tuple(name for name in (*real, *own) if name not in guest)

    def _guest(self, mode: int) -> tuple[str, ...]:
        """What is in place, or held for the guest by another element of the real machine."""
        isa, configuration = self.isa, self.monitor.configuration
        mirrored = {*configuration.mirrored}
        seen = {dict(bank.members)[self.monitor.real_mode(mode)] for bank in isa.banks}
        seen |= {place for name, place in configuration.homes if name not in mirrored}
        return tuple(
            e.name
            for e in isa.elements
            if e.name in seen or (e.name not in self.homes and e.name not in mirrored)
        )

    def _overwritten(self, cause: ir.Cause, mode: int) -> tuple[str, ...]:
        """What is in place and a delivery itself writes, but for the program counter."""
        functions = {f.name: f for f in self.isa.functions}
        written: set[str] = set()
        left = [cause.delivery]
        seen: set[str] = set()
        while left:
            for statement in all_statements(left.pop()):
                if isinstance(statement, ir.Write):
                    written.add(statement.element)
                elif isinstance(statement, ir.Call) and statement.function not in seen:
                    seen.add(statement.function)
                    left.append(functions[statement.function].body)
        return tuple(n for n in self._guest(mode) if n in written and n != self.isa.pc)

    def _isolated(self) -> Triple:
        """A cell of this region is none of another that does not overlap it."""
        memory = self.isa.memory
        width, wide = memory.address_width, memory.address_width + 2

        def end(start: ir.Expr, cells: ir.Expr) -> ir.Expr:
            return ir.Binary(
                ir.BinaryOp.ADD, ir.Extend(start, False, wide), ir.Extend(cells, False, wide), wide
            )

        first, cells = ir.Read("region.base", width), ir.Read("region.size", width + 1)
        other, others = ir.Local("other.base", width), ir.Local("other.size", width + 1)
        cell = ir.Local("cell", width)
        place = ir.Binary(ir.BinaryOp.ADD, first, cell, width)
        apart = ir.Logic(
            ir.LogicOp.OR,
            ir.Compare(ir.CompareOp.ULE, end(first, cells), ir.Extend(other, False, wide)),
            ir.Compare(ir.CompareOp.ULE, end(other, others), ir.Extend(first, False, wide)),
        )
        outside = ir.Logic(
            ir.LogicOp.OR,
            ir.Compare(ir.CompareOp.ULT, place, other),
            ir.Compare(ir.CompareOp.ULE, end(other, others), ir.Extend(place, False, wide)),
        )
        return Triple(
            Group.OWN,
            "two guests whose regions do not overlap",
            None,
            (),
            (("no cell is both's", outside),),
            assume=(
                *expressions(region_fits(self.monitor)),
                apart,
                ir.Compare(ir.CompareOp.ULT, ir.Extend(cell, False, width + 1), cells),
            ),
            parameters=(other, others, cell),
        )

    def control(self) -> Iterator[Statement]:
        """Some interrupt can be armed so that the guest cannot mask it."""
        if not self.direct_modes or not self.isa.interrupts:
            return
        written = tuple(element for element, _ in self.monitor.configuration.compose)
        for name, mode in self.direct_modes:
            yield Armed(
                f"a timer, virtual mode {name}",
                tuple((i.name, i.condition) for i in self.isa.interrupts),
                (*self._guest(mode), *written),
                expressions(settled(self.monitor)),
                mode,
            )


def _lookup(
    name: str, va: ir.Local, cells: int, access: ir.Access, memory: ir.Memory
) -> tuple[ir.Block, ir.Local]:
    """Look an address up: whether it is reached, and where it leads."""
    reached, at = ir.Local(f"{name}.reached", 0), ir.Local(f"{name}.at", memory.address_width)
    block: ir.Block = (
        ir.Probe(reached.name, va, cells, access),
        ir.Assign(at.name, ir.Literal(0, at.width)),
        ir.If(reached, (ir.Translate(at.name, va, cells, access, None, at.width),), ()),
    )
    return block, at


def _and(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.AND, left, right)


def _implies(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.OR, ir.Not(left), right)
