"""The one walk that gives the IR its meaning, over any engine (or, for pure expressions, domain)."""

from __future__ import annotations  # else inner functions evaluate theirs at every call

from collections.abc import Callable, Mapping
from typing import Any, Generic

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
        found: V | B = _RULES[e.__class__](self, e)
        return found

    def vector(self, e: Expr) -> V:
        found: V = _RULES[e.__class__](self, e)
        return found

    def truth(self, e: Expr) -> B:
        found: B = _RULES[e.__class__](self, e)
        return found

    def _local(self, e: Local) -> V | B:
        return self.local(e.name)

    def _literal(self, e: Literal) -> V:
        return self.domain.literal(e.value, e.width)

    def _boolean(self, e: Boolean) -> B:
        return self.domain.boolean(e.value)

    def _read(self, e: Read) -> V:
        return self.read(e.element, None if e.index is None else self.vector(e.index))

    def _unary(self, e: Unary) -> V:
        return self.domain.unary(e.op, self.vector(e.operand), e.width)

    def _binary(self, e: Binary) -> V:
        return self.domain.binary(e.op, self.vector(e.left), self.vector(e.right), e.width)

    def _extract(self, e: Extract) -> V:
        operand = e.operand
        return self.domain.extract(self.vector(operand), operand.width, e.high, e.low)

    def _concat(self, e: Concat) -> V:
        low = e.low
        return self.domain.concat(self.vector(e.high), self.vector(low), low.width, e.width)

    def _extend(self, e: Extend) -> V:
        operand = e.operand
        return self.domain.extend(self.vector(operand), operand.width, e.signed, e.width)

    def _select(self, e: Select) -> V | B:
        known = self.truth(e.condition)
        if known is True:  # then the other arm need not be evaluated
            return self.value(e.then)
        if known is False:
            return self.value(e.orelse)
        if e.width == 0:
            arms = self.truth(e.then), self.truth(e.orelse)
            return self.domain.select_truth(known, *arms)
        return self.domain.select(known, self.vector(e.then), self.vector(e.orelse), e.width)

    def _compare(self, e: Compare) -> B:
        left = e.left
        return self.domain.compare(e.op, self.vector(left), self.vector(e.right), left.width)

    def _logic(self, e: Logic) -> B:
        return self.domain.logic(e.op, self.truth(e.left), self.truth(e.right))

    def _not(self, e: Not) -> B:
        return self.domain.negate(self.truth(e.operand))

    def _truth_of(self, e: Truth) -> B:
        return self.domain.truth(self.vector(e.operand))

    def _bit(self, e: Bit) -> V:
        return self.domain.bit(self.truth(e.operand))


# A table: to try patterns in order takes half of the time of a run.
_RULES: Mapping[type, Callable[[Any, Any], Any]] = {
    Literal: Evaluation._literal,
    Boolean: Evaluation._boolean,
    Local: Evaluation._local,
    Read: Evaluation._read,
    Unary: Evaluation._unary,
    Binary: Evaluation._binary,
    Extract: Evaluation._extract,
    Concat: Evaluation._concat,
    Extend: Evaluation._extend,
    Select: Evaluation._select,
    Compare: Evaluation._compare,
    Logic: Evaluation._logic,
    Not: Evaluation._not,
    Truth: Evaluation._truth_of,
    Bit: Evaluation._bit,
}


class Walk(Generic[V, B]):
    """Runs blocks of one description on an engine.

    `functions` are the description's, by name. An engine that translates addresses by the
    description's own routine calls back `call` from its `load`, `store`, `translate` and `probe`.
    """

    def __init__(self, engine: Engine[V, B], functions: Mapping[str, Function]) -> None:
        self.engine = engine
        self.functions = functions
        evaluation: Evaluation[V, B] = Evaluation(engine, engine.local, engine.read)
        self.value: Callable[[Expr], V | B] = evaluation.value
        """Value of an expression in the present state and frame."""
        self._vector: Callable[[Expr], V] = evaluation.vector
        self._truth: Callable[[Expr], B] = evaluation.truth

    def block(self, block: Block) -> None:
        """Run statements until their end or until no path goes on."""
        stopped = self.engine.stopped
        for statement in block:
            if stopped():
                return
            _EFFECTS[statement.__class__](self, statement)

    def call(self, function: str, arguments: tuple[V | B, ...]) -> V | B | None:
        """Run a function; its result, or None of a procedure (or if no path returned)."""
        routine = self.functions[function]
        names = (parameter.name for parameter in routine.parameters)
        self.engine.enter(dict(zip(names, arguments, strict=True)))
        self.block(routine.body)
        return self.engine.leave(routine.result)

    def _optional(self, expr: Expr | None) -> V | None:
        return None if expr is None else self._vector(expr)

    def _assign(self, s: Assign) -> None:
        self.engine.assign(s.name, self.value(s.value), s.value.width)

    def _write(self, s: Write) -> None:
        self.engine.write(s.element, self._vector(s.value), self._optional(s.index))

    def _load(self, s: Load) -> None:
        address, mode = self._vector(s.address), self._optional(s.mode)
        self._target(s.target, self.engine.load(address, s.width, s.access, mode), s.width)

    def _store(self, s: Store) -> None:
        address, value = self._vector(s.address), self._vector(s.value)
        self.engine.store(address, value, s.width, self._optional(s.mode))

    def _load_physical(self, s: LoadPhysical) -> None:
        loaded = self.engine.load_physical(self._vector(s.address), s.width)
        self._target(s.target, loaded, s.width)

    def _store_physical(self, s: StorePhysical) -> None:
        self.engine.store_physical(self._vector(s.address), self._vector(s.value), s.width)

    def _translate(self, s: Translate) -> None:
        address, mode = self._vector(s.address), self._optional(s.mode)
        self._target(s.target, self.engine.translate(address, s.size, s.access, mode), s.width)

    def _probe(self, s: Probe) -> None:
        address, mode = self._vector(s.address), self._optional(s.mode)
        self._target(s.target, self.engine.probe(address, s.size, s.access, mode), 0)

    def _call(self, s: Call) -> None:
        result = self.call(s.function, tuple(self.value(a) for a in s.arguments))
        if s.target is not None and result is not None:
            self._target(s.target, result, self.functions[s.function].result or 0)

    def _choose(self, s: Choose) -> None:
        self._target(s.target, self.engine.choose(s.width), s.width)

    def _if(self, s: If) -> None:
        self.engine.branch(
            self._truth(s.condition), lambda: self.block(s.then), lambda: self.block(s.orelse)
        )

    def _trap(self, s: Trap) -> None:
        self.engine.trap(s.cause, s.trap_class, tuple(self.value(a) for a in s.arguments))

    def _wait(self, s: Wait) -> None:
        self.engine.wait()

    def _return(self, s: Return) -> None:
        self.engine.give_back(self.value(s.value), s.value.width)

    def _target(self, name: str, value: V | B, width: int) -> None:
        if not self.engine.stopped():
            self.engine.assign(name, value, width)


_EFFECTS: Mapping[type, Callable[[Any, Any], None]] = {
    Assign: Walk._assign,
    Write: Walk._write,
    Load: Walk._load,
    Store: Walk._store,
    LoadPhysical: Walk._load_physical,
    StorePhysical: Walk._store_physical,
    Translate: Walk._translate,
    Probe: Walk._probe,
    Call: Walk._call,
    Choose: Walk._choose,
    If: Walk._if,
    Trap: Walk._trap,
    Wait: Walk._wait,
    Return: Walk._return,
}
