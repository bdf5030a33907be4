"""Concrete states from assignments of symbols."""

from collections.abc import Mapping
from dataclasses import dataclass

from checker.assignment import Assignment, Evaluation
from checker.replay import Replay
from checker.replay import Side as Replayed
from checker.sides import PRIME, Pair
from checker.terms import Term, Value
from spec.ir import Isa
from spec.state import MachineState


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An instruction with its operands, replayed from one state or two."""

    fields: dict[str, int]
    length: int
    runs: tuple[Replayed, ...]


def replayed(pair: Pair, both: bool, values: Assignment, base: Assignment, replay: Replay) -> Case:
    """Run the instruction on the states that an assignment describes; `base` fills the rest."""
    subject = pair.subject
    isa = subject.machine.isa
    merged = Assignment({**base.symbols, **values.symbols})
    evaluation = Evaluation(merged, isa.memory)
    fields = {name: evaluation.vector(v) for name, v in subject.operands.fields.items()}
    length = evaluation.vector(subject.operands.length)
    instruction = subject.instruction
    runs = []
    for side in (pair.first, pair.second) if both else (pair.first,):
        known = Known(values, base)
        state = machine_state(isa, side.start, side.memory_before, known)
        choices = [known.symbol(side.choice(number)) for number in range(side.choices)]
        runs.append(replay.side(state, instruction, fields, length, choices))
    return Case(fields, length, tuple(runs))


class Known:
    """Look-up by name: a state's own value, else that of the other state, else the base's."""

    def __init__(self, values: Assignment, base: Assignment) -> None:
        self._values = values
        self._base = base

    def symbol(self, name: str) -> int:
        found = self._values.symbols.get(name)
        if found is None and name.endswith(PRIME):
            return self.symbol(name.removesuffix(PRIME))
        return self._base.symbols.get(name, 0) if found is None else found

    def array(self, name: str) -> Mapping[int, int]:
        found = self._values.arrays.get(name)
        if found is None and name.endswith(PRIME):
            return self.array(name.removesuffix(PRIME))
        below = self._base.arrays.get(name, {})
        return below if found is None else {**below, **found}


def machine_state(isa: Isa, start: Mapping[str, Value], memory: Term, known: Known) -> MachineState:
    """The state whose elements and memory are the given symbols."""
    state = _at_reset(isa).copy()
    for element in isa.elements:
        value = start[element.name]
        if not isinstance(value, Term):
            state.scalars[element.name] = value
        elif element.length is None:
            state.scalars[element.name] = known.symbol(value.args[0])
        else:
            content = known.array(value.args[0])
            if element.reset:
                state.arrays[element.name] = [0] * element.length
            if content:
                array = state.own_array(element.name)
                for index, item in content.items():
                    if index < element.length:
                        array[index] = item
    for address, cell in known.array(memory.args[0]).items():
        if cell:
            state.cells[address] = cell
    return state


_reset_states: list[tuple[Isa, MachineState]] = []


def _at_reset(isa: Isa) -> MachineState:
    """The state at reset, to be copied: its arrays may be long."""
    for known, state in _reset_states:
        if known is isa:
            return state
    state = MachineState(isa)
    _reset_states[:] = [(isa, state)]
    return state
