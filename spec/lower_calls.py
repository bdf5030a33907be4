"""Type checking and lowering of calls: conversions, functions, accessors."""

from abc import abstractmethod

from spec import ir, syntax
from spec.lower_builtins import BUILTINS, PROCEDURES, Builtins
from spec.lowering import concat
from spec.scope import reject
from spec.source import Span
from spec.types import (
    Address,
    Bits,
    IntType,
    OperandType,
    Struct,
    Type,
    Value,
    flatten,
    number,
    width_of,
)


class Calls(Builtins):
    """Adds conversions, functions and accessors."""

    @abstractmethod
    def instantiate(
        self, name: str, bound: dict[str, Value], result: Type | None, setter: Value | None
    ) -> ir.Function:
        """The function or accessor `name` with its compile-time parameters bound."""

    @abstractmethod
    def type_of(self, node: syntax.Type, bound: dict[str, int]) -> Type:
        """What a written type means; `bound` holds compile-time parameters."""

    def call(self, node: syntax.Call, expected: Type | None) -> Value:
        if not isinstance(node.function, syntax.Name):
            raise reject("E0202", "this cannot be called", node.function.span)
        name = node.function.name
        if name in self.globals.functions or name in self.globals.accessors:
            value = self.user_call(node, name)
            if value is None:
                raise reject("E0202", f"`{name}` has no result", node.span)
            return value
        if name in self.globals.types:
            return self._convert(node, self.globals.types[name])
        if name in PROCEDURES:
            raise reject("E0202", f"`{name}` has no result", node.span)
        if name not in BUILTINS:
            raise self.globals.unknown(
                "function",
                name,
                node.function.span,
                [*self.globals.functions, *self.globals.accessors, *BUILTINS, *self.globals.types],
            )
        return self.builtin(name, node, expected)

    # ----------------------------------------------------------------- conversions

    def _convert(self, node: syntax.Call, kind: Type) -> Value:
        if isinstance(kind, Struct) and any(isinstance(a, syntax.Named) for a in node.arguments):
            return self._build(node, kind)
        (argument,) = self.plain(node, 1, 1)
        width = width_of(kind)
        if width is None:
            raise reject("E0202", f"nothing converts to `{kind}`", node.span)
        value = self.expr(argument, Bits(width))
        if value.number is not None:
            value = self.coerce(value, kind, argument.span)
        elif isinstance(value.type, Address) and value.type.physical:
            raise reject("E0213", "a physical address converts by `bits(...)` only", argument.span)
        if width_of(value.type) != width:
            raise reject(
                "E0203",
                f"`{kind}` has {width} bits, this has {width_of(value.type)}",
                argument.span,
            )
        if isinstance(kind, Struct):
            return self._masked(value, kind, argument.span)
        return Value(kind, value.expr)

    def _masked(self, value: Value, kind: Struct, span: Span) -> Value:
        """Bits as a struct: those that no field has are 0."""
        covered = sum(f.high - f.low + 1 for f in kind.fields)
        if covered == kind.width:
            return Value(kind, value.expr)
        whole = self.pin(Value(Bits(kind.width), value.expr))
        given = {f.name: self.slice_of(whole, f.high, f.low, span) for f in kind.fields}
        return self._assembled(kind, given)

    def _build(self, node: syntax.Call, kind: Struct) -> Value:
        given: dict[str, Value] = {}
        for argument in node.arguments:
            if not isinstance(argument, syntax.Named):
                raise reject("E0206", "name every field", argument.span)
            at = self.struct_field(kind, argument.name, argument.span)
            mark = len(self.out)
            value = self.typed(argument.value, at.type)
            given = {n: self.ordered(v, mark) for n, v in given.items()}
            given[argument.name] = value
        missing = [f.name for f in kind.fields if f.name not in given]
        if missing:
            raise reject(
                "E0206", f"`{kind}` needs " + ", ".join(f"`{m}`" for m in missing), node.span
            )
        return self._assembled(kind, given)

    def _assembled(self, kind: Struct, given: dict[str, Value]) -> Value:
        parts: list[ir.Expr] = []
        above = kind.width
        for f in kind.fields:
            if f.high + 1 < above:
                parts.append(ir.Literal(0, above - f.high - 1))
            parts.append(given[f.name].expr)
            above = f.low
        if above:
            parts.append(ir.Literal(0, above))
        return Value(kind, concat(parts))

    # ----------------------------------------------------------------- functions

    def user_call(
        self, node: syntax.Call, name: str, setter: syntax.Expr | Value | None = None
    ) -> Value | None:
        """Call a function, or an accessor to read it (or to write it, given `setter`)."""
        declared = self.globals.functions.get(name) or self.globals.accessors[name]
        arguments = self.plain(node, len(declared.parameters), len(declared.parameters))
        numbers: dict[str, int] = {}
        bound: dict[str, Value] = {}
        for parameter, argument in zip(declared.parameters, arguments, strict=True):
            mark = len(self.out)
            value = self._argument(parameter, argument, numbers)
            bound = {n: self.ordered(v, mark) for n, v in bound.items()}
            bound[parameter.name] = value
        written = declared.result if isinstance(declared, syntax.Function) else declared.type
        result = None if written is None else self.type_of(written, numbers)
        value_set: Value | None = None
        if setter is not None and result is not None:
            mark = len(self.out)
            value_set = (
                self.coerce(setter, result, node.span)
                if isinstance(setter, Value)
                else self.typed(setter, result)
            )
            bound = {n: self.ordered(v, mark) for n, v in bound.items()}
        routine = self.instantiate(name, {**bound, **self._numbers(numbers)}, result, value_set)
        passed: list[ir.Expr] = []
        for value in bound.values():
            passed += self._passed(value)
        if value_set is not None:
            passed.append(value_set.expr)
        if routine.name in self.globals.uses_next:
            self.used_next[0] = True
            passed.append(self.expr(syntax.Name("next", span=node.span)).expr)
        if routine.result is None:
            self.out.append(ir.Call(None, routine.name, tuple(passed)))
            return None
        target = self.names.fresh(name)
        self.out.append(ir.Call(target, routine.name, tuple(passed)))
        if result is None:
            raise AssertionError("a routine with a result has a result type")
        return Value(result, ir.Local(target, routine.result))

    def _numbers(self, numbers: dict[str, int]) -> dict[str, Value]:
        return {n: number(v) for n, v in numbers.items()}

    def _passed(self, value: Value) -> list[ir.Expr]:
        if value.prefix is not None and isinstance(value.type, OperandType):
            reference = ir.OperandRef(value.type.operand.name, value.type.tags)
            fields = flatten(value.prefix, reference, self.globals.operands)
            return [ir.Local(f.name, f.width) for f in fields]
        return [] if value.number is not None else [value.expr]

    def _argument(
        self, parameter: syntax.Parameter, argument: syntax.Expr, numbers: dict[str, int]
    ) -> Value:
        written = parameter.type
        if written is None:
            raise reject("E0307", f"parameter `{parameter.name}` needs a type", parameter.span)
        match written:
            case syntax.Type("int", None, None):
                value = number(self.integer(argument))
                numbers[parameter.name] = value.number or 0
                return value
            case syntax.Type("bits", syntax.Name(free), None) if (
                free not in numbers and free not in self.globals.numbers
            ):
                value = self.bits(argument)
                numbers[free] = value.expr.width
                return self.coerce(value, Bits(value.expr.width), argument.span)
            case _:
                kind = self.type_of(written, numbers)
                if isinstance(kind, IntType):
                    raise AssertionError("compile-time parameters are handled above")
                return self.typed(argument, kind)
