"""Conditions, by the ways in which what they speak of is stored.

What is stored under a condition is a choice between the new content and the old one, which a
solver has to carry along. There are few such conditions; decided one way or the other, they leave
much shorter terms.
"""

from collections.abc import Iterator, Sequence

from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, in_order

MOST = 5
"""Conditions that are decided one after the other."""


def cases(storage: Storage, conditions: Sequence[Truth], most: int = MOST) -> Iterator[list[Truth]]:
    """Conditions of which some can hold together exactly if the given ones can."""
    guard = _guard(conditions) if most else None
    if guard is None:
        yield list(conditions)
        return
    for holds in (False, True):
        decided = _decided(storage, conditions, guard, holds)
        if decided is not None:
            yield from cases(storage, decided, most - 1)


def _guard(conditions: Sequence[Truth]) -> Term | None:
    """The condition on which most is stored; of several, the first that was made."""
    found: dict[Term, int] = {}
    seen: set[Term] = set()
    for term in in_order(tuple(conditions), seen.__contains__):
        seen.add(term)
        guard: Term | None = None
        if term.op is Op.SELECT_ARRAY:
            guard = term.args[0]
        elif term.op is Op.STORE:
            value = term.args[2]
            if isinstance(value, Term) and value.op is Op.SELECT:
                guard = value.args[0]
        if guard is not None:
            found[guard] = found.get(guard, 0) + 1
    return max(found, key=lambda term: (found[term], -term.serial), default=None)


def _decided(
    storage: Storage, conditions: Sequence[Truth], guard: Term, holds: bool
) -> list[Truth] | None:
    """The conditions and the guard, decided; None if they can not hold together."""
    known: dict[Term, bool] = {}
    _learn(guard, holds, known)
    substitution = Substitution(storage, known)
    found = [substitution.truth(condition) for condition in conditions]
    if False in found:
        return None
    found.append(guard if holds else storage.negate(guard))
    return [condition for condition in found if condition is not True]


def _learn(condition: Term, holds: bool, known: dict[Term, bool]) -> None:
    """What follows from a condition about its parts."""
    known[condition] = holds
    if condition.op is Op.NOT:
        _learn(condition.args[0], not holds, known)
    elif condition.op is (Op.AND if holds else Op.OR):
        for part in condition.args:
            if isinstance(part, Term):
                _learn(part, holds, known)
