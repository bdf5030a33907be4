"""Conditions taken apart: one of the parts holds exactly if the whole does."""

from functools import reduce
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from checker.alternatives import MOST, alternatives
from checker.assignment import Assignment, Evaluation
from checker.folding import Folding
from checker.terms import Terms, Truth
from spec.ir import Memory

MEMORY = Memory("M", 8, 16, False)
NAMES = ("a", "b", "c", "d")
SHAPES = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner),
    ),
    max_leaves=12,
)


def built(folding: Folding, shape: object) -> Truth:
    match shape:
        case ("not", inner):
            return folding.negate(built(folding, inner))
        case ("and", left, right):
            return folding.both(built(folding, left), built(folding, right))
        case ("or", left, right):
            return folding.either(built(folding, left), built(folding, right))
        case str(name):
            return folding.terms.symbol(name, 0)
        case _:
            raise AssertionError(shape)


@given(SHAPES)
def test_one_of_the_parts_holds_exactly_if_the_whole_does(shape: object) -> None:
    folding = Folding(Terms())
    whole = built(folding, shape)

    parts = alternatives(folding, whole)

    assert 1 <= len(parts) <= MOST
    for values in product((0, 1), repeat=len(NAMES)):
        evaluation = Evaluation(Assignment(dict(zip(NAMES, values, strict=True))), MEMORY)
        assert evaluation.truth(whole) is any(evaluation.truth(part) for part in parts)


def test_what_is_not_both_of_two_is_not_one_or_not_the_other() -> None:
    folding = Folding(Terms())
    a, b, c = (folding.terms.symbol(name, 0) for name in "abc")
    failing = folding.both(c, folding.negate(folding.both(a, b)))

    parts = alternatives(folding, failing)

    assert parts == [folding.both(c, folding.negate(a)), folding.both(c, folding.negate(b))]


def test_what_would_be_too_many_stays_together() -> None:
    folding = Folding(Terms())
    symbols = [folding.terms.symbol(f"s{n}", 0) for n in range(MOST + 1)]
    either: Truth = reduce(folding.either, symbols, False)

    assert len(alternatives(folding, reduce(folding.either, symbols[:MOST], False))) == MOST
    assert len(alternatives(folding, either)) == 2
