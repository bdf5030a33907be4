"""What an expression consists of."""

from collections.abc import Iterator
from typing import assert_never

from spec.ir import (
    Binary,
    Bit,
    Boolean,
    Compare,
    Concat,
    Expr,
    Extend,
    Extract,
    Literal,
    Local,
    Logic,
    Not,
    Read,
    Select,
    Truth,
    Unary,
)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct operands, from left to right."""
    match expr:
        case Literal() | Boolean() | Local() | Read(_, _, None):
            return ()
        case Read(_, _, index):
            return (index,) if index is not None else ()
        case Unary(_, operand) | Extract(operand) | Extend(operand):
            return (operand,)
        case Not(operand) | Truth(operand) | Bit(operand):
            return (operand,)
        case Binary(_, left, right) | Compare(_, left, right) | Logic(_, left, right):
            return (left, right)
        case Concat(high, low):
            return (high, low)
        case Select(condition, then, orelse):
            return (condition, then, orelse)
        case _:
            assert_never(expr)


def reads(expr: Expr) -> frozenset[str]:
    """The state elements that the value may depend on."""
    found: set[str] = set()
    seen: set[int] = set()
    left = [expr]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Read):
            found.add(node.element)
        left.extend(children(node))
    return frozenset(found)


def locals_in(expr: Expr) -> Iterator[str]:
    """The locals in an expression, once for each occurrence, from left to right."""
    left = [expr]
    while left:
        node = left.pop()
        if isinstance(node, Local):
            yield node.name
        left.extend(reversed(children(node)))
