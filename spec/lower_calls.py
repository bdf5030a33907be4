"""Type checking and lowering of calls: built-in functions, conversions, functions, accessors."""

from abc import abstractmethod

from spec import ir, syntax
from spec.lower_expressions import Expressions
from spec.lowering import BIT, as_bit, concat
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

_COUNTS = {
    "popcount": ir.UnaryOp.POPCOUNT,
    "clz": ir.UnaryOp.CLZ,
    "ctz": ir.UnaryOp.CTZ,
    "bswap": ir.UnaryOp.REVERSE_BYTES,
}
BUILTINS = frozenset(
    [
        *_COUNTS,
        "zext", "sext", "trunc", "signed", "bits", "vaddr", "paddr", "unknown",
        "load", "pload", "fetch", "store", "pstore", "translate", "accessible",
        "rol", "ror", "carry", "overflow", "borrow", "underflow", "min", "max",
    ]
)  # fmt: skip
PROCEDURES = frozenset(["store", "pstore"])


class Calls(Expressions):
    """Adds calls to expressions."""

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
        return self._builtin(name, node, expected)

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

    # ----------------------------------------------------------------- built-in functions

    def plain(self, node: syntax.Call, least: int, most: int) -> list[syntax.Expr]:
        """The arguments, none of them named, as many as allowed."""
        arguments: list[syntax.Expr] = []
        for argument in node.arguments:
            if isinstance(argument, syntax.Named):
                raise reject("E0206", "arguments are not named here", argument.span)
            arguments.append(argument)
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise reject(
                "E0206", f"{wanted} arguments are expected, {len(arguments)} given", node.span
            )
        return arguments

    def _builtin(self, name: str, node: syntax.Call, expected: Type | None) -> Value:
        match name:
            case "zext" | "sext" | "trunc":
                return self._resize(name, node, expected)
            case "signed":
                (argument,) = self.plain(node, 1, 1)
                value = self.expr(argument, expected)
                if value.number is not None:
                    return value
                return Value(Bits(value.expr.width), value.expr, signed=True)
            case "bits":
                (argument,) = self.plain(node, 1, 1)
                value = self.bits(argument, expected)
                return Value(Bits(value.expr.width), value.expr)
            case "vaddr":
                return self._address(node, physical=False)
            case "paddr":
                return self._address(node, physical=True)
            case "unknown":
                return self._unknown(node, expected)
            case "load" | "fetch" | "pload":
                return self._load(name, node)
            case "translate" | "accessible":
                return self._translate(name, node)
            case "popcount" | "clz" | "ctz" | "bswap":
                (argument,) = self.plain(node, 1, 1)
                value = self.bits(argument, expected)
                width = value.expr.width
                if name == "bswap" and width % 8:
                    raise reject("E0203", "`bswap` needs whole bytes", argument.span)
                return Value(Bits(width), ir.Unary(_COUNTS[name], value.expr, width))
            case "rol" | "ror":
                left, right = self.plain(node, 2, 2)
                value = self.bits(left, expected)
                width = value.expr.width
                op = ir.BinaryOp.ROL if name == "rol" else ir.BinaryOp.ROR
                amount = self._rotation(self.expr(right), width, right.span)
                return Value(Bits(width), ir.Binary(op, value.expr, amount, width))
            case "min" | "max":
                left, right = self.plain(node, 2, 2)
                a, b = self.pair(left, right, expected)
                if a.number is not None and b.number is not None:
                    return number(
                        min(a.number, b.number) if name == "min" else max(a.number, b.number)
                    )
                a, b = self.unify(a, b, node.span, name)
                signed = a.signed or b.signed
                op_less = ir.CompareOp.SLT if signed else ir.CompareOp.ULT
                less = ir.Compare(op_less, a.expr, b.expr)
                first, second = (a, b) if name == "min" else (b, a)
                width = a.expr.width
                return Value(
                    Bits(width), ir.Select(less, first.expr, second.expr, width), signed=signed
                )
            case "carry" | "overflow" | "borrow" | "underflow":
                return self._carry(name, node)
            case _:
                raise AssertionError(f"built-in {name} is not lowered")

    def _rotation(self, value: Value, width: int, span: Span) -> ir.Expr:
        if value.number is not None:
            return ir.Literal(value.number % width, width)
        amount = value.expr
        if amount.width > width:
            modulus = ir.Literal(width, amount.width)
            amount = ir.Binary(ir.BinaryOp.UREM, amount, modulus, amount.width)
            return ir.Extract(amount, width - 1, 0)
        return self.resize(amount, width)

    def _resize(self, name: str, node: syntax.Call, expected: Type | None) -> Value:
        arguments = self.plain(node, 1, 2)
        if len(arguments) == 2:
            width = self.integer(arguments[1])
        else:
            found = None if expected is None else width_of(expected)
            if found is None:
                raise reject(
                    "E0205",
                    f"the width that `{name}` should reach is not known here",
                    node.span,
                    help=f"give it: `{name}(..., 32)`",
                )
            width = found
        value = self.bits(arguments[0]) if name != "trunc" else self.expr(arguments[0])
        if value.number is not None:
            raise reject("E0205", "the width of this number is not known here", node.span)
        have = value.expr.width
        if name == "trunc":
            if width > have or width < 1:
                raise reject("E0203", f"`trunc` cannot make {width} bits of {have}", node.span)
            return self.slice_of(Value(Bits(have), value.expr), width - 1, 0, node.span)
        if width < have:
            raise reject(
                "E0203",
                f"`{name}` cannot make {width} bits of {have}",
                node.span,
                help=f"use `trunc(..., {width})`",
            )
        if width == have:
            return Value(Bits(width), value.expr)
        if isinstance(value.expr, ir.Literal) and name == "zext":
            return Value(Bits(width), ir.Literal(value.expr.value, width))
        return Value(Bits(width), ir.Extend(value.expr, name == "sext", width))

    def _address(self, node: syntax.Call, *, physical: bool) -> Value:
        (argument,) = self.plain(node, 1, 1)
        memory = self.globals.memory
        width = (memory.address_width if memory else 0) if physical else self.globals.virtual_width
        kind = Address(physical, width)
        value = self.expr(argument, Bits(width))
        if value.number is not None:
            value = self.coerce(value, Bits(width), argument.span)
        if isinstance(value.type, Address) and value.type != kind:
            raise reject(
                "E0213",
                "a virtual and a physical address do not mix",
                argument.span,
                help="write `paddr(bits(...))` if they are the same on this machine",
            )
        if value.expr.width != width:
            raise reject(
                "E0203", f"`{kind}` has {width} bits, this has {value.expr.width}", argument.span
            )
        return Value(kind, value.expr)

    def _unknown(self, node: syntax.Call, expected: Type | None) -> Value:
        arguments = self.plain(node, 0, 1)
        width = self.integer(arguments[0]) if arguments else expected and width_of(expected)
        if not width or width < 1:
            raise reject("E0205", "the width of `unknown` is not known here", node.span)
        name = self.names.fresh("unknown")
        self.out.append(ir.Choose(name, width))
        return Value(Bits(width), ir.Local(name, width))

    def access_width(self, node: syntax.Expr) -> int:
        width = self.integer(node)
        cell = self.globals.memory.cell_width if self.globals.memory else 1
        if width < cell or width % cell:
            raise reject(
                "E0214",
                f"{width} bits are not a whole number of cells",
                node.span,
                f"a memory cell has {cell} bits",
            )
        return width

    def virtual_address(self, node: syntax.Expr) -> ir.Expr:
        return self.typed(node, Address(False, self.globals.virtual_width)).expr

    def physical_address(self, node: syntax.Expr) -> ir.Expr:
        memory = self.globals.memory
        return self.typed(node, Address(True, memory.address_width if memory else 0)).expr

    def mode_argument(self, node: syntax.Expr) -> ir.Expr:
        mode = self.globals.mode
        if mode is None:
            raise AssertionError("a mode is required before bodies are lowered")
        return self.typed(node, mode).expr

    def _load(self, name: str, node: syntax.Call) -> Value:
        arguments = self.plain(node, 2, 2 if name == "pload" else 3)
        address = (
            self.physical_address(arguments[0])
            if name == "pload"
            else self.virtual_address(arguments[0])
        )
        width = self.access_width(arguments[1])
        mode = self.mode_argument(arguments[2]) if len(arguments) == 3 else None
        target = self.names.fresh("loaded")
        if name == "pload":
            self.out.append(ir.LoadPhysical(target, address, width))
        else:
            access = ir.Access.FETCH if name == "fetch" else ir.Access.READ
            self.out.append(ir.Load(target, address, width, access, mode, span=node.span))
        return Value(Bits(width), ir.Local(target, width))

    def _translate(self, name: str, node: syntax.Call) -> Value:
        arguments = self.plain(node, 2, 4)
        address = self.virtual_address(arguments[0])
        access = self._access(arguments[1])
        size = self.integer(arguments[2]) if len(arguments) > 2 else 1
        mode = self.mode_argument(arguments[3]) if len(arguments) == 4 else None
        memory = self.globals.memory
        width = memory.address_width if memory else 1
        if name == "accessible":
            target = self.names.fresh("accessible")
            self.out.append(ir.Probe(target, address, size, access, mode))
            return Value(BIT, as_bit(ir.Local(target, 0)))
        target = self.names.fresh("physical")
        self.out.append(ir.Translate(target, address, size, access, mode, width))
        return Value(Address(True, width), ir.Local(target, width))

    def _access(self, node: syntax.Expr) -> ir.Access:
        names = {a.name.lower(): a for a in ir.Access}
        if isinstance(node, syntax.Name) and node.name in names:
            return names[node.name]
        raise reject("E0209", "the kind of access is `fetch`, `read` or `write`", node.span)

    def _carry(self, name: str, node: syntax.Call) -> Value:
        arguments = self.plain(node, 2, 3)
        a, b = self.pair(arguments[0], arguments[1], None)
        a, b = self.unify(a, b, node.span, name)
        if a.number is not None:
            raise reject("E0205", "the width of these numbers is not known here", node.span)
        width = a.expr.width
        third: ir.Expr = ir.Literal(0, 1)
        if len(arguments) == 3:
            third = self.typed(arguments[2], BIT).expr
        wide = width + 1
        subtract = name in ("borrow", "underflow")
        op = ir.BinaryOp.SUB if subtract else ir.BinaryOp.ADD
        x, y = ir.Extend(a.expr, False, wide), ir.Extend(b.expr, False, wide)
        total: ir.Expr = ir.Binary(op, x, y, wide)
        if third != ir.Literal(0, 1):
            total = ir.Binary(op, total, ir.Extend(third, False, wide), wide)
        if name in ("carry", "borrow"):
            return Value(BIT, ir.Extract(total, width, width))
        total = self.pin(Value(Bits(wide), total)).expr
        result = ir.Extract(total, width - 1, 0)
        other = b.expr if not subtract else a.expr
        first = ir.Binary(ir.BinaryOp.XOR, a.expr, b.expr if subtract else result, width)
        second = ir.Binary(ir.BinaryOp.XOR, other, result, width)
        both = ir.Binary(ir.BinaryOp.AND, first, second, width)
        return Value(BIT, ir.Extract(both, width - 1, width - 1))

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
