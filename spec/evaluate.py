"""The one walk that gives the IR its meaning, over any engine (or, for pure expressions, domain)."""

from __future__ import annotations  # else inner functions evaluate theirs at every call

from collections.abc import Callable, Mapping
from typing import Generic, assert_never, cast

from spec.engine import B, Domain, Engine, V
from spec.ir import (
    Assign,
    Binary,
    Bit,
    Block,
    Boolean,
    Call,
    Choose,
    Compare,
    Concat,
    Expr,
    Extend,
    Extract,
    Function,
    If,
    Literal,
    Load,
    LoadPhysical,
    Local,
    Logic,
    Not,
    Probe,
    Read,
    Return,
    Select,
    Stmt,
    Store,
    StorePhysical,
    Translate,
    Trap,
    Truth,
    Unary,
    Wait,
    Write,
)


def evaluate(
    expr: Expr,
    domain: Domain[V, B],
    local: Callable[[str], V | B],
    read: Callable[[str, V | None], V],
) -> V | B:
    """Value of a pure expression, given what locals and state elements hold.

    A bit-vector, or a truth value if `expr.width` is 0.
    """
    return Evaluation(domain, local, read).value(expr)


class Evaluation(Generic[V, B]):
    """Gives expressions their values, given what locals and state elements hold."""

    __slots__ = ("domain", "local", "read")

    def __init__(
        self,
        domain: Domain[V, B],
        local: Callable[[str], V | B],
        read: Callable[[str, V | None], V],
    ) -> None:
        self.domain = domain
        self.local = local
        self.read = read

    def value(self, e: Expr) -> V | B:
        """A bit-vector, or a truth value if the width of `e` is 0."""
        vector: Callable[[Expr], V] = self.value  # type: ignore[assignment]  # by its width
        truth: Callable[[Expr], B] = self.value  # type: ignore[assignment]  # by its width
        domain = self.domain
        # The most frequent first: patterns are tried in order.
        match e:
            case Local(name):
                return self.local(name)
            case Literal(value, width):
                return domain.literal(value, width)
            case Read(element, _, index):
                return self.read(element, None if index is None else vector(index))
            case Compare(op, left, right):
                return domain.compare(op, vector(left), vector(right), left.width)
            case Concat(high_part, low_part, width):
                return domain.concat(vector(high_part), vector(low_part), low_part.width, width)
            case Extract(operand, high, low):
                return domain.extract(vector(operand), operand.width, high, low)
            case Binary(op, left, right, width):
                return domain.binary(op, vector(left), vector(right), width)
            case Select(condition, then, orelse, width):
                known = truth(condition)
                if known is True:  # then the other arm need not be evaluated
                    return self.value(then)
                if known is False:
                    return self.value(orelse)
                if width == 0:
                    return domain.select_truth(known, truth(then), truth(orelse))
                return domain.select(known, vector(then), vector(orelse), width)
            case Extend(operand, signed, width):
                return domain.extend(vector(operand), operand.width, signed, width)
            case Logic(op, left, right):
                return domain.logic(op, truth(left), truth(right))
            case Not(operand):
                return domain.negate(truth(operand))
            case Truth(operand):
                return domain.truth(vector(operand))
            case Bit(operand):
                return domain.bit(truth(operand))
            case Unary(op, operand, width):
                return domain.unary(op, vector(operand), width)
            case Boolean(value):
                return domain.boolean(value)
            case _:
                assert_never(e)


class Walk(Generic[V, B]):
    """Runs blocks of one description on an engine.

    `functions` are the description's, by name. An engine that translates addresses by the
    description's own routine calls back `call` from its `load`, `store`, `translate` and `probe`.
    """

    def __init__(self, engine: Engine[V, B], functions: Mapping[str, Function]) -> None:
        self.engine = engine
        self.functions = functions
        self._evaluation: Evaluation[V, B] = Evaluation(engine, engine.local, engine.read)

    def value(self, expr: Expr) -> V | B:
        """Value of an expression in the present state and frame."""
        return self._evaluation.value(expr)

    def block(self, block: Block) -> None:
        """Run statements until their end or until no path goes on."""
        for statement in block:
            if self.engine.stopped():
                return
            self._statement(statement)

    def call(self, function: str, arguments: tuple[V | B, ...]) -> V | B | None:
        """Run a function; its result, or None of a procedure (or if no path returned)."""
        routine = self.functions[function]
        names = (parameter.name for parameter in routine.parameters)
        self.engine.enter(dict(zip(names, arguments, strict=True)))
        self.block(routine.body)
        return self.engine.leave(routine.result)

    def _vector(self, expr: Expr) -> V:
        return cast(V, self.value(expr))

    def _optional(self, expr: Expr | None) -> V | None:
        return None if expr is None else self._vector(expr)

    def _statement(self, statement: Stmt) -> None:
        engine = self.engine
        match statement:
            case Assign(name, value):
                engine.assign(name, self.value(value), value.width)
            case Write(element, value, index):
                engine.write(element, self._vector(value), self._optional(index))
            case Load(target, address, width, access, mode):
                loaded = engine.load(self._vector(address), width, access, self._optional(mode))
                self._target(target, loaded, width)
            case Store(address, value, width, mode):
                engine.store(
                    self._vector(address), self._vector(value), width, self._optional(mode)
                )
            case LoadPhysical(target, address, width):
                self._target(target, engine.load_physical(self._vector(address), width), width)
            case StorePhysical(address, value, width):
                engine.store_physical(self._vector(address), self._vector(value), width)
            case Translate(target, address, size, access, mode, width):
                physical = engine.translate(
                    self._vector(address), size, access, self._optional(mode)
                )
                self._target(target, physical, width)
            case Probe(target, address, size, access, mode):
                reached = engine.probe(self._vector(address), size, access, self._optional(mode))
                self._target(target, reached, 0)
            case Call(target, function, arguments):
                result = self.call(function, tuple(self.value(a) for a in arguments))
                if target is not None and result is not None:
                    self._target(target, result, self.functions[function].result or 0)
            case Choose(target, width):
                self._target(target, engine.choose(width), width)
            case If(condition, then, orelse):
                engine.branch(
                    cast(B, self.value(condition)),
                    lambda: self.block(then),
                    lambda: self.block(orelse),
                )
            case Trap(cause, trap_class, arguments):
                values = tuple(self.value(a) for a in arguments)
                engine.trap(cause, trap_class, values)
            case Wait():
                engine.wait()
            case Return(value):
                engine.give_back(self.value(value), value.width)
            case _:
                assert_never(statement)

    def _target(self, name: str, value: V | B, width: int) -> None:
        if not self.engine.stopped():
            self.engine.assign(name, value, width)
