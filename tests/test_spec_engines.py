"""All engines give the IR the same meaning."""

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from spec.concrete import ConcreteEngine
from spec.emitted import EmittedEngine
from spec.evaluate import _EFFECTS, _RULES
from spec.ir import Expr, Isa, Stmt
from spec.outcome import Outcome, Retired
from tests.strategies import IN_CI, descriptions, states


def plain(isa: Isa, outcome: Outcome) -> object:
    """What an outcome says, accesses apart."""
    if isinstance(outcome, Retired):
        state = outcome.state
        return outcome.waiting, state.scalars, state.arrays, list(state.cells.written())
    return outcome.cause, outcome.trap_class, outcome.arguments, outcome.next


@settings(max_examples=2000 if IN_CI else 100)
@given(st.data())
def test_emitted_code_ends_as_the_concrete_engine_does(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    state = data.draw(states(isa))
    fields = {"n": data.draw(st.integers(0, 127))}
    choices = data.draw(st.lists(st.integers(0, 2**130), max_size=3))
    scalars = sorted(state.scalars)
    constants = data.draw(st.lists(st.sampled_from(scalars), unique=True))
    before = state.copy()

    concrete = ConcreteEngine(isa).execute(state, isa.instructions[0], fields, 3, choices)
    emitted = EmittedEngine(isa).execute(state, isa.instructions[0], fields, 3, choices, constants)

    assert plain(isa, emitted) == plain(isa, concrete)
    assert state == before


def test_the_walk_has_a_rule_for_every_expression_and_statement() -> None:
    assert set(_RULES) == set(get_args(Expr))
    assert set(_EFFECTS) == set(get_args(Stmt))
