"""Type checking and lowering of what can be assigned to."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from spec import ir, syntax
from spec.lower_match import Matches
from spec.lowering import as_truth, concat
from spec.scope import (
    AliasState,
    Array,
    BankState,
    Scalar,
    StateName,
    StructState,
    reject,
)
from spec.source import Span
from spec.types import (
    Bits,
    Struct,
    Type,
    Value,
    width_of,
)

_NO_SPAN = Span("", 0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Something assignable."""

    type: Type
    read: Callable[[], Value]
    write: Callable[[Value], None]


class Places(Matches):
    """Adds assignable things to expressions; `mutable` holds the locals declared by `var`."""

    mutable: frozenset[str] = frozenset()

    @abstractmethod
    def fork(self) -> "Places": ...

    def place(self, node: syntax.Expr) -> Place:
        """The assignable thing that an expression names."""
        match node:
            case syntax.Name(name):
                return self._named_place(name, node.span)
            case syntax.Index(base, index):
                return self._index_place(base, index, node.span)
            case syntax.Slice(base, high, low):
                return self._part(
                    self.place(base), self.integer(high), self.integer(low), node.span
                )
            case syntax.Field(base, name):
                return self._field_place(base, name, node.span)
            case syntax.Binary("++", left, right):
                return self._joined(self.place_or_constant(left), self.place_or_constant(right))
            case syntax.Call(syntax.Name(name), _) if name in self.globals.accessors:
                call = node
                current = self.call(call, None)

                def write(value: Value) -> None:
                    self.user_call(call, name, value)

                return Place(current.type, lambda: current, write)
            case _:
                raise reject("E0207", "this cannot be assigned to", node.span)

    def place_or_constant(self, node: syntax.Expr) -> Place:
        """In an alias, constants take their bits and ignore them."""
        if isinstance(node, syntax.Sized):
            value = self.expr(node)
            return Place(value.type, lambda: value, lambda _: None)
        return self.place(node)

    def _named_place(self, name: str, span: Span) -> Place:
        if name in self.scope:
            variable = self.scope[name]
            if not isinstance(variable.expr, ir.Local) or variable.expr.name not in self.mutable:
                raise reject(
                    "E0207",
                    f"`{name}` is a constant",
                    span,
                    help=f"declare it with `var {name} = ...`",
                )
            local = variable.expr.name
            return Place(
                variable.type,
                lambda: variable,
                lambda value: self.out.append(ir.Assign(local, value.expr)),
            )
        if name in self.columns:
            return self.place(self.columns[name])
        state = self.globals.state.get(name)
        if state is None:
            if name in self.globals.numbers or name in self.globals.members:
                raise reject("E0207", f"`{name}` is a constant", span)
            raise self.globals.unknown("name", name, span)
        return self._state_place(state, span)

    def _state_place(self, state: StateName, span: Span) -> Place:
        match state:
            case Scalar(element, kind):
                return Place(
                    kind,
                    lambda: self.read_state(state, span),
                    lambda value: self.out.append(ir.Write(element, value.expr)),
                )
            case StructState(name, kind, None):
                return self._struct_place(name, kind, None)
            case BankState(_, kind, members):
                return Place(
                    kind,
                    lambda: self.read_state(state, span),
                    lambda value: self._write_bank(members, self.pin(value).expr),
                )
            case AliasState(_, kind, value):
                inner = self.fork()
                inner.scope, inner.columns, inner.out = {}, {}, self.out
                place = inner.place(value)
                return Place(kind, lambda: self.read_state(state, span), place.write)
            case Array() | StructState():
                raise reject("E0207", "choose an element of this array", span)
            case _:
                assert_never(state)

    def _write_bank(self, members: tuple[tuple[int, str], ...], value: ir.Expr) -> None:
        chain: ir.Block = (ir.Write(members[-1][1], value),)
        mode = self.mode_read()
        for encoding, element in reversed(members[:-1]):
            here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(encoding, mode.width))
            chain = (ir.If(here, (ir.Write(element, value),), chain),)
        self.out += chain

    def _struct_place(self, name: str, kind: Struct, index: ir.Expr | None) -> Place:
        def write(value: Value) -> None:
            whole = self.pin(value)
            for f in kind.fields:
                part = self.slice_of(Value(Bits(kind.width), whole.expr), f.high, f.low, _NO_SPAN)
                self.out.append(ir.Write(f"{name}.{f.name}", part.expr, index))

        return Place(kind, lambda: Value(kind, self._struct_expr(name, kind, index)), write)

    def _index_place(self, base: syntax.Expr, index: syntax.Expr, span: Span) -> Place:
        state = self._state_base(base)
        match state:
            case Array(element, kind, zero):
                at = self.array_index(index, kind.length, element)
                if not isinstance(at, ir.Literal | ir.Local):
                    at = self.pin(Value(Bits(at.width), at), "index").expr
                pinned = at
                width = width_of(kind.element) or 1

                def write(value: Value) -> None:
                    statement = ir.Write(element, value.expr, pinned)
                    if zero is None:
                        self.out.append(statement)
                        return
                    here = ir.Compare(ir.CompareOp.NE, pinned, ir.Literal(zero, pinned.width))
                    self.out.append(ir.If(here, (statement,), ()))

                element_type = kind.element

                def read() -> Value:
                    expr: ir.Expr = ir.Read(element, width, pinned)
                    if zero is not None:
                        here = ir.Compare(ir.CompareOp.EQ, pinned, ir.Literal(zero, pinned.width))
                        expr = ir.Select(here, ir.Literal(0, width), expr, width)
                    return Value(element_type, expr)

                return Place(element_type, read, write)
            case StructState(name, kind, int(length)):
                return self._struct_place(name, kind, self.array_index(index, length, name))
            case _:
                place = self.place(base)
                value = self.expr(index)
                if value.number is not None:
                    return self._part(place, value.number, value.number, span)
                return self._bit_place(place, value, span)

    def _bit_place(self, place: Place, index: Value, span: Span) -> Place:
        width = self._width(place, span)
        at = self.pin(Value(Bits(width), self.resize(index.expr, width)), "bit").expr

        def read() -> Value:
            whole = place.read().expr
            return Value(Bits(1), ir.Extract(ir.Binary(ir.BinaryOp.LSHR, whole, at, width), 0, 0))

        def write(value: Value) -> None:
            one = ir.Binary(ir.BinaryOp.SHL, ir.Literal(1, width), at, width)
            whole = place.read().expr
            on = ir.Binary(ir.BinaryOp.OR, whole, one, width)
            off_mask = ir.Unary(ir.UnaryOp.NOT, one, width)
            off = ir.Binary(ir.BinaryOp.AND, whole, off_mask, width)
            place.write(Value(place.type, ir.Select(as_truth(value.expr), on, off, width)))

        return Place(Bits(1), read, write)

    def _width(self, place: Place, span: Span) -> int:
        width = width_of(place.type)
        if width is None:
            raise reject("E0207", "this cannot be assigned to", span)
        return width

    def _field_place(self, base: syntax.Expr, name: str, span: Span) -> Place:
        state = self._state_base(base)
        index: ir.Expr | None = None
        if isinstance(base, syntax.Index):
            array = self._state_base(base.base)
            if isinstance(array, StructState) and array.length is not None:
                state = array
                index = self.array_index(base.index, array.length, array.name)
        if isinstance(state, StructState) and (state.length is None or index is not None):
            at = self.struct_field(state.type, name, span)
            element = f"{state.name}.{name}"
            width = at.high - at.low + 1
            return Place(
                at.type,
                lambda: Value(at.type, ir.Read(element, width, index)),
                lambda value: self.out.append(ir.Write(element, value.expr, index)),
            )
        if self.is_memory_size(base, name):
            raise reject("E0207", "the number of memory cells is a constant", span)
        place = self.place(base)
        if not isinstance(place.type, Struct):
            raise reject("E0202", f"`{place.type}` has no fields", base.span)
        at = self.struct_field(place.type, name, span)
        part = self._part(place, at.high, at.low, span)
        return Place(at.type, part.read, part.write)

    def _part(self, place: Place, high: int, low: int, span: Span) -> Place:
        width = self._width(place, span)
        if not 0 <= low <= high < width:
            raise reject("E0210", f"bits {high} to {low} are not within 0 to {width - 1}", span)

        def read() -> Value:
            whole = Value(Bits(width), place.read().expr)
            return self.slice_of(whole, high, low, span)

        def write(value: Value) -> None:
            whole = Value(Bits(width), place.read().expr)
            parts: list[ir.Expr] = []
            if high + 1 < width:
                parts.append(self.slice_of(whole, width - 1, high + 1, span).expr)
            parts.append(value.expr)
            if low:
                parts.append(self.slice_of(whole, low - 1, 0, span).expr)
            place.write(Value(place.type, concat(parts)))

        return Place(Bits(high - low + 1), read, write)

    def _joined(self, high: Place, low: Place) -> Place:
        high_width, low_width = width_of(high.type) or 0, width_of(low.type) or 0
        width = high_width + low_width

        def read() -> Value:
            return Value(Bits(width), concat([high.read().expr, low.read().expr]))

        def write(value: Value) -> None:
            whole = self.pin(Value(Bits(width), value.expr))
            upper = self.slice_of(whole, width - 1, low_width, _NO_SPAN)
            lower = self.slice_of(whole, low_width - 1, 0, _NO_SPAN)
            high.write(Value(high.type, upper.expr))
            low.write(Value(low.type, lower.expr))

        return Place(Bits(width), read, write)
