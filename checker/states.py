"""Concrete states from assignments of symbols, and the runs of an instruction from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from checker.assignment import Assignment, Evaluation
from checker.components import MEMORY
from checker.operand_sets import FIELD
from checker.pairs import Pair
from checker.replay import Replay
from checker.replay import Side as Replayed
from checker.sides import PRIME, Side
from checker.subject import Subject
from checker.terms import Term, Value
from spec.ir import Isa
from spec.state import MachineState

_Swaps: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An instruction with its operands, replayed from one state or two."""

    fields: Mapping[str, int]
    length: int
    runs: tuple[Replayed, ...]


class Cases:
    """Runs of one subject on the states that assignments describe; equal ones run once.

    A `base` gives the values that an assignment leaves open; it must not change.
    """

    def __init__(self, subject: Subject, replay: Replay) -> None:
        self._subject = subject
        self._isa = subject.machine.isa
        self._replay = replay
        self._operands: dict[object, tuple[dict[str, int], int]] = {}
        self._states: dict[object, MachineState] = {}
        self._runs: dict[object, Replayed] = {}
        self._bases: dict[int, Assignment] = {}  # alive, they keep their ids

    def case(
        self, pair: Pair, both: bool, values: Assignment, base: Assignment, *, whole: bool = False
    ) -> Case:
        """`whole`: run the instruction as the description has it, not the shorter one, and note
        what it reads."""
        self._bases[id(base)] = base
        fields, length = self._encoded(values, base)
        sides = (pair.first, pair.second) if both else (pair.first,)
        runs = (self._run(side, values, base, fields, length, whole) for side in sides)
        return Case(fields, length, tuple(runs))

    def _encoded(self, values: Assignment, base: Assignment) -> tuple[dict[str, int], int]:
        """The instruction's fields and its length."""
        own = {name: v for name, v in values.symbols.items() if name.startswith(FIELD)}
        key = (id(base), frozenset(own.items()))
        found = self._operands.get(key)
        if found is None:
            evaluation = Evaluation(Assignment({**base.symbols, **own}), self._isa.memory)
            given = self._subject.operands
            fields = {name: evaluation.vector(value) for name, value in given.fields.items()}
            found = self._operands[key] = (fields, evaluation.vector(given.length))
        return found

    def _run(
        self,
        side: Side,
        values: Assignment,
        base: Assignment,
        fields: dict[str, int],
        length: int,
        whole: bool,
    ) -> Replayed:
        known = Known(values, base)
        choices = tuple(known.symbol(side.choice(number)) for number in range(side.choices))
        if whole:
            instruction = self._subject.instruction
            state = machine_state(self._isa, side.start, side.memory_before, known)
            return self._replay.side(state, instruction, fields, length, choices, watched=True)
        place = (side.mode, side.swaps, id(base))
        changes = side.values_of(values.symbols)
        contents = side.values_of(values.arrays)
        cells = frozenset((name, *item) for name in contents for item in contents[name].items())
        key = (
            place,
            frozenset(changes.items()),
            cells,
            tuple(fields.values()),
            length,
            choices,
        )
        found = self._runs.get(key)
        if found is None:
            state = self._from(place, side, base).copy()
            state.scalars.update(changes)
            for name, content in contents.items():
                self._fill(state, name, content)
            found = self._replay.side(state, self._subject.short, fields, length, choices)
            self._runs[key] = found
        return found

    def _fill(self, state: MachineState, name: str, content: Mapping[int, int]) -> None:
        """Put values into an array, or into memory; those past its end are left out."""
        if name == MEMORY:
            for address, cell in content.items():
                state.cells[address] = cell
            return
        array = state.own_array(name)
        for index, item in content.items():
            if index < len(array):
                array[index] = item

    def _from(self, place: tuple[int, _Swaps, int], side: Side, base: Assignment) -> MachineState:
        """The state of the base alone, to be copied."""
        found = self._states.get(place)
        if found is None:
            known = Known(Assignment(), base)
            found = machine_state(self._isa, side.start, side.memory_before, known)
            self._states[place] = found
        return found


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
