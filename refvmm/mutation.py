"""One change at one place of a piece of IR: all the ways to make it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from spec import ir

StatementChange = Callable[[ir.Stmt], Iterable[ir.Block]]
"""What may stand in place of a statement."""
ExprChange = Callable[[ir.Expr], Iterable[ir.Expr]]
"""What may stand in place of an expression."""


def in_statements(block: ir.Block, change: StatementChange) -> Iterator[ir.Block]:
    """The block with one statement, at any depth, changed."""
    for position, statement in enumerate(block):
        before, after = block[:position], block[position + 1 :]
        for changed in change(statement):
            yield (*before, *changed, *after)
        if isinstance(statement, ir.If):
            for then in in_statements(statement.then, change):
                yield (*before, replace(statement, then=then), *after)
            for orelse in in_statements(statement.orelse, change):
                yield (*before, replace(statement, orelse=orelse), *after)


def in_expressions(block: ir.Block, change: ExprChange) -> Iterator[ir.Block]:
    """The block with one expression, in any statement, changed."""
    return in_statements(block, lambda s: ((one,) for one in _in_statement(s, change)))


def in_expr(expr: ir.Expr, change: ExprChange) -> Iterator[ir.Expr]:
    """The expression with one of its nodes changed."""
    yield from change(expr)
    match expr:
        case ir.Literal() | ir.Boolean() | ir.Local() | ir.Read(_, _, None):
            return
        case ir.Read(_, _, ir_index):
            if ir_index is not None:
                for index in in_expr(ir_index, change):
                    yield replace(expr, index=index)
        case ir.Unary() | ir.Extract() | ir.Extend() | ir.Not() | ir.Truth() | ir.Bit():
            for operand in in_expr(expr.operand, change):
                yield replace(expr, operand=operand)
        case ir.Binary() | ir.Compare() | ir.Logic():
            for left in in_expr(expr.left, change):
                yield replace(expr, left=left)
            for right in in_expr(expr.right, change):
                yield replace(expr, right=right)
        case ir.Concat():
            for high in in_expr(expr.high, change):
                yield replace(expr, high=high)
            for low in in_expr(expr.low, change):
                yield replace(expr, low=low)
        case ir.Select():
            for condition in in_expr(expr.condition, change):
                yield replace(expr, condition=condition)
            for then in in_expr(expr.then, change):
                yield replace(expr, then=then)
            for orelse in in_expr(expr.orelse, change):
                yield replace(expr, orelse=orelse)
        case _:
            assert_never(expr)


def _in_statement(statement: ir.Stmt, change: ExprChange) -> Iterator[ir.Stmt]:
    match statement:
        case ir.Assign() | ir.Return():
            for value in in_expr(statement.value, change):
                yield replace(statement, value=value)
        case ir.Write():
            for value in in_expr(statement.value, change):
                yield replace(statement, value=value)
            for index in _optional(statement.index, change):
                yield replace(statement, index=index)
        case ir.Load() | ir.Translate() | ir.Probe():
            for address in in_expr(statement.address, change):
                yield replace(statement, address=address)
            for mode in _optional(statement.mode, change):
                yield replace(statement, mode=mode)
        case ir.Store() | ir.StorePhysical():
            for address in in_expr(statement.address, change):
                yield replace(statement, address=address)
            for value in in_expr(statement.value, change):
                yield replace(statement, value=value)
        case ir.LoadPhysical():
            for address in in_expr(statement.address, change):
                yield replace(statement, address=address)
        case ir.Call() | ir.Trap():
            given = statement.arguments
            for number, argument in enumerate(given):
                for changed in in_expr(argument, change):
                    arguments = (*given[:number], changed, *given[number + 1 :])
                    yield replace(statement, arguments=arguments)
        case ir.If():
            for condition in in_expr(statement.condition, change):
                yield replace(statement, condition=condition)
        case ir.Choose() | ir.Wait():
            return
        case _:
            assert_never(statement)


def _optional(expr: ir.Expr | None, change: ExprChange) -> Iterator[ir.Expr]:
    return iter(()) if expr is None else in_expr(expr, change)


@dataclass(frozen=True, slots=True)
class Drop:
    """Leaves out the statements that `which` picks."""

    which: Callable[[ir.Stmt], bool]

    def __call__(self, statement: ir.Stmt) -> Iterator[ir.Block]:
        if self.which(statement):
            yield ()
