"""The bare machine: fetches, decodes and executes, delivers traps and takes interrupts.

One step is one interrupt taken, or one instruction attempted (retired, or trapped and its trap
delivered). Elements of role time advance by one with every step. The effects that translating the
fetch address has on the state stay, also when the instruction itself traps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from spec.concrete import ConcreteEngine
from spec.expressions import reads
from spec.ir import Access, Block, Instruction, Isa, Literal, Load, Role
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState


class Decoded(Protocol):
    """An instruction found in memory."""

    @property
    def instruction(self) -> Instruction: ...
    @property
    def fields(self) -> Mapping[str, int]: ...
    @property
    def length(self) -> int:
        """In cells."""
        ...


Decode = Callable[[Callable[[int], int]], "Decoded | None"]
"""Decodes what lies at the pc, given the value of its n-th fetch unit; None: no instruction."""


class Stop(Enum):
    """Why a run ended."""

    LIMIT = "the bound on steps was reached"
    WAITING = "waiting, and nothing can wake the machine"
    BREAKPOINT = "the pc reached a breakpoint"
    DOUBLE_TRAP = "a trap was raised while another was delivered"


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended, and how many steps it took; `trap` is the second one of a double trap."""

    stop: Stop
    steps: int
    trap: Trapped | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: an interrupt, or an instruction (None: not fetched or not decoded)."""

    pc: int
    interrupt: str | None
    decoded: "Decoded | None"
    outcome: Outcome | None


class _FetchTrap(Exception):
    """Carries the trap of a fetch out through the decoder."""

    def __init__(self, trapped: Trapped) -> None:
        super().__init__()
        self.trapped = trapped


class Machine:
    """A description, a state and what the processor is about to do."""

    def __init__(self, isa: Isa, state: MachineState, decode: Decode) -> None:
        self.isa = isa
        self.state = state
        self.waiting = False
        self.double_trap: Trapped | None = None
        self.on_step: Callable[[Step], None] | None = None
        self.breakpoints: frozenset[int] = frozenset()
        self._decode = decode
        self._engine = ConcreteEngine(isa)
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._address_width = translate.parameters[0].width
        self._pc_mask = (1 << pc.width) - 1
        self._unit_cells = isa.fetch.unit_width // isa.memory.cell_width
        self._time = tuple(e for e in isa.elements if e.role is Role.TIME)
        clocks = {e.name for e in self._time}
        self._clock_wakes = any(reads(i.condition) & clocks for i in isa.interrupts)

    @property
    def pc(self) -> int:
        return self.state.scalars[self.isa.pc]

    def run(self, limit: int) -> Run:
        """Step until `limit` steps are done or the machine stops by itself."""
        for done in range(limit):
            if self.double_trap is not None:
                return Run(Stop.DOUBLE_TRAP, done, self.double_trap)
            if self.waiting and not self._clock_wakes and self._pending() is None:
                return Run(Stop.WAITING, done)
            if done and self.pc in self.breakpoints:
                return Run(Stop.BREAKPOINT, done)
            self.step()
        if self.double_trap is not None:
            return Run(Stop.DOUBLE_TRAP, limit, self.double_trap)
        return Run(Stop.LIMIT, limit)

    def step(self) -> Step:
        """One step; in a machine that waits with nothing pending, only time goes on."""
        pending = self._pending()
        if pending is not None:
            done = self._interrupt(*pending)
        elif self.waiting:
            done = Step(self.pc, None, None, None)
        else:
            done = self._instruction()
        self._tick()
        if self.on_step is not None:
            self.on_step(done)
        return done

    def _pending(self) -> tuple[str, Block] | None:
        """The first declared interrupt whose condition holds."""
        for interrupt in self.isa.interrupts:
            if self._engine.value(self.state, interrupt.condition):
                return interrupt.name, interrupt.delivery
        return None

    def _interrupt(self, name: str, delivery: Block) -> Step:
        pc = self.pc
        self.waiting = False
        outcome = self._engine.run(self.state, delivery, {"next": pc})
        self._delivered(outcome)
        return Step(pc, name, None, outcome)

    def _instruction(self) -> Step:
        pc = self.pc
        try:
            decoded = self._decode(self._fetch)
        except _FetchTrap as fetch:
            self._trap(fetch.trapped)
            return Step(pc, None, None, fetch.trapped)
        outcome: Outcome
        if decoded is None:
            outcome = self._engine.undecodable(self.state, self.isa.undecodable, self._unit_cells)
        else:
            outcome = self._engine.execute(
                self.state, decoded.instruction, decoded.fields, decoded.length
            )
        match outcome:
            case Retired(state, waiting):
                self.state, self.waiting = state, waiting
            case Trapped():
                self._trap(outcome)
        return Step(pc, None, decoded, outcome)

    def _fetch(self, unit: int) -> int:
        """The value of the n-th fetch unit from the pc on."""
        address = (self.pc + unit * self._unit_cells) & self._pc_mask
        address &= (1 << self._address_width) - 1
        load = Load(
            "unit", Literal(address, self._address_width), self.isa.fetch.unit_width, Access.FETCH
        )
        following = (self.pc + self._unit_cells) & self._pc_mask
        match self._engine.run(self.state, (load,), {"next": following}):
            case Retired(state, _, accesses):
                self.state = state
                value = accesses.virtual[-1].value
                assert value is not None
                return value
            case Trapped() as trapped:
                raise _FetchTrap(trapped)

    def _trap(self, trapped: Trapped) -> None:
        self._delivered(
            self._engine.deliver(self.state, trapped.cause, trapped.arguments, trapped.next)
        )

    def _delivered(self, outcome: Outcome) -> None:
        match outcome:
            case Retired(state, waiting):
                self.state, self.waiting = state, waiting
            case Trapped():
                self.double_trap = outcome

    def _tick(self) -> None:
        for element in self._time:
            limit = (1 << element.width) - 1
            if element.length is None:
                now = self.state.scalars[element.name]
                self.state.scalars[element.name] = (now + 1) & limit
            else:
                cells = self.state.own_array(element.name)
                cells[:] = [(value + 1) & limit for value in cells]
