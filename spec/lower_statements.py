"""Type checking and lowering of statements, assignments and functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from spec import ir, syntax
from spec.diagnostics import Diagnostic
from spec.lower_calls import PROCEDURES, Calls
from spec.lower_expressions import Names, as_truth, concat
from spec.scope import (
    AliasState,
    Array,
    BankState,
    Globals,
    Scalar,
    StateName,
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
    OperandType,
    Struct,
    Type,
    Value,
    flatten,
    number,
    width_of,
)

_IN_PROGRESS = ir.Function("", (), (), None)
MAXIMUM_UNROLLED = 4096
"""Statements a `for` may become; more is a mistake in its bounds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Something assignable."""

    type: Type
    read: Callable[[], Value]
    write: Callable[[Value], None]


def ends(block: Sequence[ir.Stmt]) -> bool:
    """Whether every path through the block ends in a return, a trap or a wait."""
    if not block:
        return False
    match block[-1]:
        case ir.Return() | ir.Trap() | ir.Wait():
            return True
        case ir.If(_, then, orelse):
            return ends(then) and ends(orelse)
        case _:
            return False


class Body(Calls):
    """Lowers one body."""

    def fork(self) -> "Body":
        branch = Body(
            self.globals, self.names, dict(self.scope), self.columns, next_allowed=self.next_allowed
        )
        branch.poisoned = set(self.poisoned)
        branch.used_next = self.used_next
        branch.result, branch.in_function = self.result, self.in_function
        branch.mutable = self.mutable
        return branch

    def block(self, block: syntax.Block) -> None:
        """Lower statements; a rejected one is recorded and the next ones go on."""
        for statement in block.statements:
            with self.globals.collecting():
                try:
                    self.statement(statement)
                except BaseException:
                    if isinstance(statement, syntax.Let):
                        self.poisoned.add(statement.name)
                    raise

    def statement(self, node: syntax.Stmt) -> None:
        match node:
            case syntax.Let():
                self._let(node)
            case syntax.Assignment(target, value):
                self._assign(target, value)
            case syntax.Evaluate(value):
                self._evaluate(value)
            case syntax.If(condition, then, orelse):
                self._if_statement(condition, then, orelse)
            case syntax.Match():
                self._match(node)
            case syntax.For():
                self._for(node)
            case syntax.Require(condition, otherwise):
                self._require(node, condition, otherwise)
            case syntax.Trap():
                self.out.append(self.trap(node))
            case syntax.Wait():
                if self.in_function:
                    raise reject("E0215", "`wait` stands in instructions only", node.span)
                self.out.append(ir.Wait())
            case syntax.Return(value):
                if not self.in_function or self.result is None:
                    where = (
                        "this procedure has no result" if self.in_function else "not in a function"
                    )
                    raise reject("E0215", "nothing can be returned here", node.span, where)
                self.out.append(ir.Return(self._returned(self.typed(value, self.result)).expr))
            case _:
                assert_never(node)

    def _returned(self, value: Value) -> Value:
        if value.prefix is not None:
            raise AssertionError("operands are not results")
        return value

    def _let(self, node: syntax.Let) -> None:
        if node.name in self.globals.state or node.name in self.globals.numbers:
            raise reject(
                "E0301",
                f"`{node.name}` is already the name of something else",
                node.span,
                help="choose another name",
            )
        kind = None if node.type is None else self.type_of(node.type, self._known_numbers())
        value = self.expr(node.value, kind)
        if kind is not None:
            value = self.coerce(value, kind, node.value.span)
        if value.number is not None:
            if node.mutable:
                raise reject(
                    "E0205",
                    "the width of this variable is not known",
                    node.value.span,
                    help=f"write it: `var {node.name} : bits(8) = ...`",
                )
            self.scope[node.name] = value
            return
        if value.prefix is not None:
            self.scope[node.name] = value
            return
        local = self.names.fresh(node.name)
        self.out.append(ir.Assign(local, value.expr))
        variable = Value(value.type, ir.Local(local, value.expr.width), signed=value.signed)
        self.scope[node.name] = variable
        self.mutable = self.mutable | {local} if node.mutable else self.mutable

    mutable: frozenset[str] = frozenset()

    def _known_numbers(self) -> dict[str, int]:
        return {n: v.number for n, v in self.scope.items() if v.number is not None}

    # ----------------------------------------------------------------- control

    def _arm(self, block: syntax.Block, scope: dict[str, Value] | None = None) -> ir.Block:
        arm = self.fork()
        if scope:
            arm.scope.update(scope)
        arm.block(block)
        return tuple(arm.out)

    def _if_statement(
        self, condition: syntax.Expr, then: syntax.Block, orelse: "syntax.Block | syntax.If | None"
    ) -> None:
        test = self.truth(condition)
        other = (
            orelse
            if not isinstance(orelse, syntax.If)
            else syntax.Block((orelse,), span=orelse.span)
        )
        if isinstance(test, ir.Boolean):
            chosen = then if test.value else other
            if chosen is not None:
                self.out += self._arm(chosen)
            return
        self.out.append(ir.If(test, self._arm(then), self._arm(other) if other else ()))

    def _require(
        self, node: syntax.Require, condition: syntax.Expr, otherwise: syntax.Trap | None
    ) -> None:
        test = self.truth(condition)
        if otherwise is not None:
            trap = self.trap(otherwise)
        else:
            privileged = [
                name
                for name, cause in self.globals.causes.items()
                if cause.trap_class is ir.TrapClass.PRIVILEGE and not cause.parameters
            ]
            if len(privileged) != 1:
                raise reject(
                    "E0216",
                    "it is not clear which trap `require` takes",
                    node.span,
                    help="name it: `require ... else CAUSE`",
                )
            trap = ir.Trap(privileged[0], ir.TrapClass.PRIVILEGE, (), span=node.span)
        if isinstance(test, ir.Boolean) and test.value:
            return
        self.out.append(ir.If(ir.Not(test), (trap,), ()))

    def trap(self, node: syntax.Trap) -> ir.Trap:
        """A trap statement, its arguments checked against the cause."""
        cause = self.globals.causes.get(node.cause)
        if cause is None:
            raise self.globals.unknown("cause", node.cause, node.span, list(self.globals.causes))
        if len(node.arguments) != len(cause.parameters):
            raise reject(
                "E0206",
                f"`{node.cause}` takes {len(cause.parameters)} arguments",
                node.span,
                f"{len(node.arguments)} given",
            )
        arguments: list[Value] = []
        for argument, (_, kind) in zip(node.arguments, cause.parameters, strict=True):
            if isinstance(argument, syntax.Named):
                raise reject("E0206", "arguments are not named here", argument.span)
            mark = len(self.out)
            value = self.typed(argument, kind)
            arguments = [self.ordered(v, mark) for v in arguments]
            arguments.append(value)
        trap_class = cause.trap_class
        if node.trap_class is not None:
            trap_class = trap_class_of(self.globals, node.trap_class, node.span)
        return ir.Trap(node.cause, trap_class, tuple(a.expr for a in arguments), span=node.span)

    def _for(self, node: syntax.For) -> None:
        first, last = self.integer(node.first), self.integer(node.last)
        if last - first >= MAXIMUM_UNROLLED:
            raise reject("E0217", f"the loop runs {last - first + 1} times", node.span)
        for count in range(first, last + 1):
            self.out += self._arm(node.body, {node.name: number(count)})

    # ----------------------------------------------------------------- match

    def _match(self, node: syntax.Match) -> None:
        subject = self.subject(node.subject)
        arms = [(a.patterns, a.span) for a in node.arms]
        tests = self.arm_tests(subject, arms, node.span)

        def lower(index: int, scope: dict[str, Value]) -> ir.Block:
            return self._arm(node.arms[index].body, scope)

        chain: ir.Block | None = None
        for test, index, scope in reversed(tests):
            if isinstance(test, ir.Boolean):
                if test.value:
                    chain = lower(index, scope)
                continue
            body = lower(index, scope)
            chain = body if chain is None else (ir.If(test, body, chain),)
        self.out += chain or ()

    def match_value(self, node: syntax.MatchExpr, expected: Type | None) -> Value:
        subject = self.subject(node.subject)
        tests = self.arm_tests(subject, [(a.patterns, a.span) for a in node.arms], node.span)
        lowered: list[tuple[ir.Expr, Body, Value]] = []
        hint = expected
        for test, index, scope in tests:
            if isinstance(test, ir.Boolean) and not test.value:
                continue
            arm = self.fork()
            arm.scope.update(scope)
            value = arm.expr(node.arms[index].value, hint)
            if value.number is None and hint is None:
                hint = value.type
            lowered.append((test, arm, value))
            if isinstance(test, ir.Boolean):
                break
        if hint is None and len(lowered) == 1:
            test, arm, value = lowered[0]
            self.out += arm.out
            return value
        if hint is None:
            raise reject(
                "E0205",
                "the width of these numbers is not known here",
                node.span,
                help="write one of them with a width: `8'd1`",
            )
        wide = hint
        settled = [
            (t, a, a.coerce(v, wide, node.arms[0].span) if v.number is not None else v)
            for t, a, v in lowered
        ]
        test, rest_arm, rest = settled[-1]
        for test, arm, value in reversed(settled[:-1]):
            arm_value, rest = self.unify(value, rest, node.span, "match")
            joined = self.fork()
            joined.out = []
            merged = joined.merge(test, [(arm, arm_value), (rest_arm, rest)])
            rest_arm, rest = joined, merged
        self.out += rest_arm.out
        return rest

    def subject(self, node: syntax.Expr) -> Value:
        value = self.expr(node)
        if value.number is not None or value.prefix is not None:
            return value
        return self.pin(value, "subject")

    def arm_tests(
        self, subject: Value, arms: list[tuple[tuple[syntax.Pattern, ...], Span]], span: Span
    ) -> list[tuple[ir.Expr, int, dict[str, Value]]]:
        """(test, arm, names it binds) in order; the last test is true. Checks coverage."""
        if subject.prefix is not None and isinstance(subject.type, OperandType):
            return self._operand_tests(subject, subject.type, arms, span)
        tests: list[tuple[ir.Expr, int, dict[str, Value]]] = []
        covered: set[int] = set()
        everything = False
        for index, (patterns, arm_span) in enumerate(arms):
            if everything:
                raise reject("E0209", "this arm is never reached", arm_span)
            test: ir.Expr = ir.Boolean(False)
            for pattern in patterns:
                if isinstance(pattern, syntax.NamePattern) and pattern.name == "_":
                    everything = True
                    test = ir.Boolean(True)
                    continue
                value = self._pattern(subject, pattern)
                if value in covered:
                    raise reject("E0209", "this value is matched already", pattern.span)
                covered.add(value)
                test = self._either(test, self._equals(subject, value))
            tests.append((test, index, {}))
        if not everything:
            missing = self._missing(subject, covered)
            if missing:
                raise reject(
                    "E0208",
                    "the match does not cover " + missing,
                    span,
                    help="add the missing arms, or `_ => ...`",
                )
            if subject.number is None and tests:
                tests[-1] = (ir.Boolean(True), tests[-1][1], {})
        return tests

    def _either(self, a: ir.Expr, b: ir.Expr) -> ir.Expr:
        if isinstance(a, ir.Boolean):
            return a if a.value else b
        if isinstance(b, ir.Boolean):
            return b if b.value else a
        return ir.Logic(ir.LogicOp.OR, a, b)

    def _equals(self, subject: Value, value: int) -> ir.Expr:
        if subject.number is not None:
            return ir.Boolean(subject.number == value)
        literal = ir.Literal(value, subject.expr.width)
        return ir.Compare(ir.CompareOp.EQ, subject.expr, literal)

    def _missing(self, subject: Value, covered: set[int]) -> str:
        if subject.number is not None:
            return "" if subject.number in covered else f"{subject.number}"
        if isinstance(subject.type, Enumeration):
            left = [m for m, v in subject.type.members if v not in covered]
            return ", ".join(f"`{m}`" for m in left[:5]) + (" ..." if len(left) > 5 else "")
        size = 1 << subject.expr.width
        if len(covered) == size:
            return ""
        first = next(v for v in range(size) if v not in covered)
        return f"{size - len(covered)} values, {first} for one"

    def _pattern(self, subject: Value, pattern: syntax.Pattern) -> int:
        if isinstance(pattern, syntax.NamePattern):
            if pattern.binders is not None:
                raise reject("E0202", "only an operand's form has parameters", pattern.span)
            if subject.number is not None:
                return self.integer(syntax.Name(pattern.name, span=pattern.span))
            value = self.typed(syntax.Name(pattern.name, span=pattern.span), subject.type)
        else:
            width = subject.expr.width
            if subject.number is not None:
                return pattern.value
            if pattern.width is not None and pattern.width != width:
                raise reject(
                    "E0203",
                    f"the value matched has {width} bits, this {pattern.width}",
                    pattern.span,
                )
            value = self.coerce(number(pattern.value), Bits(width), pattern.span)
        if not isinstance(value.expr, ir.Literal):
            raise reject("E0209", "a pattern is a constant", pattern.span)
        return value.expr.value

    def _operand_tests(
        self,
        subject: Value,
        kind: OperandType,
        arms: list[tuple[tuple[syntax.Pattern, ...], Span]],
        span: Span,
    ) -> list[tuple[ir.Expr, int, dict[str, Value]]]:
        by_name = {a.name: a for a in kind.operand.alternatives}
        tag = ir.Local(f"{subject.prefix}.tag", kind.operand.tag_width)
        left = set(kind.tags)
        tests: list[tuple[ir.Expr, int, dict[str, Value]]] = []
        for index, (patterns, _) in enumerate(arms):
            test: ir.Expr = ir.Boolean(False)
            scope: dict[str, Value] = {}
            for pattern in patterns:
                if not isinstance(pattern, syntax.NamePattern):
                    raise reject("E0202", f"`{kind}` is matched by its forms", pattern.span)
                if pattern.name == "_":
                    left, test = set(), ir.Boolean(True)
                    continue
                form = by_name.get(pattern.name)
                if form is None:
                    raise self.globals.unknown("form", pattern.name, pattern.span, list(by_name))
                left.discard(form.tag)
                if form.tag in kind.tags:
                    literal = ir.Literal(form.tag, tag.width)
                    test = self._either(test, ir.Compare(ir.CompareOp.EQ, tag, literal))
                scope.update(
                    self._bind(f"{subject.prefix}.{form.name}", form, pattern, len(patterns))
                )
            tests.append((test, index, scope))
        if left:
            names = [a.name for a in kind.operand.alternatives if a.tag in left]
            raise reject(
                "E0208",
                "the match does not cover " + ", ".join(f"`{n}`" for n in names),
                span,
                help="add the missing arms, or `_ => ...`",
            )
        possible = [t for t in tests if t[0] != ir.Boolean(False)]
        if possible:
            possible[-1] = (ir.Boolean(True), possible[-1][1], possible[-1][2])
        return possible

    def _bind(
        self, prefix: str, form: ir.Alternative, pattern: syntax.NamePattern, patterns: int
    ) -> dict[str, Value]:
        if pattern.binders is None:
            return {}
        if patterns > 1:
            raise reject("E0202", "alternatives joined by `|` bind nothing", pattern.span)
        if len(pattern.binders) != len(form.parameters):
            raise reject(
                "E0206", f"`{form.name}` has {len(form.parameters)} parameters", pattern.span
            )
        scope: dict[str, Value] = {}
        for name, parameter in zip(pattern.binders, form.parameters, strict=True):
            scope[name] = self.field_value(f"{prefix}.{parameter.name}", parameter.type)
        return scope

    def field_value(self, path: str, kind: ir.FieldType | ir.OperandRef) -> Value:
        """A parameter of an instruction or of an operand's form, as a value."""
        if isinstance(kind, ir.OperandRef):
            operand = self.globals.operands[kind.operand]
            operand_type = OperandType(operand, kind.tags, operand.name)
            return Value(operand_type, ir.Boolean(False), prefix=path)
        named = self.globals.field_types.get(kind)
        return Value(named or Bits(kind.width), ir.Local(path, kind.width))

    # ----------------------------------------------------------------- assignment

    def _evaluate(self, node: syntax.Expr) -> None:
        if not isinstance(node, syntax.Call) or not isinstance(node.function, syntax.Name):
            raise reject("E0215", "a statement must do something", node.span)
        name = node.function.name
        if name in PROCEDURES:
            self._store(name, node)
        elif name in self.globals.functions or name in self.globals.accessors:
            self.user_call(node, name)
        elif name == "translate":
            self.call(node, None)  # for its traps
        else:
            self.call(node, None)
            raise reject("E0215", "the result of this is not used", node.span)

    def _store(self, name: str, node: syntax.Call) -> None:
        arguments = self.plain(node, 2, 3 if name == "store" else 2)
        address = (
            self.virtual_address(arguments[0])
            if name == "store"
            else self.physical_address(arguments[0])
        )
        mark = len(self.out)
        value = self.bits(arguments[1])
        if any(isinstance(s, ir.Call | ir.If) for s in self.out[mark:]):
            address = self.ordered(Value(Bits(address.width), address), mark).expr
        cell = self.globals.memory.cell_width if self.globals.memory else 1
        width = value.expr.width
        if width % cell:
            raise reject(
                "E0214",
                f"{width} bits are not a whole number of cells",
                arguments[1].span,
                f"a memory cell has {cell} bits",
            )
        if name == "pstore":
            self.out.append(ir.StorePhysical(address, value.expr, width))
            return
        mode = self.mode_argument(arguments[2]) if len(arguments) == 3 else None
        self.out.append(ir.Store(address, value.expr, width, mode, span=node.span))

    def _assign(self, target: syntax.Expr, value: syntax.Expr) -> None:
        if isinstance(target, syntax.Call) and isinstance(target.function, syntax.Name):
            name = target.function.name
            if name not in self.globals.accessors:
                raise reject("E0207", f"`{name}` is not an accessor", target.span)
            self.user_call(target, name, value)
            return
        place = self.place(target)
        place.write(self.typed(value, place.type))

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

    # ----------------------------------------------------------------- functions

    def type_of(self, node: syntax.Type, bound: dict[str, int]) -> Type:
        column = self.columns.get(node.name)
        if column is not None and node.argument is None:
            match column:
                case syntax.Name(name):
                    return self.type_of(syntax.Type(name, None, node.length, span=node.span), bound)
                case syntax.Call(syntax.Name(name), (argument,)) if not isinstance(
                    argument, syntax.Named
                ):
                    return self.type_of(
                        syntax.Type(name, argument, node.length, span=node.span), bound
                    )
                case _:
                    raise reject("E0202", f"column `{node.name}` is not a type", node.span)
        return resolve_type(self.globals, node, bound, self.columns)

    def instantiate(
        self, name: str, bound: dict[str, Value], result: Type | None, setter: Value | None
    ) -> ir.Function:
        declared = self.globals.functions.get(name) or self.globals.accessors[name]
        numbers = tuple(sorted((n, v.number) for n, v in bound.items() if v.number is not None))
        key = (name, numbers, setter is not None)
        found = self.globals.instances.get(key)
        if found is _IN_PROGRESS:
            raise reject("E0212", f"`{name}` calls itself", declared.span)
        if found is not None:
            return found
        self.globals.instances[key] = _IN_PROGRESS
        suffix = "".join(f"<{n}={v}>" for n, v in numbers) + ("=" if setter is not None else "")
        body = Body(self.globals, Names(), {}, {}, next_allowed=True)
        parameters: list[ir.Local] = []
        for n, v in bound.items():
            if v.number is not None:
                body.scope[n] = v
            elif v.prefix is not None and isinstance(v.type, OperandType):
                body.scope[n] = Value(v.type, v.expr, prefix=n)
                parameters += _operand_parameters(self.globals, n, v.type)
            else:
                local = ir.Local(n, v.expr.width)
                body.scope[n] = Value(v.type, local)
                parameters.append(local)
        block = declared.body if isinstance(declared, syntax.Function) else declared.read
        body.in_function, body.result = True, result
        if setter is not None and isinstance(declared, syntax.Accessor):
            block = declared.write
            local = ir.Local(declared.written, setter.expr.width)
            body.scope[declared.written] = Value(setter.type, local)
            parameters.append(local)
            body.result = None
        for parameter in parameters:
            body.names.fresh(parameter.name)
        before = len(self.globals.diagnostics)
        body.block(block)
        if (
            body.result is not None
            and not ends(body.out)
            and before == len(self.globals.diagnostics)
        ):
            self.globals.diagnostics.append(
                _no_return(name, self.globals.within(declared.span, name))
            )
        if body.used_next[0]:
            self.globals.uses_next.add(name + suffix)
            width = width_of(self.globals.pc.type) if self.globals.pc else 1
            parameters.append(ir.Local("next", width or 1))
        width_out = None if body.result is None else width_of(body.result)
        function = ir.Function(
            name + suffix,
            tuple(parameters),
            tuple(body.out),
            width_out,
            span=self.globals.within(declared.span, name),
        )
        self.globals.instances[key] = function
        return function


def _no_return(name: str, span: Span) -> Diagnostic:
    rejection = reject("E0211", f"`{name}` does not return on every path", span)
    if rejection.diagnostic is None:
        raise AssertionError("reject always carries a diagnostic")
    return rejection.diagnostic


def _operand_parameters(globals_: Globals, name: str, kind: OperandType) -> list[ir.Local]:
    reference = ir.OperandRef(kind.operand.name, kind.tags)
    return [ir.Local(f.name, f.width) for f in flatten(name, reference, globals_.operands)]


def trap_class_of(globals_: Globals, name: str, span: Span) -> ir.TrapClass:
    """The trap class of that name; `hidden` is not the description's to use."""
    for trap_class in ir.TrapClass:
        if trap_class.value == name and trap_class is not ir.TrapClass.HIDDEN:
            return trap_class
    known = [c.value for c in ir.TrapClass if c is not ir.TrapClass.HIDDEN]
    raise globals_.unknown("trap class", name, span, known)


def resolve_type(
    globals_: Globals,
    node: syntax.Type,
    bound: dict[str, int],
    columns: dict[str, syntax.Expr] | None = None,
) -> Type:
    """The type that is written; `bound` holds compile-time parameters in scope."""
    scope = {n: number(v) for n, v in bound.items()}
    constants = Body(globals_, Names(), scope, columns or {}, next_allowed=False)
    memory = globals_.memory
    kind: Type
    if node.name == "bits":
        if node.argument is None:
            raise reject("E0307", "`bits` needs a width", node.span, help="write `bits(32)`")
        width = constants.integer(node.argument)
        if not 1 <= width <= 65536:
            raise reject(
                "E0203", "a width is at least 1 and at most 65536 bits", node.argument.span
            )
        kind = Bits(width)
    elif node.argument is not None:
        raise reject("E0307", f"`{node.name}` takes no width", node.span)
    elif node.name == "bool":
        kind = Bits(1)
    elif node.name == "int":
        kind = IntType()
    elif node.name == "vaddr":
        kind = Address(False, globals_.virtual_width)
    elif node.name == "paddr":
        kind = Address(True, memory.address_width if memory else 0)
    elif node.name in globals_.types:
        kind = globals_.types[node.name]
    else:
        known = ["bits", "bool", "vaddr", "paddr", *globals_.types]
        raise globals_.unknown("type", node.name, node.span, known)
    if node.length is None:
        return kind
    length = constants.integer(node.length)
    if isinstance(kind, OperandType | ArrayType | IntType):
        raise reject("E0307", f"`{kind}` cannot be kept in an array", node.span)
    if not 1 <= length <= 1 << 64:
        raise reject("E0203", "an array has at least 1 and at most 2^64 elements", node.span)
    return ArrayType(kind, length)


_NO_SPAN = Span("", 0, 0)
