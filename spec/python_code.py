"""Emitted Python as a tree: small enough to drop dead assignments from before it is text.

Variables are called `t1` (computed), `s1`, `a1`, `a1_2` (state at entry), `p1` (parameters). One is
assigned at most once on every path to its uses. Text never holds names of a description.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

INDENT = " "
_NAME = re.compile(r"\b[tsap]\d+(?:_\d+)?\b")
_INLINED_LENGTH = 120


@dataclass(slots=True, eq=False)
class Let:
    """`name` := a pure expression. One that is not `movable` depends on where it stands."""

    name: str
    text: str
    movable: bool = True


@dataclass(slots=True, eq=False)
class Load:
    """`name` := `fast`, or `slow` where that raises: a read of memory, pure in its place."""

    name: str
    fast: str
    slow: str


@dataclass(slots=True, eq=False)
class Do:
    """A statement with an effect."""

    text: str


@dataclass(slots=True, eq=False)
class Try:
    """A statement with an effect, and the one to run if it raises (then it had no effect)."""

    fast: str
    slow: str


@dataclass(slots=True, eq=False)
class Save:
    """An assignment to something outside; only `value` can name variables."""

    target: str
    value: str


@dataclass(slots=True, eq=False)
class Branch:
    condition: str
    then: "list[Node]"
    orelse: "list[Node]"


@dataclass(slots=True, eq=False)
class Region:
    """Nodes that `Break` leaves."""

    body: "list[Node]" = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Break:
    """Leave the innermost region."""


@dataclass(slots=True, eq=False)
class Leave:
    """The end of the code on this path; the body is filled in when all code is known."""

    body: "list[Node]" = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Routine:
    """`name` := what a function of its own returns."""

    name: str
    body: "list[Node]" = field(default_factory=list)


Node: TypeAlias = Let | Load | Do | Try | Save | Branch | Region | Break | Leave | Routine


def tidy(nodes: list[Node]) -> None:
    """Drop assignments that nothing uses, then put single uses in place of their names."""
    uses = Counter(_uses(nodes))
    while _drop_unused(nodes, uses):
        pass
    assigned = Counter(node.name for node in _nodes(nodes) if isinstance(node, Let))
    for node in _nodes(nodes):
        if isinstance(node, Routine):
            uses.update(free(node.body))  # parameters keep their names
    _inline(nodes, uses, assigned, {})


def render(nodes: list[Node], depth: int, routines: list[str]) -> Iterator[str]:
    """Lines of Python; the text of inner functions is appended to `routines`."""
    margin = INDENT * depth
    if not nodes:
        yield f"{margin}pass"
    for node in nodes:
        match node:
            case Let(name, text):
                yield f"{margin}{name} = {text}"
            case Load(name, fast, slow):
                yield f"{margin}try: {name} = {fast}"
                yield f"{margin}except MISSED: {name} = {slow}"
            case Do(text):
                yield margin + text
            case Try(fast, slow):
                yield f"{margin}try: {fast}"
                yield f"{margin}except MISSED: {slow}"
            case Save(target, value):
                yield f"{margin}{target} = {value}"
            case Branch(condition, [], orelse):
                yield f"{margin}if not ({condition}):"
                yield from render(orelse, depth + 1, routines)
            case Branch(condition, then, orelse):
                yield f"{margin}if {condition}:"
                yield from render(then, depth + 1, routines)
                if orelse:
                    yield f"{margin}else:"
                    yield from render(orelse, depth + 1, routines)
            case Region(body):
                yield f"{margin}while True:"
                yield from render(body, depth + 1, routines)
                yield f"{margin}{INDENT}break"
            case Break():
                yield f"{margin}break"
            case Leave(body):
                yield from render(body, depth, routines)
            case Routine(name, body):
                parameters = ", ".join(("pg", "wp", *sorted(free(body))))
                lines = (f"def {name}_of({parameters}):", *render(body, 1, routines))
                routines.append("\n".join(lines))
                yield f"{margin}{name} = {name}_of({parameters})"
            case _:
                assert_never(node)


def free(nodes: list[Node]) -> set[str]:
    """The variables that the nodes use and do not assign."""
    assigned = {node.name for node in _nodes(nodes) if isinstance(node, Let | Load | Routine)}
    return set(_uses(nodes)) - assigned


def _nodes(nodes: list[Node]) -> list[Node]:
    """All nodes, inner ones included, in order."""
    found: list[Node] = []
    _gather(nodes, found)
    return found


def _gather(nodes: list[Node], found: list[Node]) -> None:
    for node in nodes:
        found.append(node)
        match node:
            case Let() | Load() | Do() | Try() | Save() | Break():
                pass
            case Branch(_, then, orelse):
                _gather(then, found)
                _gather(orelse, found)
            case Region(body) | Leave(body) | Routine(_, body):
                _gather(body, found)
            case _:
                assert_never(node)


def _named(node: Node) -> list[str]:
    """The variables that the node itself uses, once for each occurrence."""
    match node:
        case Let(_, text) | Do(text) | Save(_, text) | Branch(text):
            return _NAME.findall(text)
        case Load(_, fast, slow) | Try(fast, slow):
            return _NAME.findall(fast) + _NAME.findall(slow)
        case Region() | Break() | Leave() | Routine():
            return []
        case _:
            assert_never(node)


def _uses(nodes: list[Node]) -> Iterator[str]:
    for node in _nodes(nodes):
        yield from _named(node)


def _drop_unused(nodes: list[Node], uses: Counter[str]) -> bool:
    """Remove what is unused, from the end on; whether anything went."""
    dropped = False
    for position in range(len(nodes) - 1, -1, -1):
        node = nodes[position]
        match node:
            case Let(name) | Load(name) if uses[name] == 0:
                uses.subtract(_named(node))
            case Routine(name, body) if uses[name] == 0:
                uses.subtract(_uses(body))
            case Branch(_, then, orelse):
                dropped |= _drop_unused(then, uses) | _drop_unused(orelse, uses)
                if then or orelse:
                    continue
                uses.subtract(_named(node))
            case Region(body):
                dropped |= _drop_unused(body, uses)
                if body:
                    continue
            case Leave(body) | Routine(_, body):
                dropped |= _drop_unused(body, uses)
                continue
            case _:
                continue
        del nodes[position]
        dropped = True
    return dropped


def _inline(
    nodes: list[Node], uses: Counter[str], assigned: Counter[str], pending: dict[str, str]
) -> None:
    """Move the text of variables used once to where they are used.

    `pending` holds text that was taken out of its place and waits for its only use.
    """

    def put(text: str) -> str:
        return _NAME.sub(lambda found: pending.pop(found[0], found[0]), text)

    kept: list[Node] = []
    for node in nodes:
        match node:
            case Let(name, text):
                node.text = put(text)
                once = uses[name] == 1 and assigned[name] == 1
                if node.movable and once and len(node.text) < _INLINED_LENGTH:
                    pending[name] = f"({node.text})"
                    continue
            case Load(_, fast, slow) | Try(fast, slow):
                node.fast, node.slow = put(fast), put(slow)
            case Do(text):
                node.text = put(text)
            case Save(_, value):
                node.value = put(value)
            case Branch(condition, then, orelse):
                node.condition = put(condition)
                _inline(then, uses, assigned, pending)
                _inline(orelse, uses, assigned, pending)
            case Region(body) | Leave(body):
                _inline(body, uses, assigned, pending)
            case Routine(_, body):
                _inline(body, uses, assigned, {})
            case Break():
                pass
            case _:
                assert_never(node)
        kept.append(node)
    nodes[:] = kept
