"""What statements consist of."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from spec.expressions import reads
from spec.ir import (
    Assign,
    Block,
    Call,
    Choose,
    Expr,
    Function,
    If,
    Load,
    LoadPhysical,
    Probe,
    Return,
    Stmt,
    Store,
    StorePhysical,
    Translate,
    Trap,
    Wait,
    Write,
)


def statements(block: Block) -> Iterator[Stmt]:
    """All statements, those inside branches included."""
    for statement in block:
        yield statement
        if isinstance(statement, If):
            yield from statements(statement.then)
            yield from statements(statement.orelse)


def operands(statement: Stmt) -> tuple[Expr, ...]:
    """The expressions that the statement itself evaluates."""
    match statement:
        case Assign(_, value) | Return(value):
            return (value,)
        case Write(_, value, index):
            return (value,) if index is None else (value, index)
        case Load(_, address, _, _, mode) | Translate(_, address, _, _, mode):
            return (address,) if mode is None else (address, mode)
        case Probe(_, address, _, _, mode):
            return (address,) if mode is None else (address, mode)
        case Store(address, value, _, mode):
            return (address, value) if mode is None else (address, value, mode)
        case LoadPhysical(_, address):
            return (address,)
        case StorePhysical(address, value):
            return (address, value)
        case Call(_, _, arguments) | Trap(_, _, arguments):
            return arguments
        case If(condition):
            return (condition,)
        case Choose() | Wait():
            return ()
        case _:
            assert_never(statement)


def function_reads(functions: Mapping[str, Function], name: str) -> frozenset[str]:
    """The state elements that a function, or one that it calls, reads."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [name]
    while left:
        current = left.pop()
        if current in seen:
            continue
        seen.add(current)
        for statement in statements(functions[current].body):
            for expr in operands(statement):
                found |= reads(expr)
            if isinstance(statement, Call):
                left.append(statement.function)
    return frozenset(found)
