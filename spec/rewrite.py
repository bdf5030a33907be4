"""Rewriting of IR expressions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from spec import ir


def transform(expr: ir.Expr, leaf: Callable[[ir.Expr], ir.Expr | None]) -> ir.Expr:
    """`expr` with every node for which `leaf` gives something replaced by that."""
    found = leaf(expr)
    if found is not None:
        return found

    def go(e: ir.Expr) -> ir.Expr:
        return transform(e, leaf)

    match expr:
        case ir.Literal() | ir.Boolean() | ir.Local():
            return expr
        case ir.Read(element, width, index):
            return ir.Read(element, width, None if index is None else go(index))
        case ir.Unary(op, operand, width):
            return ir.Unary(op, go(operand), width)
        case ir.Binary(op, left, right, width):
            return ir.Binary(op, go(left), go(right), width)
        case ir.Extract(operand, high, low):
            return ir.Extract(go(operand), high, low)
        case ir.Concat(high_part, low_part, width):
            return ir.Concat(go(high_part), go(low_part), width)
        case ir.Extend(operand, signed, width):
            return ir.Extend(go(operand), signed, width)
        case ir.Select(condition, then, orelse, width):
            return ir.Select(go(condition), go(then), go(orelse), width)
        case ir.Compare(op, left, right):
            return ir.Compare(op, go(left), go(right))
        case ir.Logic(op, left, right):
            return ir.Logic(op, go(left), go(right))
        case ir.Not(operand):
            return ir.Not(go(operand))
        case ir.Truth(operand):
            return ir.Truth(go(operand))
        case ir.Bit(operand):
            return ir.Bit(go(operand))
        case _:
            assert_never(expr)


def substitute(
    expr: ir.Expr,
    before: Sequence[ir.Stmt],
    functions: Mapping[object, ir.Function],
    *,
    state: bool,
) -> ir.Expr | None:
    """`expr` with the locals that the statements before it give values to written out.

    None if they do more than name values and call functions that only compute, or if state is
    read where `state` does not allow it.
    """
    by_name = {f.name: f for f in functions.values()}
    values: dict[str, ir.Expr] = {}

    def local(e: ir.Expr) -> ir.Expr | None:
        return values.get(e.name) if isinstance(e, ir.Local) else None

    def run(block: Sequence[ir.Stmt]) -> ir.Expr | None:
        """The value returned, if the block returns one; a truth that says whether it failed."""
        for position, statement in enumerate(block):
            match statement:
                case ir.Assign(name, value):
                    values[name] = transform(value, local)
                case ir.Call(str(target), function, arguments):
                    routine = by_name[function]
                    passed = [transform(a, local) for a in arguments]
                    outer = dict(values)
                    values.clear()
                    values.update(
                        {p.name: a for p, a in zip(routine.parameters, passed, strict=True)}
                    )
                    result = run(routine.body)
                    values.clear()
                    values.update(outer)
                    if result is None:
                        return None
                    values[target] = result
                case ir.If(condition, then, orelse):
                    test = transform(condition, local)
                    rest = block[position + 1 :]
                    kept = dict(values)
                    yes = run((*then, *rest))
                    values.clear()
                    values.update(kept)
                    no = run((*orelse, *rest))
                    if yes is None or no is None:
                        return None
                    return ir.Select(test, yes, no, yes.width)
                case ir.Return(value):
                    return transform(value, local)
                case _:
                    return None
        return None

    settled = run((*before, ir.Return(expr)))
    if settled is None or (not state and _reads_state(settled)):
        return None
    return settled


def _reads_state(expr: ir.Expr) -> bool:
    found = False

    def look(e: ir.Expr) -> ir.Expr | None:
        nonlocal found
        found = found or isinstance(e, ir.Read)
        return None

    transform(expr, look)
    return found


def in_block(block: ir.Block, expr: Callable[[ir.Expr], ir.Expr]) -> ir.Block:
    """The block with every expression that its statements evaluate replaced."""

    def optional(e: ir.Expr | None) -> ir.Expr | None:
        return None if e is None else expr(e)

    def statement(s: ir.Stmt) -> ir.Stmt:
        match s:
            case ir.Assign() | ir.Return():
                return replace(s, value=expr(s.value))
            case ir.Write():
                return replace(s, value=expr(s.value), index=optional(s.index))
            case ir.Load() | ir.Translate() | ir.Probe():
                return replace(s, address=expr(s.address), mode=optional(s.mode))
            case ir.Store():
                value = expr(s.value)
                return replace(s, address=expr(s.address), value=value, mode=optional(s.mode))
            case ir.LoadPhysical():
                return replace(s, address=expr(s.address))
            case ir.StorePhysical():
                return replace(s, address=expr(s.address), value=expr(s.value))
            case ir.Call() | ir.Trap():
                return replace(s, arguments=tuple(expr(a) for a in s.arguments))
            case ir.If():
                then, orelse = in_block(s.then, expr), in_block(s.orelse, expr)
                return ir.If(expr(s.condition), then, orelse)
            case ir.Choose() | ir.Wait():
                return s
            case _:
                assert_never(s)

    return tuple(statement(s) for s in block)
