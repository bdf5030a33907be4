"""From the IR back to the syntax tree: statements.

An effect whose value is used once, by what follows it at once, is written where it is used, as
lowering would take it apart again: `store(a, load(b, 32))`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from spec import ir, syntax
from spec.effects import replaced, statements, target_of
from spec.expressions import locals_in
from spec.folded_syntax import folded
from spec.raise_effects import After, Effect, Effects, Pending, Routines
from spec.raising import Raised, call, joined, name, sized
from spec.simplify import assignments, local_uses, simplify
from spec.simplify_expressions import negate, simplified
from spec.source import NOWHERE
from spec.types import Bits, Type, width_of
from spec.vocabulary import Vocabulary, guarded_write


class Bodies:
    """Raises the bodies of one description."""

    def __init__(
        self, vocabulary: Vocabulary, temporary: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.vocabulary = vocabulary
        self.routines = Routines(vocabulary, temporary)

    def body(
        self,
        block: ir.Block,
        parameters: Mapping[str, Type],
        result: Type | None = None,
    ) -> syntax.Block:
        """A body whose parameters (or fields) have these types; `result`: what it returns."""
        block = simplify(block, self.routines.writes, self.routines.is_temporary, parameters)
        body = _Body(self.routines, block, result)
        made = _guarded(body.whole(block, parameters))
        return folded(syntax.Block(tuple(made), span=NOWHERE))

    def condition(self, expr: ir.Expr) -> syntax.Expr:
        """A truth value over state."""
        return _Body(self.routines, (), None).expressions.condition(simplified(expr))

    def value(self, expr: ir.Expr, kind: Type, locals_: Mapping[str, Type]) -> syntax.Expr:
        """A value over state and locals of these types."""
        body = _Body(self.routines, (), None)
        for local, its_type in locals_.items():
            body.declare(local, Raised(name(local), its_type), known_as=local)
        return body.expressions.typed(simplified(expr), kind)


class _Body(Effects):
    """Raises one body."""

    def whole(self, block: ir.Block, parameters: Mapping[str, Type]) -> list[syntax.Stmt]:
        for parameter, kind in parameters.items():
            self.declare(parameter, Raised(name(parameter), kind), known_as=parameter)
        self.given = parameters
        for parameter in parameters:
            if self.assigned[parameter]:
                given = self.kinds[parameter]
                del self.names[parameter]
                self.declare(parameter, given)
                self.let(parameter, given.node, mutable=True)
        self._block(block, After())
        return self.out

    def _block(self, block: ir.Block, after: After) -> None:
        for position, statement in enumerate(self._banks_written(block)):
            rest = block[position + 1 :]
            self._statement(
                statement,
                After(
                    after.mentioned | _mentioned(rest), after.assigned | assignments(rest).keys()
                ),
            )
        self.flush()

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
        return only and self.routines.is_temporary(local)

    def _inner(self, block: ir.Block, after: After) -> syntax.Block:
        outer, declared = self.out, set(self.declared)
        self.out = []
        self._block(block, after)
        made = syntax.Block(tuple(self.out), span=NOWHERE)
        self.out, self.declared = outer, declared
        return made

    def _statement(self, statement: ir.Stmt, after: After) -> None:
        guarded = guarded_write(statement)
        if guarded is not None and self.vocabulary.zeros.get(guarded[0].element) == guarded[1]:
            statement = guarded[0]
        self.settle(statement)
        match statement:
            case ir.Assign(local, value):
                self.assign(local, lambda kind: self.raised(value, kind), after)
            case ir.Write(element, value, index):
                place = self.expressions.place(element, index)
                self.put(place, self.vocabulary.type_of_element(element), value)
            case ir.Store(address, value, _, mode):
                where = self.expressions.typed(address, self.vocabulary.virtual)
                what = self.sized(value)
                self.evaluate(call("store", where, what, *self.mode(mode)))
            case ir.StorePhysical(address, value):
                where = self.expressions.typed(address, self.vocabulary.physical)
                self.evaluate(call("pstore", where, self.sized(value)))
            case ir.Call(None, function, arguments):
                self.evaluate(self.call(function, arguments))
            case ir.Load() | ir.LoadPhysical() | ir.Translate() | ir.Probe() | ir.Choose():
                self.effect(statement, after)
            case ir.Call():
                self.effect(statement, after)
            case ir.If():
                self._if(statement, after)
            case ir.Trap():
                self.out.append(self.trap(statement))
            case ir.Wait():
                self.out.append(syntax.Wait(span=NOWHERE))
            case ir.Return(value):
                made = self.expressions.typed(value, self.result or Bits(1))
                self.out.append(syntax.Return(made, span=NOWHERE))
            case _:
                assert_never(statement)

    # -- branches

    def _if(self, statement: ir.If, after: After) -> None:
        bank = self._bank_write(statement)
        if bank is not None:
            kind = self.vocabulary.type_of_element(bank[0].members[0][1])
            self.put(name(bank[0].name), kind, bank[1])
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
        self.flush()
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
        otherwise = None if usual else self.trap(trap)
        self.flush()
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
                self.let(local, raised.node, mutable=True)
                return ()
        self.declare(local, Raised(sized(0, width), Bits(width)))
        self.let(local, sized(0, width), mutable=True)
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

    def _choice(self, statement: ir.If, after: After) -> bool:
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
        writes = frozenset[str]().union(*(self.routines.writes[f] for f in called))
        if self.waits(local):
            self.pending[local] = Pending(raised, writes)
        else:
            self.flush()
            self.assign(local, lambda _: raised, after)
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
            if isinstance(statement, ir.If | Effect):
                self._statement(statement, After(_mentioned(arm), frozenset()))
            else:
                self.out.append(syntax.Wait(span=NOWHERE))  # cannot be part of an expression
        last = arm[-1]
        self.settle(last)
        if isinstance(last, ir.Assign):
            kind = expected and Bits(width_of(expected) or 1)
            raised = self.expressions.expr(last.value, kind)
        else:
            assert isinstance(last, Effect)
            raised = self.effect_value(last)
        failed = bool(self.out or self.pending)
        self.pending = {}
        self.out, self.declared = outer, declared
        return None if failed else raised


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


def _mentioned(block: ir.Block, *values: ir.Expr) -> frozenset[str]:
    """The locals that occur in a block, and in further expressions."""
    found = set(local_uses(block)) | set(assignments(block))
    for value in values:
        found |= set(locals_in(value))
    return frozenset(found)
