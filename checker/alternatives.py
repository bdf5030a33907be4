"""A condition that says several things with "or", as conditions of which each says one."""

from checker.folding import Folding
from checker.terms import Op, Term, Truth

MOST = 64
"""Conditions that one is taken apart into; what would be more stays together."""

_DEPTH = 200
"""How deeply conditions are looked into; Python would not nest much deeper."""


def alternatives(folding: Folding, condition: Truth) -> list[Truth]:
    """Conditions of which one holds exactly if this one does: what it says of several things with
    "or", apart, as far as these are few."""
    known: dict[tuple[Truth, bool], list[Truth]] = {}

    def whole(truth: Truth, negated: bool) -> Truth:
        return folding.negate(truth) if negated else truth

    def found(truth: Truth, negated: bool, depth: int) -> list[Truth]:
        key = truth, negated
        if key not in known:
            known[key] = split(truth, negated, depth) or [whole(truth, negated)]
        return known[key]

    def split(truth: Truth, negated: bool, depth: int) -> list[Truth]:
        """Nothing where it is one thing."""
        if not isinstance(truth, Term) or not depth:
            return []
        if truth.op is Op.NOT:
            return found(truth.args[0], not negated, depth - 1)
        if truth.op not in (Op.AND, Op.OR):
            return []
        first, second = (found(part, negated, depth - 1) for part in truth.args)
        if (truth.op is Op.OR) is not negated:
            if len(first) + len(second) <= MOST:
                return [*first, *second]
            return [whole(part, negated) for part in truth.args]
        if len(first) * len(second) <= MOST:
            return [folding.both(one, other) for one in first for other in second]
        return []

    return found(condition, False, _DEPTH)
