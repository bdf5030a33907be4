"""Type checking and lowering of expressions.

A lowered expression is pure; loads, calls and choices become statements before it, in order.
"""

from collections.abc import Callable
from typing import assert_never

from spec import ir, syntax
from spec.scope import (
    AliasState,
    Array,
    BankState,
    Globals,
    Scalar,
    StateName,
    StructState,
    reject,
)
from spec.source import Span
from spec.types import (
    Address,
    ArrayType,
    Bits,
    Enumeration,
    IntType,
    NamedBits,
    OperandType,
    Struct,
    StructField,
    Type,
    Value,
    number,
    width_of,
)

BIT = Bits(1)

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


class Expressions:
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

    def fork(self) -> "Expressions":
        """A body for a branch: same names, own scope and statements."""
        raise NotImplementedError

    def call(self, node: syntax.Call, expected: Type | None) -> Value:
        raise NotImplementedError

    # ----------------------------------------------------------------- entry points

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

    def match_value(self, node: syntax.MatchExpr, expected: Type | None) -> Value:
        raise NotImplementedError

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

    # ----------------------------------------------------------------- names and state

    def _name(self, name: str, span: Span, expected: Type | None) -> Value:
        if name in self.scope:
            return self.scope[name]
        if name in self.poisoned:
            from_earlier = reject("E0201", name, span)
            from_earlier.diagnostic = None
            raise from_earlier
        if name in self.columns:
            return self.expr(self.columns[name], expected)
        if isinstance(expected, Enumeration):
            for member, encoding in expected.members:
                if member == name:
                    return Value(expected, ir.Literal(encoding, expected.width))
        if name in self.globals.numbers:
            return number(self.globals.numbers[name])
        if name in self.globals.state:
            return self.read_state(self.globals.state[name], span)
        if name in ("true", "false"):
            return number(int(name == "true"))
        if name == "next":
            return self._next(span)
        if name in self.globals.members:
            candidates = self.globals.members[name]
            if len(candidates) > 1:
                owners = " and ".join(f"`{kind.name}`" for kind, _ in candidates)
                raise reject(
                    "E0206",
                    f"`{name}` is a member of {owners}",
                    span,
                    help=f"write `{candidates[0][0].name}.{name}`",
                )
            kind, encoding = candidates[0]
            return Value(kind, ir.Literal(encoding, kind.width))
        raise self.globals.unknown("name", name, span)

    def _next(self, span: Span) -> Value:
        pc = self.globals.pc
        if not self.next_allowed or pc is None:
            raise reject(
                "E0201", "`next` has a meaning only in instructions and trap deliveries", span
            )
        self.used_next[0] = True
        width = width_of(pc.type) or 1
        return Value(Bits(width), ir.Local("next", width))

    def read_state(self, state: StateName, span: Span) -> Value:
        """The whole of a state name."""
        match state:
            case Scalar(element, kind):
                self.globals.used.add(element)
                return Value(kind, ir.Read(element, width_of(kind) or 1))
            case StructState(name, kind, None):
                return Value(kind, self._struct_expr(name, kind, None))
            case BankState(_, kind, members):
                width = width_of(kind) or 1
                mode = self.mode_read()
                expr: ir.Expr = ir.Read(members[-1][1], width)
                for encoding, element in reversed(members[:-1]):
                    here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(encoding, mode.width))
                    expr = ir.Select(here, ir.Read(element, width), expr, width)
                return Value(kind, expr)
            case AliasState(name, kind, value):
                inner = self.fork()
                inner.scope, inner.columns, inner.out = {}, {}, self.out
                read = inner.expr(value, kind)
                if isinstance(kind, Bits) and not isinstance(read.type, Bits):
                    read = Value(Bits(width_of(read.type) or 1), read.expr)
                return inner.coerce(read, kind, value.span)
            case Array() | StructState():
                name = state.element if isinstance(state, Array) else state.name
                raise reject(
                    "E0202",
                    f"`{name}` is an array",
                    span,
                    help=f"choose an element: `{name}[...]`",
                )
            case _:
                assert_never(state)

    def mode_read(self) -> ir.Read:
        mode = self.globals.mode
        if mode is None:
            raise AssertionError("a mode is required before bodies are lowered")
        return ir.Read(self.globals.mode_element, mode.width)

    def _struct_expr(self, name: str, kind: Struct, index: ir.Expr | None) -> ir.Expr:
        parts: list[ir.Expr] = []
        above = kind.width
        for f in kind.fields:
            if f.high + 1 < above:
                parts.append(ir.Literal(0, above - f.high - 1))
            self.globals.used.add(f"{name}.{f.name}")
            parts.append(ir.Read(f"{name}.{f.name}", f.high - f.low + 1, index))
            above = f.low
        if above:
            parts.append(ir.Literal(0, above))
        return concat(parts)

    # ----------------------------------------------------------------- parts

    def _state_base(self, node: syntax.Expr) -> StateName | None:
        if isinstance(node, syntax.Name) and node.name not in self.scope:
            if node.name in self.columns:
                return self._state_base(self.columns[node.name])
            return self.globals.state.get(node.name)
        return None

    def array_index(self, node: syntax.Expr, length: int, name: str) -> ir.Expr:
        """An index into a state array; a constant one must be inside."""
        value = self.expr(node)
        if value.number is not None:
            if not 0 <= value.number < length:
                raise reject("E0210", f"`{name}` has elements 0 to {length - 1}", node.span)
            return ir.Literal(value.number, max(1, (length - 1).bit_length()))
        if isinstance(value.type, OperandType | ArrayType):
            raise reject("E0202", f"{self.describe(value)} is not an index", node.span)
        return value.expr

    def _index(self, base: syntax.Expr, index: syntax.Expr, span: Span) -> Value:
        state = self._state_base(base)
        match state:
            case Array(element, kind, zero):
                self.globals.used.add(element)
                at = self.array_index(index, kind.length, element)
                width = width_of(kind.element) or 1
                expr: ir.Expr = ir.Read(element, width, at)
                if zero is not None:
                    here = ir.Compare(ir.CompareOp.EQ, at, ir.Literal(zero, at.width))
                    expr = ir.Select(here, ir.Literal(0, width), expr, width)
                return Value(kind.element, expr)
            case StructState(name, kind, int(length)):
                at = self.array_index(index, length, name)
                return Value(kind, self._struct_expr(name, kind, at))
            case _:
                value = self.bits(base)
                at_value = self.expr(index)
                if at_value.number is not None:
                    return self.slice_of(value, at_value.number, at_value.number, span)
                amount = self.resize(at_value.expr, value.expr.width)
                shifted = ir.Binary(ir.BinaryOp.LSHR, value.expr, amount, value.expr.width)
                return Value(BIT, ir.Extract(shifted, 0, 0))

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
        if high - low + 1 == width:
            return Value(Bits(width), value.expr)
        return Value(Bits(high - low + 1), ir.Extract(value.expr, high, low))

    def _field(self, base: syntax.Expr, name: str, span: Span) -> Value:
        if isinstance(base, syntax.Name) and base.name not in self.scope:
            kind = self.globals.types.get(base.name)
            if isinstance(kind, Enumeration) and base.name not in self.globals.state:
                for member, encoding in kind.members:
                    if member == name:
                        return Value(kind, ir.Literal(encoding, kind.width))
                raise self.globals.unknown("member", name, span, [m for m, _ in kind.members])
        state = self._state_base(base)
        index: ir.Expr | None = None
        if isinstance(base, syntax.Index):
            array = self._state_base(base.base)
            if isinstance(array, StructState) and array.length is not None:
                state = array
                index = self.array_index(base.index, array.length, array.name)
        if isinstance(state, StructState) and (state.length is None or index is not None):
            at = self.struct_field(state.type, name, span)
            self.globals.used.add(f"{state.name}.{name}")
            return Value(at.type, ir.Read(f"{state.name}.{name}", at.high - at.low + 1, index))
        value = self.expr(base)
        if not isinstance(value.type, Struct):
            raise reject("E0202", f"{self.describe(value)} has no fields", base.span)
        at = self.struct_field(value.type, name, span)
        part = self.slice_of(value, at.high, at.low, span)
        return Value(at.type, part.expr)

    def struct_field(self, kind: Struct, name: str, span: Span) -> StructField:
        found = kind.field(name)
        if found is None:
            raise self.globals.unknown("field", name, span, [f.name for f in kind.fields])
        return found

    # ----------------------------------------------------------------- operators

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
            case syntax.Call(syntax.Name("zext" | "sext" | "trunc" | "unknown"), arguments):
                return len(arguments) == (0 if node.function.name == "unknown" else 1)  # type: ignore[union-attr]
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

    def merge(self, test: ir.Expr, arms: "list[tuple[Expressions, Value]]") -> Value:
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
