"""Conditions taken apart, cut and loosened still allow what they allowed."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from checker.assignment import Assignment, Evaluation
from checker.cases import cases
from checker.cuts import cut
from checker.meetings import Meetings, Place
from checker.solve import Proved, Refuted, Solver
from checker.storage import Storage
from checker.terms import Term, Terms, Truth, Value
from spec.ir import BinaryOp, CompareOp, Memory

WIDTH = 16
MEMORY = Memory("M", 8, WIDTH, False)

near = st.integers(-6, 6)
addresses = st.one_of(st.integers(0, (1 << WIDTH) - 1), st.integers(0, 40))


def storage_of() -> Storage:
    return Storage(Terms(), MEMORY)


def place(address: Value) -> Place:
    return (address, 0) if isinstance(address, Term) else (None, address)


def holds(conditions: Sequence[Truth], values: Assignment) -> bool:
    evaluation = Evaluation(values, MEMORY)
    return all(evaluation.truth(condition) for condition in conditions)


@given(
    st.lists(addresses, min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), near, st.integers(0, 5), near), min_size=1, max_size=12),
)
def test_spots_allow_every_way_in_which_addresses_meet(
    bases: list[int], pairs: list[tuple[int, int, int, int]]
) -> None:
    storage = storage_of()
    meetings = Meetings(storage, WIDTH, place)
    symbols = [storage.terms.symbol(f"base {n}", WIDTH) for n in range(len(bases))]
    evaluation = Evaluation(
        Assignment({s.args[0]: b for s, b in zip(symbols, bases, strict=True)}), MEMORY
    )
    conditions: list[Truth] = []
    for one, here, other, there in pairs:
        left = (symbols[one % len(bases)], here & 0xFFFF)
        last = other % (len(bases) + 1)
        right = (None, 20 + there) if last == len(bases) else (symbols[last], there & 0xFFFF)
        same = meetings.same(left, right)
        conditions.append(same if evaluation.truth(same) else storage.negate(same))

    loose = meetings.loosened(conditions)

    if loose is not None:
        solver = Solver(storage.terms, MEMORY, 10_000)
        assert isinstance(solver.solve(*loose.conditions), Refuted)


def test_what_one_ring_cannot_hold_no_addresses_can() -> None:
    storage = storage_of()
    meetings = Meetings(storage, WIDTH, place)
    one, two, three = (storage.terms.symbol(name, WIDTH) for name in ("one", "two", "three"))

    loose = meetings.loosened(
        [
            meetings.same((one, 0), (two, 1)),
            meetings.same((two, 0), (three, 1)),
            meetings.same((one, 0), (three, 3)),
        ]
    )

    assert loose is not None
    assert isinstance(Solver(storage.terms, MEMORY, 10_000).solve(*loose.conditions), Proved)


@given(
    addresses,
    addresses,
    st.integers(0, 255),
    st.booleans(),
    st.dictionaries(st.integers(0, 40), st.integers(0, 255)),
)
def test_exactly_one_case_holds_where_the_conditions_do(
    first: int, second: int, value: int, decided: bool, cells: dict[int, int]
) -> None:
    storage = storage_of()
    terms = storage.terms
    here, there = terms.symbol("here", WIDTH), terms.symbol("there", WIDTH)
    guard = storage.equal(terms.symbol("guard", 1), 1, 1)
    memory = terms.array("M", WIDTH, 8)
    old = storage.load_cells(memory, here, 1)
    content = storage.select(guard, terms.symbol("value", 8), old, 8)
    stored = storage.store_cells(memory, here, content, 1)
    found = storage.load_cells(stored, there, 1)
    conditions = [storage.compare(CompareOp.ULT, found, 100, 8)]
    values = Assignment(
        {"here": first, "there": second, "value": value, "guard": int(decided)}, {"M": cells}
    )

    split = list(cases(storage, conditions))

    assert len(split) == 2
    assert sum(holds(case, values) for case in split) == holds(conditions, values)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_what_is_cut_out_keeps_its_value(field: int, register: int, other: int) -> None:
    storage = storage_of()
    terms = storage.terms
    symbols = [terms.symbol(name, 8) for name in ("field", "register", "other")]
    chosen, plain, apart = symbols
    address: Value = chosen
    for _ in range(4):
        mixed = storage.binary(BinaryOp.XOR, address, plain, 8)
        address = storage.binary(BinaryOp.MUL, mixed, chosen, 8)
    conditions = [storage.compare(CompareOp.ULT, address, apart, 8)]
    values = Assignment({"field": field, "register": register, "other": other})

    short, cuts = cut(storage, conditions, chosen.support, plain.support)

    assert list(cuts.values()) == [address]
    evaluation = Evaluation(values, MEMORY)
    values.symbols |= {s.args[0]: evaluation.vector(term) for s, term in cuts.items()}
    assert holds(short, values) == holds(conditions, values)
