"""Type checking and lowering of built-in functions: widths, counts, carries, memory, translation."""

from spec import ir, syntax
from spec.lower_expressions import Expressions
from spec.lowering import BIT, as_bit
from spec.scope import reject
from spec.source import Span
from spec.types import (
    Address,
    Bits,
    Type,
    Value,
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
"""Those without a result."""


class Builtins(Expressions):
    """Adds built-in functions to expressions."""

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

    def builtin(self, name: str, node: syntax.Call, expected: Type | None) -> Value:
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
