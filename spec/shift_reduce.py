"""Lark's tables of the grammar, driven by a shorter loop: it takes a third of the time.

Only what Lark surely reads likewise is read here. For anything else, a mistake above all, the
answer is None, and Lark itself reads the text from the start and says what is expected where.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from lark import Lark, Token
from lark.parsers.lalr_analysis import Shift

_SKIPPED = re.compile(r"(?:[ \t\f\r]+|\n(?![ \t]*\|(?!\|))|//[^\n]*|/\*(?:.|\n)*?\*/)*")
_BAR = re.compile(r"\n[ \t]*\|(?!\|)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL = re.compile(
    r"""(?P<SIZED>[0-9]+'(d[0-9_]+|h[0-9a-fA-F_]+|b[01_]+|o[0-7_]+))"""
    r"""|(?P<NUMBER>0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(\^[0-9]+)?)"""
    r"""|(?P<STRING>"([^"\\\n]|\\.)*")"""
)
_OWN = {"COMMENT", "BLANK", "NEWLINE", "BAR", "NAME", "SIZED", "NUMBER", "STRING"}
"""Terminals that are read by the expressions above."""

_MARKS = 2  # the longest mark, in characters


class _Reduce(NamedTuple):
    size: int
    rule: str
    build: Callable[[list[Any]], Any]


class _State:
    """What may come next: a state to go to, or a rule to reduce by."""

    __slots__ = ("actions", "literals", "marks", "words")

    def __init__(self, actions: dict[str, "int | _Reduce"]) -> None:
        self.actions = actions
        self.words: dict[str, str | None] = {}  # terminals of words seen here
        self.marks: dict[str, tuple[str, int] | None] = {}  # by the next two characters


class Tables:
    """The grammar's tables, made ready."""

    def __init__(self, lark: Lark) -> None:
        """Raises AttributeError or KeyError if this is not the Lark that we know."""
        parser: Any = lark.parser.parser.parser
        table, callbacks = parser.parse_table, parser.callbacks
        grammar: list[Any] = lark.rules
        self._start = table.start_states["start"]
        self._end = table.end_states["start"]
        self._rows: dict[int, dict[str, Any]] = table.states
        self._callbacks: dict[Any, Callable[[list[Any]], Any]] = callbacks
        self._rules: dict[int, _Reduce] = {}
        self._states: dict[int, _State] = {}
        self._kept = {
            symbol.name
            for rule in grammar
            for symbol in rule.expansion
            if symbol.is_term and (rule.options.keep_all_tokens or not symbol.filter_out)
        }
        # As Lark orders them: the first that matches is taken.
        ordered = sorted(
            (t for t in lark.terminals if t.name not in _OWN),
            key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name),
        )
        self._patterns: list[tuple[str, str | re.Pattern[str]]] = [
            (t.name, t.pattern.value if t.pattern.type == "str" else re.compile(t.pattern.value))
            for t in ordered
            if not t.pattern.flags
        ]
        self._words: dict[str, list[str]] = {}  # the terminals that a word can be

    def parse(self, text: str) -> Any:
        """The tree of a text that ends in a newline, or None."""
        position, size = 0, len(text)
        skip, word, literal = _SKIPPED.match, _WORD.match, _LITERAL.match
        table, kept, last = self._states, self._kept, self._end
        known = self._state
        numbers: list[Any] = [self._start]
        values: list[Any] = []
        state = known(self._start)
        while True:
            skipped = skip(text, position)
            assert skipped is not None
            position = skipped.end()
            if position == size:
                terminal, end = "$END", position
            elif (match := word(text, position)) is not None:
                written, end = match[0], match.end()
                found = state.words.get(written, "")
                if found == "":
                    found = state.words[written] = self._word(state, written)
                if found is None:
                    return None
                terminal = found
            elif (match := literal(text, position)) is not None:
                terminal, end = match.lastgroup or "", match.end()
            elif text[position] == "\n":
                if "BAR" not in state.actions:
                    position += 1
                    continue
                bar = _BAR.match(text, position)
                assert bar is not None
                terminal, end = "BAR", bar.end()
            else:
                ahead = text[position : position + _MARKS]
                if ahead not in state.marks:
                    state.marks[ahead] = self._mark(state, ahead)
                mark = state.marks[ahead]
                if mark is None:
                    return None
                terminal, end = mark[0], position + mark[1]
            while True:
                action: Any = state.actions.get(terminal)
                if action is None:
                    return None
                if action.__class__ is int:
                    break
                length, rule, build = action
                if length:
                    children = values[-length:]
                    del values[-length:], numbers[-length:]
                else:
                    children = []
                number: Any = table[numbers[-1]].actions[rule]
                values.append(build(children))
                numbers.append(number)
                if terminal == "$END" and number == last:
                    return values[-1]
                state = table.get(number) or known(number)
            if terminal in kept:
                token = str.__new__(Token, text[position:end])
                token.type, token.start_pos, token.end_pos = terminal, position, end
                values.append(token)
            else:
                values.append(None)
            numbers.append(action)
            state = table.get(action) or known(action)
            position = end

    def _state(self, number: int) -> _State:
        if number not in self._states:
            row = self._rows[number]
            actions = {name: self._action(*entry) for name, entry in row.items()}
            self._states[number] = _State(actions)
        return self._states[number]

    def _action(self, kind: object, argument: Any) -> "int | _Reduce":
        if kind is Shift:
            state: int = argument
            return state
        found = self._rules.get(id(argument))
        if found is None:
            size, name = len(argument.expansion), argument.origin.name
            found = self._rules[id(argument)] = _Reduce(size, name, self._callbacks[argument])
        return found

    def _word(self, state: _State, written: str) -> str | None:
        """The terminal of a whole word."""
        names = self._words.get(written)
        if names is None:
            names = [
                name
                for name, pattern in self._patterns
                if (pattern == written if isinstance(pattern, str) else pattern.fullmatch(written))
            ]
            names = self._words[written] = [*names, "NAME"]
        return next((name for name in names if name in state.actions), None)

    def _mark(self, state: _State, ahead: str) -> tuple[str, int] | None:
        for name, pattern in self._patterns:
            if name not in state.actions:
                continue
            if isinstance(pattern, str):
                if ahead.startswith(pattern):
                    return name, len(pattern)
            elif (match := pattern.match(ahead)) is not None:
                return name, match.end()
        return None
