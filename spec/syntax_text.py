"""The syntax tree as text: as few parentheses as its operators need, lines of at most 100 columns.

What it writes parses to an equal tree, where names are names of the language. Spans are not used,
so the tree may come from anywhere (`spec.raising` makes it from the IR).
"""

from collections.abc import Iterator
from typing import assert_never

from spec import syntax
from spec.build_bodies import OPERATOR_RANKS

COLUMNS = 100
_INDENT = "  "
_CHOICE, _PREFIX, _POSTFIX = 0, 11, 12
"""How strongly `if ... then`, unary operators and what stands before brackets bind."""
_CLOSED = "}"  # the last line of a match


def expression_text(node: syntax.Expr) -> str:
    """An expression on one line."""
    return _flat(node, _CHOICE)


def block_lines(block: syntax.Block, level: int) -> Iterator[str]:
    """The statements of a block, without its braces, indented by levels."""
    for statement in block.statements:
        yield from _statement(statement, level)


def type_text(node: syntax.Type) -> str:
    """`bits(32)`, `word[4]`."""
    argument = "" if node.argument is None else f"({expression_text(node.argument)})"
    length = "" if node.length is None else f"[{expression_text(node.length)}]"
    return node.name + argument + length


def parameters_text(parameters: tuple[syntax.Parameter, ...]) -> str:
    """`(a, b : bits(10), mode)`: neighbours of one type share it."""
    shown: list[str] = []
    for position, parameter in enumerate(parameters):
        after = parameters[position + 1 : position + 2]
        shared = parameter.type is not None and after and after[0].type == parameter.type
        kind = "" if parameter.type is None or shared else f" : {type_text(parameter.type)}"
        shown.append(parameter.name + kind)
    return f"({', '.join(shown)})"


# --------------------------------------------------------------------------- statements


def _statement(node: syntax.Stmt, level: int) -> Iterator[str]:
    match node:
        case syntax.Let(name, kind, value, mutable):
            shown = "" if kind is None else f" : {type_text(kind)}"
            yield from _line(f"{'var' if mutable else 'let'} {name}{shown} = ", value, "", level)
        case syntax.Assignment(target, value):
            yield from _line(f"{expression_text(target)} = ", value, "", level)
        case syntax.Evaluate(value):
            yield from _line("", value, "", level)
        case syntax.Return(value):
            yield from _line("return ", value, "", level)
        case syntax.Require(condition, otherwise):
            after = "" if otherwise is None else f" else {_trap(otherwise)}"
            yield from _line("require ", condition, after, level)
        case syntax.Trap():
            yield f"{_INDENT * level}trap {_trap(node)}"
        case syntax.Wait():
            yield f"{_INDENT * level}wait"
        case syntax.If():
            yield from _if(node, level, "")
        case syntax.Match(subject, arms):
            yield f"{_INDENT * level}match {_flat(subject, _CHOICE)} {{"
            for arm in arms:
                room = COLUMNS - len(_INDENT) * (level + 1) - len(" => {")
                *above, last = _pattern_lines(arm.patterns, room)
                yield from (f"{_INDENT * (level + 1)}{line}" for line in above)
                yield from _braced(f"{last} => ", arm.body, level + 1)
            yield f"{_INDENT * level}}}"
        case syntax.For(name, first, last, body):
            bounds = f"{expression_text(first)}..{expression_text(last)}"
            yield from _braced(f"for {name} in {bounds} ", body, level)
        case _:
            assert_never(node)


def _if(node: syntax.If, level: int, before: str) -> Iterator[str]:
    """`before` is what stands at the line's start: `} else `."""
    short = f"{_INDENT * level}{before}if {expression_text(node.condition)} {{ "
    if node.orelse is None and not before:
        inner = _short(node.then)
        if inner and len(short) + len(inner) + 2 <= COLUMNS:
            yield f"{short}{inner} }}"
            return
    if not before and isinstance(node.orelse, syntax.Block):
        then, orelse = (_short(block) for block in (node.then, node.orelse))
        if then and orelse and len(short) + len(then) + len(orelse) + 13 <= COLUMNS:
            yield f"{short}{then} }} else {{ {orelse} }}"
            return
    yield from _line(f"{before}if ", node.condition, " {", level)
    yield from block_lines(node.then, level + 1)
    match node.orelse:
        case None:
            yield f"{_INDENT * level}}}"
        case syntax.If():
            yield from _if(node.orelse, level, "} else ")
        case syntax.Block():
            yield f"{_INDENT * level}}} else {{"
            yield from block_lines(node.orelse, level + 1)
            yield f"{_INDENT * level}}}"
        case _:
            assert_never(node.orelse)


def _short(block: syntax.Block) -> str:
    """A block of one simple statement on one line, else nothing."""
    match block.statements:
        case (syntax.If() | syntax.Match() | syntax.For(),):
            return ""
        case (statement,):
            lines = [*_statement(statement, 0)]
            return lines[0] if len(lines) == 1 else ""
        case _:
            return ""


def _braced(before: str, block: syntax.Block, level: int) -> Iterator[str]:
    margin = _INDENT * level
    if not block.statements:
        yield f"{margin}{before}{{ }}"
        return
    lines = [*block_lines(block, level + 1)]
    short = f"{margin}{before}{{ {lines[0].strip()} }}"
    if len(lines) == 1 and len(short) <= COLUMNS:
        yield short
        return
    yield f"{margin}{before}{{"
    yield from lines
    yield f"{margin}}}"


def _trap(node: syntax.Trap) -> str:
    arguments = f"({_arguments(node.arguments)})" if node.arguments else ""
    return f"{node.cause}{arguments}" + (f" : {node.trap_class}" if node.trap_class else "")


def _line(before: str, value: syntax.Expr, after: str, level: int) -> Iterator[str]:
    """A statement that ends in an expression, on as many lines as it needs."""
    margin = _INDENT * level
    room = COLUMNS - len(margin)
    lines = _lines(value, _CHOICE, room - len(before) - len(after), room - len(_INDENT))
    yield margin + before + lines[0] + (after if len(lines) == 1 else "")
    for position, line in enumerate(lines[1:], 2):
        indent = "" if line == _CLOSED and position == len(lines) else _INDENT
        yield margin + indent + line + (after if position == len(lines) else "")


# --------------------------------------------------------------------------- expressions


def _flat(node: syntax.Expr, rank: int) -> str:
    """The text on one line, in parentheses if it binds more weakly than `rank`."""
    match node:
        case syntax.Name(name):
            return name
        case syntax.Number(_, text) | syntax.Sized(_, _, text):
            return text
        case syntax.Text(value):
            return f'"{value}"'
        case syntax.Unary(operator, operand):
            return _enclosed(f"{operator}{_flat(operand, _PREFIX)}", rank > _PREFIX)
        case syntax.Binary(operator, left, right):
            own = OPERATOR_RANKS[operator]
            text = f"{_flat(left, own)} {operator} {_flat(right, own + 1)}"
            return _enclosed(text, own < rank)
        case syntax.Call(function, arguments):
            return f"{_flat(function, _POSTFIX)}({_arguments(arguments)})"
        case syntax.Index(base, index):
            return f"{_flat(base, _POSTFIX)}[{_tight(index)}]"
        case syntax.Slice(base, high, low):
            return f"{_flat(base, _POSTFIX)}[{_tight(high)}:{_tight(low)}]"
        case syntax.Field(base, name):
            return f"{_flat(base, _POSTFIX)}.{name}"
        case syntax.IfExpr(condition, then, orelse):
            parts = (_flat(condition, _CHOICE), _flat(then, 1), _flat(orelse, _CHOICE))
            return _enclosed("if {} then {} else {}".format(*parts), rank > _CHOICE)
        case syntax.MatchExpr(subject, arms):
            shown = (f"{_patterns(arm.patterns)} => {_flat(arm.value, 1)}" for arm in arms)
            text = f"match {_flat(subject, _CHOICE)} {{ {', '.join(shown)} }}"
            return _enclosed(text, rank > _CHOICE)
        case _:
            assert_never(node)


def _tight(index: syntax.Expr) -> str:
    """What stands in square brackets: no blanks around its arithmetic."""
    match index:
        case syntax.Binary("+" | "-" | "*" | "/" | "%" as operator, left, right):
            own = OPERATOR_RANKS[operator]
            return f"{_flat(left, own)}{operator}{_flat(right, own + 1)}"
        case _:
            return _flat(index, _CHOICE)


def _enclosed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def _arguments(arguments: tuple[syntax.Expr | syntax.Named, ...]) -> str:
    return ", ".join(
        f"{a.name} = {expression_text(a.value)}"
        if isinstance(a, syntax.Named)
        else expression_text(a)
        for a in arguments
    )


def _patterns(patterns: tuple[syntax.Pattern, ...]) -> str:
    shown: list[str] = []
    for pattern in patterns:
        match pattern:
            case syntax.NamePattern(name, binders):
                shown.append(name if binders is None else f"{name}({', '.join(binders)})")
            case syntax.NumberPattern():
                shown.append(pattern.text)
            case _:
                assert_never(pattern)
    return " | ".join(shown)


def _pattern_lines(patterns: tuple[syntax.Pattern, ...], room: int) -> list[str]:
    """The patterns in lines that end in their `|`: none can begin with it."""
    lines = [""]
    for position, pattern in enumerate(patterns):
        text = _patterns((pattern,)) + (" |" if position + 1 < len(patterns) else "")
        if lines[-1] and len(lines[-1]) + 1 + len(text) > room:
            lines.append(_INDENT + text)
        else:
            lines[-1] = f"{lines[-1]} {text}" if lines[-1] else text
    return lines


# --------------------------------------------------------------------------- long expressions


def _lines(node: syntax.Expr, rank: int, first: int, rest: int) -> list[str]:
    """The text in lines of at most `first` and then `rest` columns, where it can be broken."""
    flat = _flat(node, rank)
    if len(flat) <= first:
        return [flat]
    match node:
        case syntax.Binary(operator) if OPERATOR_RANKS[operator] >= rank:
            return _chain(node, first, rest)
        case syntax.IfExpr(condition, then, orelse) if rank == _CHOICE:
            short = f"if {_flat(condition, _CHOICE)} then {_flat(then, 1)}"
            if len(short) <= first:
                return [short, *_else(orelse, rest)]
            head = _lines(condition, _CHOICE, first - 3, rest - 5)
            lines = [f"if {head[0]}", *(_INDENT + line for line in head[1:])]
            return [*lines, *_arm("then ", then, 1, rest), *_else(orelse, rest)]
        case syntax.Call(function, arguments) if arguments:
            return _call(f"{_flat(function, _POSTFIX)}(", arguments, first, rest)
        case syntax.Slice(syntax.Call() as base, high, low):
            cut = f"[{_tight(high)}:{_tight(low)}]"
            lines = _lines(base, _POSTFIX, first - len(cut), rest - len(cut))
            return [*lines[:-1], lines[-1] + cut]
        case syntax.MatchExpr(subject, arms) if rank == _CHOICE:
            lines = [f"match {_flat(subject, _CHOICE)} {{"]
            for arm in arms:
                *above, before = _pattern_lines(arm.patterns, rest // 2)
                before += " => "
                more = _lines(arm.value, 1, rest - len(before) - 3, rest - 2 * len(_INDENT))
                lines += [*above, before + more[0], *(_INDENT + line for line in more[1:])]
                lines[-1] += ","
            return [*lines, _CLOSED]
        case syntax.Binary() | syntax.IfExpr():
            inner = _lines(node, _CHOICE, first - 1, rest - 1)
            return [f"({inner[0]}", *inner[1:-1], f"{inner[-1]})"]
        case _:
            return [flat]


def _arm(word: str, value: syntax.Expr, rank: int, rest: int) -> list[str]:
    lines = _lines(value, rank, rest - len(word), rest - len(_INDENT))
    return [word + lines[0], *(_INDENT + line for line in lines[1:])]


def _else(node: syntax.Expr, rest: int) -> list[str]:
    """`else if ... then ...` on one line where it fits."""
    match node:
        case syntax.IfExpr(condition, then, orelse):
            short = f"else if {_flat(condition, _CHOICE)} then {_flat(then, 1)}"
            if len(short) <= rest:
                return [short, *_else(orelse, rest)]
        case _:
            pass
    return _arm("else ", node, _CHOICE, rest)


def _chain(node: syntax.Binary, first: int, rest: int) -> list[str]:
    """Operands joined by operators of one rank; a line begins with its operator.

    But for `|`, with which a line cannot begin.
    """
    rank = OPERATOR_RANKS[node.operator]
    operands: list[tuple[str, syntax.Expr]] = []
    left: syntax.Expr = node
    while isinstance(left, syntax.Binary) and OPERATOR_RANKS[left.operator] == rank:
        operands.append((left.operator, left.right))
        left = left.left
    lines = _lines(left, rank, first, rest - len(_INDENT))
    room = first if len(lines) == 1 else rest
    for operator, operand in reversed(operands):
        flat = _flat(operand, rank + 1)
        if len(lines[-1]) + len(operator) + len(flat) + 2 <= room:
            lines[-1] += f" {operator} {flat}"
            continue
        room = rest
        before = "" if operator == "|" else f"{operator} "
        if operator == "|":
            lines[-1] += " |"
        more = _lines(operand, rank + 1, rest - len(before), rest - len(_INDENT))
        lines += [before + more[0], *(_INDENT + line for line in more[1:])]
    return lines


def _call(
    head: str, arguments: tuple[syntax.Expr | syntax.Named, ...], first: int, rest: int
) -> list[str]:
    """As many arguments to a line as fit."""
    lines, room = [head], first
    for position, argument in enumerate(arguments, 1):
        after = ")" if position == len(arguments) else ","
        before = "" if position == 1 else " "
        flat = _arguments((argument,))
        if len(lines[-1]) + len(before) + len(flat) + len(after) <= room:
            lines[-1] += before + flat + after
            continue
        if position > 1:
            lines.append("")
            before, room = "", rest
        left = room - len(lines[-1]) - len(after)
        value = argument.value if isinstance(argument, syntax.Named) else argument
        name = f"{argument.name} = " if isinstance(argument, syntax.Named) else ""
        more = _lines(value, _CHOICE, left - len(name), rest - 2 * len(_INDENT))
        lines[-1] += before + name + more[0]
        lines += [_INDENT + line for line in more[1:]]
        lines[-1] += after
        room = rest
    return lines
