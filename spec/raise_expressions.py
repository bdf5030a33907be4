"""From the IR back to the syntax tree: expressions."""

from typing import assert_never

from spec import ir, syntax
from spec.concatenation import pieces
from spec.raise_operators import Operators
from spec.raising import BIT, Raised, call, joined, name, number, sized
from spec.source import NOWHERE
from spec.types import Address, Bits, Type
from spec.vocabulary import guarded_read, layout


class Expressions(Operators):
    """Raises expressions."""

    def expr(self, expr: ir.Expr, expected: Type | None) -> Raised:
        """With `expected`, the context gives a number or `zext(e)` its width."""
        match expr:
            case ir.Literal(value, width):
                kind = Bits(width)
                return Raised(number(value) if expected else sized(value, width), kind)
            case ir.Boolean(value):
                known = name("true" if value else "false")
                return Raised(known if expected else sized(int(value), 1), BIT)
            case ir.Local():
                return self.local(expr)
            case ir.Read():
                return self._read(expr)
            case ir.Unary(op, operand, width):
                return self._unary(op, operand, width, expected)
            case ir.Binary():
                return self.binary(expr, expected)
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
                return Raised(self.compare(expr), BIT)
            case ir.Logic(ir.LogicOp.XOR, left, right):
                one, other = self.plain(self.expr(left, None)), self.plain(self.expr(right, None))
                return Raised(joined("!=", one.node, other.node), BIT)
            case ir.Logic(op, left, right):
                return Raised(joined(op.value, self.condition(left), self.condition(right)), BIT)
            case ir.Not(operand):
                inner = self.condition(operand)
                return Raised(syntax.Unary("!", inner, span=NOWHERE), BIT)
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
        inner = self.own_width(operand, expected)
        match op:
            case ir.UnaryOp.NOT | ir.UnaryOp.NEG:
                sign = "~" if op is ir.UnaryOp.NOT else "-"
                below = self.plain(inner)
                made = syntax.Unary(sign, below.node, span=NOWHERE)
                return Raised(made, Bits(width), below.signed)
            case _:
                return Raised(call(op.value, inner.node), Bits(width))

    # -- parts

    def _extract(self, expr: ir.Extract) -> Raised:
        kind = Bits(expr.width)
        match expr:
            case ir.Extract(ir.Binary(ir.BinaryOp.LSHR, whole, amount), 0, 0) if not isinstance(
                amount, ir.Literal
            ):
                base = self.expr(whole, None).node
                return Raised(syntax.Index(base, self.amount(amount), span=NOWHERE), kind)
            case ir.Extract(
                ir.Binary(ir.BinaryOp.ADD | ir.BinaryOp.SUB as op, left, right, wide), high, low
            ) if high == low == wide - 1:
                found = self.carry(op, left, right)
                if found is not None:
                    return Raised(found, kind)
        base = self.expr(expr.operand, None).node
        if expr.high == expr.low:
            return Raised(syntax.Index(base, number(expr.high), span=NOWHERE), kind)
        made = syntax.Slice(base, number(expr.high), number(expr.low), span=NOWHERE)
        return Raised(made, kind)

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
        least = self.least(expr, expected)
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
