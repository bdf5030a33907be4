"""Statements and expressions folded back into what people write: matches and loops.

Both are exactly what the front end takes apart again: a match is a chain of comparisons, a loop is
unrolled.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias

from spec import syntax
from spec.raising import MEMBER, name, number
from spec.source import NOWHERE

_TESTS = 3
"""Comparisons that make a match, and repetitions that make a loop."""
_GROUP = 3
"""Statements of one round of a loop, at most."""

_Tests: TypeAlias = tuple[syntax.Expr, tuple[syntax.Pattern, ...]]


def folded(block: syntax.Block) -> syntax.Block:
    """The block with its chains of comparisons as matches and its repetitions as loops."""
    statements = [s for node in block.statements for s in _apart(_statement(node))]
    return replace(block, statements=tuple(_looped(statements)))


def _apart(node: syntax.Stmt) -> list[syntax.Stmt]:
    """`if a || b || c { x = 1 }` as one test each, if most of them make a loop."""
    match node:
        case syntax.If(condition, syntax.Block((syntax.Assignment(target, value),)), None) if (
            isinstance(value, syntax.Number) or _settles(target, value)
        ):
            tests = _alternatives(condition)
            parts = [replace(node, condition=test) for test in tests]
            if target not in _nodes(tuple(tests)) and len(_looped(parts)) <= len(parts) // 2:
                return [*parts]
        case _:
            pass
    return [node]


def _settles(target: syntax.Expr, value: syntax.Expr) -> bool:
    """Whether to assign the value twice is to assign it once."""
    match value:
        case syntax.Binary("&" | "|", left, syntax.Number()):
            return left == target
        case _:
            return False


def _alternatives(condition: syntax.Expr) -> list[syntax.Expr]:
    match condition:
        case syntax.Binary("||", left, right):
            return [*_alternatives(left), *_alternatives(right)]
        case _:
            return [condition]


def _statement(node: syntax.Stmt) -> syntax.Stmt:
    if isinstance(node, syntax.If):
        return _if(node)
    changed = {f.name: _expressions(getattr(node, f.name)) for f in fields(node)}
    return replace(node, **changed)


def _if(node: syntax.If) -> syntax.Stmt:
    then = folded(node.then)
    orelse: syntax.Block | syntax.If | None
    match node.orelse:
        case None | syntax.Block():
            orelse = node.orelse and folded(node.orelse)
        case syntax.If():
            matched = _match(node)
            if matched is not None:
                return matched
            other = _if(node.orelse)
            orelse = other if isinstance(other, syntax.If) else _block(other)
    return replace(node, condition=_expression(node.condition), then=then, orelse=orelse)


def _block(statement: syntax.Stmt) -> syntax.Block:
    return syntax.Block((statement,), span=NOWHERE)


def _match(node: syntax.If) -> syntax.Match | None:
    arms: list[syntax.Arm] = []
    subject: syntax.Expr | None = None
    rest: syntax.Block | syntax.If | None = node
    while isinstance(rest, syntax.If):
        tested = _tested(rest.condition)
        if tested is None or subject not in (None, tested[0]):
            break
        subject = tested[0]
        arms.append(syntax.Arm(tested[1], folded(rest.then), True, span=NOWHERE))
        rest = rest.orelse
    if subject is None or len(arms) < _TESTS or not _distinct(a.patterns for a in arms):
        return None
    match rest:
        case None:
            last = syntax.Block((), span=NOWHERE)
        case syntax.If():
            last = folded(syntax.Block((rest,), span=NOWHERE))
        case syntax.Block():
            last = folded(rest)
    arms.append(syntax.Arm((_ANYTHING,), last, True, span=NOWHERE))
    return syntax.Match(subject, tuple(arms), span=NOWHERE)


_ANYTHING = syntax.NamePattern("_", None, span=NOWHERE)


# --------------------------------------------------------------------------- expressions


def _expressions(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_expressions(v) for v in value)
    return _expression(value) if is_dataclass(value) else value


def _expression(node: Any) -> Any:
    if isinstance(node, syntax.IfExpr):
        matched = _match_expression(node)
        if matched is not None:
            return matched
    if isinstance(node, syntax.Block) or not is_dataclass(node) or isinstance(node, type):
        return node
    changed = {
        f.name: _expressions(getattr(node, f.name)) for f in fields(node) if f.name != "span"
    }
    return replace(node, **changed)


def _match_expression(node: syntax.IfExpr) -> syntax.MatchExpr | None:
    arms: list[syntax.ExprArm] = []
    subject: syntax.Expr | None = None
    rest: syntax.Expr = node
    while isinstance(rest, syntax.IfExpr):
        tested = _tested(rest.condition)
        if tested is None or subject not in (None, tested[0]):
            break
        subject = tested[0]
        arms.append(syntax.ExprArm(tested[1], _expression(rest.then), span=NOWHERE))
        rest = rest.orelse
    if subject is None or len(arms) < _TESTS or not _distinct(a.patterns for a in arms):
        return None
    arms.append(syntax.ExprArm((_ANYTHING,), _expression(rest), span=NOWHERE))
    return syntax.MatchExpr(subject, tuple(arms), span=NOWHERE)


def _tested(condition: syntax.Expr) -> _Tests | None:
    """What is compared, and with which constants, where a condition says that."""
    match condition:
        case syntax.Binary("==", subject, syntax.Number(value, text)) if _is_path(subject):
            return subject, (syntax.NumberPattern(value, None, text, span=NOWHERE),)
        case syntax.Binary("==", subject, syntax.Name(member) as constant) if (
            _is_path(subject) and constant.span is MEMBER
        ):
            return subject, (syntax.NamePattern(member, None, span=NOWHERE),)
        case syntax.Binary("||", left, right):
            one, other = _tested(left), _tested(right)
            if one is not None and other is not None and one[0] == other[0]:
                return one[0], (*one[1], *other[1])
            return None
        case _:
            return None


def _is_path(node: syntax.Expr) -> bool:
    match node:
        case syntax.Name():
            return True
        case syntax.Field(base):
            return _is_path(base)
        case _:
            return False


def _distinct(patterns: Any) -> bool:
    every = [p for some in patterns for p in some]
    return len(every) == len(set(every))


# --------------------------------------------------------------------------- loops


def _looped(statements: Sequence[syntax.Stmt]) -> list[syntax.Stmt]:
    made: list[syntax.Stmt] = []
    at = 0
    while at < len(statements):
        found = None
        for size in range(1, _GROUP + 1):
            found = _loop(statements[at:], size)
            if found is not None:
                break
        if found is None:
            made.append(statements[at])
            at += 1
        else:
            made.append(found[0])
            at += found[1]
    return made


def _loop(statements: Sequence[syntax.Stmt], size: int) -> tuple[syntax.For, int] | None:
    """A loop that stands for the first statements, and for how many of them."""
    group = tuple(statements[:size])
    first: int | None = None
    rounds = 1
    while len(statements) >= (rounds + 1) * size:
        starts: set[int] = set()
        if not _repeats(
            group, tuple(statements[rounds * size : (rounds + 1) * size]), rounds, starts
        ):
            break
        if len(starts) != 1 or first not in (None, *starts):
            break
        (first,) = starts
        rounds += 1
    if first is None or rounds < _TESTS:
        return None
    used = _names(group)
    counter = next(word for word in ("i", "j", "k", "n", "count", "number_") if word not in used)
    second = tuple(statements[size : 2 * size])
    body = tuple(_counted(one, other, counter) for one, other in zip(group, second, strict=True))
    loop = syntax.For(
        counter,
        number(first),
        number(first + rounds - 1),
        syntax.Block(body, span=NOWHERE),
        span=NOWHERE,
    )
    return loop, rounds * size


def _repeats(one: Any, other: Any, step: int, starts: set[int]) -> bool:
    """Whether the second is the first with some numbers greater by a step; collects those."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(
            _repeats(a, b, step, starts) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, syntax.Number):
        if other.value == one.value + step:
            starts.add(one.value)
        return other.value in (one.value, one.value + step)
    if is_dataclass(one) and not isinstance(one, type):
        return all(
            _repeats(getattr(one, f.name), getattr(other, f.name), step, starts)
            for f in fields(one)
            if f.compare
        )
    return bool(one == other)


def _counted(one: Any, other: Any, counter: str) -> Any:
    """The first, with the counter in the place of what differs."""
    if isinstance(one, tuple):
        return tuple(_counted(a, b, counter) for a, b in zip(one, other, strict=True))
    if isinstance(one, syntax.Number):
        return one if one == other else name(counter)
    if is_dataclass(one) and not isinstance(one, type):
        changed = {
            f.name: _counted(getattr(one, f.name), getattr(other, f.name), counter)
            for f in fields(one)
            if f.compare
        }
        return replace(one, **changed)
    return one


def _nodes(node: Any) -> list[Any]:
    if isinstance(node, tuple):
        return [found for child in node for found in _nodes(child)]
    if not is_dataclass(node) or isinstance(node, type):
        return []
    return [node, *(n for f in fields(node) if f.compare for n in _nodes(getattr(node, f.name)))]


def _names(node: Any) -> set[str]:
    if isinstance(node, tuple):
        return set().union(*(_names(child) for child in node))
    if isinstance(node, syntax.Name):
        return {node.name}
    if isinstance(node, syntax.Let):
        return {node.name} | _names(node.value)
    if is_dataclass(node) and not isinstance(node, type):
        return set().union(*(_names(getattr(node, f.name)) for f in fields(node) if f.compare))
    return set()
