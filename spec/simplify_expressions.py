"""Simpler expressions of equal value.

The functions build one node from operands that are simple already; `simplified` does it for a
whole expression. Nothing is copied, so results are no larger than what they are made from.
"""

from typing import assert_never

from spec.concatenation import masked
from spec.concrete import Concrete
from spec.ir import (
    Binary,
    BinaryOp,
    Bit,
    Boolean,
    Compare,
    CompareOp,
    Concat,
    Expr,
    Extend,
    Extract,
    Literal,
    Local,
    Logic,
    LogicOp,
    Not,
    Read,
    Select,
    Truth,
    Unary,
    UnaryOp,
)

_VALUES = Concrete()
_OPPOSITE = {
    CompareOp.EQ: CompareOp.NE,
    CompareOp.NE: CompareOp.EQ,
    CompareOp.ULT: CompareOp.ULE,
    CompareOp.ULE: CompareOp.ULT,
    CompareOp.SLT: CompareOp.SLE,
    CompareOp.SLE: CompareOp.SLT,
}
_SYMMETRIC = (BinaryOp.ADD, BinaryOp.MUL, BinaryOp.AND, BinaryOp.OR, BinaryOp.XOR)
_ORDERED = (CompareOp.ULT, CompareOp.ULE, CompareOp.SLT, CompareOp.SLE)


def simplified(expr: Expr) -> Expr:
    """An expression of equal value, as simple as these rules make it."""
    match expr:
        case Literal() | Boolean() | Local() | Read(_, _, None):
            return expr
        case Read(element, width, index):
            return Read(element, width, None if index is None else simplified(index))
        case Unary(op, operand, _):
            return unary(op, simplified(operand))
        case Binary(op, left, right, _):
            return binary(op, simplified(left), simplified(right))
        case Extract(operand, high, low):
            return extract(simplified(operand), high, low)
        case Concat(high_part, low_part, _):
            return concat(simplified(high_part), simplified(low_part))
        case Extend(operand, signed, width):
            return extend(simplified(operand), signed, width)
        case Select(condition, then, orelse, _):
            return select(simplified(condition), simplified(then), simplified(orelse))
        case Compare(op, left, right):
            return compare(op, simplified(left), simplified(right))
        case Logic(op, left, right):
            return logic(op, simplified(left), simplified(right))
        case Not(operand):
            return negate(simplified(operand))
        case Truth(operand):
            return truth(simplified(operand))
        case Bit(operand):
            return bit(simplified(operand))
        case _:
            assert_never(expr)


def _ones(width: int) -> int:
    return (1 << width) - 1


# --------------------------------------------------------------------------- vectors


def unary(op: UnaryOp, operand: Expr) -> Expr:
    width = operand.width
    match op, operand:
        case _, Literal(value):
            return Literal(_VALUES.unary(op, value, width), width)
        case ((UnaryOp.NOT | UnaryOp.NEG | UnaryOp.REVERSE_BYTES), Unary(inner, below)) if (
            inner is op
        ):
            return below
        case UnaryOp.NOT, Bit(condition):
            return bit(negate(condition))
        case _:
            return Unary(op, operand, width)


def binary(op: BinaryOp, left: Expr, right: Expr) -> Expr:
    width = left.width
    if isinstance(left, Literal) and isinstance(right, Literal):
        return Literal(_VALUES.binary(op, left.value, right.value, width), width)
    if op in _SYMMETRIC and isinstance(left, Literal):
        left, right = right, left
    if isinstance(right, Literal):
        found = _with_literal(op, left, right.value, width)
        return Binary(op, left, right, width) if found is None else found
    match op:
        case BinaryOp.AND | BinaryOp.OR if left == right:
            return left
        case BinaryOp.XOR | BinaryOp.SUB if left == right:
            return Literal(0, width)
        case BinaryOp.SHL | BinaryOp.LSHR | BinaryOp.ASHR | BinaryOp.ROL | BinaryOp.ROR if (
            left == Literal(0, width)
        ):
            return left
        case BinaryOp.AND | BinaryOp.OR if isinstance(left, Bit) and isinstance(right, Bit):
            both = LogicOp.AND if op is BinaryOp.AND else LogicOp.OR
            return bit(logic(both, left.operand, right.operand))
        case _:
            return Binary(op, left, right, width)


def _with_literal(op: BinaryOp, left: Expr, value: int, width: int) -> Expr | None:
    """`left op value`, where that is something simpler."""
    ones, zero = _ones(width), Literal(0, width)
    match op, value:
        case (
            BinaryOp.ADD | BinaryOp.SUB | BinaryOp.OR | BinaryOp.XOR | BinaryOp.SHL
            | BinaryOp.LSHR | BinaryOp.ASHR | BinaryOp.ROL | BinaryOp.ROR | BinaryOp.UREM
            | BinaryOp.SREM
        ), 0:  # fmt: skip
            return left
        case ((BinaryOp.AND | BinaryOp.MUL), 0):
            return zero
        case ((BinaryOp.MUL | BinaryOp.UDIV), 1):
            return left
        case BinaryOp.UREM, 1:
            return zero
        case BinaryOp.UDIV, 0:
            return Literal(ones, width)
        case BinaryOp.SDIV, 0:
            return select(
                compare(CompareOp.SLT, left, zero), Literal(1, width), Literal(ones, width)
            )
        case BinaryOp.AND, _ if value == ones:
            return left
        case BinaryOp.OR, _ if value == ones:
            return Literal(ones, width)
        case BinaryOp.XOR, _ if value == ones:
            return unary(UnaryOp.NOT, left)
        case ((BinaryOp.SHL | BinaryOp.LSHR), _) if value >= width:
            return zero
        case ((BinaryOp.ADD | BinaryOp.SUB), _):
            return _sum(op, left, value, width)
        case _:
            return None


def _sum(op: BinaryOp, left: Expr, value: int, width: int) -> Expr | None:
    """`left + value` or `left - value`: one literal for several, not near the greatest value."""
    match left:
        case Binary(BinaryOp.ADD | BinaryOp.SUB as inner, below, Literal(other)):
            total = value + other if op is inner else value - other
            return binary(op, below, Literal(total & _ones(width), width))
        case _:
            pass
    if width >= 8 and value > _ones(width) - (1 << (width // 2)):
        other_op = BinaryOp.SUB if op is BinaryOp.ADD else BinaryOp.ADD
        return Binary(other_op, left, Literal(-value & _ones(width), width), width)
    return None


def extract(operand: Expr, high: int, low: int) -> Expr:
    width = high - low + 1
    if width == operand.width:
        return operand
    match operand:
        case Literal(value):
            return Literal(value >> low & _ones(width), width)
        case Extract(below, _, start):
            return extract(below, high + start, low + start)
        case Concat(upper, lower):
            if high < lower.width:
                return extract(lower, high, low)
            if low >= lower.width:
                return extract(upper, high - lower.width, low - lower.width)
            upper_part = extract(upper, high - lower.width, 0)
            return concat(upper_part, extract(lower, lower.width - 1, low))
        case Extend(below, signed):
            if high < below.width:
                return extract(below, high, low)
            if low == 0:
                return extend(below, signed, width)
            if not signed and low >= below.width:
                return Literal(0, width)
            if not signed:
                return extend(extract(below, below.width - 1, low), False, width)
        case Select(condition, then, orelse) if _is_literal(then) or _is_literal(orelse):
            return select(condition, extract(then, high, low), extract(orelse, high, low))
        case Binary(BinaryOp.LSHR, left, Literal(amount)) if high + amount < operand.width:
            return extract(left, high + amount, low + amount)
        case Binary(BinaryOp.SHL, left, Literal(amount)) if low >= amount:
            return extract(left, high - amount, low - amount)
        case Binary(BinaryOp.AND | BinaryOp.OR | BinaryOp.XOR as op, left, Literal(value)):
            part = Literal(value >> low & _ones(width), width)
            return binary(op, extract(left, high, low), part)
        case _:
            pass
    return Extract(operand, high, low)


def _is_literal(expr: Expr) -> bool:
    return isinstance(expr, Literal)


def concat(high: Expr, low: Expr) -> Expr:
    width = high.width + low.width
    match high, low:
        case Literal(upper), Literal(lower):
            return Literal(upper << low.width | lower, width)
        case Literal(0), _:
            return extend(low, False, width)
        case Extend(below, False), _ if low.width + below.width < width:
            return extend(concat(below, low), False, width)
        case _, Concat(upper, lower):
            return concat(concat(high, upper), lower)
        case Extract(one, top, middle), Extract(other, below, bottom):
            if middle == below + 1 and one == other:
                return extract(one, top, bottom)
        case Concat(upper, Literal(first)), Literal(second):
            joined = Literal(first << low.width | second, high.low.width + low.width)
            return concat(upper, joined)
        case Concat(upper, Extract(one, top, middle)), Extract(other, below, bottom):
            if middle == below + 1 and one == other:
                return concat(upper, extract(one, top, bottom))
        case _:
            pass
    made = Concat(high, low, width)
    found = masked(made)
    if found is None:
        return made
    operand, mask = found
    whole = extract(operand, width - 1, 0)
    return Binary(BinaryOp.AND, whole, Literal(mask, width), width)


def extend(operand: Expr, signed: bool, width: int) -> Expr:
    if width == operand.width:
        return operand
    match operand:
        case Literal(value):
            return Literal(_VALUES.extend(value, operand.width, signed, width), width)
        case Extend(below, inner) if inner is signed or not inner:
            return extend(below, inner, width)
        case Binary(BinaryOp.AND, Extract(whole, _, 0), Literal(mask)) if (
            not signed and whole.width == width
        ):
            return binary(BinaryOp.AND, whole, Literal(mask, width))
        case _:
            return Extend(operand, signed, width)


def select(condition: Expr, then: Expr, orelse: Expr) -> Expr:
    """Vectors or truth values."""
    match condition:
        case Boolean(value):
            return then if value else orelse
        case Not(operand):
            return select(operand, orelse, then)
        case _:
            pass
    if isinstance(then, Select) and then.condition == condition:
        then = then.then
    if isinstance(orelse, Select) and orelse.condition == condition:
        orelse = orelse.orelse
    if then == orelse:
        return then
    match then, orelse:
        case Boolean(value), _:
            if value:
                return logic(LogicOp.OR, condition, orelse)
            return logic(LogicOp.AND, negate(condition), orelse)
        case _, Boolean(value):
            if value:
                return logic(LogicOp.OR, negate(condition), then)
            return logic(LogicOp.AND, condition, then)
        case Literal(1, 1), Literal(0, 1):
            return bit(condition)
        case Literal(0, 1), Literal(1, 1):
            return bit(negate(condition))
        case _:
            return Select(condition, then, orelse, then.width)


# --------------------------------------------------------------------------- truth values


def compare(op: CompareOp, left: Expr, right: Expr) -> Expr:
    width = left.width
    if isinstance(left, Literal) and isinstance(right, Literal):
        return Boolean(_VALUES.compare(op, left.value, right.value, width))
    if left == right:
        return Boolean(op in (CompareOp.EQ, CompareOp.ULE, CompareOp.SLE))
    if op in _ORDERED:
        return _order(op, left, right, width)
    if isinstance(left, Literal):
        left, right = right, left
    if isinstance(right, Literal):
        return _equality(op, left, right)
    return Compare(op, left, right)


def _order(op: CompareOp, left: Expr, right: Expr, width: int) -> Expr:
    zero, ones = Literal(0, width), Literal(_ones(width), width)
    if op is CompareOp.ULT and (right == zero or left == ones):
        return Boolean(False)
    if op is CompareOp.ULE and (left == zero or right == ones):
        return Boolean(True)
    if op is CompareOp.ULE and right == zero:
        return compare(CompareOp.EQ, left, right)
    return Compare(op, left, right)


def _equality(op: CompareOp, left: Expr, right: Literal) -> Expr:
    """Whether something is equal to, or differs from, a literal."""
    equal = op is CompareOp.EQ
    value = right.value
    match left:
        case Bit(condition):
            return condition if equal is bool(value) else negate(condition)
        case Extend(below, False):
            if value > _ones(below.width):
                return Boolean(not equal)
            return compare(op, below, Literal(value, below.width))
        case Concat(upper, Literal(lower)):
            if value & _ones(left.low.width) != lower:
                return Boolean(not equal)
            return compare(op, upper, Literal(value >> left.low.width, upper.width))
        case Concat(Literal(first), lower):
            if value >> lower.width != first:
                return Boolean(not equal)
            return compare(op, lower, Literal(value & _ones(lower.width), lower.width))
        case Select(condition, Literal() as then, orelse):
            return select(condition, compare(op, then, right), compare(op, orelse, right))
        case Select(condition, then, Literal() as orelse):
            return select(condition, compare(op, then, right), compare(op, orelse, right))
        case _:
            return Compare(op, left, right)


def logic(op: LogicOp, left: Expr, right: Expr) -> Expr:
    if op is LogicOp.XOR:
        if isinstance(left, Boolean):
            return negate(right) if left.value else right
        if isinstance(right, Boolean):
            return negate(left) if right.value else left
        return Boolean(False) if left == right else Logic(op, left, right)
    absorbing = op is LogicOp.OR
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Boolean):
            return one if one.value is absorbing else other
    if left == right:
        return left
    return Boolean(absorbing) if left == negate(right) else Logic(op, left, right)


def negate(operand: Expr) -> Expr:
    match operand:
        case Boolean(value):
            return Boolean(not value)
        case Not(below):
            return below
        case Compare(CompareOp.EQ | CompareOp.NE as op, left, right):
            return Compare(_OPPOSITE[op], left, right)
        case Compare(op, left, right):
            return Compare(_OPPOSITE[op], right, left)
        case Logic(LogicOp.AND | LogicOp.OR as op, left, right) if _flips(left) and _flips(right):
            other = LogicOp.OR if op is LogicOp.AND else LogicOp.AND
            return Logic(other, negate(left), negate(right))
        case _:
            return Not(operand)


def _flips(operand: Expr) -> bool:
    """Whether the negation is no longer than the operand."""
    match operand:
        case Compare() | Not() | Boolean():
            return True
        case Logic(LogicOp.AND | LogicOp.OR, left, right):
            return _flips(left) and _flips(right)
        case _:
            return False


def truth(operand: Expr) -> Expr:
    match operand:
        case Literal(value):
            return Boolean(bool(value))
        case Bit(condition):
            return condition
        case Unary(UnaryOp.NOT, below):
            return negate(truth(below))
        case _:
            return Truth(operand)


def bit(operand: Expr) -> Expr:
    match operand:
        case Boolean(value):
            return Literal(int(value), 1)
        case Truth(below):
            return below
        case _:
            return Bit(operand)
