"""What statements consist of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
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


def replaced(statement: Stmt, change: Callable[[Expr], Expr]) -> Stmt:
    """The statement with the expressions that it evaluates itself changed."""

    def maybe(expr: Expr | None) -> Expr | None:
        return None if expr is None else change(expr)

    match statement:
        case Assign(name, value):
            return Assign(name, change(value))
        case Write(element, value, index):
            return Write(element, change(value), maybe(index))
        case Load(target, address, width, access, mode, span):
            return Load(target, change(address), width, access, maybe(mode), span)
        case Store(address, value, width, mode, span):
            return Store(change(address), change(value), width, maybe(mode), span)
        case LoadPhysical(target, address, width):
            return LoadPhysical(target, change(address), width)
        case StorePhysical(address, value, width):
            return StorePhysical(change(address), change(value), width)
        case Translate(target, address, size, access, mode, width):
            return Translate(target, change(address), size, access, maybe(mode), width)
        case Probe(target, address, size, access, mode):
            return Probe(target, change(address), size, access, maybe(mode))
        case Call(target, function, arguments):
            return Call(target, function, tuple(change(a) for a in arguments))
        case If(condition, then, orelse):
            return If(change(condition), then, orelse)
        case Trap(cause, trap_class, arguments, span):
            return Trap(cause, trap_class, tuple(change(a) for a in arguments), span)
        case Return(value):
            return Return(change(value))
        case Choose() | Wait():
            return statement
        case _:
            assert_never(statement)


def target_of(statement: Stmt) -> str | None:
    """The local to which the statement itself gives a value."""
    match statement:
        case Assign(name):
            return name
        case Load(target) | LoadPhysical(target) | Translate(target) | Probe(target):
            return target
        case Call(target) | Choose(target):
            return target
        case Write() | Store() | StorePhysical() | If() | Trap() | Wait() | Return():
            return None
        case _:
            assert_never(statement)


def with_target(statement: Stmt, name: str) -> Stmt:
    """The statement with another local in the place of its target."""
    match statement:
        case Assign():
            return replace(statement, name=name)
        case Load() | LoadPhysical() | Translate() | Probe() | Call() | Choose():
            return replace(statement, target=name)
        case Write() | Store() | StorePhysical() | If() | Trap() | Wait() | Return():
            return statement
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
