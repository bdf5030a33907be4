"""The obligations of the formal model's section 7 about a derived monitor, as plain data.

Together they make `f` a stuttering simulation (P&G, Lemmas 1 to 3): every state in which the guest
runs satisfies `while_running`, every step of the bare machine is one of the virtual machine.
"""

from collections.abc import Iterator
from dataclasses import replace

from checker.proof import Group
from checker.statements import (
    Hosted,
    Kept,
    Part,
    Possible,
    Settled,
    Simulation,
    Statement,
    Text,
    Triple,
)
from refvmm.derive import Monitor
from refvmm.direct_obligations import Direct
from refvmm.premises import Premises
from refvmm.relation import (
    expressions,
    homes,
    in_mode,
    in_real_mode,
    marked,
    reading,
    region_fits,
    resumption,
    tick,
    while_running,
)
from refvmm.shadow_obligations import shadow_obligations
from refvmm.strategy import Strategy, direct_modes
from spec import ir
from spec.expressions import reads


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
    maker, direct = _Work(monitor, strategy), Direct(monitor, strategy)
    yield from maker.possible()
    yield from maker.decoding()
    yield from maker.invariants()
    yield from maker.emulation()
    yield from maker.interrupts()
    yield from maker.mapping()
    yield from direct.control()
    yield from direct.direct()
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
    if monitor.configuration.linked is not None:
        text, _ = monitor.configuration.linked
        found.append(f"for VC-X alone: the guest uses no addresses but those with `{text}`")
    if direct_modes(monitor, strategy):
        found.append("what the delivery of a real trap stores lies outside the region")
        found.append("what is in place is saved and restored when guests are switched")
        if not monitor.description.interrupts:
            found.append("a timer outside the description ends direct execution (VC-L)")
    return (*found, "the symbolic engine and Z3 are right")


class _Work(Premises):
    """Of the monitor itself: what it does for a guest, and how it starts and stops one."""

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
                (self.va, self.unit()),
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


def _waits_if(condition: ir.Expr) -> ir.Block:
    return (ir.If(condition, (ir.Wait(),), ()),)
