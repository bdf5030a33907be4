"""Z3 gives random IR the meaning that the concrete engine gives it."""

from typing import Any

import z3
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checker import starts
from checker.symbolic import CHOICE_WIDTH, Symbolic
from checker.terms import Term, Terms, Truth, Value
from checker.z3_terms import Z3Terms
from spec.concrete import ConcreteEngine
from spec.ir import Isa
from spec.outcome import Retired, Trapped
from spec.state import MachineState
from tests.strategies import IN_CI, descriptions, states

MOST_CHOICES = 8
FEW_CELLS = 64


class Meaning:
    """What terms over a start are worth in one state, according to Z3."""

    def __init__(
        self, isa: Isa, terms: Terms, start: dict[str, Value], state: MachineState
    ) -> None:
        self._z3_terms = Z3Terms(isa.memory)
        self._pairs: list[tuple[Any, Any]] = []
        for element in isa.elements:
            symbol = start[element.name]
            if not isinstance(symbol, Term):
                continue
            here = self._z3(symbol)
            if element.length is None:
                value = z3.BitVecVal(state.scalars[element.name], element.width)
            else:
                content = dict(enumerate(state.arrays[element.name]))
                value = _array(here.sort(), content, element.width)
            self._pairs.append((here, value))
        memory = self._z3(starts.memory(isa, terms))
        cells = dict(state.cells.written())
        self._pairs.append((memory, _array(memory.sort(), cells, isa.memory.cell_width)))

    def bind(self, symbol: Term, value: int) -> None:
        self._pairs.append((self._z3(symbol), z3.BitVecVal(value, symbol.width)))

    def vector(self, value: Value) -> int:
        return self._of(value).as_long() if isinstance(value, Term) else value

    def truth(self, value: Truth) -> bool:
        return z3.is_true(self._of(value)) if isinstance(value, Term) else value

    def member(self, array: Value, index: int, index_width: int) -> int:
        found = z3.Select(self._of(array), z3.BitVecVal(index, index_width))
        return z3.simplify(found).as_long()

    def _of(self, term: Value | Truth) -> Any:
        assert isinstance(term, Term)
        return z3.simplify(z3.substitute(self._z3(term), *self._pairs))

    def _z3(self, term: Term) -> Any:
        return self._z3_terms.translate(term)


def _array(sort: Any, content: dict[int, int], width: int) -> Any:
    found = z3.K(sort.domain(), z3.BitVecVal(0, width))
    for index, value in content.items():
        found = z3.Store(
            found, z3.BitVecVal(index, sort.domain().size()), z3.BitVecVal(value, width)
        )
    return found


@given(st.data())
@settings(max_examples=2000 if IN_CI else 50)
def test_z3_ends_as_the_concrete_engine_does(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    state = data.draw(states(isa))
    number = data.draw(st.integers(0, 127))
    choices = data.draw(st.lists(st.integers(0, (1 << CHOICE_WIDTH) - 1), max_size=3))
    (instruction,) = isa.instructions
    concrete = ConcreteEngine(isa)
    terms = Terms()
    symbolic = Symbolic(isa, terms, abstract=False)
    start = starts.start(isa, terms, state.scalars[isa.mode.element])
    meaning = Meaning(isa, terms, start, state)
    for position in range(MOST_CHOICES):
        choice = choices[position] if position < len(choices) else 0
        meaning.bind(terms.symbol(f"choice {position}", CHOICE_WIDTH), choice)
    (pc,) = [element for element in isa.elements if element.name == isa.pc]
    following = (state.scalars[isa.pc] + 3) & ((1 << pc.width) - 1)
    frame = {"n": number, "next": following}

    run = symbolic.run(start, starts.memory(isa, terms), instruction.body, frame, following)
    outcome = concrete.execute(state, instruction, {"n": number}, 3, choices)

    assume(run.choices <= MOST_CHOICES)
    traps = [trap for trap in run.traps if meaning.truth(trap.condition)]
    assert meaning.truth(run.retires) == (not traps)
    if isinstance(outcome, Trapped):
        (trap,) = traps
        assert (trap.cause, trap.trap_class) == (outcome.cause, outcome.trap_class)
        found = [_argument(meaning, argument) for argument in trap.arguments]
        assert found == list(outcome.arguments)
    else:
        assert traps == []
        _ends_in(isa, meaning, run.after, run.pc_after, run.memory, outcome)


def _argument(meaning: Meaning, argument: Value | Truth) -> int | bool:
    if (isinstance(argument, Term) and argument.width == 0) or isinstance(argument, bool):
        return meaning.truth(argument)
    return meaning.vector(argument)


def _ends_in(
    isa: Isa, meaning: Meaning, after: Any, pc_after: Value, memory: Term, outcome: Retired
) -> None:
    state = outcome.state
    for element in isa.elements:
        value = pc_after if element.name == isa.pc else after(element.name)
        if element.length is None:
            assert meaning.vector(value) == state.scalars[element.name]
        else:
            width = max(1, (element.length - 1).bit_length())
            content = [meaning.member(value, i, width) for i in range(element.length)]
            assert content == state.arrays[element.name]
    places = {place for place, _ in state.cells.written()} | {0, state.cells.mask}
    if state.cells.mask < FEW_CELLS:
        places = set(range(state.cells.mask + 1))
    for place in places:
        assert meaning.member(memory, place, isa.memory.address_width) == state.cells[place]
