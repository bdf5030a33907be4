"""Addresses as sums of parts that can be compared one by one: what of two is shared, and what is 0."""

from collections.abc import Iterator
from itertools import pairwise

from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Value
from spec.ir import BinaryOp

_CUT = (Op.CONCAT, Op.EXTRACT, Op.SYMBOL)


def is_aligned(address: Value, size: int, width: int) -> bool:
    """Whether an address is surely a multiple of a size that is a power of two."""
    return size & (size - 1) == 0 and 1 << low_zeros(address, width) >= size


def where_equal(storage: Storage, one: Value, other: Value, width: int, value: Value) -> Value:
    """The value where one term equals another, said over the other's parts if it can be."""
    if not isinstance(value, Term):
        return value
    terms: dict[Term, Value] = {}
    fields: dict[Term, dict[tuple[int, int], Value]] = {}
    for theirs, mine, bits in pairs(storage, one, other, width):
        if not isinstance(theirs, Term):
            continue
        if theirs.op is Op.EXTRACT and theirs.args[0].op is Op.SYMBOL:
            symbol, high, low = theirs.args
            fields.setdefault(symbol, {})[high, low] = mine
        else:
            terms[theirs] = mine
        assert theirs.width == bits
    for symbol, known in fields.items():
        if symbol not in terms:
            terms[symbol] = patched(storage, symbol, known)
    return Substitution(storage, terms).vector(value)


def pairs(
    storage: Storage, one: Value, other: Value, width: int
) -> Iterator[tuple[Value, Value, int]]:
    """Parts that are equal where the wholes are."""
    if isinstance(one, Term) and isinstance(other, Term) and one is not other:
        first, second = one.args, other.args
        if one.op is other.op is Op.CONCAT and first[2] == second[2]:
            yield from pairs(storage, first[0], second[0], width - first[2])
            yield from pairs(storage, first[1], second[1], first[2])
            return
        if one.op is other.op is Op.EXTEND and first[1:] == second[1:]:
            yield from pairs(storage, first[0], second[0], first[1])
            return
        sums = [addends(one), addends(other)]
        shared = shared_parts(*sums)
        left = [without_parts(s, shared) for s in sums]
        if shared and len(left[0]) == len(left[1]) == 1:
            yield from pairs(storage, left[0][0], left[1][0], width)
            return
    if one is not other:
        yield one, other, width


def patched(storage: Storage, symbol: Term, known: dict[tuple[int, int], Value]) -> Value:
    """The symbol with other terms for some of its bits; where they overlap, with one of them."""
    ends = sorted({0, symbol.width, *(e for high, low in known for e in (high + 1, low))})
    whole: Value = 0
    for low, end in pairwise(ends):
        part = storage.extract(symbol, symbol.width, end - 1, low)
        for (top, bottom), value in known.items():
            if bottom <= low and end <= top + 1:
                part = storage.extract(value, top - bottom + 1, end - 1 - bottom, low - bottom)
                break
        whole = storage.concat(part, whole, low, end) if low else part
    return whole


def is_split(low: Value, width: int, zeros: int) -> bool:
    """Whether adding this to what has so many low zeros can be done by parts that stay simple."""
    if not isinstance(low, Term):
        return low != 0 and low & ((1 << zeros) - 1) == 0
    if _used(low, width) <= zeros:
        return True
    inner = low.args[0] if low.op is Op.EXTEND and not low.args[2] else low
    return inner.op in (Op.CONCAT, Op.SELECT) or (inner is not low and inner.op in _CUT)


def low_zeros(value: Value, width: int, depth: int = 6) -> int:
    """How many low bits are surely 0; looks at so many levels of the term."""
    if not isinstance(value, Term):
        return (value & -value).bit_length() - 1 if value else width
    if depth == 0:
        return 0
    args = value.args
    match value.op:
        case Op.CONCAT:
            low = low_zeros(args[1], args[2], depth - 1)
            return (
                low if low < args[2] else args[2] + low_zeros(args[0], width - args[2], depth - 1)
            )
        case Op.EXTEND:
            inner = low_zeros(args[0], args[1], depth - 1)
            return inner if inner < args[1] else width
        case Op.BINARY if args[0] in (BinaryOp.ADD, BinaryOp.SUB):
            return min(low_zeros(args[1], width, depth - 1), low_zeros(args[2], width, depth - 1))
        case Op.SELECT:
            return min(low_zeros(args[1], width, depth - 1), low_zeros(args[2], width, depth - 1))
        case _:
            return 0


def _used(value: Value, width: int) -> int:
    """How many low bits may be other than 0."""
    if not isinstance(value, Term):
        return value.bit_length()
    if value.op is Op.EXTEND and not value.args[2]:
        return _used(value.args[0], value.args[1])
    if value.op is Op.CONCAT:
        high, _, cut = value.args
        return int(cut) + _used(high, width - cut)
    return width


def is_same(one: Value, other: Value) -> bool:
    """One term, or equal constants."""
    return one is other or (not isinstance(one, Term) and one == other)


def base_and_offset(value: Value) -> tuple[Value, int]:
    """A term and a constant whose sum it is."""
    if isinstance(value, Term) and value.op is Op.BINARY and value.args[0] is BinaryOp.ADD:
        base, offset = value.args[1:]
        return (value, 0) if isinstance(offset, Term) else (base, offset)
    return value, 0


def bounds(value: Value, width: int) -> tuple[int, int]:
    """Bounds of a value."""
    if not isinstance(value, Term):
        return value, value
    base, offset = base_and_offset(value)
    low, high = 0, (1 << _used(base, width)) - 1
    cells = 1 << width
    if high + offset < cells:
        return low + offset, high + offset
    if low + offset >= cells:
        return low + offset - cells, high + offset - cells
    return 0, cells - 1


def shared_parts(first: list[Value], second: list[Value]) -> list[Value]:
    """What both lists have, each as often as both have it."""
    return without_parts(first, without_parts(first, second))


def without_parts(parts: list[Value], others: list[Value]) -> list[Value]:
    """The list without as many of each as the other list has; terms are equal if they are one."""
    left = list(parts)
    for other in others:
        if other in left:
            left.remove(other)
    return left


def addends(value: Term) -> list[Value]:
    """The parts of nested sums; constants too."""
    if value.op is not Op.BINARY or value.args[0] is not BinaryOp.ADD:
        return [value]
    found: list[Value] = []
    for part in value.args[1:]:
        found += addends(part) if isinstance(part, Term) else [part]
    return found
