"""Type checking and lowering of expressions."""

from typing import assert_never

from spec import ir, syntax
from spec.lower_operators import Operators
from spec.scope import (
    reject,
)
from spec.types import (
    Bits,
    Type,
    Value,
    number,
)


class Expressions(Operators):
    """Lowers expressions."""

    def expr(self, node: syntax.Expr, expected: Type | None = None) -> Value:
        """The value of an expression; `expected` helps where it leaves its width open."""
        match node:
            case syntax.Name(name):
                return self._name(name, node.span, expected)
            case syntax.Number(value):
                return number(value)
            case syntax.Sized(value, width):
                if value >> width:
                    raise reject("E0204", f"{value} does not fit {width} bits", node.span)
                return Value(Bits(width), ir.Literal(value, width))
            case syntax.Text():
                raise reject(
                    "E0202",
                    "a string is not a value",
                    node.span,
                    help="write a number, such as `4'b0101`",
                )
            case syntax.Unary(operator, operand):
                return self._unary(operator, operand, node.span, expected)
            case syntax.Binary(operator, left, right):
                return self._binary(operator, left, right, node.span, expected)
            case syntax.Call():
                return self.call(node, expected)
            case syntax.Index(base, index):
                return self._index(base, index, node.span)
            case syntax.Slice(base, high, low):
                whole = self.bits(base)
                return self.slice_of(whole, self.integer(high), self.integer(low), node.span)
            case syntax.Field(base, name):
                return self._field(base, name, node.span)
            case syntax.IfExpr(condition, then, orelse):
                return self._if(condition, then, orelse, expected)
            case syntax.MatchExpr():
                return self.match_value(node, expected)
            case _:
                assert_never(node)

    def _if(
        self,
        condition: syntax.Expr,
        then: syntax.Expr,
        orelse: syntax.Expr,
        expected: Type | None,
    ) -> Value:
        test = self.truth(condition)
        if isinstance(test, ir.Boolean):
            return self.expr(then if test.value else orelse, expected)
        first, second = self.fork(), self.fork()
        if self._open(then) and not self._open(orelse):
            b = second.expr(orelse, expected)
            a = first.expr(then, None if b.number is not None else b.type)
        else:
            a = first.expr(then, expected)
            b = second.expr(orelse, expected if a.number is not None else a.type)
        if a.number is not None and b.number is not None and expected is not None:
            a, b = self.coerce(a, expected, then.span), self.coerce(b, expected, orelse.span)
        if a.number is not None and b.number is not None:
            if a.number == b.number:
                return a
            raise reject(
                "E0205",
                "the width of these numbers is not known here",
                then.span,
                help="write one of them with a width: `8'd1`",
            )
        a, b = self.unify(a, b, then.span, "if")
        return self.merge(test, [(first, a), (second, b)])
