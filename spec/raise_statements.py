"""From the IR back to the syntax tree: statements.

An effect whose value is used once, by what follows it at once, is written where it is used, as
lowering would take it apart again: `store(a, load(b, 32))`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from spec import ir, syntax
from spec.effects import operands, statements
from spec.expressions import children, locals_in, reads
from spec.folded_syntax import folded
from spec.raising import Expressions, Raised, call, joined, name, number, sized
from spec.simplify import assignments, function_writes, local_uses, replaced, simplify, target_of
from spec.simplify_expressions import negate, simplified
from spec.source import NOWHERE
from spec.types import Bits, Type, width_of
from spec.vocabulary import Vocabulary, guarded_write, statement_words

_TEMPORARY = {"t", "index", "subject", "bit", "loaded", "physical", "accessible", "unknown"}
"""What lowering calls the locals that it makes (`'1` and so on may follow)."""

_Effect: TypeAlias = ir.Load | ir.LoadPhysical | ir.Translate | ir.Probe | ir.Call | ir.Choose


@dataclass(frozen=True, slots=True)
class _Pending:
    """An effect that waits to be written where its value is used."""

    raised: Raised
    writes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _After:
    """The locals that what follows a block mentions, and those that it assigns."""

    mentioned: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()


class Bodies:
    """Raises the bodies of one description."""

    def __init__(
        self, vocabulary: Vocabulary, temporary: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.vocabulary = vocabulary
        self._temporary = temporary
        self.writes = function_writes(vocabulary.functions)
        self._functions = {n.split("<")[0].rstrip("=") for n in vocabulary.functions}

    def body(
        self,
        block: ir.Block,
        parameters: Mapping[str, Type],
        result: Type | None = None,
    ) -> syntax.Block:
        """A body whose parameters (or fields) have these types; `result`: what it returns."""
        block = simplify(block, self.writes, self.is_temporary, parameters)
        body = _Body(self, block, result)
        made = _guarded(body.whole(block, parameters))
        return folded(syntax.Block(tuple(made), span=NOWHERE))

    def condition(self, expr: ir.Expr) -> syntax.Expr:
        """A truth value over state."""
        return _Body(self, (), None).expressions.condition(simplified(expr))

    def value(self, expr: ir.Expr, kind: Type, locals_: Mapping[str, Type]) -> syntax.Expr:
        """A value over state and locals of these types."""
        body = _Body(self, (), None)
        for local, its_type in locals_.items():
            body.declare(local, Raised(name(local), its_type), known_as=local)
        return body.expressions.typed(simplified(expr), kind)

    def is_temporary(self, local: str) -> bool:
        """Whether it disappears where it is used once."""
        return self.is_made_up(local) or self._temporary(local)

    def is_made_up(self, local: str) -> bool:
        """Whether lowering gave it a name."""
        word = local.partition("'")[0]
        return word in _TEMPORARY or word in self._functions


class _Body:
    """Raises one body; `pending` are effects in their order."""

    def __init__(self, bodies: Bodies, block: ir.Block, result: Type | None) -> None:
        self.bodies = bodies
        self.vocabulary = bodies.vocabulary
        self.result = result
        self.expressions = Expressions(bodies.vocabulary, self._local)
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
        self.pending: dict[str, _Pending] = {}
        self.out: list[syntax.Stmt] = []

    def whole(self, block: ir.Block, parameters: Mapping[str, Type]) -> list[syntax.Stmt]:
        for parameter, kind in parameters.items():
            self.declare(parameter, Raised(name(parameter), kind), known_as=parameter)
        self.given = parameters
        for parameter in parameters:
            if self.assigned[parameter]:
                given = self.kinds[parameter]
                del self.names[parameter]
                self.declare(parameter, given)
                self._let(parameter, given.node, mutable=True)
        self._block(block, _After())
        return self.out

    # -- locals

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
        if self.bodies.is_made_up(local):
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

    # -- blocks

    def _block(self, block: ir.Block, after: _After) -> None:
        for position, statement in enumerate(self._banks_written(block)):
            rest = block[position + 1 :]
            self._statement(
                statement,
                _After(
                    after.mentioned | _mentioned(rest), after.assigned | assignments(rest).keys()
                ),
            )
        self._flush()

    def _banks_written(self, block: ir.Block) -> ir.Block:
        """The block with the value that a bank is given in the place of the local that held it."""
        made: list[ir.Stmt] = []
        for statement in block:
            match made[-1:], statement:
                case [ir.Assign(local, value)], ir.If() as branch if self._only_for(branch, local):
                    made[-1] = _with_value(branch, local, value)
                case _:
                    made.append(statement)
        return tuple(made)

    def _only_for(self, branch: ir.If, local: str) -> bool:
        """Whether the branch gives a bank the value of a local that has no other use."""
        bank = self._bank_write(branch)
        if bank is None or not isinstance(bank[1], ir.Local) or bank[1].name != local:
            return False
        only = self.uses[local] == len(bank[0].members) and self.assigned[local] == 1
        return only and self.bodies.is_temporary(local)

    def _inner(self, block: ir.Block, after: _After) -> syntax.Block:
        outer, declared = self.out, set(self.declared)
        self.out = []
        self._block(block, after)
        made = syntax.Block(tuple(self.out), span=NOWHERE)
        self.out, self.declared = outer, declared
        return made

    def _statement(self, statement: ir.Stmt, after: _After) -> None:
        guarded = guarded_write(statement)
        if guarded is not None and self.vocabulary.zeros.get(guarded[0].element) == guarded[1]:
            statement = guarded[0]
        self._settle(statement)
        match statement:
            case ir.Assign(local, value):
                self._assign(local, lambda kind: self._raised(value, kind), after)
            case ir.Write(element, value, index):
                place = self.expressions.place(element, index)
                self._put(place, self.vocabulary.type_of_element(element), value)
            case ir.Store(address, value, _, mode):
                where = self.expressions.typed(address, self.vocabulary.virtual)
                what = self._sized(value)
                self._evaluate(call("store", where, what, *self._mode(mode)))
            case ir.StorePhysical(address, value):
                where = self.expressions.typed(address, self.vocabulary.physical)
                self._evaluate(call("pstore", where, self._sized(value)))
            case ir.Call(None, function, arguments):
                self._evaluate(self._call(function, arguments))
            case ir.Load() | ir.LoadPhysical() | ir.Translate() | ir.Probe() | ir.Choose():
                self._effect(statement, after)
            case ir.Call():
                self._effect(statement, after)
            case ir.If():
                self._if(statement, after)
            case ir.Trap():
                self.out.append(self._trap(statement))
            case ir.Wait():
                self.out.append(syntax.Wait(span=NOWHERE))
            case ir.Return(value):
                made = self.expressions.typed(value, self.result or Bits(1))
                self.out.append(syntax.Return(made, span=NOWHERE))
            case _:
                assert_never(statement)

    def _put(self, place: syntax.Expr, kind: Type, value: ir.Expr) -> None:
        made = self.expressions.typed(value, kind)
        self.out.append(syntax.Assignment(place, made, span=NOWHERE))

    def _evaluate(self, node: syntax.Expr) -> None:
        self.out.append(syntax.Evaluate(node, span=NOWHERE))

    def _let(self, local: str, value: syntax.Expr, *, mutable: bool) -> None:
        self.out.append(syntax.Let(self.names[local], None, value, mutable, span=NOWHERE))

    def _assign(self, local: str, value: Callable[[Type | None], Raised], after: _After) -> None:
        """Give a local a value that is made for a type, or (None) for its own."""
        if local in self.declared:
            kind = self.kinds[local]
            made = value(kind.type).node
            self.out.append(syntax.Assignment(kind.node, made, span=NOWHERE))
            return
        raised = value(None)
        self.declare(local, raised)
        self._let(local, raised.node, mutable=local in after.assigned)

    def _raised(self, value: ir.Expr, kind: Type | None) -> Raised:
        if kind is None:
            return self.expressions.expr(value, None)
        return self.expressions.converted(value, kind)

    def _sized(self, value: ir.Expr) -> syntax.Expr:
        """A value that says its own width."""
        found = self.expressions.expr(value, None)
        return self.expressions.plain(found).node

    # -- effects

    def _settle(self, statement: ir.Stmt) -> None:
        """Write out what waits, but for what the statement can take up in its own order."""
        waiting = list(self.pending)
        order = [n for n in _in_order(statement) if n[0] in self.pending]
        for start in range(len(waiting) + 1):
            suffix = waiting[start:]
            taken = [(n, always) for n, always in order if n in suffix]
            fits = [n for n, _ in taken] == suffix and all(always for _, always in taken)
            if fits and self._undisturbed(statement, suffix):
                self._flush(start)
                return
        raise AssertionError("nothing at all can always be taken up")

    def _undisturbed(self, statement: ir.Stmt, suffix: list[str]) -> bool:
        """Whether the effects change nothing that the statement itself reads."""
        changed = frozenset[str]().union(*(self.pending[n].writes for n in suffix))
        return not changed or not any(changed & reads(e) for e in operands(statement))

    def _flush(self, count: int | None = None) -> None:
        for local in list(self.pending)[:count]:
            raised = self.pending.pop(local).raised
            self.declare(local, raised)
            self._let(local, raised.node, mutable=False)

    def _waits(self, local: str) -> bool:
        """Whether the effect that gives a value to the local may be written where it is used."""
        wanted = self.bodies.is_temporary(local) or local in self.returned
        return wanted and self.uses[local] == 1 and local not in self.declared

    def _effect(self, statement: _Effect, after: _After) -> None:
        target = statement.target
        assert target is not None
        raised = self._effect_value(statement)
        if self._waits(target) and self.assigned[target] == 1:
            writes = frozenset[str]()
            if isinstance(statement, ir.Call):
                writes = self.bodies.writes[statement.function]
            self.pending[target] = _Pending(raised, writes)
            return
        as_type = self.expressions.as_type
        self._assign(target, lambda kind: raised if kind is None else as_type(raised, kind), after)

    def _effect_value(self, statement: _Effect) -> Raised:
        virtual, typed = self.vocabulary.virtual, self.expressions.typed
        match statement:
            case ir.Load(_, address, width, access, mode):
                word = "fetch" if access is ir.Access.FETCH else "load"
                made = call(word, typed(address, virtual), number(width), *self._mode(mode))
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
                    return Raised(call("accessible", *arguments, *self._mode(mode)), Bits(1))
                made = call("translate", *arguments, *self._mode(mode))
                return Raised(made, self.vocabulary.physical)
            case ir.Call(_, function, arguments):
                kind = self.vocabulary.type_of_result(function)
                return Raised(self._call(function, arguments), kind)
            case ir.Choose(_, width):
                return Raised(call("unknown", number(width)), Bits(width))
            case _:
                assert_never(statement)

    def _mode(self, mode: ir.Expr | None) -> tuple[syntax.Expr, ...]:
        if mode is None:
            return ()
        return (self.expressions.typed(mode, self.vocabulary.mode),)

    def _call(self, function: str, arguments: tuple[ir.Expr, ...]) -> syntax.Expr:
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

    def _trap(self, statement: ir.Trap) -> syntax.Trap:
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

    # -- branches

    def _if(self, statement: ir.If, after: _After) -> None:
        bank = self._bank_write(statement)
        if bank is not None:
            kind = self.vocabulary.type_of_element(bank[0].members[0][1])
            self._put(name(bank[0].name), kind, bank[1])
            return
        if self._choice(statement, after):
            return
        match statement:
            case ir.If(condition, (ir.Trap(cause) as trap,), ()) if (
                self.vocabulary.causes[cause].trap_class is ir.TrapClass.PRIVILEGE
            ):
                self._require(negate(condition), trap)
                return
            case _:
                pass
        test = self.expressions.condition(statement.condition)
        self._flush()
        then, orelse = statement.then, statement.orelse
        for local in sorted(assignments((statement,))):
            if local not in self.declared and local in after.mentioned:
                orelse = self._predeclare(local, then, orelse)
        first = self._inner(then, after)
        self.out.append(self._if_node(test, first, self._inner(orelse, after)))

    def _if_node(self, test: syntax.Expr, then: syntax.Block, orelse: syntax.Block) -> syntax.If:
        match orelse.statements:
            case ():
                return syntax.If(test, then, None, span=NOWHERE)
            case (syntax.If() as inner,):
                return syntax.If(test, then, inner, span=NOWHERE)
            case _:
                return syntax.If(test, then, orelse, span=NOWHERE)

    def _require(self, condition: ir.Expr, trap: ir.Trap) -> None:
        test = self.expressions.condition(condition)
        usual = (
            trap.cause == self.vocabulary.usual_trap and trap.trap_class is ir.TrapClass.PRIVILEGE
        )
        otherwise = None if usual else self._trap(trap)
        self._flush()
        self.out.append(syntax.Require(test, otherwise, span=NOWHERE))

    def _predeclare(self, local: str, then: ir.Block, orelse: ir.Block) -> ir.Block:
        """Declare a local that the arms assign and later statements use; what is left to do else."""
        width = self.widths[local] or 1
        match orelse:
            case (ir.Assign(assigned, value),) if assigned == local and local not in _mentioned(
                (), value
            ):
                raised = self.expressions.expr(value, None)
                self.declare(local, raised)
                self._let(local, raised.node, mutable=True)
                return ()
        self.declare(local, Raised(sized(0, width), Bits(width)))
        self._let(local, sized(0, width), mutable=True)
        return orelse

    def _bank_write(self, statement: ir.If) -> tuple[ir.Bank, ir.Expr] | None:
        """The bank that this branch by the mode writes, and the value."""
        for bank in self.vocabulary.banks:
            left: ir.Block = (statement,)
            value: ir.Expr | None = None
            for encoding, element in bank.members[:-1]:
                match left:
                    case (
                        ir.If(
                            ir.Compare(ir.CompareOp.EQ, ir.Read(mode), ir.Literal(tested)),
                            (ir.Write(written, given, None),),
                            orelse,
                        ),
                    ) if (mode, tested, written) == (
                        self.vocabulary.mode_element,
                        encoding,
                        element,
                    ) and value in (None, given):
                        left, value = orelse, given
                    case _:
                        break
            else:
                if value is not None and left == (ir.Write(bank.members[-1][1], value),):
                    return bank, value
        return None

    # -- choices with effects

    def _choice(self, statement: ir.If, after: _After) -> bool:
        """`x = if c then load(a) else load(b)`, where both arms end in giving `x` a value."""
        ends = {target_of(arm[-1]) if arm else None for arm in (statement.then, statement.orelse)}
        local = ends.pop()
        if ends or local is None or self.assigned[local] != 2 or local in self.declared:
            return False
        kept = dict(self.pending), dict(self.kinds), dict(self.names)
        test = self.expressions.condition(statement.condition)
        waiting, self.pending = self.pending, {}
        then = self._value(statement.then, None)
        orelse = self._value(statement.orelse, None if then is None else then.type)
        self.pending = waiting
        if then is None or orelse is None:
            self.pending, self.kinds, self.names = kept
            return False
        raised = self._chosen(test, statement, then, orelse)
        called = {s.function for s in statements((statement,)) if isinstance(s, ir.Call)}
        writes = frozenset[str]().union(*(self.bodies.writes[f] for f in called))
        if self._waits(local):
            self.pending[local] = _Pending(raised, writes)
        else:
            self._flush()
            self._assign(local, lambda _: raised, after)
        return True

    def _chosen(self, test: syntax.Expr, statement: ir.If, then: Raised, orelse: Raised) -> Raised:
        """A choice with effects; `&&` and `||` are such choices too."""
        match statement.then, statement.orelse:
            case _, (ir.Assign(_, ir.Boolean(False)),):
                return Raised(joined("&&", test, then.node), Bits(1))
            case (ir.Assign(_, ir.Boolean(True)),), _:
                return Raised(joined("||", test, orelse.node), Bits(1))
            case _:
                return self.expressions.choice(test, then, orelse)

    def _value(self, arm: ir.Block, expected: Type | None) -> Raised | None:
        """What the arm assigns at its end, if all before it can be written there."""
        outer, declared = self.out, set(self.declared)
        self.out = []
        for statement in arm[:-1]:
            if isinstance(statement, ir.If | _EFFECTS):
                self._statement(statement, _After(_mentioned(arm), frozenset()))
            else:
                self.out.append(syntax.Wait(span=NOWHERE))  # cannot be part of an expression
        last = arm[-1]
        self._settle(last)
        if isinstance(last, ir.Assign):
            kind = expected and Bits(width_of(expected) or 1)
            raised = self.expressions.expr(last.value, kind)
        else:
            assert isinstance(last, _EFFECTS)
            raised = self._effect_value(last)
        failed = bool(self.out or self.pending)
        self.pending = {}
        self.out, self.declared = outer, declared
        return None if failed else raised


_EFFECTS = ir.Load | ir.LoadPhysical | ir.Translate | ir.Probe | ir.Call | ir.Choose


def _with_value(branch: ir.If, local: str, value: ir.Expr) -> ir.If:
    """The branch with a value in the place of a local."""

    def put(expr: ir.Expr) -> ir.Expr:
        return value if isinstance(expr, ir.Local) and expr.name == local else expr

    def within(block: ir.Block) -> ir.Block:
        return tuple(
            replace(s, then=within(s.then), orelse=within(s.orelse))
            if isinstance(s, ir.If)
            else replaced(s, put)
            for s in block
        )

    (made,) = within((branch,))
    assert isinstance(made, ir.If)
    return made


def _guarded(made: list[syntax.Stmt]) -> list[syntax.Stmt]:
    """`if c { return a } else { return b }` at the end without its `else`."""
    match made[-1:]:
        case [
            syntax.If(
                test,
                syntax.Block((syntax.Return(),)) as then,
                syntax.Block((syntax.Return() as last,)),
            )
        ]:
            return [*made[:-1], syntax.If(test, then, None, span=NOWHERE), last]
        case _:
            return made


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


def _mentioned(block: ir.Block, *values: ir.Expr) -> frozenset[str]:
    """The locals that occur in a block, and in further expressions."""
    found = set(local_uses(block)) | set(assignments(block))
    for value in values:
        found |= set(locals_in(value))
    return frozenset(found)


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
