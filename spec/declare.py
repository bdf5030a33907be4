"""Declarations of types, state and operands: from syntax to the tables of `Globals`."""

from collections.abc import Callable
from itertools import pairwise

from spec import ir, syntax
from spec.lower_statements import Body, resolve_type, trap_class_of
from spec.lowering import Names
from spec.scope import (
    AliasState,
    Array,
    BankState,
    CauseSignature,
    Globals,
    Rejected,
    Scalar,
    StructState,
    reject,
)
from spec.source import Span
from spec.types import (
    Address,
    ArrayType,
    Bits,
    Enumeration,
    IntType,
    NamedBits,
    OperandType,
    Struct,
    StructField,
    Type,
    Value,
    width_of,
)

_ROLES = {role.value: role for role in ir.Role}


def constants(globals_: Globals) -> Body:
    """A body in which only constants have a meaning."""
    return Body(globals_, Names(), {}, {}, next_allowed=False)


def settle(
    pending: list[syntax.Declaration],
    declare: Callable[[syntax.Declaration], None],
    globals_: Globals,
) -> None:
    """Declare each, in any order that works; what never works is reported."""
    while pending:
        left: list[syntax.Declaration] = []
        problems: list[Rejected] = []
        for declaration in pending:
            try:
                declare(declaration)
            except Rejected as rejection:
                left.append(declaration)
                problems.append(rejection)
        if len(left) == len(pending):
            for declaration in left:
                globals_.poisoned |= declared_names(declaration)
            globals_.diagnostics += [p.diagnostic for p in problems if p.diagnostic is not None]
            return
        pending = left


def declared_names(node: syntax.Declaration) -> frozenset[str]:
    """The names that a declaration brings into scope."""
    match node:
        case syntax.State():
            return frozenset(node.names)
        case syntax.Bank():
            return frozenset([node.name, *(e for _, e in node.members)])
        case syntax.Enum() | syntax.Mode():
            return frozenset([node.name, *(m.name for m in node.members)])
        case syntax.TypeDef() | syntax.Struct() | syntax.Names() | syntax.Alias():
            return frozenset([node.name])
        case syntax.Operand() | syntax.OperandSubset() | syntax.Cause():
            return frozenset([node.name])
        case _:
            return frozenset()


_LONGEST_RUN = 4096  # members declared together


def _members(
    globals_: Globals, written: tuple[syntax.Member, ...], width: int | None
) -> tuple[tuple[tuple[str, int], ...], tuple[ir.Run, ...]]:
    """The members, each apart, and which of them are declared together."""
    members: dict[str, int] = {}
    given: set[int] = set()
    runs: dict[str, ir.Run] = {}
    value = -1
    for member in written:
        value = value + 1 if member.value is None else constants(globals_).integer(member.value)
        start = value
        for value, name in enumerate(_member_names(globals_, member), start):
            if name in members or name in runs:
                raise reject("E0301", f"`{name}` is listed twice", member.span)
            if value in given:
                raise reject("E0301", f"the value {value} is given twice", member.span)
            if value < 0 or (width is not None and value >> width):
                raise reject("E0204", f"{value} does not fit {width} bits", member.span)
            members[name] = value
            given.add(value)
        if member.first is not None:
            if member.name in members or member.name in runs:
                raise reject("E0301", f"`{member.name}` is listed twice", member.span)
            runs[member.name] = ir.Run(member.name, start, value)
    return tuple(members.items()), tuple(runs.values())


def _member_names(globals_: Globals, member: syntax.Member) -> list[str]:
    if member.first is None or member.last is None:
        return [member.name]
    first = constants(globals_).integer(member.first)
    last = constants(globals_).integer(member.last)
    if not 0 <= first <= last < first + _LONGEST_RUN:
        raise reject("E0209", f"there are no members {first} to {last}", member.span)
    return [f"{member.name}{number}" for number in range(first, last + 1)]


def declare_type(globals_: Globals, node: syntax.Declaration) -> None:
    """A `type`, `enum`, `struct`, `names` or `mode` declaration."""
    kind: Type
    match node:
        case syntax.TypeDef(name, written):
            kind = resolve_type(globals_, written, {})
        case syntax.Enum(name, written, members):
            width = _plain_width(globals_, written)
            kind = Enumeration(name, width, *_members(globals_, members, width))
        case syntax.Mode(name, mode_type, members):
            given = None if mode_type is None else _plain_width(globals_, mode_type)
            values, runs = _members(globals_, members, given)
            width = given or max(1, max(v for _, v in values).bit_length())
            kind = Enumeration(name, width, values, runs)
            globals_.mode, globals_.mode_element = kind, name
        case syntax.Struct():
            name, kind = node.name, _struct(globals_, node)
        case syntax.Names(name, written, texts):
            width = _plain_width(globals_, written)
            if len(texts) > 1 << width:
                raise reject("E0204", f"{len(texts)} names for {width} bits", node.span)
            kind = NamedBits(name, width, tuple(tuple(t.split("|")) for t in texts))
        case _:
            raise AssertionError("not a type declaration")
    if name in globals_.types:
        raise reject("E0301", f"type `{name}` is declared twice", node.span)
    globals_.types[name] = kind
    if isinstance(kind, Enumeration):
        for member, value in kind.members:
            globals_.members.setdefault(member, []).append((kind, value))


def _plain_width(globals_: Globals, written: syntax.Type) -> int:
    kind = resolve_type(globals_, written, {})
    if not isinstance(kind, Bits):
        raise reject("E0202", "this must be a type `bits(N)`", written.span)
    return kind.width


def _struct(globals_: Globals, node: syntax.Struct) -> Struct:
    total = None if node.type is None else _plain_width(globals_, node.type)
    fields: list[StructField] = []
    for f in node.fields:
        kind: Type
        if f.type is not None:
            kind = resolve_type(globals_, f.type, {})
            width = width_of(kind)
            if width is None or not isinstance(kind, Bits | Enumeration):
                raise reject("E0202", "a packed field is bits or an enumeration", f.span)
            fields = [StructField(g.name, g.high + width, g.low + width, g.type) for g in fields]
            fields.append(StructField(f.name, width - 1, 0, kind))
        elif f.high is not None and f.low is not None:
            high = constants(globals_).integer(f.high)
            low = constants(globals_).integer(f.low)
            if not 0 <= low <= high or (total is not None and high >= total):
                raise reject("E0210", f"bits {high} to {low} are not within the struct", f.span)
            fields.append(StructField(f.name, high, low, Bits(high - low + 1)))
        if any(f.name == g.name for g in fields[:-1]):
            raise reject("E0301", f"field `{f.name}` is declared twice", f.span)
    ordered = sorted(fields, key=lambda g: -g.high)
    for above, below in pairwise(ordered):
        if below.high >= above.low:
            raise reject("E0303", f"fields `{above.name}` and `{below.name}` overlap", node.span)
    used = ordered[0].high + 1
    return Struct(node.name, total or used, tuple(ordered))


def declare_memory(globals_: Globals, node: syntax.Memory) -> None:
    kind = resolve_type(globals_, node.type, {})
    if not isinstance(kind, ArrayType) or not isinstance(kind.element, Bits | NamedBits):
        raise reject(
            "E0307", "memory is an array of bits", node.type.span, help="write `bits(8)[2^32]`"
        )
    if kind.length & (kind.length - 1):
        raise reject("E0307", "the number of cells must be a power of two", node.type.span)
    width = max(1, kind.length.bit_length() - 1)
    globals_.memory = ir.Memory(node.name, kind.element.width, width, node.endian == "big")


class States:
    """Collects the state of a description: names for lowering, elements for the IR."""

    def __init__(self, globals_: Globals) -> None:
        self.globals = globals_
        self.elements: list[ir.Element] = []
        self.banks: list[ir.Bank] = []

    def _name(self, name: str, span: Span) -> None:
        known = self.globals
        if name in known.state or name in known.numbers or name in known.functions:
            raise reject("E0301", f"`{name}` is declared twice", span)

    def declare(self, node: syntax.State) -> None:
        """General registers, flags, pc, control, time, devices."""
        kind = resolve_type(self.globals, node.type, {})
        role = _ROLES[node.role]
        if role is ir.Role.PC and (not isinstance(kind, Bits) or len(node.names) > 1):
            raise reject("E0307", "there is one program counter, and it is `bits(N)`", node.span)
        for name in node.names:
            self._name(name, node.span)
            reset = self._reset(node.reset, kind)
            match kind:
                case ArrayType(Struct() as struct, length):
                    self.globals.state[name] = StructState(name, struct, length)
                    self._fields(name, struct, role, length, reset, node.span)
                case Struct():
                    self.globals.state[name] = StructState(name, kind, None)
                    self._fields(name, kind, role, None, reset, node.span)
                case ArrayType(element, length):
                    zero = None if node.zero is None else constants(self.globals).integer(node.zero)
                    self.globals.state[name] = Array(name, kind, zero)
                    self._add(name, element, role, length, reset, node.span)
                case OperandType() | IntType():
                    raise reject("E0202", f"state cannot be `{kind}`", node.type.span)
                case Bits() | Enumeration() | Address() | NamedBits():
                    scalar = Scalar(name, kind)
                    self.globals.state[name] = scalar
                    self._add(name, kind, role, None, reset, node.span)
                    if role is ir.Role.PC:
                        if self.globals.pc is not None:
                            raise reject(
                                "E0301", "the program counter is declared twice", node.span
                            )
                        self.globals.pc = scalar

    def mode(self, node: syntax.Mode) -> None:
        kind = self.globals.mode
        if kind is None:
            return
        self._name(node.name, node.span)
        self.globals.state[node.name] = Scalar(node.name, kind)
        reset = kind.members[-1][1] if node.reset is None else self._reset(node.reset, kind)
        self._add(node.name, kind, ir.Role.MODE, None, reset, node.span)

    def bank(self, node: syntax.Bank) -> None:
        kind = resolve_type(self.globals, node.type, {})
        mode = self.globals.mode
        if not isinstance(kind, Bits | NamedBits | Address) or mode is None:
            raise reject("E0307", "a banked register is plain bits", node.type.span)
        encodings = dict(mode.members)
        seen: list[tuple[int, str]] = []
        for mode_name, element in node.members:
            if mode_name not in encodings:
                raise self.globals.unknown("mode", mode_name, node.span, list(encodings))
            seen.append((encodings[mode_name], element))
        missing = [m for m, v in mode.members if v not in dict(seen)]
        if missing:
            raise reject("E0208", f"no copy of `{node.name}` for mode `{missing[0]}`", node.span)
        self._name(node.name, node.span)
        for element in dict.fromkeys(e for _, e in seen):
            self._name(element, node.span)
            self.globals.state[element] = Scalar(element, kind)
            reset = self._reset(node.reset, kind)
            self._add(element, kind, ir.Role.CONTROL, None, reset, node.span, node.name)
        self.globals.state[node.name] = BankState(node.name, kind, tuple(seen))
        self.banks.append(ir.Bank(node.name, width_of(kind) or 1, tuple(seen)))

    def alias(self, node: syntax.Alias) -> None:
        self._name(node.name, node.span)
        kind = resolve_type(self.globals, node.type, {})
        self.globals.state[node.name] = AliasState(node.name, kind, node.value)

    def check_alias(self, node: syntax.Alias) -> None:
        """That its parts exist and make up its width."""
        body = constants(self.globals)
        value = body.expr(node.value, resolve_type(self.globals, node.type, {}))
        declared = width_of(resolve_type(self.globals, node.type, {}))
        if width_of(value.type) != declared:
            raise reject(
                "E0203",
                f"`{node.name}` has {declared} bits, its parts {width_of(value.type)}",
                node.value.span,
            )

    def _reset(self, written: syntax.Expr | None, kind: Type) -> int:
        if written is None:
            inner = kind.element if isinstance(kind, ArrayType) else kind
            return inner.members[0][1] if isinstance(inner, Enumeration) else 0
        if isinstance(kind, ArrayType):
            kind = kind.element
        body = constants(self.globals)
        value = body.expr(written, kind)
        width = width_of(kind) or 1
        plain = Bits(width) if value.number is not None or isinstance(value.type, Bits) else kind
        expr = body.coerce(value, plain, written.span).expr
        if not isinstance(expr, ir.Literal):
            raise reject("E0209", "this must be a constant", written.span)
        return expr.value

    def _fields(
        self, name: str, struct: Struct, role: ir.Role, length: int | None, reset: int, span: Span
    ) -> None:
        for f in struct.fields:
            value = (reset >> f.low) & ((1 << (f.high - f.low + 1)) - 1)
            self._add(f"{name}.{f.name}", f.type, role, length, value, span)

    def _add(
        self,
        name: str,
        kind: Type,
        role: ir.Role,
        length: int | None,
        reset: int,
        span: Span,
        bank: str | None = None,
    ) -> None:
        values = kind.members if isinstance(kind, Enumeration) else ()
        self.elements.append(
            ir.Element(name, width_of(kind) or 1, role, length, bank, reset, values, span=span)
        )


def declare_cause(globals_: Globals, node: syntax.Cause) -> None:
    """The signature of a trap cause."""
    if node.name in globals_.causes:
        raise reject("E0301", f"cause `{node.name}` is declared twice", node.span)
    parameters: list[tuple[str, Type]] = []
    for parameter in node.parameters:
        if parameter.type is None:
            raise reject("E0307", f"parameter `{parameter.name}` needs a type", parameter.span)
        kind = resolve_type(globals_, parameter.type, {})
        if width_of(kind) is None:
            raise reject("E0202", f"a cause cannot carry `{kind}`", parameter.span)
        parameters.append((parameter.name, kind))
    trap_class = trap_class_of(globals_, node.trap_class, node.span)
    globals_.causes[node.name] = CauseSignature(trap_class, tuple(parameters))


def parameter_type(kind: Type, span: Span) -> ir.FieldType | ir.OperandRef:
    """How a parameter of an instruction or operand is encoded."""
    match kind:
        case Bits(width) | Address(_, width):
            return ir.FieldType(width)
        case Enumeration(_, width, members, runs):
            return ir.FieldType(width, values=members, runs=runs)
        case NamedBits(_, width, names):
            return ir.FieldType(width, names=names)
        case OperandType(operand, tags):
            return ir.OperandRef(operand.name, tags)
        case Struct() | ArrayType() | IntType():
            raise reject("E0202", f"an instruction has no operand of type `{kind}`", span)


def parameters_of(
    globals_: Globals, body: Body, written: tuple[syntax.Parameter, ...]
) -> tuple[tuple[ir.Parameter, ...], dict[str, Value]]:
    """Parameters for the IR, and what their names mean in a body."""
    parameters: list[ir.Parameter] = []
    scope: dict[str, Value] = {}
    for parameter in written:
        if parameter.type is None:
            raise reject("E0307", f"parameter `{parameter.name}` needs a type", parameter.span)
        if parameter.name in scope:
            raise reject("E0301", f"parameter `{parameter.name}` is declared twice", parameter.span)
        kind = body.type_of(parameter.type, {})
        encoded = parameter_type(kind, parameter.span)
        if isinstance(encoded, ir.FieldType) and not isinstance(kind, Bits):
            globals_.field_types.setdefault(encoded, kind)
        parameters.append(ir.Parameter(parameter.name, encoded))
        if isinstance(kind, OperandType):
            scope[parameter.name] = Value(kind, ir.Boolean(False), prefix=parameter.name)
        else:
            width = width_of(kind) or 1
            scope[parameter.name] = Value(kind, ir.Local(parameter.name, width))
    return tuple(parameters), scope
