"""Type checking and lowering of statements and functions."""

from collections.abc import Sequence
from typing import assert_never

from spec import ir, syntax
from spec.diagnostics import Diagnostic
from spec.lower_builtins import PROCEDURES
from spec.lower_places import Places
from spec.lowering import Names
from spec.scope import (
    Globals,
    reject,
)
from spec.source import Span
from spec.types import (
    Address,
    ArrayType,
    Bits,
    IntType,
    OperandType,
    Type,
    Value,
    flatten,
    number,
    width_of,
)

_IN_PROGRESS = ir.Function("", (), (), None)
MAXIMUM_UNROLLED = 4096
"""Statements a `for` may become; more is a mistake in its bounds."""


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


class Body(Places):
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

    def _known_numbers(self) -> dict[str, int]:
        return {n: v.number for n, v in self.scope.items() if v.number is not None}

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
