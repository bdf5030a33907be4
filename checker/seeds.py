"""Questions about states near a known one: the addresses of accesses are as there, all else free.

Constant addresses leave little to solve. That nothing is found near a state says nothing about
other states.
"""

from collections.abc import Mapping, Sequence

from checker.assignment import Assignment, Evaluation
from checker.states import Known
from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, Value, in_order, support
from spec.ir import Memory

_ROUNDS = 6
"""Addresses may be loaded from addresses that were loaded: what is deeper stays as it is."""


def near(
    storage: Storage, conditions: Sequence[Truth], seed: Known, free: str
) -> list[Truth] | None:
    """The conditions where addresses are as in a seed; None if they cannot hold there.

    Symbols whose names end with `free` stay free, and what is addressed through them.
    """
    reached = 0
    for condition in conditions:
        reached |= support(condition)
    values = _values(storage, reached, seed)
    loose = 0
    for symbol in storage.terms.symbols(reached):
        if symbol.op is Op.SYMBOL and symbol.args[0].endswith(free):
            loose |= symbol.support
    found: list[Truth] = [condition for condition in conditions if condition is not True]
    for _ in range(_ROUNDS):
        if False in found:
            return None
        places = _places(found, values, storage.memory, loose)
        if not places:
            break
        substitution = Substitution(storage, places)
        replaced = [substitution.truth(condition) for condition in found]
        replaced += [storage.equal(at, number, at.width) for at, number in places.items()]
        found = [condition for condition in replaced if condition is not True]
    return None if False in found else found


def joined(seed: Assignment, found: Assignment, memory: str) -> Assignment:
    """The seed with what was found near it; its memory counts for nothing."""
    own = {name: cells for name, cells in seed.arrays.items() if not name.startswith(memory)}
    arrays = {
        name: {**own.get(name, {}), **found.arrays.get(name, {})}
        for name in {**own, **found.arrays}
    }
    return Assignment({**seed.symbols, **found.symbols}, arrays, dict(found.results))


def _values(storage: Storage, reached: int, seed: Known) -> Assignment:
    """What the seed says of everything in a support."""
    values = Assignment()
    for leaf in storage.terms.symbols(reached):
        name: str = leaf.args[0]
        if leaf.op is Op.ARRAY:
            values.arrays[name] = dict(seed.array(name))
        elif leaf.width:
            values.symbols[name] = seed.symbol(name)
    return values


def _places(
    conditions: Sequence[Truth], values: Assignment, memory: Memory, loose: int
) -> Mapping[Term, int]:
    """Places of accesses that are not known yet but whose own parts are, with their values."""
    evaluation = Evaluation(values, memory)
    found: dict[Term, int] = {}
    open_: set[Term] = set()  # terms below which some place is not known
    seen: set[Term] = set()
    for term in in_order(tuple(conditions), seen.__contains__):
        seen.add(term)
        is_open = any(a.__class__ is Term and a in open_ for a in term.args)
        if term.op in (Op.LOAD, Op.STORE, Op.READ, Op.WRITE):
            place: Value = term.args[1]
            if isinstance(place, Term):
                if place not in open_ and not support(place) & loose:
                    found[place] = evaluation.vector(place)
                is_open = True
        if is_open:
            open_.add(term)
    return found
