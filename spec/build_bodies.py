"""From the parser's reductions to the syntax tree of expressions and statements, and where things lie."""

import re
from dataclasses import replace
from typing import Any

from lark import Token, Transformer

from spec import syntax
from spec.source import Span

OPERATOR_RANKS = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "|": 4,
    "^": 5,
    "&": 6,
    "++": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}
"""How strongly binary operators bind; all are left-associative."""


def text_of(token: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])


def number_of(token: str) -> int:
    if "^" in token:
        base, exponent = token.split("^")
        power: int = int(base) ** min(int(exponent), 4096)
        return power
    digits = token.replace("_", "")
    return int(digits, 0) if digits[:2].lower() in ("0x", "0b", "0o") else int(digits)


def sized_of(token: str) -> tuple[int, int]:
    """Value (cut to the width) and width."""
    width, rest = token.split("'")
    base = {"d": 10, "h": 16, "b": 2, "o": 8}[rest[0]]
    return int(rest[1:].replace("_", "") or "0", base), int(width)


def texts_of(tokens: "tuple[Token, ...] | list[Token]") -> tuple[str, ...]:
    return tuple(str(t) for t in tokens)


def start_of(child: Any) -> int | None:
    if isinstance(child, Token):
        return child.start_pos
    if isinstance(child, tuple):
        return next((s for s in map(start_of, child) if s is not None), None)
    span = getattr(child, "span", None)
    return span.start if span is not None and span.end else None


def end_of(child: Any) -> int | None:
    if isinstance(child, Token):
        return child.end_pos
    if isinstance(child, tuple):
        return next((e for e in map(end_of, reversed(child)) if e is not None), None)
    span = getattr(child, "span", None)
    return span.end if span is not None and span.end else None


class BuildBodies(Transformer[Any, Any]):
    """Builds nodes while the parser reduces; each method is the grammar rule of its name."""

    path = ""

    def _span(self, c: list[Any]) -> Span:
        """From the first child that has a place to the last one; keywords are not children."""
        start = end = None
        for child in c:
            start = start_of(child)
            if start is not None:
                break
        for child in reversed(c):
            end = end_of(child)
            if end is not None:
                break
        return Span(self.path, start or 0, end or 0)

    def start(self, c: list[Any]) -> syntax.Source:
        return syntax.Source(tuple(c), span=self._span(c))

    # expressions

    def name(self, c: list[Any]) -> syntax.Name:
        return syntax.Name(str(c[0]), span=self._span(c))

    def number(self, c: list[Any]) -> syntax.Number:
        return syntax.Number(number_of(c[0]), str(c[0]), span=self._span(c))

    def sized(self, c: list[Any]) -> syntax.Sized:
        value, width = sized_of(c[0])
        return syntax.Sized(value, width, str(c[0]), span=self._span(c))

    def string(self, c: list[Any]) -> syntax.Text:
        return syntax.Text(text_of(c[0]), span=self._span(c))

    def unary(self, c: list[Any]) -> syntax.Unary:
        return syntax.Unary(str(c[0]), c[1], span=self._span(c))

    def expr(self, c: list[Any]) -> syntax.Expr:
        position = 0

        def climb(rank: int) -> syntax.Expr:
            nonlocal position
            left: syntax.Expr = c[position]
            position += 1
            while position < len(c) and OPERATOR_RANKS[c[position]] >= rank:
                operator = str(c[position])
                position += 1
                right = climb(OPERATOR_RANKS[operator] + 1)
                span = Span(self.path, left.span.start, right.span.end)
                left = syntax.Binary(operator, left, right, span=span)
            return left

        return climb(1)

    def if_expr(self, c: list[Any]) -> syntax.IfExpr:
        return syntax.IfExpr(*c, span=self._span(c))

    def expr_arm(self, c: list[Any]) -> syntax.ExprArm:
        return syntax.ExprArm(tuple(c[:-1]), c[-1], span=self._span(c))

    def match_expr(self, c: list[Any]) -> syntax.MatchExpr:
        return syntax.MatchExpr(c[0], tuple(c[1:]), span=self._span(c))

    def call(self, c: list[Any]) -> syntax.Call:
        return syntax.Call(c[0], c[1] or (), span=self._span(c))

    def group(self, c: list[Any]) -> syntax.Expr:
        """Parentheses belong to the text of what they enclose."""
        inner: syntax.Expr = replace(c[1], span=self._span(c))
        return inner

    def index(self, c: list[Any]) -> syntax.Index:
        return syntax.Index(c[0], c[1], span=self._span(c))

    def slice(self, c: list[Any]) -> syntax.Slice:
        return syntax.Slice(c[0], c[1], c[2], span=self._span(c))

    def field(self, c: list[Any]) -> syntax.Field:
        return syntax.Field(c[0], str(c[1]), span=self._span(c))

    def arguments(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def named_argument(self, c: list[Any]) -> syntax.Named:
        return syntax.Named(str(c[0]), c[1], span=self._span(c))

    def pattern_name(self, c: list[Any]) -> syntax.NamePattern:
        binders = None if c[1] is None else texts_of(c[1])
        return syntax.NamePattern(str(c[0]), binders, span=self._span(c))

    def pattern_number(self, c: list[Any]) -> syntax.NumberPattern:
        return syntax.NumberPattern(number_of(c[0]), None, str(c[0]), span=self._span(c))

    def pattern_sized(self, c: list[Any]) -> syntax.NumberPattern:
        return syntax.NumberPattern(*sized_of(c[0]), str(c[0]), span=self._span(c))

    def type(self, c: list[Any]) -> syntax.Type:
        return syntax.Type(str(c[0]), c[1], c[2], span=self._span(c))

    # statements

    def block(self, c: list[Any]) -> syntax.Block:
        return syntax.Block(tuple(c), span=self._span(c))

    def let(self, c: list[Any]) -> syntax.Let:
        return syntax.Let(str(c[0]), c[1], c[2], False, span=self._span(c))

    def var(self, c: list[Any]) -> syntax.Let:
        return syntax.Let(str(c[0]), c[1], c[2], True, span=self._span(c))

    def assign_or_call(self, c: list[Any]) -> syntax.Assignment | syntax.Evaluate:
        if c[1] is None:
            return syntax.Evaluate(c[0], span=self._span(c))
        return syntax.Assignment(*c, span=self._span(c))

    def if_(self, c: list[Any]) -> syntax.If:
        return syntax.If(*c, span=self._span(c))

    def match(self, c: list[Any]) -> syntax.Match:
        return syntax.Match(c[0], tuple(c[1:]), span=self._span(c))

    def arm(self, c: list[Any]) -> syntax.Arm:
        body = c[-1]
        braces = isinstance(body, syntax.Block)
        if not braces:
            body = syntax.Block((body,), span=body.span)
        return syntax.Arm(tuple(c[:-1]), body, braces, span=self._span(c))

    def for_(self, c: list[Any]) -> syntax.For:
        return syntax.For(str(c[0]), *c[1:], span=self._span(c))

    def require(self, c: list[Any]) -> syntax.Require:
        return syntax.Require(*c, span=self._span(c))

    def trap(self, c: list[Any]) -> syntax.Trap:
        name = None if c[2] is None else str(c[2])
        return syntax.Trap(str(c[0]), c[1] or (), name, span=self._span(c))

    trap_target = trap

    def wait(self, c: list[Any]) -> syntax.Wait:
        return syntax.Wait(span=self._span(c))

    def return_(self, c: list[Any]) -> syntax.Return:
        return syntax.Return(c[0], span=self._span(c))
