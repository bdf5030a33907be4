"""The steps of rewriting that are recorded: right ones are found right, wrong ones are found."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import rewriting
from checker.folding import Folding
from checker.rewriting import Steps
from checker.solve import Proved, Solver
from checker.storage import Shape, Storage
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import BinaryOp, CompareOp, Memory, UnaryOp

MEMORY = Memory("E", cell_width=8, address_width=16, size=1 << 16, big_endian=False)
WIDTH = 8


class Recorded:
    """An engine whose steps are recorded, and a solver for what they deny."""

    def __init__(self) -> None:
        shapes = Terms()
        self.solver = Solver(shapes, MEMORY, 5000)
        self.asked: list[Term] = []
        self.steps = Steps(MEMORY, shapes, self._denies)
        rewriting.record(self.steps)
        self.engine = Storage(Terms(), MEMORY)

    def _denies(self, denied: Term) -> bool:
        self.asked.append(denied)
        return self.solver.denies(denied)

    def wrong(self) -> list[Term]:
        return [s for s in self.steps.take() if not isinstance(self.solver.solve(s), Proved)]


@pytest.fixture(autouse=True)
def nothing_recorded() -> Iterator[None]:
    yield
    rewriting.record(None)


def vectors(engine: Folding, draw: st.DataObject, depth: int) -> Value:
    """A random vector, built by the engine's operators."""
    kind = draw.draw(st.sampled_from("scubexdt" if depth else "sc"))
    match kind:
        case "s":
            return engine.terms.symbol(draw.draw(st.sampled_from("xyz")), WIDTH)
        case "c":
            return draw.draw(st.sampled_from([0, 1, 2, 0x0F, 0x10, 0x80, 0xFE, 0xFF]))
        case "u":
            op = draw.draw(st.sampled_from(list(UnaryOp)))
            return engine.unary(op, vectors(engine, draw, depth - 1), WIDTH)
        case "b":
            op2 = draw.draw(st.sampled_from(list(BinaryOp)))
            left, right = (vectors(engine, draw, depth - 1) for _ in range(2))
            return engine.binary(op2, left, right, WIDTH)
        case "e":
            low = draw.draw(st.integers(0, WIDTH - 1))
            part = engine.extract(vectors(engine, draw, depth - 1), WIDTH, WIDTH - 1, low)
            return engine.extend(part, WIDTH - low, draw.draw(st.booleans()), WIDTH)
        case "x":
            high, low_part = (vectors(engine, draw, depth - 1) for _ in range(2))
            return engine.concat(
                engine.extract(high, WIDTH, 4, 0), engine.extract(low_part, WIDTH, 5, 3), 3, WIDTH
            )
        case "d":
            arms = [vectors(engine, draw, depth - 1) for _ in range(2)]
            return engine.select(truths(engine, draw, depth - 1), arms[0], arms[1], WIDTH)
        case _:
            bit = engine.bit(truths(engine, draw, depth - 1))
            return engine.extend(bit, 1, draw.draw(st.booleans()), WIDTH)


def truths(engine: Folding, draw: st.DataObject, depth: int) -> Truth:
    if not depth:
        return engine.truth(engine.extract(vectors(engine, draw, 0), WIDTH, 0, 0))
    match draw.draw(st.sampled_from("cnaos")):
        case "c":
            sides = [vectors(engine, draw, depth - 1) for _ in range(2)]
            return engine.compare(
                draw.draw(st.sampled_from(list(CompareOp))), sides[0], sides[1], WIDTH
            )
        case "n":
            return engine.negate(truths(engine, draw, depth - 1))
        case "a":
            return engine.both(truths(engine, draw, depth - 1), truths(engine, draw, depth - 1))
        case "o":
            return engine.either(truths(engine, draw, depth - 1), truths(engine, draw, depth - 1))
        case _:
            parts = [truths(engine, draw, depth - 1) for _ in range(3)]
            return engine.select_truth(parts[0], parts[1], parts[2])


@settings(max_examples=60)
@given(st.data())
def test_every_step_of_random_terms_is_right(draw: st.DataObject) -> None:
    recorded = Recorded()

    vectors(recorded.engine, draw, 4)

    assert not recorded.wrong()


@settings(max_examples=40)
@given(st.data())
def test_every_step_over_arrays_and_memory_is_right(draw: st.DataObject) -> None:
    recorded = Recorded()
    engine, terms = recorded.engine, recorded.engine.terms
    shape = Shape(8, WIDTH)
    arrays = [terms.array("a", shape.index_width, WIDTH)]
    memories = [terms.array("memory", 16, 8)]
    conditions = [terms.symbol(name, 0) for name in "pq"]
    for _ in range(5):
        condition = draw.draw(st.sampled_from(conditions))
        size = draw.draw(st.sampled_from([1, 2]))
        at: Value = draw.draw(st.sampled_from([0, 1, 3, terms.symbol("at", 16)]))
        index = engine.extract(at, 16, 2, 0)
        value = engine.load_cells(draw.draw(st.sampled_from(memories)), at, size)
        memories.append(engine.store_cells(draw.draw(st.sampled_from(memories)), at, value, size))
        one, other = (draw.draw(st.sampled_from(memories)) for _ in range(2))
        memories.append(engine.select_memory(condition, one, other))
        cell = engine.extract(value, 8 * size, 7, 0)
        arrays.append(engine.write_array(draw.draw(st.sampled_from(arrays)), index, cell, shape))
        first, second = (draw.draw(st.sampled_from(arrays)) for _ in range(2))
        arrays.append(engine.select_array(condition, first, second, shape))
        engine.read_array(arrays[-1], index, shape)

    assert not recorded.wrong()


def test_a_step_is_asked_about_once_however_often_it_is_taken() -> None:
    recorded = Recorded()
    engine = recorded.engine
    names = [f"x{i}" for i in range(50)]

    for name in names:
        engine.binary(BinaryOp.AND, engine.terms.symbol(name, 32), 0xFF00, 32)

    # the mask cuts, pads twice, and is what they make
    assert 1 <= len(recorded.steps.take()) <= len(recorded.asked) < 10


def test_what_is_built_as_it_was_asked_for_is_no_step() -> None:
    recorded = Recorded()
    engine = recorded.engine
    x, y = (engine.terms.symbol(name, 8) for name in "xy")

    engine.binary(BinaryOp.SUB, x, y, 8)
    engine.select(engine.compare(CompareOp.ULT, x, y, 8), x, y, 8)

    assert recorded.steps.take() == []
    assert recorded.asked == []


def test_a_fact_of_the_path_decides_a_condition() -> None:
    recorded = Recorded()
    engine = recorded.engine
    x, y = (engine.terms.symbol(name, 8) for name in "xy")
    is_three, is_four, less = (
        engine.equal(x, 3, 8),
        engine.equal(x, 4, 8),
        engine.compare(CompareOp.ULT, y, x, 8),
    )
    assert isinstance(is_three, Term)
    assert isinstance(is_four, Term)
    assert isinstance(less, Term)
    either = engine.either(is_four, less)
    assert isinstance(either, Term)

    recorded.steps.followed({is_three: True, x: 3}, is_four, False)
    recorded.steps.followed({x: 3, less: False}, either, False)
    assert recorded.wrong() == []
    recorded.steps.followed({x: 3}, is_four, True)
    recorded.steps.followed({x: 3, less: True}, either, False)
    assert len(recorded.wrong()) == 2


def _extract_too_high(self: Folding, operand: Value, width: int, high: int, low: int) -> Value:
    return self.terms.make(Op.EXTRACT, high - low + 1, operand, width - 1, width - 1 - high + low)


def _extend_signed(
    self: Folding, operand: Value, from_width: int, signed: bool, width: int
) -> Value:
    return self.terms.make(Op.EXTEND, width, operand, from_width, 1)


def _either_as_both(self: Folding, left: Truth, right: Truth) -> Truth:
    return self.both(left, right)


def _order_turned(self: Folding, op: CompareOp, left: Value, right: Value, width: int) -> Truth:
    return self.terms.make(Op.LESS, 0, op, right, left, width)


def _select_first(self: Folding, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
    return then


@pytest.mark.parametrize(
    ("method", "broken"),
    [
        ("extract", _extract_too_high),
        ("extend", _extend_signed),
        ("either", _either_as_both),
        ("compare", _order_turned),
        ("select", _select_first),
    ],
)
def test_a_wrong_rule_is_found(
    method: str, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folding, method, broken)
    recorded = Recorded()
    engine = recorded.engine
    x, y = (engine.terms.symbol(name, 8) for name in "xy")
    p, q = (engine.terms.symbol(name, 0) for name in "pq")

    engine.select(engine.either(p, q), engine.extend(engine.extract(x, 8, 3, 0), 4, False, 8), y, 8)
    engine.compare(CompareOp.ULT, x, y, 8)

    assert len(recorded.wrong()) == 1


def test_a_load_that_forgets_a_store_in_between_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storage, "_may_overlap", lambda *arguments: False)
    recorded = Recorded()
    engine, terms = recorded.engine, recorded.engine.terms
    memory = terms.array("memory", 16, 8)

    later = engine.store_cells(memory, terms.symbol("at", 16), terms.symbol("value", 8), 1)
    engine.load_cells(later, terms.symbol("there", 16), 1)

    assert len(recorded.wrong()) == 1
