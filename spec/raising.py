"""The common ground of going back from the IR to the syntax tree: nodes, types, conversions.

The inverse of lowering, for readers: what is made parses, has the types of the language, and is
lowered to IR of equal meaning. Expressions are expected to be simplified.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from spec import ir, syntax
from spec.source import NOWHERE, Span
from spec.types import Address, Bits, Enumeration, Type, width_of
from spec.vocabulary import Vocabulary

BIT = Bits(1)
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


def member(kind: Enumeration, value: int) -> syntax.Expr | None:
    names = (member for member, encoding in kind.members if encoding == value)
    found = next(names, None)
    return None if found is None else syntax.Name(found, span=MEMBER)


class Contexts(ABC):
    """Raises expressions where a type is expected.

    `local` gives the meaning of a local.
    """

    def __init__(self, vocabulary: Vocabulary, local: Callable[[ir.Local], Raised]) -> None:
        self.vocabulary = vocabulary
        self.local = local

    @abstractmethod
    def expr(self, expr: ir.Expr, expected: Type | None) -> Raised:
        """With `expected`, the context gives a number or `zext(e)` its width.

        Without it, what is made carries its own width.
        """

    def typed(self, expr: ir.Expr, kind: Type) -> syntax.Expr:
        """An expression where a value of a type is expected."""
        return self.converted(expr, kind).node

    def converted(self, expr: ir.Expr, kind: Type) -> Raised:
        match kind, expr:
            case Enumeration(), ir.Literal(value, width):
                known = member(kind, value)
                made = call(kind.name, sized(value, width)) if known is None else known
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
        return self.plain(self.expr(expr, BIT)).node

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
