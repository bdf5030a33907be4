"""Terms of operands cut out of conditions: what an instruction's fields make of registers.

How an operand's address comes about, all forms of it at once, is a large term in which nothing
but its value matters to most questions. A symbol in its place allows more.
"""

from collections.abc import Mapping, Sequence

from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Truth, in_order
from spec.ir import BinaryOp

_LEAST = 6
"""Terms with so few nodes stay."""


def cut(
    storage: Storage, conditions: Sequence[Truth], fields: int, plain: int
) -> tuple[list[Truth], Mapping[Term, Term]]:
    """The conditions with symbols for the largest vectors that depend on `fields` and on nothing
    but `fields` and `plain` (supports), and those vectors by their symbols."""
    inner = fields | plain
    found: dict[Term, None] = {}
    sizes: dict[Term, int] = {}
    seen: set[Term] = set()
    for term in in_order(tuple(conditions), seen.__contains__):
        seen.add(term)
        inside = bool(term.support) and not term.support & ~inner
        parts = [a for a in term.args if a.__class__ is Term]
        sizes[term] = 1 + sum(sizes[part] for part in parts)
        if inside and term.width > 1 and not _is_sum(term):
            continue
        for part in parts:
            within = part.support & fields and not part.support & ~inner
            if within and part.width > 1 and sizes[part] >= _LEAST and not _is_sum(part):
                found[part] = None
    symbols = {term: storage.terms.symbol(f"cut {term.serial}", term.width) for term in found}
    substitution = Substitution(storage, symbols)
    return [substitution.truth(c) for c in conditions], {s: t for t, s in symbols.items()}


def without_contents(storage: Storage, conditions: Sequence[Truth]) -> list[Truth]:
    """The conditions with symbols for what is read of memory and arrays, and for what functions
    give: they can hold whenever the conditions can."""
    symbols: dict[Term, Term] = {}
    seen: set[Term] = set()
    left = [condition for condition in conditions if isinstance(condition, Term)]
    while left:
        term = left.pop()
        if term in seen or not term.support & storage.terms.indirect:
            continue
        seen.add(term)
        if term.op in (Op.LOAD, Op.READ, Op.APPLY):
            symbols[term] = storage.terms.symbol(f"content {term.serial}", term.width)
        else:
            left += [argument for argument in term.args if isinstance(argument, Term)]
    substitution = Substitution(storage, symbols)
    return [substitution.truth(condition) for condition in conditions]


def _is_sum(term: Term) -> bool:
    """A sum with a constant, which is left to the arithmetic of places."""
    adds = term.op is Op.BINARY and term.args[0] is BinaryOp.ADD
    return adds and not isinstance(term.args[2], Term)
