"""Operands with which an instruction changes one element of control state and nothing beside it.

What depends on a register of several fields is seen best when one of them changes alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refvmm.influence import Means, changed
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Element, Instruction, Isa, Role
from spec.outcome import Retired
from spec.state import MachineState

_RUNS = 400  # at most, for one description


@dataclass(frozen=True, slots=True)
class Lever:
    """Means of changing one element alone, if a register that it reads holds `value`."""

    means: Means
    value: int


def levers(
    isa: Isa,
    codec: Codec,
    start: MachineState,
    known: Mapping[str, Sequence[Means]],
    pool: Sequence[Instruction],
) -> dict[str, tuple[Lever, ...]]:
    """By element of `known`: what was seen to change it alone, or to undo that.

    Runs are begun in `start`, in the most privileged mode, with one bit in every register.
    """
    bench = _Bench(isa, codec)
    found: dict[str, dict[Lever, None]] = {}
    reading = [m for several in known.values() for m in several if m.instruction.fields]
    left = _RUNS
    for means in dict.fromkeys(reading):
        if bench.same(start, means):
            continue
        undoing = [Means(i, means.fields) for i in pool if _takes(i, means)]
        for bit in range(bench.width):
            left -= 1
            if left < 0:
                break
            name, after = bench.alone(start, 1 << bit, means)
            if name not in known:
                continue
            several = found.setdefault(name, {})
            several[Lever(means, 1 << bit)] = None
            for other in undoing:
                if bench.alone(after, 1 << bit, other)[0] == name:
                    several[Lever(other, 1 << bit)] = None
    return {name: tuple(several) for name, several in found.items()}


def _takes(instruction: Instruction, means: Means) -> bool:
    """Whether an instruction has the enumerated fields, with what they hold here."""
    members = {f.name: {encoding for _, encoding in f.values} for f in instruction.fields}
    return bool(means.fields) and all(n in members and v in members[n] for n, v in means.fields)


class _Bench:
    """Runs single instructions."""

    def __init__(self, isa: Isa, codec: Codec) -> None:
        self._engine = ConcreteEngine(isa)
        self._codec = codec
        self._mode = isa.mode
        roles = (Role.MODE, Role.CONTROL)
        self._outside = [e for e in isa.elements if e.role in roles or e.bank is not None]
        self._inside = [
            e
            for e in isa.elements
            if e.role is Role.GENERAL and e.name != isa.memory.size and e.bank is None
        ]
        self.width = max((e.width for e in self._inside), default=0)

    def same(self, start: MachineState, means: Means) -> bool:
        """Whether it makes no difference to control state what registers hold."""
        (_, zeros), (_, ones) = (self._run(start, value, means) for value in (0, -1))
        return not any(changed(zeros, ones, element) for element in self._outside)

    def alone(self, start: MachineState, value: int, means: Means) -> tuple[str, MachineState]:
        """The one element that changes, empty if there is not just one; and the state after."""
        before, after = self._run(start, value, means)
        names = [e.name for e in self._outside if changed(before, after, e)]
        return (names[0] if len(names) == 1 else ""), after

    def _run(
        self, start: MachineState, value: int, means: Means
    ) -> tuple[MachineState, MachineState]:
        """The state with all registers alike, and that after the instruction, if it retires."""
        state = start.copy()
        state.scalars[self._mode.element] = self._mode.members[-1][1]
        for element in self._inside:
            _fill(state, element, value & ((1 << element.width) - 1))
        fields = {f.name: 1 for f in means.instruction.fields}
        fields.update(means.fields)
        try:
            length = self._codec.length(means.instruction, fields)
        except ValueError:
            return state, state
        outcome = self._engine.execute(state, means.instruction, fields, length)
        return state, outcome.state if isinstance(outcome, Retired) else state


def _fill(state: MachineState, element: Element, value: int) -> None:
    if element.length is None:
        state.scalars[element.name] = value
    else:
        state.own_array(element.name)[:] = [value] * element.length
