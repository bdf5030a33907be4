"""Type checking and lowering of operators."""

from collections.abc import Callable

from spec import ir, syntax
from spec.lower_state import StateReading
from spec.lowering import BIT, as_bit, as_truth, concat
from spec.scope import (
    reject,
)
from spec.source import Span
from spec.types import (
    Address,
    ArrayType,
    Bits,
    Enumeration,
    OperandType,
    Struct,
    Type,
    Value,
    number,
    width_of,
)

_ARITHMETIC = {
    "+": ir.BinaryOp.ADD,
    "-": ir.BinaryOp.SUB,
    "*": ir.BinaryOp.MUL,
    "&": ir.BinaryOp.AND,
    "|": ir.BinaryOp.OR,
    "^": ir.BinaryOp.XOR,
    "/": ir.BinaryOp.UDIV,
    "%": ir.BinaryOp.UREM,
}
_SIGNED = {"/": ir.BinaryOp.SDIV, "%": ir.BinaryOp.SREM}
_COMPARISONS: dict[str, tuple[ir.CompareOp, ir.CompareOp, bool]] = {
    "==": (ir.CompareOp.EQ, ir.CompareOp.EQ, False),
    "!=": (ir.CompareOp.NE, ir.CompareOp.NE, False),
    "<": (ir.CompareOp.ULT, ir.CompareOp.SLT, False),
    "<=": (ir.CompareOp.ULE, ir.CompareOp.SLE, False),
    ">": (ir.CompareOp.ULT, ir.CompareOp.SLT, True),
    ">=": (ir.CompareOp.ULE, ir.CompareOp.SLE, True),
}
_STATIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else a,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << min(b, 4096) if b >= 0 else 0,
    ">>": lambda a, b: a >> b if b >= 0 else 0,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
    "&&": lambda a, b: int(bool(a) and bool(b)),
    "||": lambda a, b: int(bool(a) or bool(b)),
}


class Operators(StateReading):
    """Adds operators to lowering."""

    def _unary(
        self, operator: str, operand: syntax.Expr, span: Span, expected: Type | None
    ) -> Value:
        if operator == "!":
            value = self.expr(operand, BIT)
            if value.number is not None:
                return number(int(not value.number))
            if width_of(value.type) != 1:
                raise reject(
                    "E0202",
                    "`!` negates a single bit",
                    span,
                    f"this is {self.describe(value)}",
                    help="use `~` to complement every bit",
                )
            return Value(BIT, as_bit(ir.Not(as_truth(value.expr))))
        value = self.expr(operand, expected)
        if value.number is not None:
            if operator == "-":
                return number(-value.number)
            if expected is None or width_of(expected) is None:
                return number(~value.number)
            value = self.coerce(value, expected, span)
        self._arithmetic_type(value, operand.span)
        op = ir.UnaryOp.NEG if operator == "-" else ir.UnaryOp.NOT
        kind = Bits(value.expr.width)
        return Value(kind, ir.Unary(op, value.expr, value.expr.width), signed=value.signed)

    def _arithmetic_type(self, value: Value, span: Span) -> None:
        if isinstance(value.type, Enumeration | Struct | OperandType | ArrayType):
            raise reject(
                "E0202",
                f"{self.describe(value)} cannot be calculated with",
                span,
                help="write `bits(...)` to use its bits",
            )

    def _open(self, node: syntax.Expr) -> bool:
        """Whether the expression takes its width from the context."""
        match node:
            case syntax.Call(syntax.Name("zext" | "sext" | "trunc"), arguments):
                return len(arguments) == 1
            case syntax.Call(syntax.Name("unknown"), arguments):
                return not arguments
            case syntax.Number():
                return True
            case syntax.Name(name) if name in self.columns and name not in self.scope:
                return self._open(self.columns[name])
            case syntax.Unary(operator, operand):
                return operator != "!" and self._open(operand)
            case syntax.Binary("<<" | ">>", left, _):
                return self._open(left)
            case syntax.Binary("+" | "-" | "*" | "&" | "|" | "^" | "/" | "%", left, right):
                return self._open(left) and self._open(right)
            case syntax.IfExpr(_, then, orelse):
                return self._open(then) and self._open(orelse)
            case _:
                return False

    def pair(
        self, left: syntax.Expr, right: syntax.Expr, expected: Type | None
    ) -> tuple[Value, Value]:
        """Two operands, the one with a known width first deciding the other's."""
        if self._open(left) and not self._open(right):
            b = self.expr(right, expected)
            mark = len(self.out)
            a = self.expr(left, None if b.number is not None else b.type)
            return a, self.ordered(b, mark)
        a = self.expr(left, expected)
        mark = len(self.out)
        hint = expected if a.number is not None else a.type
        b = self.expr(right, hint)
        return self.ordered(a, mark), b

    def unify(self, a: Value, b: Value, span: Span, operator: str) -> tuple[Value, Value]:
        """Both with one width; numbers adapt."""
        if a.number is not None and b.number is None:
            return self.coerce(a, self._literal_type(b.type), span), b
        if b.number is not None and a.number is None:
            return a, self.coerce(b, self._literal_type(a.type), span)
        left, right = width_of(a.type), width_of(b.type)
        if left is None or right is None:
            bad = a if left is None else b
            raise reject("E0202", f"{self.describe(bad)} is not a value here", span)
        if left != right:
            wider = max(left, right)
            raise reject(
                "E0203",
                f"operands of `{operator}` differ in width",
                span,
                f"left is {left} bits, right is {right}",
                help=f"extend the narrower one: `zext(..., {wider})`",
            )
        return a, b

    def _literal_type(self, kind: Type) -> Type:
        width = width_of(kind)
        return kind if width is None or isinstance(kind, Address) else Bits(width)

    def _binary(
        self,
        operator: str,
        left: syntax.Expr,
        right: syntax.Expr,
        span: Span,
        expected: Type | None,
    ) -> Value:
        if operator in ("&&", "||"):
            return self._logic(operator, left, right)
        if operator in ("<<", ">>"):
            return self._shift(operator, left, right, span, expected)
        if operator == "++":
            return self._concat(left, right)
        comparison = operator in _COMPARISONS
        a, b = self.pair(left, right, None if comparison else expected)
        if a.number is not None and b.number is not None:
            if operator in "/%" and b.number == 0:
                raise reject("E0204", "division by zero", right.span)
            return number(_STATIC[operator](a.number, b.number))
        a, b = self.unify(a, b, span, operator)
        if operator in "/%" and isinstance(b.expr, ir.Literal) and b.expr.value == 0:
            raise reject("E0204", "division by zero", right.span)
        signed = a.signed or b.signed
        if comparison:
            return self._comparison(operator, a, b, signed, span)
        self._arithmetic_type(a, left.span)
        self._arithmetic_type(b, right.span)
        op = _SIGNED.get(operator) if signed else None
        width = a.expr.width
        expr = ir.Binary(op or _ARITHMETIC[operator], a.expr, b.expr, width)
        return Value(self._sum_type(a, b, span), expr, signed=signed)

    def _sum_type(self, a: Value, b: Value, span: Span) -> Type:
        addresses = [v.type for v in (a, b) if isinstance(v.type, Address)]
        if len(addresses) == 2 and addresses[0] != addresses[1]:
            raise reject("E0213", "a virtual and a physical address do not mix", span)
        return addresses[0] if addresses else Bits(a.expr.width)

    def _comparison(self, operator: str, a: Value, b: Value, signed: bool, span: Span) -> Value:
        kinds = (Enumeration, Struct, Address)
        mismatch = isinstance(a.type, kinds) and isinstance(b.type, kinds) and a.type != b.type
        enumeration = isinstance(a.type, Enumeration) != isinstance(b.type, Enumeration)
        literal = isinstance(a.expr, ir.Literal) or isinstance(b.expr, ir.Literal)
        if mismatch or (enumeration and not literal):
            raise reject(
                "E0202",
                f"{self.describe(a)} and {self.describe(b)} cannot be compared",
                span,
                help="write `bits(...)` to compare their bits",
            )
        plain, with_sign, swap = _COMPARISONS[operator]
        op = with_sign if signed else plain
        first, second = (b.expr, a.expr) if swap else (a.expr, b.expr)
        return Value(BIT, as_bit(ir.Compare(op, first, second)))

    def _logic(self, operator: str, left: syntax.Expr, right: syntax.Expr) -> Value:
        a = self.expr(left, BIT)
        if a.number is not None:
            decided = bool(a.number) == (operator == "||")
            return number(int(bool(a.number))) if decided else self.expr(right, BIT)
        first = self.truth_of(a, left.span)
        branch = self.fork()
        b = branch.expr(right, BIT)
        op = ir.LogicOp.AND if operator == "&&" else ir.LogicOp.OR
        second = (
            ir.Boolean(bool(b.number)) if b.number is not None else self.truth_of(b, right.span)
        )
        if not branch.out:
            if b.number is not None:
                neutral = bool(b.number) == (operator == "&&")
                return a if neutral else number(int(bool(b.number)))
            return Value(BIT, as_bit(ir.Logic(op, first, second)))
        name = self.names.fresh("t")
        skipped: ir.Block = (ir.Assign(name, ir.Boolean(operator == "||")),)
        taken: ir.Block = (*branch.out, ir.Assign(name, second))
        arms = (taken, skipped) if operator == "&&" else (skipped, taken)
        self.out.append(ir.If(first, *arms))
        return Value(BIT, as_bit(ir.Local(name, 0)))

    def _shift(
        self,
        operator: str,
        left: syntax.Expr,
        right: syntax.Expr,
        span: Span,
        expected: Type | None,
    ) -> Value:
        a = self.expr(left, expected)
        mark = len(self.out)
        b = self.expr(right)
        a = self.ordered(a, mark)
        if a.number is not None and b.number is not None:
            return number(_STATIC[operator](a.number, b.number))
        if a.number is not None:
            if expected is None:
                raise reject(
                    "E0205",
                    "the width of this number is not known here",
                    left.span,
                    help=f"write it with a width: `8'd{max(a.number, 0)}`",
                )
            a = self.coerce(a, expected, left.span)
        self._arithmetic_type(a, left.span)
        width = a.expr.width
        amount = self.shift_amount(b, width, right.span)
        right_op = ir.BinaryOp.ASHR if a.signed else ir.BinaryOp.LSHR
        op = ir.BinaryOp.SHL if operator == "<<" else right_op
        return Value(Bits(width), ir.Binary(op, a.expr, amount, width), signed=a.signed)

    def shift_amount(self, value: Value, width: int, span: Span) -> ir.Expr:
        """The amount in the width of what is shifted; too large ones stay too large."""
        if value.number is not None:
            if value.number < 0:
                raise reject("E0204", "a shift amount is not negative", span)
            return ir.Literal(min(value.number, (1 << width) - 1), width)
        self._arithmetic_type(value, span)
        return self.resize(value.expr, width)

    def _concat(self, left: syntax.Expr, right: syntax.Expr) -> Value:
        a = self.bits(left)
        mark = len(self.out)
        b = self.bits(right)
        a = self.ordered(a, mark)
        for value, node in ((a, left), (b, right)):
            if isinstance(value.type, Address) and value.type.physical:
                raise reject(
                    "E0213",
                    "a physical address does not become bits silently",
                    node.span,
                    help="write `bits(...)`",
                )
        joined = concat([a.expr, b.expr])
        return Value(Bits(joined.width), joined)
