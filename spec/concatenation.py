"""What long concatenations consist of."""

from spec.ir import Concat, Expr, Extract, Literal

_PARTS = 3
"""Bits in so many places are better written with a mask."""


def pieces(expr: Expr) -> list[Expr]:
    """What is concatenated, from the highest piece down."""
    found: list[Expr] = []
    while isinstance(expr, Concat):
        found.append(expr.low)
        expr = expr.high
    return [expr, *reversed(found)]


def masked(expr: Concat) -> tuple[Expr, int] | None:
    """Bits of one operand in their places, and zeros between them, as operand and mask."""
    operand: Expr | None = None
    mask = below = parts = 0
    for piece in reversed(pieces(expr)):
        match piece:
            case Extract(one, _, low) if low == below and operand in (None, one):
                operand, mask, parts = one, mask | (((1 << piece.width) - 1) << low), parts + 1
            case Literal(0):
                pass
            case _:
                return None
        below += piece.width
    if operand is None or parts < _PARTS or operand.width < expr.width:
        return None
    return operand, mask
