"""All engines give the IR the same meaning."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popek.library import locate
from spec.concrete import ConcreteEngine
from spec.emitted import EmittedEngine
from spec.evaluate import _EFFECTS, _RULES
from spec.ir import (
    Access,
    Call,
    Compare,
    CompareOp,
    Expr,
    Extend,
    Extract,
    Function,
    If,
    Isa,
    Literal,
    Local,
    Read,
    Return,
    Role,
    Stmt,
    Write,
)
from spec.load import load
from spec.outcome import Outcome, Retired
from spec.state import MachineState
from spec.traced import TracedEngine
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


@pytest.mark.parametrize("given_", [0, 1])
def test_emitted_code_keeps_what_an_early_return_gave(given_: int) -> None:
    isa = load(str(locate("pg74"))).isa
    assert isa is not None
    register = next(e for e in isa.elements if e.role is Role.GENERAL and e.length is None)
    early = If(Compare(CompareOp.NE, Local("q", 1), Literal(0, 1)), (Return(Literal(1, 2)),), ())
    chosen = Function("chosen", (Local("q", 1),), (early, Return(Literal(0, 2))), 2)
    isa = replace(isa, functions=(*isa.functions, chosen))
    value = Extract(Read(register.name, register.width, None), 0, 0)
    body = (
        Call("r", "chosen", (value,)),
        Write(register.name, Extend(Local("r", 2), False, register.width), None),
    )
    instruction = replace(isa.instructions[0], body=body, fields=())
    state = MachineState(isa)
    state.scalars[register.name] = given_

    for engine in (ConcreteEngine(isa), EmittedEngine(isa)):
        outcome = engine.execute(state, instruction, {}, 1)

        assert isinstance(outcome, Retired)
        assert outcome.state.scalars[register.name] == given_


@settings(max_examples=1000 if IN_CI else 100)
@given(st.data())
def test_traced_code_goes_where_the_concrete_engine_goes(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    (instruction,) = isa.instructions
    state = data.draw(states(isa))
    address = data.draw(st.integers(0, 2**20))
    access = data.draw(st.sampled_from(Access))
    before = state.copy()
    seldom, often = TracedEngine(isa), TracedEngine(isa, often=0)

    for fields in ({"n": data.draw(st.integers(0, 127))} for _ in range(2)):
        told = often.execute(state, instruction, fields, 3)
        outcome = ConcreteEngine(isa).execute(state, instruction, fields, 3)

        assert told == seldom.execute(state, instruction, fields, 3)
        assert told.state == (outcome.state if isinstance(outcome, Retired) else None)
    assert often.translate(state, address, access) == seldom.translate(state, address, access)
    assert state == before


def test_the_walk_has_a_rule_for_every_expression_and_statement() -> None:
    assert set(_RULES) == set(get_args(Expr))
    assert set(_EFFECTS) == set(get_args(Stmt))
