"""Runs a machine by emitted code, block by block; the same steps as `Machine.step` makes."""

from collections.abc import Iterable

from spec.blocks import BLOCK_LENGTH, Block, Translator
from spec.decoding import Decode
from spec.ir import Isa, Role, TrapClass
from spec.outcome import Accesses, Trapped
from spec.runtime import CHANGED, WAITS, Runtime
from spec.state import MachineState

WARM_UP = 8  # steps from an address that are cheaper than code for it


class BlockRunner:
    """Runs blocks on a state until something happens that is not the business of a block."""

    def __init__(
        self, isa: Isa, decode: Decode, warm_up: int = WARM_UP, block_length: int = BLOCK_LENGTH
    ) -> None:
        self.isa = isa
        self._warm_up = warm_up
        self._heat: dict[int, int] = {}
        self.waiting = False
        self.double_trap: Trapped | None = None
        self.breakpoints: frozenset[int] = frozenset()
        self._runtime = Runtime(isa)
        self._translator = Translator(isa, decode, self._runtime, block_length)
        self._translated_for = self.breakpoints
        self._seen: tuple[object, int] = (None, 0)
        self._times = tuple(
            (e.name, (1 << e.width) - 1, e.length is not None)
            for e in isa.elements
            if e.role is Role.TIME
        )

    def attach(self, state: MachineState) -> None:
        """Work on this state from now on; code that was translated elsewhere is looked at anew."""
        self._state = state
        self._runtime.attach(state)
        if self._translated_for != self.breakpoints:
            self._translator.clear()
            self._translated_for = self.breakpoints
        if self._seen[0] is not state.cells or self._seen[1] != state.cells.edits:
            for cell in self._runtime.changed():
                self._translator.forget(cell)
        self._seen = (state.cells, state.cells.edits)
        self._context = self._translator.context(state)

    def follow(self, state: MachineState, written: Iterable[int]) -> None:
        """Go on with a state in which nothing but these cells of memory may have changed."""
        self._state = state
        self._runtime.attach(state)
        mask = state.cells.mask
        for cell in written:
            self._runtime.recheck(cell & mask)
        self._seen = (state.cells, state.cells.edits)
        self._context = self._translator.context(state)

    def drop(self, pc: int) -> None:
        """Forget the blocks at an address: they did not say what the machine does there."""
        self._context.blocks.pop(pc, None)
        self._context.singles.pop(pc, None)

    def run(self, limit: int) -> tuple[int, bool]:
        """Run at most `limit` steps; how many were done, and whether to go on by other means.

        It stops early when the machine waits, comes to a breakpoint, or traps twice, and, asking
        for other means, when an interrupt is pending or the next instruction is in no block.
        """
        state, runtime = self._state, self._runtime
        scalars, arrays, pages = state.scalars, state.arrays, state.cells.pages
        writable, signals, pc = runtime.writable, runtime.signals, self.isa.pc
        breakpoints, times = self.breakpoints, bool(self._times)
        blocks = self._context.blocks
        left, behind = limit, 0  # steps to do; steps by which time is behind
        stuck = False
        while left > 0:
            block = blocks.get(scalars[pc])
            if block is None or block.length > left:
                block = self._find(left)
                if block is None:
                    stuck = True
                    break
            if block.reads_time and behind:
                self._tick(behind)
                behind = 0
            done = block.code.run(scalars, arrays, pages, writable, left)
            left -= done
            if times:
                behind += done
            if signals:
                signal = signals.pop()
                if signal == WAITS:
                    self.waiting = True
                    break
                if signal != CHANGED:
                    if behind:
                        self._tick(behind - 1)
                        behind = 1
                    self._deliver(signal)
                self._context = self._translator.context(state)
                blocks = self._context.blocks
                if self.waiting or self.double_trap is not None:
                    break
            elif done == 0:
                stuck = True
                break
            if breakpoints and scalars[pc] in breakpoints:
                break
        if behind:
            self._tick(behind)
        return limit - left, stuck

    def _find(self, left: int) -> Block | None:
        """A block at the pc that fits; one with several instructions is tried first."""
        pc = self._state.scalars[self.isa.pc]
        context, translator = self._context, self._translator
        block = context.blocks.get(pc)
        if block is None:
            heat = self._heat[pc] = self._heat.get(pc, 0) + 1
            if heat <= self._warm_up:
                return None
            block = translator.block(context, self._state, False, self.breakpoints)
        if block is not None and block.length > left:
            block = context.singles.get(pc)
            if block is None:
                block = translator.block(context, self._state, True, self.breakpoints)
        return block

    def _deliver(self, signal: tuple[int, str, tuple[int | bool, ...], int]) -> None:
        number, _, arguments, following = signal
        code = self._translator.delivery(self._context, self.isa.causes[number].name)
        state, runtime = self._state, self._runtime
        code.run(
            state.scalars,
            state.arrays,
            state.cells.pages,
            runtime.writable,
            1,
            *arguments,
            following,
        )
        if runtime.signals:
            ending = runtime.signals.pop()
            if ending == WAITS:
                self.waiting = True
            else:
                number, trap_class, arguments, following = ending
                self.double_trap = Trapped(
                    self.isa.causes[number].name,
                    TrapClass(trap_class),
                    arguments,
                    following,
                    Accesses(),
                )

    def _tick(self, steps: int) -> None:
        for name, mask, is_array in self._times:
            if is_array:
                values = self._state.own_array(name)
                values[:] = [value + steps & mask for value in values]
            else:
                scalars = self._state.scalars
                scalars[name] = scalars[name] + steps & mask
