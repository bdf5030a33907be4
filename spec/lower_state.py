"""Lowering of names, state, and parts of values."""

from typing import assert_never

from spec import ir, syntax
from spec.lowering import BIT, Lowering, concat
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
    ArrayType,
    Bits,
    Enumeration,
    OperandType,
    Struct,
    StructField,
    Type,
    Value,
    number,
    width_of,
)


def memory_size(memory: ir.Memory) -> str:
    """The element that holds the number of memory cells, where a description asks for it."""
    return f"{memory.name}.size"


class StateReading(Lowering):
    """Adds names and state to lowering."""

    def _name(self, name: str, span: Span, expected: Type | None) -> Value:
        if name in self.scope:
            return self.scope[name]
        if name in self.poisoned:
            from_earlier = reject("E0201", name, span)
            from_earlier.diagnostic = None
            raise from_earlier
        if name in self.columns:
            return self.expr(self.columns[name], expected)
        if isinstance(expected, Enumeration):
            for member, encoding in expected.members:
                if member == name:
                    return Value(expected, ir.Literal(encoding, expected.width))
        if name in self.globals.numbers:
            return number(self.globals.numbers[name])
        if name in self.globals.state:
            return self.read_state(self.globals.state[name], span)
        if name in ("true", "false"):
            return number(int(name == "true"))
        if name == "next":
            return self._next(span)
        if name in self.globals.members:
            candidates = self.globals.members[name]
            if len(candidates) > 1:
                owners = " and ".join(f"`{kind.name}`" for kind, _ in candidates)
                raise reject(
                    "E0206",
                    f"`{name}` is a member of {owners}",
                    span,
                    help=f"write `{candidates[0][0].name}.{name}`",
                )
            kind, encoding = candidates[0]
            return Value(kind, ir.Literal(encoding, kind.width))
        raise self.globals.unknown("name", name, span)

    def _next(self, span: Span) -> Value:
        pc = self.globals.pc
        if not self.next_allowed or pc is None:
            raise reject(
                "E0201", "`next` has a meaning only in instructions and trap deliveries", span
            )
        self.used_next[0] = True
        width = width_of(pc.type) or 1
        return Value(Bits(width), ir.Local("next", width))

    def read_state(self, state: StateName, span: Span) -> Value:
        """The whole of a state name."""
        match state:
            case Scalar(element, kind):
                self.globals.used.add(element)
                return Value(kind, ir.Read(element, width_of(kind) or 1))
            case StructState(name, kind, None):
                return Value(kind, self._struct_expr(name, kind, None))
            case BankState(_, kind, members):
                width = width_of(kind) or 1
                mode = self.mode_read()
                expr: ir.Expr = ir.Read(members[-1][1], width)
                for encoding, element in reversed(members[:-1]):
                    here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(encoding, mode.width))
                    expr = ir.Select(here, ir.Read(element, width), expr, width)
                return Value(kind, expr)
            case AliasState(name, kind, value):
                inner = self.fork()
                inner.scope, inner.columns, inner.out = {}, {}, self.out
                read = inner.expr(value, kind)
                if isinstance(kind, Bits) and not isinstance(read.type, Bits):
                    read = Value(Bits(width_of(read.type) or 1), read.expr)
                return inner.coerce(read, kind, value.span)
            case Array() | StructState():
                name = state.element if isinstance(state, Array) else state.name
                raise reject(
                    "E0202",
                    f"`{name}` is an array",
                    span,
                    help=f"choose an element: `{name}[...]`",
                )
            case _:
                assert_never(state)

    def mode_read(self) -> ir.Read:
        mode = self.globals.mode
        if mode is None:
            raise AssertionError("a mode is required before bodies are lowered")
        return ir.Read(self.globals.mode_element, mode.width)

    def _struct_expr(self, name: str, kind: Struct, index: ir.Expr | None) -> ir.Expr:
        parts: list[ir.Expr] = []
        above = kind.width
        for f in kind.fields:
            if f.high + 1 < above:
                parts.append(ir.Literal(0, above - f.high - 1))
            self.globals.used.add(f"{name}.{f.name}")
            parts.append(ir.Read(f"{name}.{f.name}", f.high - f.low + 1, index))
            above = f.low
        if above:
            parts.append(ir.Literal(0, above))
        return concat(parts)

    def _state_base(self, node: syntax.Expr) -> StateName | None:
        if isinstance(node, syntax.Name) and node.name not in self.scope:
            if node.name in self.columns:
                return self._state_base(self.columns[node.name])
            return self.globals.state.get(node.name)
        return None

    def array_index(self, node: syntax.Expr, length: int, name: str) -> ir.Expr:
        """An index into a state array; a constant one must be inside."""
        value = self.expr(node)
        if value.number is not None:
            if not 0 <= value.number < length:
                raise reject("E0210", f"`{name}` has elements 0 to {length - 1}", node.span)
            return ir.Literal(value.number, max(1, (length - 1).bit_length()))
        if isinstance(value.type, OperandType | ArrayType):
            raise reject("E0202", f"{self.describe(value)} is not an index", node.span)
        return value.expr

    def _index(self, base: syntax.Expr, index: syntax.Expr, span: Span) -> Value:
        state = self._state_base(base)
        match state:
            case Array(element, kind, zero):
                self.globals.used.add(element)
                at = self.array_index(index, kind.length, element)
                width = width_of(kind.element) or 1
                expr: ir.Expr = ir.Read(element, width, at)
                if zero is not None:
                    here = ir.Compare(ir.CompareOp.EQ, at, ir.Literal(zero, at.width))
                    expr = ir.Select(here, ir.Literal(0, width), expr, width)
                return Value(kind.element, expr)
            case StructState(name, kind, int(length)):
                at = self.array_index(index, length, name)
                return Value(kind, self._struct_expr(name, kind, at))
            case _:
                value = self.bits(base)
                at_value = self.expr(index)
                if at_value.number is not None:
                    return self.slice_of(value, at_value.number, at_value.number, span)
                amount = self.resize(at_value.expr, value.expr.width)
                shifted = ir.Binary(ir.BinaryOp.LSHR, value.expr, amount, value.expr.width)
                return Value(BIT, ir.Extract(shifted, 0, 0))

    def _field(self, base: syntax.Expr, name: str, span: Span) -> Value:
        if isinstance(base, syntax.Name) and base.name not in self.scope:
            kind = self.globals.types.get(base.name)
            if isinstance(kind, Enumeration) and base.name not in self.globals.state:
                for member, encoding in kind.members:
                    if member == name:
                        return Value(kind, ir.Literal(encoding, kind.width))
                raise self.globals.unknown("member", name, span, [m for m, _ in kind.members])
        state = self._state_base(base)
        index: ir.Expr | None = None
        if isinstance(base, syntax.Index):
            array = self._state_base(base.base)
            if isinstance(array, StructState) and array.length is not None:
                state = array
                index = self.array_index(base.index, array.length, array.name)
        if isinstance(state, StructState) and (state.length is None or index is not None):
            at = self.struct_field(state.type, name, span)
            self.globals.used.add(f"{state.name}.{name}")
            return Value(at.type, ir.Read(f"{state.name}.{name}", at.high - at.low + 1, index))
        if self.is_memory_size(base, name):
            return self._memory_size()
        value = self.expr(base)
        if not isinstance(value.type, Struct):
            raise reject("E0202", f"{self.describe(value)} has no fields", base.span)
        at = self.struct_field(value.type, name, span)
        part = self.slice_of(value, at.high, at.low, span)
        return Value(at.type, part.expr)

    def is_memory_size(self, base: syntax.Expr, name: str) -> bool:
        """Whether `base.name` asks for the number of memory cells."""
        memory = self.globals.memory
        if memory is None or name != "size" or not isinstance(base, syntax.Name):
            return False
        local = base.name in self.scope or base.name in self.columns
        return base.name == memory.name and not local and base.name not in self.globals.state

    def _memory_size(self) -> Value:
        memory = self.globals.memory
        if memory is None:
            raise AssertionError("only asked of a memory")
        self.globals.memory_size_read = True
        width = memory.address_width + 1
        return Value(Bits(width), ir.Read(memory_size(memory), width))

    def struct_field(self, kind: Struct, name: str, span: Span) -> StructField:
        found = kind.field(name)
        if found is None:
            raise self.globals.unknown("field", name, span, [f.name for f in kind.fields])
        return found
