"""The common ground of lowering: values, conversions, names, the order of effects.

A lowered expression is pure; loads, calls and choices become statements before it, in order.
"""

from abc import ABC, abstractmethod

from spec import ir, syntax
from spec.scope import (
    Globals,
    reject,
)
from spec.source import Span
from spec.types import (
    Address,
    Bits,
    Enumeration,
    IntType,
    NamedBits,
    OperandType,
    Struct,
    Type,
    Value,
    width_of,
)

BIT = Bits(1)


def as_truth(expr: ir.Expr) -> ir.Expr:
    """A 1-bit vector as a truth value."""
    match expr:
        case ir.Bit(operand):
            return operand
        case ir.Literal(value, _):
            return ir.Boolean(bool(value))
        case _:
            return ir.Truth(expr)


def as_bit(expr: ir.Expr) -> ir.Expr:
    match expr:
        case ir.Truth(operand):
            return operand
        case ir.Boolean(value):
            return ir.Literal(int(value), 1)
        case _:
            return ir.Bit(expr)


def concat(parts: list[ir.Expr]) -> ir.Expr:
    """The parts, highest first, as one vector; adjacent literals become one."""
    result: ir.Expr | None = None
    for part in parts:
        if result is None:
            result = part
        elif isinstance(result, ir.Literal) and isinstance(part, ir.Literal):
            result = ir.Literal(
                (result.value << part.width) | part.value, result.width + part.width
            )
        else:
            result = ir.Concat(result, part, result.width + part.width)
    if result is None:
        raise AssertionError("no parts to concatenate")
    return result


def extract(expr: ir.Expr, high: int, low: int) -> ir.Expr:
    """Bits of an expression; of a concatenation, the part that has them all."""
    while isinstance(expr, ir.Concat):
        cut = expr.low.width
        if low >= cut:
            expr, high, low = expr.high, high - cut, low - cut
        elif high < cut:
            expr = expr.low
        else:
            break
    if high - low + 1 == expr.width:
        return expr
    return ir.Extract(expr, high, low)


def select(condition: ir.Expr, then: ir.Expr, orelse: ir.Expr) -> ir.Expr:
    match condition:
        case ir.Boolean(value):
            return then if value else orelse
        case _:
            return then if then == orelse else ir.Select(condition, then, orelse, then.width)


class Names:
    """Fresh local names of one body."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def fresh(self, wish: str) -> str:
        count = self.taken.get(wish, 0)
        self.taken[wish] = count + 1
        return wish if count == 0 else f"{wish}'{count}"


class Lowering(ABC):
    """Lowers expressions within one body: `out` collects the statements they need.

    `scope` maps local names to their values; `columns` a family's columns to syntax.
    """

    def __init__(
        self,
        globals_: Globals,
        names: Names,
        scope: dict[str, Value],
        columns: dict[str, syntax.Expr],
        *,
        next_allowed: bool,
    ) -> None:
        self.globals = globals_
        self.names = names
        self.scope = scope
        self.columns = columns
        self.out: list[ir.Stmt] = []
        self.poisoned: set[str] = set()
        self.next_allowed = next_allowed
        self.used_next: list[bool] = [False]  # shared with forks
        self.result: Type | None = None
        self.in_function = False

    @abstractmethod
    def fork(self) -> "Lowering":
        """A body for a branch: same names, own scope and statements."""

    @abstractmethod
    def call(self, node: syntax.Call, expected: Type | None) -> Value: ...

    @abstractmethod
    def match_value(self, node: syntax.MatchExpr, expected: Type | None) -> Value: ...

    @abstractmethod
    def expr(self, node: syntax.Expr, expected: Type | None = None) -> Value:
        """The value of an expression; `expected` helps where it leaves its width open."""

    def typed(self, node: syntax.Expr, kind: Type) -> Value:
        """The value of an expression, converted to `kind` where that is silent."""
        return self.coerce(self.expr(node, kind), kind, node.span)

    def truth(self, node: syntax.Expr) -> ir.Expr:
        """A condition."""
        value = self.expr(node, BIT)
        if value.number is None and width_of(value.type) != 1:
            raise reject(
                "E0202",
                "a condition must be a single bit",
                node.span,
                f"this is {self.describe(value)}",
                help="compare it, for example with `!= 0`",
            )
        return as_truth(self.coerce(value, BIT, node.span).expr)

    def integer(self, node: syntax.Expr) -> int:
        """A compile-time integer."""
        value = self.expr(node)
        if value.number is not None:
            return value.number
        if isinstance(value.expr, ir.Literal):
            return value.expr.value
        raise reject(
            "E0209",
            "this must be a constant",
            node.span,
            "its value is known only when the machine runs",
        )

    def bits(self, node: syntax.Expr, expected: Type | None = None) -> Value:
        """A value with a width that arithmetic may use."""
        value = self.expr(node, expected)
        if value.number is not None:
            raise reject(
                "E0205",
                "the width of this number is not known here",
                node.span,
                help=f"write it with a width: `8'd{max(value.number, 0)}`",
            )
        if width_of(value.type) is None:
            raise reject("E0202", f"{self.describe(value)} is not a value here", node.span)
        return value

    def describe(self, value: Value) -> str:
        return "a number" if value.number is not None else f"`{value.type}`"

    def coerce(self, value: Value, kind: Type, span: Span) -> Value:
        """`value` as a `kind`, where the language converts silently."""
        width = width_of(kind)
        if value.number is not None:
            if isinstance(kind, IntType):
                return value
            if width is None or (isinstance(kind, Address) and kind.physical):
                raise reject("E0202", f"expected `{kind}`, not a number", span)
            if not -(1 << (width - 1)) <= value.number < (1 << width):
                raise reject(
                    "E0204",
                    f"{value.number} does not fit {width} bits",
                    span,
                    help=f"the largest value of {width} bits is {(1 << width) - 1}",
                )
            if isinstance(kind, Enumeration) and value.number not in dict(kind.members).values():
                raise reject("E0204", f"{value.number} is not a value of `{kind}`", span)
            return Value(kind, ir.Literal(value.number & ((1 << width) - 1), width))
        source = value.type
        if source == kind:
            return value
        plain = (Bits, NamedBits)
        if (isinstance(source, plain) and isinstance(kind, plain)) or (
            isinstance(source, plain) and isinstance(kind, Address) and not kind.physical
        ):
            pass
        elif isinstance(source, OperandType) and isinstance(kind, OperandType):
            if source.operand.name == kind.operand.name and set(source.tags) <= set(kind.tags):
                return Value(kind, value.expr, prefix=value.prefix)
            raise reject("E0202", f"`{source}` has forms that `{kind}` excludes", span)
        else:
            raise reject(
                "E0202",
                f"expected `{kind}`, found {self.describe(value)}",
                span,
                help=self._conversion(source, kind),
            )
        if width_of(source) != width:
            fix = "zext" if (width_of(source) or 0) < (width or 0) else "trunc"
            raise reject(
                "E0203",
                f"expected {width} bits, found {width_of(source)}",
                span,
                help=f"convert it: `{fix}(..., {width})`",
            )
        return Value(kind, value.expr, signed=value.signed)

    def _conversion(self, source: Type, kind: Type) -> str:
        if isinstance(kind, Bits | NamedBits) and width_of(source):
            return "write `bits(...)` to use its bits"
        if isinstance(kind, Address) and kind.physical:
            return "write `paddr(...)` if this really is a physical address"
        if isinstance(kind, Enumeration | Struct) and isinstance(source, Bits):
            return f"write `{kind}(...)`"
        return ""

    def pin(self, value: Value, wish: str = "t") -> Value:
        """The value now, in a local, so that later effects do not change it."""
        if isinstance(value.expr, ir.Literal | ir.Local | ir.Boolean):
            return value
        name = self.names.fresh(wish)
        self.out.append(ir.Assign(name, value.expr))
        return Value(value.type, ir.Local(name, value.expr.width), signed=value.signed)

    def ordered(self, first: Value, mark: int) -> Value:
        """Keep `first` as it was at `mark` if statements came after it that may change it."""
        later = self.out[mark:]
        if not any(isinstance(s, ir.Call | ir.If | ir.Write) for s in later):
            return first
        if first.number is not None or first.prefix is not None:
            return first
        if isinstance(first.expr, ir.Literal | ir.Local):
            return first
        name = self.names.fresh("t")
        self.out.insert(mark, ir.Assign(name, first.expr))
        return Value(first.type, ir.Local(name, first.expr.width), signed=first.signed)

    def resize(self, expr: ir.Expr, width: int) -> ir.Expr:
        """Zero-extended, or saturated at all ones when narrowing would lose bits."""
        if expr.width == width:
            return expr
        if expr.width < width:
            return ir.Extend(expr, False, width)
        limit = ir.Literal((1 << width) - 1, expr.width)
        over = ir.Compare(ir.CompareOp.ULT, limit, expr)
        cut = ir.Extract(expr, width - 1, 0)
        return ir.Select(over, ir.Literal((1 << width) - 1, width), cut, width)

    def slice_of(self, value: Value, high: int, low: int, span: Span) -> Value:
        width = value.expr.width
        if not 0 <= low <= high < width:
            raise reject(
                "E0210",
                f"bits {high} to {low} are not within 0 to {width - 1}",
                span,
                f"this has {width} bits",
            )
        if isinstance(value.expr, ir.Literal):
            size = high - low + 1
            cut = ir.Literal((value.expr.value >> low) & ((1 << size) - 1), size)
            return Value(Bits(size), cut)
        return Value(Bits(high - low + 1), extract(value.expr, high, low))

    def truth_of(self, value: Value, span: Span) -> ir.Expr:
        if width_of(value.type) != 1:
            raise reject(
                "E0202",
                "a condition must be a single bit",
                span,
                f"this is {self.describe(value)}",
                help="compare it, for example with `!= 0`",
            )
        return as_truth(value.expr)

    def merge(self, test: ir.Expr, arms: "list[tuple[Lowering, Value]]") -> Value:
        """One of two values, with the statements each needs run only where it is chosen."""
        (first, a), (second, b) = arms
        kind = a.type if a.type == b.type or not isinstance(a.type, Bits) else b.type
        if not first.out and not second.out:
            chosen = select(test, a.expr, b.expr)
            return Value(kind, chosen, signed=a.signed and b.signed)
        name = self.names.fresh("t")
        then: ir.Block = (*first.out, ir.Assign(name, a.expr))
        orelse: ir.Block = (*second.out, ir.Assign(name, b.expr))
        self.out.append(ir.If(test, then, orelse))
        return Value(kind, ir.Local(name, a.expr.width), signed=a.signed and b.signed)
