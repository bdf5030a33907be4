"""Processors: the real one, and those that monitors present, one above the other.

A processor attempts one instruction. If it traps, nothing has changed, and whoever owns the
processor decides: of a bare machine, its own trap delivery; of a machine under a monitor, the
monitor. A monitor's code runs on the machine that it is given: on a virtual processor that is the
monitor's IR, redirected once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from refvmm.control_block import UNIT
from refvmm.derive import Monitor, derive, under
from refvmm.executor import Attempt, Decoder, Executor, Hardware
from refvmm.redirect import Redirect
from spec.expressions import reads
from spec.ir import Access, Block, Configuration, Element, Expr, Interrupt, Isa, Load, Local, Write
from spec.outcome import Trapped
from spec.routines import EngineName, Routine


class Processor(Protocol):
    """Something that executes instructions of the machine that it presents."""

    def attempt(self) -> Attempt:
        """One instruction, in the present mode; on a trap the state is as before."""
        ...

    def enter(self) -> None:
        """Software of the machine is about to act on its state."""
        ...

    def leave(self) -> None:
        """The machine is about to execute instructions again."""
        ...


class RealProcessor:
    """The hardware: executes the description itself."""

    def __init__(self, isa: Isa, hardware: Hardware, decoder: Decoder, engine: EngineName) -> None:
        self._executor = Executor(isa, hardware, decoder, engine)

    def attempt(self) -> Attempt:
        return self._executor.instruction()

    def enter(self) -> None:
        pass

    def leave(self) -> None:
        pass


class VirtualProcessor:
    """What a monitor presents on the processor `host`.

    `isa`, `save` and `resume` are the monitor's, redirected to where the host's state is.
    """

    def __init__(
        self,
        host: Processor,
        hardware: Hardware,
        decoder: Decoder,
        text: "Text",
        direct: frozenset[int],
        engine: EngineName,
    ) -> None:
        self._host = host
        self._hardware = hardware
        self.text = text
        self._mode = text.isa.mode.element
        self._direct = direct
        self._guard: Routine | None = None
        self._executor = Executor(text.isa, hardware, decoder, engine, text.fetch, text.unit)
        self.save = self._executor.pieces(text.save)
        self._save = self._executor.plan(text.save)
        self._resume = self._executor.plan(text.resume)
        if text.guard is not None:
            self._guard = self._executor.value(text.guard)
        late = {text.home(clock.name) for clock in text.clocks}
        if text.told:
            late.add(self._mode)
        self._late = any(reads(i.condition) & late for i in text.isa.interrupts)

    @property
    def mode(self) -> int:
        """The virtual mode when the guest was last let go on; it may have left it directly."""
        return self._hardware.state.scalars[self._mode]

    def attempt(self) -> Attempt:
        if self.mode in self._direct and (self._guard is None or self._hardware.call(self._guard)):
            done = self._host.attempt()
            if done.trapped is None:
                return done
        self.enter()
        done = self._executor.instruction()
        self.leave()
        return Attempt(done.decoded, done.trapped, emulated=True)

    def enter(self) -> None:
        self._host.enter()
        self._executor.do(self._save)

    def leave(self) -> None:
        self._executor.do(self._resume)
        self._host.leave()

    def chain(self) -> "list[VirtualProcessor]":
        """The virtual processors from the real one up to this."""
        below = self._host.chain() if isinstance(self._host, VirtualProcessor) else []
        return [*below, self]

    def pending(self) -> Interrupt | None:
        """The virtual interrupt that is taken next: the first declared whose condition holds."""
        if not self._late:
            return self._executor.pending()
        self.enter()
        found = self._executor.pending()
        self.leave()
        return found

    def interrupt(self, interrupt: Interrupt) -> Trapped | None:
        """Deliver a virtual interrupt; what is returned is a double trap."""
        self.enter()
        double = self._executor.interrupt(interrupt)
        self.leave()
        return double

    def reflect(self, trapped: Trapped) -> Trapped | None:
        """Deliver a trap in the virtual machine; what is returned is a double trap."""
        self.enter()
        double = self._executor.deliver(trapped)
        self.leave()
        return double


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A monitor's text, over the state of the real machine."""

    isa: Isa
    save: Block
    resume: Block
    fetch: Block  # takes `address` and `next`, and fills `unit`
    unit: str  # the home of `vmm.unit`
    redirects: tuple[Redirect, ...]  # the monitor's own first
    clocks: tuple[Element, ...]
    guard: Expr | None  # see `Monitor.guard`
    told: bool  # the guest may change its mode directly

    def own(self, element: str) -> str:
        """Where the real machine's state has an element of the monitor itself."""
        for redirect in self.redirects[1:]:
            element = redirect.homes.get(element, element)
        return element

    def home(self, element: str) -> str:
        """Where the real machine's state has an element of the virtual machine."""
        for redirect in self.redirects:
            element = redirect.homes.get(element, element)
        return element


def texts(monitors: Sequence[Monitor]) -> list[Text]:
    """The texts of monitors one above the other, the one on the real machine first."""
    found = []
    for depth, monitor in enumerate(monitors):
        text = Text(
            monitor.virtual,
            monitor.save,
            monitor.resume,
            _fetch(monitor),
            UNIT,
            (monitor.redirect,),
            monitor.block.clocks,
            monitor.guard,
            bool(monitor.told),
        )
        for outer in reversed(monitors[:depth]):
            text = Text(
                under(outer, text.isa),
                outer.redirect.block(text.save),
                outer.redirect.block(text.resume),
                outer.redirect.block(text.fetch),
                outer.block.home(text.unit),
                (*text.redirects, outer.redirect),
                text.clocks,
                None if text.guard is None else outer.redirect.expr(text.guard),
                text.told,
            )
        found.append(text)
    return found


def _fetch(monitor: Monitor) -> Block:
    """Fetch a unit as the virtual machine does."""
    isa = monitor.description
    (translate,) = [f for f in isa.functions if f.name == isa.translate]
    address = Local("address", translate.parameters[0].width)
    width = isa.fetch.unit_width
    load = Load("unit", address, width, Access.FETCH)
    return (*monitor.redirect.block((load,)), Write(UNIT, Local("unit", width)))


def stack(description: Isa, configuration: Configuration, depth: int) -> list[Monitor]:
    """Monitors for `depth` virtual machines one inside the other, the outermost first."""
    monitors: list[Monitor] = []
    virtual: tuple[Element, ...] | None = None
    for _ in range(depth):
        monitor = derive(description, configuration, virtual=virtual)
        monitors.append(monitor)
        virtual = monitor.real.elements
    return monitors[::-1]
