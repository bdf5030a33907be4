"""Makes an instruction reach a wanted address: operands are tried, and put right by what they missed.

Nothing is known of an instruction's addressing but what running it, without consequences, tells.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import TypeAlias

from spec.encoding import Codec
from spec.ir import Access, Field, Instruction, Isa, Role
from spec.state import MachineState
from spec.traced import TracedEngine

Operation: TypeAlias = tuple[Instruction, dict[str, int]]
"""An instruction with its fields."""

_TRIES = 5
_NEAR = 1 << 7  # cells
NARROW = 5  # bits; a field so narrow may number a register


class Steering:
    """Of the instructions of one description."""

    def __init__(self, isa: Isa, codec: Codec) -> None:
        self._engine = TracedEngine(isa)
        self._codec = codec
        general = [e for e in isa.elements if e.role is Role.GENERAL and e.name != isa.memory.size]
        self._scalars = [e.name for e in general if e.length is None]
        self._arrays = [e.name for e in general if e.length is not None]

    def reaching(
        self,
        random: Random,
        state: MachineState,
        pool: Sequence[Instruction],
        field: Callable[[Field], int],
        wanted: int,
        access: Access,
    ) -> Operation | None:
        """One of `pool` that loads or stores at the virtual address `wanted`, if it is found soon.

        `field` draws operands.
        """
        near = self.near(state, wanted, _NEAR)
        for _ in range(_TRIES if pool else 0):
            instruction = random.choice(pool)
            fields = {}
            for each in instruction.fields:
                numbered = near and each.width <= NARROW and not each.values
                if numbered and random.random() < 0.5:
                    fields[each.name] = random.choice(near) & ((1 << each.width) - 1)
                else:
                    fields[each.name] = field(each)
            found = self._put_right(state, instruction, fields, wanted, access)
            if found is not None:
                return instruction, found
        return None

    def retires(
        self, state: MachineState, instruction: Instruction, fields: Mapping[str, int]
    ) -> bool:
        """Whether the instruction, at the program counter, does not trap."""
        try:
            length = self._codec.length(instruction, fields)
        except ValueError:
            return False
        return self._engine.execute(state, instruction, fields, length).state is not None

    def changes(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: Mapping[str, int],
        names: Collection[str],
    ) -> int:
        """How many of some elements the instruction changes; 0 if it traps."""
        try:
            length = self._codec.length(instruction, fields)
        except ValueError:
            return 0
        after = self._engine.execute(state, instruction, fields, length).state
        if after is None:
            return 0
        return sum(
            state.scalars.get(n) != after.scalars.get(n)
            or state.arrays.get(n) != after.arrays.get(n)
            for n in names
        )

    def near(self, state: MachineState, wanted: int, within: int) -> list[int]:
        """The numbers of registers that hold this number, or one less than `within` away."""
        values = [[state.scalars[name] for name in self._scalars]]
        values += [state.arrays[name] for name in self._arrays]
        return [
            number
            for several in values
            for number, value in enumerate(several)
            if abs(value - wanted) < within
        ]

    def _put_right(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: dict[str, int],
        wanted: int,
        access: Access,
    ) -> dict[str, int] | None:
        """The fields, or with one of them changed, so that the address is reached."""
        reached = self._reached(state, instruction, fields, access)
        if wanted in reached:
            return fields
        for each in instruction.fields if reached else ():
            if each.width > NARROW and not each.values:
                missed = wanted - reached[0]
                moved = fields | {each.name: (fields[each.name] + missed) & ((1 << each.width) - 1)}
                if wanted in self._reached(state, instruction, moved, access):
                    return moved
        return None

    def _reached(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: Mapping[str, int],
        access: Access,
    ) -> list[int]:
        """The virtual addresses of the instruction's own loads or stores."""
        try:
            length = self._codec.length(instruction, fields)
        except ValueError:
            return []
        ran = self._engine.execute(state, instruction, fields, length)
        return [address for how, address in ran.accesses if how is access]
