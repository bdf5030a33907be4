"""Bits that equations among conditions determine: constants in place of symbols."""

from collections.abc import Iterable, Iterator

from checker.folding import Folding
from checker.terms import Op, Term, Truth, Value
from spec.ir import UnaryOp

_Fields = Iterator[tuple[Term, int, int]]


def determined(conditions: Iterable[Truth]) -> dict[Term, tuple[int, int]]:
    """Symbols, and elements of arrays at constant places, with a mask of the bits that have one
    value where all conditions hold, and that value."""
    found: dict[Term, tuple[int, int]] = {}
    for condition in conditions:
        for term, mask, value in _said(condition, True):
            known, bits = found.get(term, (0, 0))
            found[term] = known | mask, bits | value & ~known
    return found


def _said(condition: Truth, holds: bool) -> _Fields:
    if not isinstance(condition, Term):
        return
    args = condition.args
    match condition.op:
        case Op.NOT:
            yield from _said(args[0], not holds)
        case Op.AND | Op.OR if holds is (condition.op is Op.AND):
            for part in args:
                yield from _said(part, holds)
        case Op.EQUAL if not isinstance(args[1], Term) and (holds or args[2] == 1):
            yield from _fields(args[0], (1 << args[2]) - 1, args[1] if holds else 1 - args[1])
        case Op.EQUAL if holds:
            for one, other in ((args[0], args[1]), (args[1], args[0])):
                yield from _constant_parts(one, other, 0)
        case _:
            return


def _constant_parts(term: Term, other: Value, low: int) -> _Fields:
    """Of a term that has the value of another in its bits from `low` on."""
    if not isinstance(other, Term):
        return
    if other.op is Op.CONCAT:
        upper, lower, cut = other.args
        if not isinstance(lower, Term):
            yield from _fields(term, ((1 << cut) - 1) << low, lower << low)
        if not isinstance(upper, Term):
            ones = (1 << other.width - cut) - 1
            yield from _fields(term, ones << low + cut, upper << low + cut)
        else:
            yield from _constant_parts(term, upper, low + cut)


def _fields(term: Value, mask: int, value: int) -> _Fields:
    """What it says of symbols that a term has a value in the bits of a mask."""
    if not isinstance(term, Term) or not mask:
        return
    args = term.args
    match term.op:
        case Op.SYMBOL:
            yield term, mask, value
        case Op.READ if args[0].op is Op.ARRAY and not isinstance(args[1], Term):
            yield term, mask, value
        case Op.EXTRACT:
            yield from _fields(args[0], mask << args[2], value << args[2])
        case Op.CONCAT:
            high, low, cut = args
            ones = (1 << cut) - 1
            yield from _fields(high, mask >> cut, value >> cut)
            yield from _fields(low, mask & ones, value & ones)
        case Op.EXTEND if not args[2]:
            ones = (1 << args[1]) - 1
            yield from _fields(args[0], mask & ones, value & ones)
        case Op.UNARY if args[0] is UnaryOp.NOT:
            yield from _fields(args[1], mask, value ^ mask)
        case _:
            return


def with_bits(folding: Folding, term: Term, mask: int, value: int) -> Value:
    """The term with constants for the bits of a mask."""
    whole: Value = 0
    done = 0
    while done < term.width:
        known = mask >> done & 1
        end = done + 1
        while end < term.width and mask >> end & 1 == known:
            end += 1
        size = end - done
        part: Value = value >> done & ((1 << size) - 1)
        if not known:
            part = folding.extract(term, term.width, end - 1, done)
        whole = folding.concat(part, whole, done, end) if done else part
        done = end
    return whole
