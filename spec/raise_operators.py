"""From the IR back to the syntax tree: operators, comparisons, and functions that stand for some."""

from spec import ir, syntax
from spec.expressions import locals_in
from spec.raising import Contexts, Raised, call, joined, member, number
from spec.source import NOWHERE
from spec.types import Address, Bits, Enumeration, Type

_WORDS = {
    ir.CompareOp.EQ: ("==", "=="),
    ir.CompareOp.NE: ("!=", "!="),
    ir.CompareOp.ULT: ("<", ">"),
    ir.CompareOp.ULE: ("<=", ">="),
    ir.CompareOp.SLT: ("<", ">"),
    ir.CompareOp.SLE: ("<=", ">="),
}
_SIGNED = (ir.CompareOp.SLT, ir.CompareOp.SLE)
_MASKS = (ir.BinaryOp.AND, ir.BinaryOp.OR, ir.BinaryOp.XOR)
_SHIFTS = (ir.BinaryOp.SHL, ir.BinaryOp.LSHR, ir.BinaryOp.ASHR)
_SIGNS = {
    ir.BinaryOp.UDIV: "/",
    ir.BinaryOp.UREM: "%",
    ir.BinaryOp.SDIV: "/",
    ir.BinaryOp.SREM: "%",
    ir.BinaryOp.SHL: "<<",
    ir.BinaryOp.LSHR: ">>",
    ir.BinaryOp.ASHR: ">>",
}


class Operators(Contexts):
    """Adds operators to contexts."""

    def own_width(self, expr: ir.Expr, expected: Type | None) -> Raised:
        """Like `expr`, but a literal is sized."""
        return self.expr(expr, None if isinstance(expr, ir.Literal) else expected)

    def binary(self, expr: ir.Binary, expected: Type | None) -> Raised:
        op, left, right, width = expr.op, expr.left, expr.right, expr.width
        kind = Bits(width)
        if op in _SHIFTS:
            return self._shift(op, left, right, expected)
        match op:
            case ir.BinaryOp.ROL | ir.BinaryOp.ROR:
                value = self.own_width(left, expected).node
                return Raised(call(op.value, value, self.amount(right)), kind)
            case ir.BinaryOp.SDIV | ir.BinaryOp.SREM:
                dividend = call("signed", self.plain(self.own_width(left, expected)).node)
                divisor = self.plain(self._right(right, kind)).node
                return Raised(joined(_SIGNS[op], dividend, divisor), kind, signed=True)
            case ir.BinaryOp.UDIV | ir.BinaryOp.UREM:
                one, other = self.pair(left, right, expected, mask=False)
                parts = (self.unsigned(one).node, self.unsigned(other).node)
                return Raised(joined(_SIGNS[op], *parts), kind)
            case _:
                one, other = self.pair(left, right, expected, mask=op in _MASKS)
                one, other = self._summand(one), self._summand(other)
                address = next((r.type for r in (one, other) if isinstance(r.type, Address)), kind)
                made = joined(op.value, one.node, other.node)
                return Raised(made, address, one.signed or other.signed)

    def pair(
        self, left: ir.Expr, right: ir.Expr, expected: Type | None, *, mask: bool
    ) -> tuple[Raised, Raised]:
        """Two operands of one width; a literal takes it from the other."""
        kind = Bits(left.width)
        if isinstance(left, ir.Literal) and not isinstance(right, ir.Literal):
            return self._right(left, kind, mask=mask), self.plain(self.expr(right, expected))
        one = self.own_width(left, expected)
        if isinstance(right, ir.Literal):
            one = Raised(self.plain(one).node, kind, one.signed)
        return one, self._right(right, kind, mask=mask)

    def _right(self, expr: ir.Expr, kind: Type, *, mask: bool = False) -> Raised:
        if isinstance(expr, ir.Literal):
            return Raised(number(expr.value, mask=mask), kind)
        return self.expr(expr, kind)

    def _summand(self, raised: Raised) -> Raised:
        """Addresses stay addresses in arithmetic."""
        return raised if isinstance(raised.type, Address) else self.plain(raised)

    def _shift(
        self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr, expected: Type | None
    ) -> Raised:
        value = self.own_width(left, expected)
        if op is ir.BinaryOp.ASHR:
            value = Raised(call("signed", self.plain(value).node), value.type, signed=True)
        elif op is ir.BinaryOp.LSHR:
            value = self.unsigned(value)
        else:
            value = self.plain(value)
        made = joined(_SIGNS[op], value.node, self.amount(right))
        return Raised(made, Bits(left.width), value.signed)

    def amount(self, expr: ir.Expr) -> syntax.Expr:
        """How far to shift: any width will do."""
        match expr:
            case ir.Literal(value):
                return number(value)
            case ir.Extend(operand, False):
                return self.plain(self.expr(operand, None)).node
            case ir.Select(
                ir.Compare(ir.CompareOp.ULT, ir.Literal(limit), whole),
                ir.Literal(most, width),
                ir.Extract(cut, high, 0),
            ) if whole == cut and limit == most == (1 << width) - 1 and high == width - 1:
                return self.plain(self.expr(whole, None)).node
            case _:
                return self.plain(self.expr(expr, None)).node

    def carry(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr) -> syntax.Expr | None:
        """The carry out of a sum of two, or of two and a bit; `borrow` of a difference."""
        width = left.width - 1
        last: ir.Expr | None = None
        match left, right:
            case ir.Binary(inner, one, other), ir.Extend(bit, False) if (
                inner is op and bit.width == 1
            ):
                last, left, right = bit, one, other
        match left, right:
            case ir.Extend(a, False), ir.Extend(b, False) if a.width == b.width == width:
                first, second = self.pair(a, b, None, mask=False)
            case ir.Extend(a, False), ir.Literal(value) if a.width == width and value >> width == 0:
                first, second = self.expr(a, None), Raised(number(value), Bits(width))
            case _:
                return None
        third = () if last is None else (self.condition(last),)
        word = "carry" if op is ir.BinaryOp.ADD else "borrow"
        return call(word, first.node, second.node, *third)

    def least(self, expr: ir.Select, expected: Type | None) -> Raised | None:
        """`min` or `max`, where the choice is that."""
        match expr.condition:
            case ir.Compare(ir.CompareOp.ULT | ir.CompareOp.SLT as op, left, right):
                pass
            case _:
                return None
        if (expr.then, expr.orelse) == (left, right):
            word = "min"
        elif (expr.then, expr.orelse) == (right, left):
            word = "max"
        else:
            return None
        one, other = self.pair(left, right, expected, mask=False)
        signed = op is ir.CompareOp.SLT
        if not signed:
            one, other = self.unsigned(one), self.unsigned(other)
        elif isinstance(left, ir.Literal):
            other = Raised(call("signed", self.plain(other).node), other.type)
        else:
            one = Raised(call("signed", self.plain(one).node), one.type)
        return Raised(call(word, one.node, other.node), Bits(expr.width), signed)

    # -- comparisons

    def compare(self, expr: ir.Compare) -> syntax.Expr:
        left, right = expr.left, expr.right
        swap = isinstance(left, ir.Literal) or (
            expr.op not in (ir.CompareOp.EQ, ir.CompareOp.NE)
            and not isinstance(right, ir.Literal)
            and next(locals_in(left), None) is None
            and next(locals_in(right), None) is not None
        )
        if swap:  # what the instruction works on is compared with a constant or with state
            left, right = right, left
        operator = _WORDS[expr.op][1 if swap else 0]
        one = self.expr(left, None)
        if expr.op in _SIGNED:
            first = call("signed", self.plain(one).node)
            if isinstance(right, ir.Literal):
                return joined(operator, first, _signed_number(right))
            other = self.plain(self.expr(right, Bits(right.width)))
            return joined(operator, first, other.node)
        if isinstance(one.type, Enumeration):
            return joined(operator, *self._members(one, right))
        one = self.unsigned(one) if one.signed else one
        if isinstance(right, ir.Literal):
            return joined(operator, self.plain(one).node, number(right.value))
        other = self.expr(right, Bits(right.width))
        if isinstance(other.type, Enumeration):
            other = self.plain(other)
        elif other.signed:
            other = self.unsigned(other)
        return joined(operator, one.node, other.node)

    def _members(self, one: Raised, right: ir.Expr) -> tuple[syntax.Expr, syntax.Expr]:
        kind = one.type
        if isinstance(right, ir.Literal) and isinstance(kind, Enumeration):
            return one.node, member(kind, right.value) or number(right.value)
        other = self.expr(right, Bits(right.width))
        if other.type == kind:
            return one.node, other.node
        return self.plain(one).node, self.unsigned(other).node


def _signed_number(literal: ir.Literal) -> syntax.Expr:
    value, width = literal.value, literal.width
    if value >> (width - 1):
        return syntax.Unary("-", number((1 << width) - value), span=NOWHERE)
    return number(value)
