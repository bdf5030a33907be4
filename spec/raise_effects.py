"""From the IR back to the syntax tree: locals, and effects that are written where they are used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from spec import ir, syntax
from spec.effects import operands, statements
from spec.expressions import children, reads
from spec.raise_expressions import Expressions
from spec.raising import Raised, call, name, number
from spec.simplify import assignments, function_writes, local_uses
from spec.source import NOWHERE
from spec.types import Bits, Type
from spec.vocabulary import Vocabulary, statement_words

_TEMPORARY = {"t", "index", "subject", "bit", "loaded", "physical", "accessible", "unknown"}
"""What lowering calls the locals that it makes (`'1` and so on may follow)."""

Effect: TypeAlias = ir.Load | ir.LoadPhysical | ir.Translate | ir.Probe | ir.Call | ir.Choose


@dataclass(frozen=True, slots=True)
class Pending:
    """An effect that waits to be written where its value is used."""

    raised: Raised
    writes: frozenset[str]


@dataclass(frozen=True, slots=True)
class After:
    """The locals that what follows a block mentions, and those that it assigns."""

    mentioned: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()


class Routines:
    """The functions of one description, and what locals are temporary."""

    def __init__(self, vocabulary: Vocabulary, temporary: Callable[[str], bool]) -> None:
        self.vocabulary = vocabulary
        self.writes = function_writes(vocabulary.functions)
        self._temporary = temporary
        self._functions = {n.split("<")[0].rstrip("=") for n in vocabulary.functions}

    def is_temporary(self, local: str) -> bool:
        """Whether it disappears where it is used once."""
        return self.is_made_up(local) or self._temporary(local)

    def is_made_up(self, local: str) -> bool:
        """Whether lowering gave it a name."""
        word = local.partition("'")[0]
        return word in _TEMPORARY or word in self._functions


class Effects:
    """Raises what is no branch; `pending` are effects in their order."""

    def __init__(self, routines: Routines, block: ir.Block, result: Type | None) -> None:
        self.routines = routines
        self.vocabulary = routines.vocabulary
        self.result = result
        self.expressions = Expressions(routines.vocabulary, self._local)
        self.uses = local_uses(block)
        self.assigned = assignments(block)
        self.returned = {
            s.value.name
            for s in statements(block)
            if isinstance(s, ir.Return) and isinstance(s.value, ir.Local)
        }
        self.widths = {n: w for s in statements(block) for n, w in self._width(s)}
        self.given: Mapping[str, Type] = {}
        self.kinds: dict[str, Raised] = {}
        self.names: dict[str, str] = {}
        self.declared: set[str] = set()
        self.pending: dict[str, Pending] = {}
        self.out: list[syntax.Stmt] = []

    def declare(self, local: str, raised: Raised, known_as: str | None = None) -> None:
        """From here on the local has the type of a value."""
        text = known_as or self._name(local)
        self.names[local] = text
        self.kinds[local] = Raised(name(text), raised.type, raised.signed)
        self.declared.add(local)

    def _name(self, local: str) -> str:
        if local in self.names:
            return self.names[local]
        word, _, count = local.rpartition(".")[2].partition("'")
        wish = f"{word}_{count}" if count else word
        if self.routines.is_made_up(local):
            wish = "value"
        used = set(self.names.values())
        used |= statement_words() if self.assigned[local] > 1 or local in self.given else set()
        found, tries = wish, 1
        while found in used or found in self.vocabulary.taken:
            tries += 1
            found = f"{wish}_{tries}"
        return found

    def _local(self, local: ir.Local) -> Raised:
        waiting = self.pending.pop(local.name, None)
        if waiting is not None:
            return waiting.raised
        return self.kinds.get(local.name) or Raised(name(local.name), Bits(local.width or 1))

    def _width(self, statement: ir.Stmt) -> list[tuple[str, int]]:
        match statement:
            case ir.Assign(local, value):
                return [(local, value.width)]
            case ir.Load() | ir.LoadPhysical() | ir.Translate() | ir.Choose():
                return [(statement.target, statement.width)]
            case ir.Probe(target):
                return [(target, 0)]
            case ir.Call(str(target), function):
                return [(target, self.vocabulary.functions[function].result or 0)]
            case _:
                return []

    def put(self, place: syntax.Expr, kind: Type, value: ir.Expr) -> None:
        made = self.expressions.typed(value, kind)
        self.out.append(syntax.Assignment(place, made, span=NOWHERE))

    def evaluate(self, node: syntax.Expr) -> None:
        self.out.append(syntax.Evaluate(node, span=NOWHERE))

    def let(self, local: str, value: syntax.Expr, *, mutable: bool) -> None:
        self.out.append(syntax.Let(self.names[local], None, value, mutable, span=NOWHERE))

    def assign(self, local: str, value: Callable[[Type | None], Raised], after: After) -> None:
        """Give a local a value that is made for a type, or (None) for its own."""
        if local in self.declared:
            kind = self.kinds[local]
            made = value(kind.type).node
            self.out.append(syntax.Assignment(kind.node, made, span=NOWHERE))
            return
        raised = value(None)
        self.declare(local, raised)
        self.let(local, raised.node, mutable=local in after.assigned)

    def raised(self, value: ir.Expr, kind: Type | None) -> Raised:
        if kind is None:
            return self.expressions.expr(value, None)
        return self.expressions.converted(value, kind)

    def sized(self, value: ir.Expr) -> syntax.Expr:
        """A value that says its own width."""
        found = self.expressions.expr(value, None)
        return self.expressions.plain(found).node

    def settle(self, statement: ir.Stmt) -> None:
        """Write out what waits, but for what the statement can take up in its own order."""
        waiting = list(self.pending)
        order = [n for n in _in_order(statement) if n[0] in self.pending]
        for start in range(len(waiting) + 1):
            suffix = waiting[start:]
            taken = [(n, always) for n, always in order if n in suffix]
            fits = [n for n, _ in taken] == suffix and all(always for _, always in taken)
            if fits and self._undisturbed(statement, suffix):
                self.flush(start)
                return
        raise AssertionError("nothing at all can always be taken up")

    def _undisturbed(self, statement: ir.Stmt, suffix: list[str]) -> bool:
        """Whether the effects change nothing that the statement itself reads."""
        changed = frozenset[str]().union(*(self.pending[n].writes for n in suffix))
        return not changed or not any(changed & reads(e) for e in operands(statement))

    def flush(self, count: int | None = None) -> None:
        for local in list(self.pending)[:count]:
            raised = self.pending.pop(local).raised
            self.declare(local, raised)
            self.let(local, raised.node, mutable=False)

    def waits(self, local: str) -> bool:
        """Whether the effect that gives a value to the local may be written where it is used."""
        wanted = self.routines.is_temporary(local) or local in self.returned
        return wanted and self.uses[local] == 1 and local not in self.declared

    def effect(self, statement: Effect, after: After) -> None:
        target = statement.target
        assert target is not None
        raised = self.effect_value(statement)
        if self.waits(target) and self.assigned[target] == 1:
            writes = frozenset[str]()
            if isinstance(statement, ir.Call):
                writes = self.routines.writes[statement.function]
            self.pending[target] = Pending(raised, writes)
            return
        as_type = self.expressions.as_type
        self.assign(target, lambda kind: raised if kind is None else as_type(raised, kind), after)

    def effect_value(self, statement: Effect) -> Raised:
        virtual, typed = self.vocabulary.virtual, self.expressions.typed
        match statement:
            case ir.Load(_, address, width, access, mode):
                word = "fetch" if access is ir.Access.FETCH else "load"
                made = call(word, typed(address, virtual), number(width), *self.mode(mode))
                return Raised(made, Bits(width))
            case ir.LoadPhysical(_, address, width):
                where = typed(address, self.vocabulary.physical)
                return Raised(call("pload", where, number(width)), Bits(width))
            case ir.Translate(_, address, size, access, mode) | ir.Probe(
                _, address, size, access, mode
            ):
                cells = (number(size),) if size != 1 or mode is not None else ()
                arguments = (typed(address, virtual), name(access.name.lower()), *cells)
                if isinstance(statement, ir.Probe):
                    return Raised(call("accessible", *arguments, *self.mode(mode)), Bits(1))
                made = call("translate", *arguments, *self.mode(mode))
                return Raised(made, self.vocabulary.physical)
            case ir.Call(_, function, arguments):
                kind = self.vocabulary.type_of_result(function)
                return Raised(self.call(function, arguments), kind)
            case ir.Choose(_, width):
                return Raised(call("unknown", number(width)), Bits(width))
            case _:
                assert_never(statement)

    def mode(self, mode: ir.Expr | None) -> tuple[syntax.Expr, ...]:
        if mode is None:
            return ()
        return (self.expressions.typed(mode, self.vocabulary.mode),)

    def call(self, function: str, arguments: tuple[ir.Expr, ...]) -> syntax.Expr:
        routine = self.vocabulary.functions[function]
        kinds = parameter_types(self.vocabulary, routine)
        given = dict(zip((p.name for p in routine.parameters), arguments, strict=True))
        shown: list[syntax.Expr] = []
        for names in self.vocabulary.grouped(routine.parameters):
            whole = _operand([given[n] for n in names], names) if len(names) > 1 else None
            if whole is not None:
                shown.append(name(whole))
                continue
            shown += [self.expressions.typed(given[n], kinds[n]) for n in names if n in kinds]
        return call(self.vocabulary.called[function], *shown)

    def trap(self, statement: ir.Trap) -> syntax.Trap:
        cause = self.vocabulary.causes[statement.cause]
        arguments = tuple(
            self.expressions.typed(
                argument, self.vocabulary.type_of_argument(statement.cause, parameter)
            )
            for argument, parameter in zip(statement.arguments, cause.parameters, strict=True)
        )
        other = statement.trap_class is not cause.trap_class
        return syntax.Trap(
            statement.cause,
            arguments,
            statement.trap_class.value if other else None,
            span=NOWHERE,
        )


def _operand(given: list[ir.Expr], names: tuple[str, ...]) -> str | None:
    """The operand whose fields are given, if they are all those of one."""
    prefix = names[0].removesuffix(".tag")
    if not isinstance(given[0], ir.Local) or not given[0].name.endswith(".tag"):
        return None
    passed = given[0].name.removesuffix(".tag")
    same = [passed + n.removeprefix(prefix) for n in names]
    return passed if [isinstance(e, ir.Local) and e.name for e in given] == same else None


def parameter_types(vocabulary: Vocabulary, function: ir.Function) -> dict[str, Type]:
    """The types of the parameters that are written; `next` is passed without being written."""
    return {
        p.name: vocabulary.type_of_parameter(function.name, p)
        for p in function.parameters
        if not (p.name == "next" and p is function.parameters[-1])
    }


def _in_order(statement: ir.Stmt) -> list[tuple[str, bool]]:
    """The locals that a statement evaluates, as written; whether each is evaluated always."""
    match statement:
        case ir.Write(_, value, index):
            parts: tuple[ir.Expr, ...] = (value,) if index is None else (index, value)
        case _:
            parts = operands(statement)
    return [found for part in parts for found in _local_order(part, True)]


def _local_order(expr: ir.Expr, always: bool) -> list[tuple[str, bool]]:
    match expr:
        case ir.Local(local):
            return [(local, always)]
        case ir.Select(condition, then, orelse):
            return [
                *_local_order(condition, always),
                *_local_order(then, False),
                *_local_order(orelse, False),
            ]
        case ir.Logic(ir.LogicOp.AND | ir.LogicOp.OR, left, right):
            return [*_local_order(left, always), *_local_order(right, False)]
        case _:
            return [found for child in children(expr) for found in _local_order(child, always)]
