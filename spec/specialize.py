"""Instructions with some of their fields known: the same meaning, in a shorter body.

What is known is folded through the body and through the functions it calls with known arguments;
these are written out in place where they run straight to their end. Nothing else is changed, so the
accesses, choices and traps of a run stay as they were, in their order.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias, assert_never

from spec.effects import replaced, statements, target_of, with_target
from spec.expressions import children
from spec.ir import (
    Assign,
    Binary,
    Bit,
    Block,
    Boolean,
    Call,
    Compare,
    Concat,
    Expr,
    Extend,
    Extract,
    If,
    Instruction,
    Isa,
    Literal,
    Local,
    Logic,
    Not,
    Read,
    Return,
    Select,
    Stmt,
    Trap,
    Truth,
    Unary,
    Wait,
)
from spec.simplify_expressions import (
    binary,
    bit,
    compare,
    concat,
    extend,
    extract,
    logic,
    negate,
    select,
    truth,
    unary,
)

_Known: TypeAlias = dict[str, Expr]
"""Locals whose values are constants."""


class Specializer:
    """Folds what is known through the bodies of one description; remembers functions."""

    def __init__(self, isa: Isa) -> None:
        self._functions = {function.name: function for function in isa.functions}
        self._bodies: dict[tuple[str, tuple[Expr | None, ...]], Block | None] = {}

    def instruction(self, instruction: Instruction, fixed: Mapping[str, int]) -> Instruction:
        """The instruction for runs in which these fields have these values."""
        widths = {field.name: field.width for field in instruction.fields}
        known: _Known = {name: Literal(value, widths[name]) for name, value in fixed.items()}
        given = (*(field.name for field in instruction.fields), "next")
        return replace(instruction, body=self._specialized(instruction.body, known, given))

    def _specialized(self, block: Block, known: _Known, given: Iterable[str]) -> Block:
        """`given` are the locals that hold something at the beginning."""
        return _without_copies(_Folding(self).block(block, known), given)

    def straight(self, function: str, arguments: tuple[Expr, ...]) -> Block | None:
        """The function's body for known arguments, if it returns at its end only; else None."""
        constants = tuple(a if _constant(a) else None for a in arguments)
        if not any(constants):
            return None
        key = (function, constants)
        if key not in self._bodies:
            self._bodies[key] = None  # a function in the midst of itself stays a call
            routine = self._functions[function]
            pairs = zip(routine.parameters, constants, strict=True)
            known: _Known = {p.name: value for p, value in pairs if value is not None}
            given = (p.name for p in routine.parameters)
            body = self._specialized(routine.body, known, given)
            returns = [s for s in statements(body) if isinstance(s, Return)]
            at_end = bool(body) and isinstance(body[-1], Return) and len(returns) == 1
            if at_end or not returns:
                self._bodies[key] = body
        return self._bodies[key]

    def parameters(self, function: str) -> tuple[Local, ...]:
        return self._functions[function].parameters


class _Folding:
    """One pass over a body: constants are folded, arms that cannot run are left out."""

    def __init__(self, specializer: Specializer) -> None:
        self._specializer = specializer
        self._inlined = 0

    def block(self, block: Block, known: _Known) -> Block:
        """`known` is kept up to date."""
        found: list[Stmt] = []
        for statement in block:
            found += self._statement(statement, known)
            if found and isinstance(found[-1], Trap | Wait | Return):
                break
        return tuple(found)

    def _statement(self, statement: Stmt, known: _Known) -> Block:
        folded = replaced(statement, lambda e: fold(e, known))
        match folded:
            case If(Boolean(value), then, orelse):
                return self.block(then if value else orelse, known)
            case If(condition, then, orelse):
                first, second = dict(known), dict(known)
                arms = self.block(then, first), self.block(orelse, second)
                known.clear()
                known.update({n: e for n, e in first.items() if second.get(n) == e})
                return (If(condition, *arms),)
            case Call(target, function, arguments):
                return self._call(target, function, arguments, known)
            case _:
                return (self._noted(folded, known),)

    def _noted(self, statement: Stmt, known: _Known) -> Stmt:
        target = target_of(statement)
        if target is not None:
            known.pop(target, None)
        if isinstance(statement, Assign) and _constant(statement.value):
            known[statement.name] = statement.value
        return statement

    def _call(
        self, target: str | None, function: str, arguments: tuple[Expr, ...], known: _Known
    ) -> Block:
        body = self._specializer.straight(function, arguments)
        if body is None:
            return (self._noted(Call(target, function, arguments), known),)
        self._inlined += 1
        mark = f"{function}@{self._inlined} "
        found: list[Stmt] = []
        passed: _Known = {}
        assigned = {target_of(statement) for statement in statements(body)}
        for parameter, argument in zip(
            self._specializer.parameters(function), arguments, strict=True
        ):
            if _constant(argument) and parameter.name not in assigned:
                passed[parameter.name] = argument
            else:
                found.append(Assign(mark + parameter.name, argument))
        for statement in body:
            if isinstance(statement, Return):
                value = _renamed(statement.value, mark, passed)
                if target is not None:
                    found.append(self._noted(Assign(target, value), known))
            else:
                found.append(_marked(statement, mark, passed))
        return tuple(found)


def _marked(statement: Stmt, mark: str, passed: _Known) -> Stmt:
    """The statement of a function that is written out, with locals of its own."""
    renamed = replaced(statement, lambda e: _renamed(e, mark, passed))
    if isinstance(renamed, If):
        then, orelse = (
            tuple(_marked(s, mark, passed) for s in arm) for arm in (renamed.then, renamed.orelse)
        )
        return If(renamed.condition, then, orelse)
    target = target_of(renamed)
    return renamed if target is None else with_target(renamed, mark + target)


def _renamed(expr: Expr, mark: str, passed: _Known) -> Expr:
    def leaf(e: Expr) -> Expr | None:
        if isinstance(e, Local):
            return passed.get(e.name) or Local(mark + e.name, e.width)
        return None

    return _rebuilt(expr, leaf)


# --------------------------------------------------------------------------- copies


def _without_copies(block: Block, given: Iterable[str]) -> Block:
    """Without locals that are given a constant, or another local's value, once and for all."""
    times = Counter(given)
    times.update(t for statement in statements(block) if (t := target_of(statement)) is not None)
    return _Copies(times).block(block)


class _Copies:
    def __init__(self, times: Counter[str]) -> None:
        self._times = times
        self._values: _Known = {}

    def block(self, block: Block) -> Block:
        found: list[Stmt] = []
        for statement in block:
            settled = replaced(statement, self._settled) if self._values else statement
            match settled:
                case Assign(name, value) if self._times[name] == 1 and self._lasting(value):
                    self._values[name] = value
                case If(condition, then, orelse):
                    arms = self.block(then), self.block(orelse)
                    if any(arms):
                        found.append(If(condition, *arms))
                case _:
                    found.append(settled)
        return tuple(found)

    def _lasting(self, value: Expr) -> bool:
        return _constant(value) or (isinstance(value, Local) and self._times[value.name] < 2)

    def _settled(self, expr: Expr) -> Expr:
        return fold(expr, self._values)


# --------------------------------------------------------------------------- expressions


def _constant(expr: Expr) -> bool:
    return isinstance(expr, Literal | Boolean)


def fold(expr: Expr, known: Mapping[str, Expr]) -> Expr:
    """The expression with known locals put in, and what that decides computed."""

    def leaf(e: Expr) -> Expr | None:
        return known.get(e.name) if isinstance(e, Local) else None

    return _rebuilt(expr, leaf)


def _rebuilt(expr: Expr, leaf: Callable[[Expr], Expr | None]) -> Expr:
    found = leaf(expr)
    if found is not None:
        return found
    parts = children(expr)
    if not parts:
        return expr
    folded = tuple(_rebuilt(part, leaf) for part in parts)
    if all(new is old for new, old in zip(folded, parts, strict=True)):
        return expr
    return _made(expr, folded)


def _made(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """The operator of an expression on other operands, with what that decides computed."""
    match expr:
        case Literal() | Boolean() | Local():
            return expr
        case Read(element, width):
            return Read(element, width, *parts)
        case Unary(op):
            return unary(op, *parts)
        case Binary(op):
            return binary(op, *parts)
        case Extract(_, high, low):
            return extract(parts[0], high, low)
        case Concat():
            return concat(*parts)
        case Extend(_, signed, width):
            return extend(parts[0], signed, width)
        case Select():
            return select(*parts)
        case Compare(op):
            return compare(op, *parts)
        case Logic(op):
            return logic(op, *parts)
        case Not():
            return negate(*parts)
        case Truth():
            return truth(*parts)
        case Bit():
            return bit(*parts)
        case _:
            assert_never(expr)
