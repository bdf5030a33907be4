"""What the folding of addresses says is what the operators mean."""

import random
from functools import cache
from pathlib import Path

from checker.assignment import Assignment, Evaluation
from checker.hosted import Plain
from checker.terms import Terms, Truth, Value
from spec.concrete import Concrete
from spec.ir import BinaryOp, CompareOp, Isa
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"
WIDTH = 8
SYMBOLS = {"a": 8, "b": 8, "c": 3, "d": 5}

Pair = tuple[Value, int]
"""A vector as a term, and what it is worth."""


@cache
def _isa() -> Isa:
    isa = load(ISAS / "tiny/sptbr.isa").isa
    assert isa is not None
    return isa


class _Addresses:
    """Sums, cuts and choices of vectors, by the folding engine and by the concrete domain."""

    def __init__(self, seed: int) -> None:
        isa = _isa()
        self.random = random.Random(seed)
        self.terms = Terms()
        self.engine = Plain(isa, self.terms, 0, 0)
        self.memory = isa.memory
        self.values = {n: self.random.getrandbits(w) for n, w in SYMBOLS.items()}
        self.concrete = Concrete()

    def vector(self, depth: int) -> Pair:
        if depth == 0:
            return self.leaf()
        (x, m), (y, n) = self.vector(depth - 1), self.vector(depth - 1)
        engine, concrete = self.engine, self.concrete
        match self.random.randrange(5):
            case 0 | 1:
                op = self.random.choice((BinaryOp.ADD, BinaryOp.ADD, BinaryOp.SUB, BinaryOp.AND))
                return engine.binary(op, x, y, WIDTH), concrete.binary(op, m, n, WIDTH)
            case 2:
                holds, known = self.truth((x, m), (y, n))
                (z, o), (w, p) = self.vector(depth - 1), self.vector(depth - 1)
                return engine.select(holds, z, w, WIDTH), o if known else p
            case 3:
                cut = self.random.randrange(1, WIDTH)
                high = engine.extract(x, WIDTH, WIDTH - 1, cut)
                low = engine.extract(y, WIDTH, cut - 1, 0)
                whole = m >> cut << cut | n & ((1 << cut) - 1)
                return engine.concat(high, low, cut, WIDTH), whole
            case _:
                cut = self.random.randrange(1, WIDTH)
                low = engine.extract(x, WIDTH, cut - 1, 0)
                return engine.extend(low, cut, False, WIDTH), m & ((1 << cut) - 1)

    def leaf(self) -> Pair:
        if self.random.random() < 0.3:
            number = self.random.choice((0, 1, 3, 4, 8, 16, 32, 200))
            return number, number
        name = self.random.choice(sorted(SYMBOLS))
        width, value = SYMBOLS[name], self.values[name]
        symbol = self.terms.symbol(name, width)
        zeros = WIDTH - width
        if width == WIDTH or self.random.random() < 0.3:
            return self.engine.extend(symbol, width, False, WIDTH), value
        return self.engine.concat(symbol, 0, zeros, WIDTH), value << zeros

    def truth(self, left: Pair, right: Pair) -> tuple[Truth, bool]:
        op = self.random.choice((CompareOp.EQ, CompareOp.ULT, CompareOp.ULE))
        found = self.engine.compare(op, left[0], right[0], WIDTH)
        return found, bool(self.concrete.compare(op, left[1], right[1], WIDTH))


def test_folded_addresses_are_worth_what_the_operators_give() -> None:
    folded = 0
    for seed in range(1500):
        addresses = _Addresses(seed)
        evaluation = Evaluation(Assignment(dict(addresses.values)), addresses.memory)
        first, second = addresses.vector(3), addresses.vector(3)
        holds, known = addresses.truth(first, second)

        assert evaluation.vector(first[0]) == first[1], seed
        assert evaluation.truth(holds) is known, seed
        folded += isinstance(holds, bool)
    assert 0 < folded < 1500
