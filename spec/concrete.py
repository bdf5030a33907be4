"""The concrete engine: the walk over Python integers and booleans. The reference for all others.

`Concrete` is the domain of pure expressions. `ConcreteEngine(isa)` runs one instruction, a trap's
delivery or the translation of one address on a `MachineState`, and says what happened (see
`spec.outcome`) with a trace of the memory accesses.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never, cast

from spec.evaluate import Walk
from spec.ir import (
    Access,
    BinaryOp,
    Block,
    CompareOp,
    Expr,
    Instruction,
    Isa,
    LogicOp,
    Trap,
    TrapClass,
    UnaryOp,
)
from spec.outcome import (
    Accesses,
    Outcome,
    PhysicalAccess,
    Retired,
    Touch,
    Trapped,
    VirtualAccess,
)
from spec.state import MachineState


def signed(value: int, width: int) -> int:
    """The value as a two's complement number."""
    return value - (1 << width) if value >> (width - 1) else value


class Concrete:
    """Bit-vectors are integers in `0 .. 2**width - 1`, truth values booleans."""

    def literal(self, value: int, width: int) -> int:
        return value

    def boolean(self, value: bool) -> bool:
        return value

    def unary(self, op: UnaryOp, operand: int, width: int) -> int:
        match op:
            case UnaryOp.NOT:
                return operand ^ ((1 << width) - 1)
            case UnaryOp.NEG:
                return -operand & ((1 << width) - 1)
            case UnaryOp.POPCOUNT:
                return operand.bit_count()
            case UnaryOp.CLZ:
                return width - operand.bit_length()
            case UnaryOp.CTZ:
                return (operand & -operand).bit_length() - 1 if operand else width
            case UnaryOp.REVERSE_BYTES:
                return int.from_bytes(operand.to_bytes(width // 8, "little"), "big")
            case _:
                assert_never(op)

    def binary(self, op: BinaryOp, left: int, right: int, width: int) -> int:
        mask = (1 << width) - 1
        match op:
            case BinaryOp.ADD:
                return (left + right) & mask
            case BinaryOp.SUB:
                return (left - right) & mask
            case BinaryOp.MUL:
                return (left * right) & mask
            case BinaryOp.UDIV:
                return left // right if right else mask
            case BinaryOp.UREM:
                return left % right if right else left
            case BinaryOp.SDIV:
                return _signed_quotient(left, right, width)
            case BinaryOp.SREM:
                quotient = _signed_quotient(left, right, width)
                return (left - quotient * right) & mask if right else left
            case BinaryOp.AND:
                return left & right
            case BinaryOp.OR:
                return left | right
            case BinaryOp.XOR:
                return left ^ right
            case BinaryOp.SHL:
                return (left << right) & mask if right < width else 0
            case BinaryOp.LSHR:
                return left >> right if right < width else 0
            case BinaryOp.ASHR:
                return (signed(left, width) >> min(right, width)) & mask
            case BinaryOp.ROL:
                amount = right % width
                return ((left << amount) | (left >> (width - amount))) & mask
            case BinaryOp.ROR:
                amount = right % width
                return ((left >> amount) | (left << (width - amount))) & mask
            case _:
                assert_never(op)

    def extract(self, operand: int, width: int, high: int, low: int) -> int:
        return (operand >> low) & ((1 << (high - low + 1)) - 1)

    def concat(self, high: int, low: int, low_width: int, width: int) -> int:
        return (high << low_width) | low

    def extend(self, operand: int, from_width: int, signed_: bool, width: int) -> int:
        return signed(operand, from_width) & ((1 << width) - 1) if signed_ else operand

    def select(self, condition: bool, then: int, orelse: int, width: int) -> int:
        return then if condition else orelse

    def select_truth(self, condition: bool, then: bool, orelse: bool) -> bool:
        return then if condition else orelse

    def compare(self, op: CompareOp, left: int, right: int, width: int) -> bool:
        match op:
            case CompareOp.EQ:
                return left == right
            case CompareOp.NE:
                return left != right
            case CompareOp.ULT:
                return left < right
            case CompareOp.ULE:
                return left <= right
            case CompareOp.SLT:
                return signed(left, width) < signed(right, width)
            case CompareOp.SLE:
                return signed(left, width) <= signed(right, width)
            case _:
                assert_never(op)

    def logic(self, op: LogicOp, left: bool, right: bool) -> bool:
        match op:
            case LogicOp.AND:
                return left and right
            case LogicOp.OR:
                return left or right
            case LogicOp.XOR:
                return left != right
            case _:
                assert_never(op)

    def negate(self, operand: bool) -> bool:
        return not operand

    def truth(self, operand: int) -> bool:
        return operand != 0

    def bit(self, operand: bool) -> int:
        return int(operand)


def _signed_quotient(left: int, right: int, width: int) -> int:
    mask = (1 << width) - 1
    if right == 0:
        return 1 if left >> (width - 1) else mask
    dividend, divisor = signed(left, width), signed(right, width)
    magnitude = abs(dividend) // abs(divisor)
    return (magnitude if (dividend < 0) == (divisor < 0) else -magnitude) & mask


# --------------------------------------------------------------------------- the engine


class ConcreteEngine(Concrete):
    """Implements `spec.engine.Engine[int, bool]`; one run at a time, reusable.

    Choices are taken from the given sequence in order, cut to the width asked for; 0 after its
    end. States that are handed in are never changed.
    """

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self._pc_element = isa.pc
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._pc_mask = (1 << pc.width) - 1
        self._walk: Walk[int, bool] = Walk(self, {f.name: f for f in isa.functions})
        self._begin(MachineState(isa), (), {})

    # -- runs

    def execute(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: Mapping[str, int],
        length: int,
        choices: Sequence[int] = (),
    ) -> Outcome:
        """Run one instruction of `length` cells that lies at the pc."""
        pc = self._pc_element
        following = (state.scalars[pc] + length) & self._pc_mask
        self._begin(state, choices, {**fields, "next": following})
        self._walk.block(instruction.body)
        if self._trap is None and not self._pc_written:
            self._post.scalars[pc] = following
        return self._outcome(following)

    def deliver(
        self,
        state: MachineState,
        cause: str,
        arguments: tuple[int | bool, ...],
        following: int,
        choices: Sequence[int] = (),
    ) -> Outcome:
        """Run the delivery block of a trap in the state before the instruction."""
        (found,) = [c for c in self.isa.causes if c.name == cause]
        names = (parameter.name for parameter in found.parameters)
        given = dict(zip(names, arguments, strict=True))
        return self.run(state, found.delivery, {**given, "next": following}, choices)

    def run(
        self,
        state: MachineState,
        block: Block,
        frame: Mapping[str, int | bool],
        choices: Sequence[int] = (),
    ) -> Outcome:
        """Run a block of statements that is no instruction: the pc stays unless it is written."""
        self._begin(state, choices, frame)
        self._walk.block(block)
        return self._outcome(int(frame.get("next", state.scalars[self._pc_element])))

    def look_up(
        self, state: MachineState, address: int, size: int, access: Access, mode: int | None = None
    ) -> int | Trapped:
        """The physical address that `translate` gives, or how it traps."""
        self._begin(state, (), {})
        physical = self.translate(address, size, access, mode)
        outcome = self._outcome(state.scalars[self._pc_element])
        return physical if isinstance(outcome, Retired) else outcome

    def value(
        self, state: MachineState, expr: Expr, frame: Mapping[str, int | bool] | None = None
    ) -> int | bool:
        """Value of a pure expression in a state."""
        self._begin(state, (), frame or {})
        return self._walk.value(expr)

    def undecodable(self, state: MachineState, trap: Trap, length: int) -> Trapped:
        """The trap of a word that is no instruction and takes `length` cells."""
        following = (state.scalars[self._pc_element] + length) & self._pc_mask
        self._begin(state, (), {"next": following})
        arguments = tuple(self._walk.value(a) for a in trap.arguments)
        return Trapped(trap.cause, trap.trap_class, arguments, following, Accesses())

    def _begin(
        self, state: MachineState, choices: Sequence[int], frame: Mapping[str, int | bool]
    ) -> None:
        self._post = state.copy()
        self._frames: list[dict[str, int | bool]] = [dict(frame)]
        self._returned: list[int | bool | None] = [None]
        self._choices = tuple(choices)
        self._chosen: list[int] = []
        self._virtual: list[VirtualAccess] = []
        self._physical: list[PhysicalAccess] = []
        self._trap: tuple[str, TrapClass, tuple[int | bool, ...]] | None = None
        self._waiting = False
        self._pc_written = False
        self._translating = 0

    def _outcome(self, following: int) -> Outcome:
        accesses = Accesses(tuple(self._virtual), tuple(self._physical), tuple(self._chosen))
        if self._trap is None:
            return Retired(self._post, self._waiting, accesses)
        return Trapped(*self._trap, following, accesses)

    # -- the engine protocol

    def local(self, name: str) -> int | bool:
        return self._frames[-1][name]

    def assign(self, name: str, value: int | bool, width: int) -> None:
        self._frames[-1][name] = value

    def read(self, element: str, index: int | None) -> int:
        if index is None:
            return self._post.scalars[element]
        values = self._post.arrays[element]
        return values[index] if index < len(values) else 0

    def write(self, element: str, value: int, index: int | None) -> None:
        if index is None:
            self._post.scalars[element] = value
            self._pc_written |= element == self._pc_element
        elif index < len(self._post.arrays[element]):
            self._post.own_array(element)[index] = value

    def load(self, address: int, width: int, access: Access, mode: int | None) -> int:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, access, mode)
        value = None if physical is None else self._cells(physical, size)
        self._virtual.append(
            VirtualAccess(Touch.LOAD, address, physical, size, access, mode, value)
        )
        return value or 0

    def store(self, address: int, value: int, width: int, mode: int | None) -> None:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, Access.WRITE, mode)
        if physical is not None:
            self._set_cells(physical, size, value)
        self._virtual.append(
            VirtualAccess(Touch.STORE, address, physical, size, Access.WRITE, mode, value)
        )

    def load_physical(self, address: int, width: int) -> int:
        size = width // self.isa.memory.cell_width
        value = self._cells(address, size)
        self._note_physical(address, size, False, value)
        return value

    def store_physical(self, address: int, value: int, width: int) -> None:
        size = width // self.isa.memory.cell_width
        self._set_cells(address, size, value)
        self._note_physical(address, size, True, value)

    def _note_physical(self, address: int, size: int, write: bool, value: int) -> None:
        walk, after = self._translating > 0, len(self._virtual)
        self._physical.append(PhysicalAccess(address, size, write, value, walk, after))

    def translate(self, address: int, size: int, access: Access, mode: int | None) -> int:
        physical = self._reach(address, size, access, mode)
        self._virtual.append(VirtualAccess(Touch.TRANSLATE, address, physical, size, access, mode))
        return physical or 0

    def probe(self, address: int, size: int, access: Access, mode: int | None) -> bool:
        before, pc_written, chosen = self._post, self._pc_written, len(self._chosen)
        self._post = before.copy()
        physical = self._reach(address, size, access, mode)
        self._post, self._pc_written = before, pc_written
        del self._chosen[chosen:]
        self._trap, self._waiting = None, False
        self._virtual.append(VirtualAccess(Touch.PROBE, address, physical, size, access, mode))
        return physical is not None

    def choose(self, width: int) -> int:
        position = len(self._chosen)
        self._chosen.append(width)
        value = self._choices[position] if position < len(self._choices) else 0
        return value & ((1 << width) - 1)

    def branch(self, condition: bool, then: Callable[[], None], orelse: Callable[[], None]) -> None:
        (then if condition else orelse)()

    def trap(self, cause: str, trap_class: TrapClass, arguments: tuple[int | bool, ...]) -> None:
        self._trap = (cause, trap_class, arguments)

    def wait(self) -> None:
        self._waiting = True

    def enter(self, parameters: Mapping[str, int | bool]) -> None:
        self._frames.append(dict(parameters))
        self._returned.append(None)

    def give_back(self, value: int | bool, width: int) -> None:
        self._returned[-1] = value

    def leave(self, width: int | None) -> int | bool | None:
        self._frames.pop()
        return self._returned.pop()

    def stopped(self) -> bool:
        return self._trap is not None or self._waiting or self._returned[-1] is not None

    # -- memory

    def _reach(self, address: int, size: int, access: Access, mode: int | None) -> int | None:
        """The physical address, or None if `translate` trapped."""
        current = self._post.scalars[self.isa.mode.element] if mode is None else mode
        self._translating += 1
        physical = self._walk.call(self.isa.translate, (address, access.value, size, current))
        self._translating -= 1
        return None if self.stopped() else cast(int, physical)

    def _cells(self, physical: int, size: int) -> int:
        cells, width = self._post.cells, self.isa.memory.cell_width
        values = [cells[physical + i] for i in range(size)]
        if not self.isa.memory.big_endian:
            values.reverse()
        joined = 0
        for value in values:
            joined = (joined << width) | value
        return joined

    def _set_cells(self, physical: int, size: int, value: int) -> None:
        cells, width = self._post.cells, self.isa.memory.cell_width
        for i in range(size):
            place = size - 1 - i if self.isa.memory.big_endian else i
            cells[physical + i] = value >> (place * width)
