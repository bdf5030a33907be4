"""What is simplified means the same, on every state."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from spec.concrete import ConcreteEngine
from spec.ir import (
    Assign,
    Binary,
    BinaryOp,
    Boolean,
    Compare,
    CompareOp,
    Concat,
    Expr,
    Extract,
    If,
    Isa,
    Literal,
    Local,
    LogicOp,
    Not,
    Read,
    Trap,
    TrapClass,
    Write,
)
from spec.simplify import function_writes, simplify
from spec.simplify_expressions import concat, extract, logic, simplified
from tests.reprinted import outcome
from tests.strategies import IN_CI, descriptions, expressions, states

X = Local("x", 8)


@settings(max_examples=600 if IN_CI else 100)
@given(st.data())
def test_a_simplified_expression_has_the_same_value(data: st.DataObject) -> None:
    isa, expr = data.draw(expressions())
    state = data.draw(states(isa))
    engine = ConcreteEngine(isa)

    simple = simplified(expr)

    assert simple.width == expr.width
    assert engine.value(state, simple) == engine.value(state, expr)


def simpler(isa: Isa) -> Isa:
    writes = function_writes({f.name: f for f in isa.functions})
    functions = tuple(
        replace(f, body=simplify(f.body, writes, parameters=[p.name for p in f.parameters]))
        for f in isa.functions
    )
    instructions = tuple(
        replace(i, body=simplify(i.body, writes, parameters=["n", "next"]))
        for i in isa.instructions
    )
    return replace(isa, functions=functions, instructions=instructions)


@settings(max_examples=600 if IN_CI else 100)
@given(st.data())
def test_simplified_bodies_do_the_same(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    state = data.draw(states(isa))
    run = ({"n": data.draw(st.integers(0, 127))}, 3, data.draw(st.lists(st.integers(0, 2**130))))

    simple = simpler(isa)

    assert outcome(simple, 0, state, *run) == outcome(isa, 0, state, *run)


def test_bits_in_their_places_become_a_mask() -> None:
    zero = Literal(0, 1)
    expr: Expr = extract(X, 7, 6)
    for piece in (zero, extract(X, 4, 4), zero, extract(X, 2, 0)):
        expr = concat(expr, piece)

    assert expr == Binary(BinaryOp.AND, X, Literal(0b1101_0111, 8), 8)


def test_neighbouring_bits_become_one_slice() -> None:
    assert concat(Extract(X, 7, 4), Extract(X, 3, 1)) == Extract(X, 7, 1)


def test_a_condition_and_its_opposite_exclude_each_other() -> None:
    condition = Compare(CompareOp.ULT, X, Literal(5, 8))

    assert logic(LogicOp.AND, condition, simplified(Not(condition))) == Boolean(False)
    assert simplified(Not(condition)) == Compare(CompareOp.ULE, Literal(5, 8), X)


def test_what_comes_after_a_branch_that_ends_is_no_longer_its_else() -> None:
    trap = Trap("gone", TrapClass.FAULT)
    write = Write("A", X)
    condition = Compare(CompareOp.EQ, X, Literal(0, 8))

    block = simplify((If(condition, (trap,), (write,)),), {})

    assert block == (If(condition, (trap,), ()), write)


def test_a_local_does_not_move_past_a_change_of_what_it_reads() -> None:
    block = (
        Assign("old", Read("A", 8)),
        Write("A", Literal(1, 8)),
        Write("B", Local("old", 8)),
    )

    assert simplify(block, {}) == block


def test_a_local_that_is_used_once_is_written_where_it_is_used() -> None:
    total = Binary(BinaryOp.ADD, X, Literal(1, 8), 8)
    sliced = Concat(Literal(1, 1), Extract(Local("t", 8), 6, 0), 8)

    block = simplify((Assign("t", total), Write("A", sliced)), {})

    assert block == (Write("A", Concat(Literal(1, 1), Extract(total, 6, 0), 8)),)
