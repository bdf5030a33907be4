"""Which instructions, with which operands, change which control state: found by running them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Element, Instruction, Isa, Role
from spec.outcome import Retired
from spec.state import MachineState

_RUNS = 500  # at most, for one description
_EACH = 3  # from so many states


@dataclass(frozen=True, slots=True)
class Means:
    """An instruction and the enumerated fields with which it changed something."""

    instruction: Instruction
    fields: tuple[tuple[str, int], ...]


def influence(
    isa: Isa, codec: Codec, start: MachineState, pool: Sequence[Instruction]
) -> dict[str, tuple[Means, ...]]:
    """By element of control state (or mode): what of `pool` was seen to change it.

    Runs are begun in `start`, in the most privileged mode, with random registers.
    """
    engine, random = ConcreteEngine(isa), Random(0)
    outside = [e for e in isa.elements if e.role in (Role.MODE, Role.CONTROL) or e.bank is not None]
    inside = [e for e in isa.elements if e.role is Role.GENERAL and e.name != isa.memory.size]
    found: dict[str, dict[Means, None]] = {}
    trials = [means for instruction in pool for means in _operands(instruction)]
    random.shuffle(trials)
    for means in (trials * _EACH)[:_RUNS]:
        state = start.copy()
        state.scalars[isa.mode.element] = isa.mode.members[-1][1]
        for element in (*inside, *(e for e in outside if e.role is Role.CONTROL)):
            if element.role is Role.GENERAL or random.random() < 0.2:
                _draw(random, state, element)
        fields = {f.name: random.getrandbits(f.width) for f in means.instruction.fields}
        fields.update(means.fields)
        try:
            length = codec.length(means.instruction, fields)
        except ValueError:
            continue
        outcome = engine.execute(state, means.instruction, fields, length)
        if isinstance(outcome, Retired):
            for element in outside:
                if changed(state, outcome.state, element):
                    found.setdefault(element.name, {})[means] = None
    return {name: tuple(means) for name, means in found.items()}


def _operands(instruction: Instruction) -> Iterator[Means]:
    """Each member of each enumerated field once."""
    enumerated = [field for field in instruction.fields if field.values]
    if not enumerated:
        yield Means(instruction, ())
    for field in enumerated:
        for _, encoding in field.values:
            yield Means(instruction, ((field.name, encoding),))


def _draw(random: Random, state: MachineState, element: Element) -> None:
    def value() -> int:
        if element.values:
            return random.choice(element.values)[1]
        return random.getrandbits(element.width)

    if element.length is None:
        state.scalars[element.name] = value()
    else:
        state.own_array(element.name)[:] = [value() for _ in range(element.length)]


def changed(before: MachineState, after: MachineState, element: Element) -> bool:
    if element.length is None:
        return before.scalars[element.name] != after.scalars[element.name]
    return before.arrays[element.name] != after.arrays[element.name]
