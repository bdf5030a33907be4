"""From the IR back to the syntax tree: expressions.

The inverse of lowering, for readers: what it makes parses, has the types of the language, and is
lowered to IR of equal meaning. It expects expressions that are simplified.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from spec import ir, syntax
from spec.expressions import locals_in
from spec.simplify_expressions import pieces
from spec.source import NOWHERE, Span
from spec.types import Address, Bits, Enumeration, Type, width_of
from spec.vocabulary import Vocabulary, guarded_read, layout

_BIT = Bits(1)
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


MEMBER = Span("member", 0, 0)
"""The span of names that are members of enumerations: constants."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An expression as syntax. `signed`: the language compares and shifts it as signed."""

    node: syntax.Expr
    type: Type
    signed: bool = False


def name(text: str) -> syntax.Expr:
    """A name, with dots for fields."""
    first, *fields = text.split(".")
    node: syntax.Expr = syntax.Name(first, span=NOWHERE)
    for field in fields:
        node = syntax.Field(node, field, span=NOWHERE)
    return node


def number(value: int, *, mask: bool = False) -> syntax.Expr:
    """A number without a width, in the base in which it says most."""
    text = str(value) if value < 10 or (value < 4096 and not mask) else f"0x{value:X}"
    return syntax.Number(value, text, span=NOWHERE)


def sized(value: int, width: int) -> syntax.Expr:
    if width <= 4:
        text = f"{width}'b{value:0{width}b}"
    elif value < 10:
        text = f"{width}'d{value}"
    else:
        text = f"{width}'h{value:X}"
    return syntax.Sized(value, width, text, span=NOWHERE)


def call(function: str, *arguments: syntax.Expr) -> syntax.Call:
    return syntax.Call(name(function), arguments, span=NOWHERE)


def joined(operator: str, left: syntax.Expr, right: syntax.Expr) -> syntax.Expr:
    return syntax.Binary(operator, left, right, span=NOWHERE)


class Expressions:
    """Raises expressions.

    `local` gives the meaning of a local: where the type of a context says the width, `expected` is
    that type; else what is made carries its own width.
    """

    def __init__(self, vocabulary: Vocabulary, local: Callable[[ir.Local], Raised]) -> None:
        self.vocabulary = vocabulary
        self.local = local

    # -- in contexts

    def typed(self, expr: ir.Expr, kind: Type) -> syntax.Expr:
        """An expression where a value of a type is expected."""
        return self.converted(expr, kind).node

    def converted(self, expr: ir.Expr, kind: Type) -> Raised:
        match kind, expr:
            case Enumeration(), ir.Literal(value, width):
                member = _member(kind, value)
                made = call(kind.name, sized(value, width)) if member is None else member
                return Raised(made, kind)
            case Enumeration(), ir.Select(condition, then, orelse):
                parts = (
                    self.condition(condition),
                    self.typed(then, kind),
                    self.typed(orelse, kind),
                )
                return Raised(syntax.IfExpr(*parts, span=NOWHERE), kind)
            case _:
                return self.as_type(self.expr(expr, Bits(width_of(kind) or 1)), kind)

    def as_type(self, raised: Raised, kind: Type) -> Raised:
        """A value converted to a type, where the language does not do it silently."""
        if raised.type == kind:
            return raised
        match kind:
            case Enumeration(word):
                return Raised(call(word, self.plain(raised).node), kind)
            case Address(True):
                return Raised(call("paddr", self.plain(raised).node), kind)
            case _:
                return self.plain(raised)

    def condition(self, expr: ir.Expr) -> syntax.Expr:
        """A truth value where a condition is expected."""
        return self.plain(self.expr(expr, _BIT)).node

    def plain(self, raised: Raised) -> Raised:
        """As bits, where it is an enumeration or an address."""
        if isinstance(raised.type, Bits):
            return raised
        return Raised(call("bits", raised.node), Bits(width_of(raised.type) or 1))

    def unsigned(self, raised: Raised) -> Raised:
        """As bits that the language does not take for a signed number."""
        if not raised.signed:
            return self.plain(raised)
        return Raised(call("bits", raised.node), Bits(width_of(raised.type) or 1))

    # -- by form

    def expr(self, expr: ir.Expr, expected: Type | None) -> Raised:
        """With `expected`, the context gives a number or `zext(e)` its width."""
        match expr:
            case ir.Literal(value, width):
                kind = Bits(width)
                return Raised(number(value) if expected else sized(value, width), kind)
            case ir.Boolean(value):
                known = name("true" if value else "false")
                return Raised(known if expected else sized(int(value), 1), _BIT)
            case ir.Local():
                return self.local(expr)
            case ir.Read():
                return self._read(expr)
            case ir.Unary(op, operand, width):
                return self._unary(op, operand, width, expected)
            case ir.Binary():
                return self._binary(expr, expected)
            case ir.Extract():
                return self._extract(expr)
            case ir.Concat():
                return self._concat(expr)
            case ir.Extend() if (whole := self._struct(expr)) is not None:
                return whole
            case ir.Extend(operand, signed, width):
                inner = self.expr(operand, None).node
                word = "sext" if signed else "zext"
                made = call(word, inner) if expected else call(word, inner, number(width))
                return Raised(made, Bits(width))
            case ir.Select():
                return self._select(expr, expected)
            case ir.Compare():
                return Raised(self._compare(expr), _BIT)
            case ir.Logic(ir.LogicOp.XOR, left, right):
                one, other = self.plain(self.expr(left, None)), self.plain(self.expr(right, None))
                return Raised(joined("!=", one.node, other.node), _BIT)
            case ir.Logic(op, left, right):
                return Raised(joined(op.value, self.condition(left), self.condition(right)), _BIT)
            case ir.Not(operand):
                inner = self.condition(operand)
                return Raised(syntax.Unary("!", inner, span=NOWHERE), _BIT)
            case ir.Truth(operand) | ir.Bit(operand):
                return self.expr(operand, expected)
            case _:
                assert_never(expr)

    def place(self, element: str, index: ir.Expr | None) -> syntax.Expr:
        """A state element as text that can be read and assigned."""
        if index is None:
            return name(element)
        length = self.vocabulary.elements[element].length or 0
        at = (
            number(index.value)
            if isinstance(index, ir.Literal) and index.value < length
            else self.expr(index, None).node
        )
        struct, _, field = element.rpartition(".")
        if self.vocabulary.is_struct_array(element):
            whole = syntax.Index(name(struct), at, span=NOWHERE)
            return syntax.Field(whole, field, span=NOWHERE)
        return syntax.Index(name(element), at, span=NOWHERE)

    def _read(self, expr: ir.Read) -> Raised:
        return Raised(
            self.place(expr.element, expr.index), self.vocabulary.type_of_element(expr.element)
        )

    def _unary(self, op: ir.UnaryOp, operand: ir.Expr, width: int, expected: Type | None) -> Raised:
        inner = self._own_width(operand, expected)
        match op:
            case ir.UnaryOp.NOT | ir.UnaryOp.NEG:
                sign = "~" if op is ir.UnaryOp.NOT else "-"
                below = self.plain(inner)
                made = syntax.Unary(sign, below.node, span=NOWHERE)
                return Raised(made, Bits(width), below.signed)
            case _:
                return Raised(call(op.value, inner.node), Bits(width))

    def _own_width(self, expr: ir.Expr, expected: Type | None) -> Raised:
        """Like `expr`, but a literal is sized."""
        return self.expr(expr, None if isinstance(expr, ir.Literal) else expected)

    # -- arithmetic

    def _binary(self, expr: ir.Binary, expected: Type | None) -> Raised:
        op, left, right, width = expr.op, expr.left, expr.right, expr.width
        kind = Bits(width)
        if op in _SHIFTS:
            return self._shift(op, left, right, expected)
        match op:
            case ir.BinaryOp.ROL | ir.BinaryOp.ROR:
                value = self._own_width(left, expected).node
                return Raised(call(op.value, value, self._amount(right)), kind)
            case ir.BinaryOp.SDIV | ir.BinaryOp.SREM:
                dividend = call("signed", self.plain(self._own_width(left, expected)).node)
                divisor = self.plain(self._right(right, kind)).node
                return Raised(joined(_SIGNS[op], dividend, divisor), kind, signed=True)
            case ir.BinaryOp.UDIV | ir.BinaryOp.UREM:
                one, other = self._pair(left, right, expected, mask=False)
                parts = (self.unsigned(one).node, self.unsigned(other).node)
                return Raised(joined(_SIGNS[op], *parts), kind)
            case _:
                one, other = self._pair(left, right, expected, mask=op in _MASKS)
                one, other = self._summand(one), self._summand(other)
                address = next((r.type for r in (one, other) if isinstance(r.type, Address)), kind)
                made = joined(op.value, one.node, other.node)
                return Raised(made, address, one.signed or other.signed)

    def _pair(
        self, left: ir.Expr, right: ir.Expr, expected: Type | None, *, mask: bool
    ) -> tuple[Raised, Raised]:
        """Two operands of one width; a literal takes it from the other."""
        kind = Bits(left.width)
        if isinstance(left, ir.Literal) and not isinstance(right, ir.Literal):
            return self._right(left, kind, mask=mask), self.plain(self.expr(right, expected))
        one = self._own_width(left, expected)
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
        value = self._own_width(left, expected)
        if op is ir.BinaryOp.ASHR:
            value = Raised(call("signed", self.plain(value).node), value.type, signed=True)
        elif op is ir.BinaryOp.LSHR:
            value = self.unsigned(value)
        else:
            value = self.plain(value)
        made = joined(_SIGNS[op], value.node, self._amount(right))
        return Raised(made, Bits(left.width), value.signed)

    def _amount(self, expr: ir.Expr) -> syntax.Expr:
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

    # -- parts

    def _extract(self, expr: ir.Extract) -> Raised:
        kind = Bits(expr.width)
        match expr:
            case ir.Extract(ir.Binary(ir.BinaryOp.LSHR, whole, amount), 0, 0) if not isinstance(
                amount, ir.Literal
            ):
                base = self.expr(whole, None).node
                return Raised(syntax.Index(base, self._amount(amount), span=NOWHERE), kind)
            case ir.Extract(
                ir.Binary(ir.BinaryOp.ADD | ir.BinaryOp.SUB as op, left, right, wide), high, low
            ) if high == low == wide - 1:
                found = self._carry(op, left, right)
                if found is not None:
                    return Raised(found, kind)
        base = self.expr(expr.operand, None).node
        if expr.high == expr.low:
            return Raised(syntax.Index(base, number(expr.high), span=NOWHERE), kind)
        made = syntax.Slice(base, number(expr.high), number(expr.low), span=NOWHERE)
        return Raised(made, kind)

    def _carry(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr) -> syntax.Expr | None:
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
                first, second = self._pair(a, b, None, mask=False)
            case ir.Extend(a, False), ir.Literal(value) if a.width == width and value >> width == 0:
                first, second = self.expr(a, None), Raised(number(value), Bits(width))
            case _:
                return None
        third = () if last is None else (self.condition(last),)
        word = "carry" if op is ir.BinaryOp.ADD else "borrow"
        return call(word, first.node, second.node, *third)

    def _struct(self, expr: ir.Expr) -> Raised | None:
        """The register with fields that an expression reads as a whole."""
        made = layout(expr)
        if made is None or not made.fields:
            return None
        struct = made.fields[0][0].rpartition(".")[0]
        if self.vocabulary.structs.get(struct) != made:
            return None
        return Raised(call("bits", name(struct)), Bits(expr.width))

    def _concat(self, expr: ir.Concat) -> Raised:
        whole = self._struct(expr)
        if whole is not None:
            return whole
        first, *parts = pieces(expr)
        made = self._piece(first)
        for part in parts:
            made = joined("++", made, self._piece(part))
        return Raised(made, Bits(expr.width))

    def _piece(self, expr: ir.Expr) -> syntax.Expr:
        found = self.expr(expr, None)
        return self.plain(found).node if isinstance(found.type, Address) else found.node

    # -- choices

    def _select(self, expr: ir.Select, expected: Type | None) -> Raised:
        guarded = guarded_read(expr)
        if guarded is not None and self.vocabulary.zeros.get(guarded[0].element) == guarded[1]:
            return self._read(guarded[0])
        bank = self._bank(expr)
        if bank is not None:
            return Raised(name(bank.name), self.vocabulary.type_of_element(bank.members[0][1]))
        least = self._least(expr, expected)
        if least is not None:
            return least
        then, orelse = expr.then, expr.orelse
        if expected is not None:
            arms = self.expr(then, expected), self.expr(orelse, expected)
        elif isinstance(then, ir.Literal) and not isinstance(orelse, ir.Literal):
            arms = self.expr(then, Bits(then.width)), self.expr(orelse, None)
        else:
            arms = self.expr(then, None), self.expr(orelse, Bits(then.width or 1))
        return self.choice(self.condition(expr.condition), *arms)

    def choice(self, condition: syntax.Expr, then: Raised, orelse: Raised) -> Raised:
        """`if condition then ... else ...`."""
        if then.type != orelse.type:
            then, orelse = self.plain(then), self.plain(orelse)
        made = syntax.IfExpr(condition, then.node, orelse.node, span=NOWHERE)
        return Raised(made, then.type, then.signed and orelse.signed)

    def _bank(self, expr: ir.Select) -> ir.Bank | None:
        """The bank that this choice by the mode reads."""
        for bank in self.vocabulary.banks:
            made: ir.Expr = ir.Read(bank.members[-1][1], bank.width)
            mode = ir.Read(self.vocabulary.mode_element, self.vocabulary.mode.width)
            for encoding, element in reversed(bank.members[:-1]):
                here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(encoding, mode.width))
                made = ir.Select(here, ir.Read(element, bank.width), made, bank.width)
            if made == expr:
                return bank
        return None

    def _least(self, expr: ir.Select, expected: Type | None) -> Raised | None:
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
        one, other = self._pair(left, right, expected, mask=False)
        signed = op is ir.CompareOp.SLT
        if not signed:
            one, other = self.unsigned(one), self.unsigned(other)
        elif isinstance(left, ir.Literal):
            other = Raised(call("signed", self.plain(other).node), other.type)
        else:
            one = Raised(call("signed", self.plain(one).node), one.type)
        return Raised(call(word, one.node, other.node), Bits(expr.width), signed)

    # -- comparisons

    def _compare(self, expr: ir.Compare) -> syntax.Expr:
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
            return one.node, _member(kind, right.value) or number(right.value)
        other = self.expr(right, Bits(right.width))
        if other.type == kind:
            return one.node, other.node
        return self.plain(one).node, self.unsigned(other).node


def _member(kind: Enumeration, value: int) -> syntax.Expr | None:
    names = (member for member, encoding in kind.members if encoding == value)
    found = next(names, None)
    return None if found is None else syntax.Name(found, span=MEMBER)


def _signed_number(literal: ir.Literal) -> syntax.Expr:
    value, width = literal.value, literal.width
    if value >> (width - 1):
        return syntax.Unary("-", number((1 << width) - value), span=NOWHERE)
    return number(value)
