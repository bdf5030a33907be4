"""Instructions with known fields: a shorter body that means the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spec.concrete import ConcreteEngine
from spec.specialize import Specializer
from tests.strategies import IN_CI, descriptions, states


@settings(max_examples=2000 if IN_CI else 200)
@given(st.data())
def test_a_specialized_instruction_runs_as_the_whole_one_does(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    state = data.draw(states(isa))
    fields = {"n": data.draw(st.integers(0, 127))}
    choices = data.draw(st.lists(st.integers(0, 2**130), max_size=3))
    (instruction,) = isa.instructions
    engine = ConcreteEngine(isa)

    short = Specializer(isa).instruction(instruction, fields)

    outcome = engine.execute(state, short, fields, 3, choices)
    assert outcome == engine.execute(state, instruction, fields, 3, choices)
