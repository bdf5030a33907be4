"""Processors: the real one, and those that monitors present, one above the other.

A processor attempts one instruction. If it traps, nothing has changed, and whoever owns the
processor decides: of a bare machine, its own trap delivery; of a machine under a monitor, the
monitor. A monitor's code runs on the machine that it is given: on a virtual processor that is the
monitor's IR, redirected once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from refvmm.control_block import UNIT
from refvmm.derive import Monitor, derive, under
from refvmm.redirect import Redirect
from spec.concrete import ConcreteEngine
from spec.decoding import Decode, Decoded
from spec.expressions import reads
from spec.ir import (
    Access,
    Block,
    Configuration,
    Element,
    Expr,
    Instruction,
    Interrupt,
    Isa,
    Literal,
    Load,
    Local,
    Write,
)
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState


@dataclass(slots=True)
class Hardware:
    """The state of the real machine, which all processors above it share."""

    state: MachineState
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one instruction did: `decoded` is None if it was not fetched or is no instruction."""

    decoded: Decoded | None
    trapped: Trapped | None
    emulated: bool = False  # by a monitor's interpreter routine


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


class _FetchTrap(Exception):
    """Carries the trap of a fetch out through the decoder."""

    def __init__(self, trapped: Trapped) -> None:
        super().__init__()
        self.trapped = trapped


class RealProcessor:
    """The hardware: executes the description itself."""

    def __init__(self, isa: Isa, hardware: Hardware, decode: Decode) -> None:
        self._core = _Core(isa, hardware, decode)

    def attempt(self) -> Attempt:
        return self._core.instruction()

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
        decode: Decode,
        text: "Text",
        direct: frozenset[int],
    ) -> None:
        self._host = host
        self._hardware = hardware
        self._text = text
        self._direct = direct
        self._core = _Core(text.isa, hardware, decode, text)
        clocks = {text.home(clock.name) for clock in text.clocks}
        self._clocked = any(reads(i.condition) & clocks for i in text.isa.interrupts)

    @property
    def mode(self) -> int:
        """The virtual mode."""
        return self._hardware.state.scalars[self._text.isa.mode.element]

    def attempt(self) -> Attempt:
        if self.mode in self._direct:
            done = self._host.attempt()
            if done.trapped is None:
                return done
        self.enter()
        done = self._core.instruction()
        self.leave()
        return replace(done, emulated=True)

    def enter(self) -> None:
        self._host.enter()
        self._core.run(self._text.save)

    def leave(self) -> None:
        self._core.run(self._text.resume)
        self._host.leave()

    def pending(self) -> Interrupt | None:
        """The virtual interrupt that is taken next: the first declared whose condition holds."""
        if self._clocked:
            self.enter()
        found = None
        for interrupt in self._text.isa.interrupts:
            if self._core.holds(interrupt.condition):
                found = interrupt
                break
        if self._clocked:
            self.leave()
        return found

    def interrupt(self, interrupt: Interrupt) -> Trapped | None:
        """Deliver a virtual interrupt; what is returned is a double trap."""
        self.enter()
        pc = self._hardware.state.scalars[self._text.isa.pc]
        double = self._core.run(interrupt.delivery, {"next": pc})
        self.leave()
        return double

    def reflect(self, trapped: Trapped) -> Trapped | None:
        """Deliver a trap in the virtual machine; what is returned is a double trap."""
        self.enter()
        double = self._core.deliver(trapped)
        self.leave()
        return double


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A monitor's text, over the state of the real machine."""

    isa: Isa
    save: Block
    resume: Block
    unit: str  # the home of `vmm.unit`
    redirects: tuple[Redirect, ...]  # the monitor's own first
    clocks: tuple[Element, ...]

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
            UNIT,
            (monitor.redirect,),
            monitor.block.clocks,
        )
        for outer in reversed(monitors[:depth]):
            text = Text(
                under(outer, text.isa),
                outer.redirect.block(text.save),
                outer.redirect.block(text.resume),
                outer.block.home(text.unit),
                (*text.redirects, outer.redirect),
                text.clocks,
            )
        found.append(text)
    return found


def stack(description: Isa, configuration: Configuration, depth: int) -> list[Monitor]:
    """Monitors for `depth` virtual machines one inside the other, the outermost first."""
    monitors: list[Monitor] = []
    virtual: tuple[Element, ...] | None = None
    for _ in range(depth):
        monitor = derive(description, configuration, virtual=virtual)
        monitors.append(monitor)
        virtual = monitor.real.elements
    return monitors[::-1]


class _Core:
    """Fetches, decodes and executes by one description's text on the shared state."""

    def __init__(
        self, isa: Isa, hardware: Hardware, decode: Decode, text: Text | None = None
    ) -> None:
        self.isa = isa
        self._engine = ConcreteEngine(isa)
        self._hardware = hardware
        self._decode = decode
        self._routines: Mapping[str, Instruction] = {i.name: i for i in isa.instructions}
        self._text = text
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        self._address_width = translate.parameters[0].width
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._pc_mask = (1 << pc.width) - 1
        self._unit_cells = isa.fetch.unit_width // isa.memory.cell_width

    def instruction(self) -> Attempt:
        """Do the instruction at the program counter."""
        try:
            decoded = self._decode(self._fetch)
        except _FetchTrap as fetch:
            return Attempt(None, fetch.trapped)
        state = self._hardware.state
        outcome: Outcome
        if decoded is None:
            outcome = self._engine.undecodable(state, self.isa.undecodable, self._unit_cells)
        else:
            routine = self._routines[decoded.instruction.name]
            outcome = self._engine.execute(state, routine, decoded.fields, decoded.length)
        match outcome:
            case Retired(after, waiting):
                self._hardware.state, self._hardware.waiting = after, waiting
                return Attempt(decoded, None)
            case Trapped():
                return Attempt(decoded, outcome)

    def _fetch(self, unit: int) -> int:
        """The n-th fetch unit from the program counter on; a monitor reads it by its own text."""
        state, text = self._hardware.state, self._text
        pc = state.scalars[self.isa.pc]
        address = (pc + unit * self._unit_cells) & self._pc_mask & ((1 << self._address_width) - 1)
        at = Literal(address, self._address_width)
        width = self.isa.fetch.unit_width
        block: Block = (Load("unit", at, width, Access.FETCH),)
        if text is not None:
            block = (*block, Write(UNIT, Local("unit", width)))
            block = self._redirected(block)
        following = (pc + self._unit_cells) & self._pc_mask
        match self._engine.run(state, block, {"next": following}):
            case Retired(after, _, accesses):
                self._hardware.state = after
                if text is not None:
                    return after.scalars[text.unit]
                value = accesses.virtual[-1].value
                assert value is not None
                return value
            case Trapped() as trapped:
                raise _FetchTrap(trapped)

    def _redirected(self, block: Block) -> Block:
        assert self._text is not None
        for redirect in self._text.redirects:
            block = redirect.block(block)
        return block

    def run(self, block: Block, frame: Mapping[str, int | bool] | None = None) -> Trapped | None:
        """Run a block; what is returned is a trap, and then nothing has changed."""
        return self._adopt(self._engine.run(self._hardware.state, block, frame or {}))

    def deliver(self, trapped: Trapped) -> Trapped | None:
        return self._adopt(
            self._engine.deliver(
                self._hardware.state, trapped.cause, trapped.arguments, trapped.next
            )
        )

    def holds(self, condition: Expr) -> bool:
        return bool(self._engine.value(self._hardware.state, condition))

    def _adopt(self, outcome: Outcome) -> Trapped | None:
        match outcome:
            case Retired(after):
                self._hardware.state = after
                return None
            case Trapped():
                return outcome
