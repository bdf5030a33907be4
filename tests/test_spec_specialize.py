"""Instructions with known fields: a shorter body that means the same."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popek.library import locate
from spec.concrete import ConcreteEngine
from spec.ir import (
    Assign,
    Call,
    Compare,
    CompareOp,
    Expr,
    Function,
    If,
    Literal,
    Local,
    Read,
    Return,
    Role,
    Write,
)
from spec.load import load
from spec.outcome import Retired
from spec.specialize import Specializer
from spec.state import MachineState
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


@pytest.mark.parametrize("held", [0, 1])
def test_a_function_written_out_may_assign_what_was_passed(held: int) -> None:
    isa = load(str(locate("pg74"))).isa
    assert isa is not None
    register = next(e for e in isa.elements if e.role is Role.GENERAL and e.length is None)
    here: Expr = Read(register.name, register.width, None)
    zero = Compare(CompareOp.EQ, here, Literal(0, register.width))
    q = Local("q", register.width)
    body = (If(zero, (Assign("q", Literal(3, register.width)),), ()), Return(q))
    chosen = Function("chosen", (q,), body, register.width)
    isa = replace(isa, functions=(*isa.functions, chosen))
    called = (
        Call("r", "chosen", (Literal(2, register.width),)),
        Write(register.name, Local("r", register.width), None),
    )
    instruction = replace(isa.instructions[0], body=called, fields=())
    state = MachineState(isa)
    state.scalars[register.name] = held

    short = Specializer(isa).instruction(instruction, {})

    assert not any(isinstance(s, Call) for s in short.body)
    outcome = ConcreteEngine(isa).execute(state, short, {}, 1)
    assert isinstance(outcome, Retired)
    assert outcome.state.scalars[register.name] == (2 if held else 3)
