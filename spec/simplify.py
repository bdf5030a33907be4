"""Simpler blocks of equal meaning, for readers: every engine does the same with them.

What a block writes, loads, stores, chooses and traps stays, in its order; what only computes moves
to where it is used. Reads of physical memory whose value nobody uses go away.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from spec.effects import operands, replaced, statements, target_of, with_target
from spec.expressions import children, locals_in
from spec.ir import (
    Assign,
    Block,
    Boolean,
    Call,
    Expr,
    Extract,
    Function,
    If,
    Literal,
    LoadPhysical,
    Local,
    LogicOp,
    Read,
    Return,
    Stmt,
    Trap,
    Wait,
    Write,
)
from spec.lower_statements import ends
from spec.rewrite import transform
from spec.simplify_expressions import logic, negate, select, simplified

_ROUNDS = 12
"""More than any block needs; each round only makes it smaller."""


def function_writes(functions: Mapping[str, Function]) -> dict[str, frozenset[str]]:
    """By function: the state elements that it, or one that it calls, may change."""
    own = {n: _written(f.body) for n, f in functions.items()}
    calls = {
        n: {s.function for s in statements(f.body) if isinstance(s, Call)}
        for n, f in functions.items()
    }
    changed = True
    while changed:
        changed = False
        for name, called in calls.items():
            whole = own[name].union(*(own[c] for c in called if c in own))
            changed |= whole != own[name]
            own[name] = whole
    return own


def _written(block: Block) -> frozenset[str]:
    return frozenset(s.element for s in statements(block) if isinstance(s, Write))


def always(_: str) -> bool:
    """Every local may be written out where it is used."""
    return True


def simplify(
    block: Block,
    writes: Mapping[str, frozenset[str]],
    inline: Callable[[str], bool] = always,
    parameters: Iterable[str] = (),
) -> Block:
    """A simpler block.

    `writes` is what `function_writes` says of the functions that it calls. Locals for which
    `inline` holds disappear where they are used once. `parameters` have a value at the start.
    """
    given = frozenset(parameters)
    for _ in range(_ROUNDS):
        before = block
        block = _cleaned(block)
        block = _joined(block, inline)
        block = _Moves.of(block, writes, inline, given).moved(block)
        if block == before:
            break
    return block


def local_uses(block: Block) -> Counter[str]:
    """How often each local occurs in the block's expressions."""
    return Counter(n for s in statements(block) for e in operands(s) for n in locals_in(e))


def assignments(block: Block) -> Counter[str]:
    """How many statements give each local a value."""
    return Counter(name for s in statements(block) if (name := target_of(s)) is not None)


# --------------------------------------------------------------------------- branches


def _cleaned(block: Block) -> Block:
    """Simple expressions; no branch that is never taken, nothing after the end."""
    kept: list[Stmt] = []
    for found_statement in block:
        statement = replaced(found_statement, simplified)
        if not isinstance(statement, If):
            kept.append(statement)
            if isinstance(statement, Trap | Wait | Return):
                break
            continue
        found = _branch(statement.condition, _cleaned(statement.then), _cleaned(statement.orelse))
        kept += found
        if ends(found):
            break
    return tuple(kept)


def _branch(condition: Expr, then: Block, orelse: Block) -> Block:
    if isinstance(condition, Boolean):
        return then if condition.value else orelse
    if then == orelse:
        return then
    if not then:
        condition, then, orelse = negate(condition), orelse, then
    match then, orelse:
        case (If(inner, done, ()),), ():
            return (If(logic(LogicOp.AND, condition, inner), done, ()),)
        case (Assign(name, value),), (Assign(other, alternative),) if name == other:
            return (Assign(name, select(condition, value, alternative)),)
        case (Return(value),), (Return(alternative),):
            return (Return(select(condition, value, alternative)),)
        case _:
            pass
    if orelse and ends(orelse) and not ends(then):
        return (If(negate(condition), orelse, ()), *then)
    if orelse and ends(then) and not ends(orelse):
        return (If(condition, then, ()), *orelse)
    return (If(condition, then, orelse),)


# --------------------------------------------------------------------------- copies


def _joined(block: Block, inline: Callable[[str], bool]) -> Block:
    """`t = effect; x = t` becomes `x = effect` where nothing else uses `t`."""
    uses, assigned = local_uses(block), assignments(block)

    def join(part: Block) -> Block:
        kept: list[Stmt] = []
        for statement in part:
            if isinstance(statement, If):
                statement = replace(
                    statement, then=join(statement.then), orelse=join(statement.orelse)
                )
            match statement:
                case Assign(name, Local(source)) if kept and target_of(kept[-1]) == source:
                    if uses[source] == 1 == assigned[source] and inline(source):
                        kept[-1] = with_target(kept[-1], name)
                        continue
            kept.append(statement)
        return tuple(kept)

    return join(block)


@dataclass(slots=True)
class _Moves:
    """Writes out constants, copies and locals that are used once; drops those that are not used."""

    writes: Mapping[str, frozenset[str]]
    inline: Callable[[str], bool]
    uses: Counter[str]
    assigned: Counter[str]
    given: frozenset[str]
    known: dict[str, Expr]

    @staticmethod
    def of(
        block: Block,
        writes: Mapping[str, frozenset[str]],
        inline: Callable[[str], bool],
        given: frozenset[str],
    ) -> "_Moves":
        assigned = assignments(block)
        assigned.update(given & assigned.keys())
        return _Moves(writes, inline, local_uses(block), assigned, given, {})

    def moved(self, block: Block) -> Block:
        rest = list(block)
        kept: list[Stmt] = []
        while rest:
            statement = replaced(rest.pop(0), self._with_known)
            match statement:
                case Assign(name) if not self.uses[name]:
                    continue
                case Assign(name, Literal() | Boolean() as value) if self.assigned[name] == 1:
                    self.known[name] = value
                    continue
                case Assign(name, Local(source) as value) if (
                    self.assigned[name] == 1 and self._settled(source) and self.inline(name)
                ):
                    self.known[name] = value
                    continue
                case Assign(name, Extract(Local(source)) as value) if (
                    self.assigned[name] == 1 and self.inline(name) and self._settled(source)
                ):
                    self.known[name] = value
                    continue
                case Assign(name, value) if self._once(name):
                    found = self._put(rest, name, value)
                    if found is not None:
                        rest = found
                        continue
                case LoadPhysical(target) if not self.uses[target]:
                    continue
                case Call(str(target)) if not self.uses[target]:
                    statement = replace(statement, target=None)
                case If():
                    statement = replace(
                        statement,
                        then=self.moved(statement.then),
                        orelse=self.moved(statement.orelse),
                    )
                    if not statement.then and not statement.orelse:
                        continue
                case _:
                    pass
            kept.append(statement)
        return tuple(kept)

    def _settled(self, local: str) -> bool:
        """Whether the local never changes once it has a value."""
        return self.assigned[local] == (local not in self.given)

    def _with_known(self, expr: Expr) -> Expr:
        if not self.known:
            return expr
        return transform(expr, lambda e: self.known.get(e.name) if isinstance(e, Local) else None)

    def _once(self, name: str) -> bool:
        return self.uses[name] == 1 == self.assigned[name] and self.inline(name)

    def _put(self, block: list[Stmt], name: str, value: Expr) -> list[Stmt] | None:
        """The statements with `value` in the place of its only use; None where it cannot move."""
        reads = frozenset(e.element for e in _nodes(value) if isinstance(e, Read))
        names = frozenset(locals_in(value))

        def put(part: list[Stmt]) -> list[Stmt] | None:
            for position, statement in enumerate(part):
                before, after = part[:position], part[position + 1 :]
                if any(name == n for e in operands(statement) for n in locals_in(e)):
                    settled = replaced(statement, lambda e: _substituted(e, name, value))
                    return [*before, settled, *after]
                if isinstance(statement, If):
                    for arm in ("then", "orelse"):
                        inner: Block = getattr(statement, arm)
                        if local_uses(inner)[name]:
                            found = put(list(inner))
                            if found is None:
                                return None
                            arms = {"then": statement.then, "orelse": statement.orelse}
                            arms[arm] = tuple(found)
                            return [*before, If(statement.condition, **arms), *after]
                if self._changes(statement, reads, names):
                    return None
            return None

        return put(block)

    def _changes(self, statement: Stmt, reads: frozenset[str], names: frozenset[str]) -> bool:
        """Whether the statement may change one of these elements or locals."""
        for inner in statements((statement,)):
            if target_of(inner) in names:
                return True
            if isinstance(inner, Write) and inner.element in reads:
                return True
            if isinstance(inner, Call) and reads & self.writes.get(inner.function, reads):
                return True
        return False


def _substituted(expr: Expr, name: str, value: Expr) -> Expr:
    return transform(expr, lambda e: value if isinstance(e, Local) and e.name == name else None)


def _nodes(expr: Expr) -> Iterator[Expr]:
    left = [expr]
    while left:
        node = left.pop()
        yield node
        left.extend(children(node))
