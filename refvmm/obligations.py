"""The obligations of the formal model's section 7 about a derived monitor, as plain data.

Together they make `f` a stuttering simulation (P&G, Lemmas 1 to 3): every state in which the guest
runs satisfies `while_running`, every step of the bare machine is one of the virtual machine.
"""

from collections.abc import Iterator
from dataclasses import replace

from checker.proof import Group
from checker.statements import (
    Armed,
    Hosted,
    Kept,
    Part,
    Possible,
    Recovered,
    Settled,
    Simulation,
    Statement,
    Text,
    Triple,
)
from refvmm.control_block import MARK
from refvmm.derive import Monitor
from refvmm.redirect import present
from refvmm.relation import (
    expressions,
    fixed,
    guarded,
    homes,
    in_mode,
    in_real_mode,
    marked,
    reading,
    region_fits,
    resumption,
    settled,
    tick,
    while_monitoring,
    while_running,
)
from refvmm.shadow_obligations import shadow_obligations
from refvmm.strategy import Strategy, direct_modes
from spec import ir
from spec.effects import statements as all_statements
from spec.expressions import reads

_PLACES = ("region.base", "region.size", "monitor.base")
_OUTSIDE = (ir.Role.CONTROL, ir.Role.TIME, ir.Role.DEVICE, ir.Role.MODE)
_VA, _PROBE = "va", "looked for"


def hosted(monitor: Monitor) -> Hosted:
    return Hosted(
        monitor.description,
        monitor.real,
        monitor.virtual,
        homes(monitor),
        monitor.real_modes,
        monitor.configuration.monitor_size,
        monitor.configuration.monitor_fill,
        monitor.configuration.page or 1,
    )


def obligations(monitor: Monitor, strategy: Strategy) -> Iterator[Statement]:
    """All of them; the modes that the strategy runs directly have more."""
    maker = _Maker(monitor, strategy)
    yield from maker.possible()
    yield from maker.decoding()
    yield from maker.invariants()
    yield from maker.emulation()
    yield from maker.interrupts()
    yield from maker.mapping()
    yield from maker.control()
    yield from maker.direct()
    if monitor.shadow is not None:
        yield from shadow_obligations(monitor, maker.direct_modes, maker.accesses())


def assumptions(monitor: Monitor, strategy: Strategy) -> tuple[str, ...]:
    """What the proofs rest on and do not prove themselves."""
    found = [
        *(f"of the placement: {text}" for text, _ in region_fits(monitor)),
        "every trap of the guest reaches the monitor before it is delivered",
        "what the description leaves open is chosen alike on both machines",
        "time goes on by one with every step on both machines",
        "both machines decode by the same decoder (VC-DEC compares what it decodes to)",
    ]
    if direct_modes(monitor, strategy):
        found.append("what the delivery of a real trap stores lies outside the region")
        found.append("what is in place is saved and restored when guests are switched")
        if not monitor.description.interrupts:
            found.append("a timer outside the description ends direct execution (VC-L)")
    return (*found, "the symbolic engine and Z3 are right")


class _Maker:
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

    # -- what everything rests on

    def possible(self) -> Iterator[Statement]:
        for name, mode in self.modes:
            yield Possible(f"the monitor at work, virtual mode {name}", mode, self.monitoring)
        for name, mode in self.direct_modes:
            yield Possible(f"the guest at work, virtual mode {name}", mode, self.directly)

    def invariants(self) -> Iterator[Statement]:
        yield Kept("reset, traps and interrupts", None)
        for instruction in self.isa.instructions:
            yield Kept(instruction.name, instruction.name)

    def decoding(self) -> Iterator[Statement]:
        """One decoder serves both: so the encodings, and what is decoded to, must be the same."""
        theirs = {i.name: i for i in self.virtual.instructions}
        for instruction in self.isa.instructions:
            routine = theirs.get(instruction.name)
            reason = ""
            if routine is None:
                reason = "there is no interpreter routine"
            elif replace(routine, body=()) != replace(instruction, body=()):
                reason = "the routine has other operands or another encoding"
            yield Settled(Group.DECODE, instruction.name, not reason, reason)
        own, bare = self.virtual, self.isa
        same = (own.operands, own.fetch, own.pc) == (bare.operands, bare.fetch, bare.pc)
        extra = [n for n in theirs if n not in {i.name for i in bare.instructions}]
        yield Settled(
            Group.DECODE, "units and operands", same and not extra, "they are cut otherwise"
        )

    # -- emulation and reflection

    def emulation(self) -> Iterator[Statement]:
        routines = {i.name: i.body for i in self.virtual.instructions}
        reflections = {c.name: c.delivery for c in self.virtual.causes}
        for name, mode in self.modes:
            for instruction in self.isa.instructions:
                body = routines.get(instruction.name)
                if body is not None:
                    yield self._emulated(
                        Group.EMULATE, instruction.name, (name, mode), body, instruction.body
                    )
            fetched = self.fetched()
            yield self._emulated(
                Group.EMULATE,
                "fetch",
                (name, mode),
                self.monitor.redirect.block(fetched),
                fetched,
                (self.va, self._unit()),
            )
            yield self._emulated(
                Group.REFLECT,
                "undecodable",
                (name, mode),
                (self.virtual.undecodable,),
                (self.isa.undecodable,),
            )
            for cause in self.isa.causes:
                delivery = reflections.get(cause.name)
                if delivery is None:
                    yield Settled(Group.REFLECT, cause.name, False, "it is not reflected")
                    continue
                yield self._emulated(
                    Group.REFLECT,
                    cause.name,
                    (name, mode),
                    delivery,
                    cause.delivery,
                    cause.parameters,
                )

    def _emulated(
        self,
        group: Group,
        what: str,
        mode: tuple[str, int],
        left: ir.Block,
        right: ir.Block,
        parameters: tuple[ir.Local, ...] = (),
    ) -> Simulation:
        named = {i.name for i in self.isa.instructions}
        return Simulation(
            group,
            f"{what} in virtual mode {mode[0]}",
            mode[1],
            Text.MONITOR,
            left,
            right,
            assume=expressions(region_fits(self.monitor)),
            parameters=parameters,
            instruction=what if group is Group.EMULATE and what in named else None,
            keep=self.kept,
        )

    def fetched(self) -> ir.Block:
        """Fetch a unit; wait if it is the one that was looked for."""
        unit = ir.Local("unit", self.isa.fetch.unit_width)
        same = ir.Compare(ir.CompareOp.EQ, unit, self._unit())
        return (
            ir.Load(unit.name, self.va, unit.width, ir.Access.FETCH),
            ir.If(same, (ir.Wait(),), ()),
        )

    def _unit(self) -> ir.Local:
        return ir.Local(_PROBE, self.isa.fetch.unit_width)

    # -- interrupts

    def interrupts(self) -> Iterator[Statement]:
        bare, own = self.isa.interrupts, self.virtual.interrupts
        ordered = [i.name for i in bare] == [i.name for i in own]
        yield Settled(Group.ASYNC, "priority", ordered, "the order of the interrupts is another")
        clocks = {self.monitor.block.home(clock.name) for clock in self.monitor.block.clocks}
        clocked = any(reads(i.condition) & clocks for i in own)
        for name, mode in self.modes:
            for mine, theirs in zip(own, bare, strict=False):
                waits = _waits_if(mine.condition), _waits_if(theirs.condition)
                yield self._emulated(Group.ASYNC, f"{theirs.name} pending", (name, mode), *waits)
                yield self._emulated(
                    Group.ASYNC, theirs.name, (name, mode), mine.delivery, theirs.delivery
                )
                yield self._between(
                    Group.ASYNC,
                    f"{theirs.name} seen while the guest runs",
                    (name, mode),
                    (*(self.monitor.save if clocked else ()), *waits[0]),
                    waits[1],
                    saved=clocked,
                )
            around = (*self.monitor.save, *resumption(self.monitor))
            yield self._between(Group.ASYNC, "a real interrupt", (name, mode), around, ())
            yield self._between(Group.ASYNC, "time", (name, mode), tick(self.isa), tick(self.isa))

    def _between(
        self,
        group: Group,
        what: str,
        mode: tuple[str, int],
        left: ir.Block,
        right: ir.Block,
        *,
        saved: bool = False,
    ) -> Simulation:
        """From a state in which the guest runs, to another or to one that is saved."""
        read = reading(self.monitor, mode[1])
        return Simulation(
            group,
            f"{what}, virtual mode {mode[0]}",
            mode[1],
            Text.MONITOR,
            left,
            right,
            assume=(*self.running, in_real_mode(self.monitor, mode[1])[1]),
            before=read,
            after=() if saved else read,
        )

    # -- the map

    def mapping(self) -> Iterator[Statement]:
        monitor = self.monitor
        for name, mode in self.modes:
            established = [*while_running(monitor), in_real_mode(monitor, mode)]
            yield self._between(Group.MAP, "save", (name, mode), monitor.save, (), saved=True)
            yield Triple(
                Group.MAP,
                f"save looks at the clocks, virtual mode {name}",
                mode,
                (Part(Text.MONITOR, monitor.save),),
                tuple(marked(monitor)),
                assume=self.running,
            )
            yield Simulation(
                Group.MAP,
                f"resume, virtual mode {name}",
                mode,
                Text.MONITOR,
                resumption(monitor),
                (),
                assume=self.monitoring,
                after=reading(monitor, mode),
            )
            yield Triple(
                Group.MAP,
                f"resume establishes the relation, virtual mode {name}",
                mode,
                (Part(Text.MONITOR, resumption(monitor)),),
                tuple(established),
                assume=self.monitoring,
            )
            yield Triple(
                Group.START,
                f"the first resume establishes the relation, virtual mode {name}",
                mode,
                (Part(Text.MONITOR, resumption(monitor)),),
                tuple(established),
                assume=expressions([*region_fits(monitor), *marked(monitor)]),
                constants=self._at_start(),
            )
        yield from self._told()

    def _told(self) -> Iterator[Statement]:
        """The guest changes its mode together with the real one."""
        monitor = self.monitor
        names = {encoding: name for name, encoding in self.modes}
        for before, mode in self.direct_modes:
            for after, real in monitor.told:
                if after == mode:
                    continue
                what = f"{before} goes on as {names[after]}"
                gone = in_mode(monitor, real)
                yield replace(
                    self._between(
                        Group.MAP, f"save, {what}", (before, mode), monitor.save, (), saved=True
                    ),
                    assume=(*self.running, gone),
                )
                element = monitor.description.mode
                changed = ir.Write(element.element, ir.Literal(real, element.width))
                yield Triple(
                    Group.MAP,
                    f"the relation holds when {what}",
                    mode,
                    (Part(Text.MONITOR, (changed, *reading(monitor, mode))),),
                    tuple(while_running(monitor)),
                    assume=self.running,
                )

    def _at_start(self) -> tuple[tuple[str, int], ...]:
        """The real machine as after reset, with what constraints determine."""
        found = {
            e.name: e.reset
            for e in self.isa.elements
            if e.name in self.homes and e.name != self.isa.memory.size
        }
        found.update(self.monitor.fixed)
        return tuple(found.items())

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
        return exact, replace(exact, group=Group.EFFICIENCY, name=name, show=every)

    # -- direct execution

    def direct(self) -> Iterator[Statement]:
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
                parameters=(self.va, self._unit()),
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
        )

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

    # -- control

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


def _waits_if(condition: ir.Expr) -> ir.Block:
    return (ir.If(condition, (ir.Wait(),), ()),)


def _and(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.AND, left, right)


def _implies(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Logic(ir.LogicOp.OR, ir.Not(left), right)
