"""The bare machine: fetches, decodes and executes, delivers traps and takes interrupts.

One step is one interrupt taken, or one instruction attempted (retired, or trapped and its trap
delivered). Elements of role time advance by one with every step. The effects that translating the
fetch address has on the state stay, also when the instruction itself traps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal as OneOf

from spec.block_runner import WARM_UP, BlockRunner
from spec.blocks import BLOCK_LENGTH
from spec.concrete import ConcreteEngine
from spec.decoding import Decode, Decoded
from spec.encoding import Codec
from spec.expressions import reads
from spec.ir import Access, Block, Isa, Literal, Load, Role
from spec.outcome import Outcome, Retired, Touch, Trapped
from spec.state import MachineState


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
    """A description, a state and what the processor is about to do.

    `engine` says how `run` works: by the concrete engine, step by step, or by emitted code (unless
    `on_step` is set). Both do the same. The state may be changed between runs, and replaced.
    Code is emitted for an address that was stepped through `warm_up` times, and for at most
    `block_length` instructions from there on.
    """

    def __init__(
        self,
        isa: Isa,
        state: MachineState,
        decode: Decode | None = None,
        engine: OneOf["concrete", "emitted"] = "concrete",
        warm_up: int = WARM_UP,
        block_length: int = BLOCK_LENGTH,
    ) -> None:
        self.isa = isa
        self.state = state
        self.waiting = False
        self.double_trap: Trapped | None = None
        self.on_step: Callable[[Step], None] | None = None
        self.breakpoints: frozenset[int] = frozenset()
        self._decode = decode or Codec(isa).decode
        self._blocks = None
        if engine == "emitted":
            self._blocks = BlockRunner(isa, self._decode, warm_up, block_length)
        self._written: list[int] = []  # cells that concrete steps may have changed
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
        done = 0
        while done < limit and self.double_trap is None:
            if self.waiting and not self._clock_wakes and self._pending() is None:
                return Run(Stop.WAITING, done)
            if done and self.pc in self.breakpoints:
                return Run(Stop.BREAKPOINT, done)
            if self._blocks is None or self.waiting or self.on_step is not None:
                self.step()
                done += 1
            else:
                done += self._run_blocks(self._blocks, limit - done)
        if self.double_trap is not None:
            return Run(Stop.DOUBLE_TRAP, done, self.double_trap)
        return Run(Stop.LIMIT, done)

    def _run_blocks(self, blocks: BlockRunner, limit: int) -> int:
        blocks.breakpoints = self.breakpoints
        blocks.attach(self.state)
        done = 0
        while done < limit:
            steps, stuck = blocks.run(limit - done)
            done += steps
            if not stuck:
                break
            self._written.clear()
            step = self.step()
            done += 1
            if step.interrupt is None:
                blocks.drop(step.pc)
            blocks.follow(self.state, self._written)
            if self.waiting or self.double_trap is not None or self.pc in self.breakpoints:
                break
        self.waiting, blocks.waiting = self.waiting or blocks.waiting, False
        self.double_trap = self.double_trap or blocks.double_trap
        return done

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
            case Retired():
                self._adopt(outcome)
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
            case Retired(_, _, accesses) as reached:
                self._adopt(reached)
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
            case Retired():
                self._adopt(outcome)
            case Trapped():
                self.double_trap = outcome

    def _adopt(self, retired: Retired) -> None:
        self.state, self.waiting = retired.state, retired.waiting
        if self._blocks is None:
            return
        for access in retired.accesses.virtual:
            if access.touch is Touch.STORE and access.physical is not None:
                self._written += range(access.physical, access.physical + access.size)
        for physical in retired.accesses.physical:
            if physical.write:
                self._written += range(physical.address, physical.address + physical.size)

    def _tick(self) -> None:
        for element in self._time:
            limit = (1 << element.width) - 1
            if element.length is None:
                now = self.state.scalars[element.name]
                self.state.scalars[element.name] = (now + 1) & limit
            else:
                cells = self.state.own_array(element.name)
                cells[:] = [(value + 1) & limit for value in cells]
