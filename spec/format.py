"""The formatter: one style for descriptions.

Where lines end is the author's choice (but for blank lines: one at most); blanks, indentation and
columns are the formatter's. Two blanks to a level; the lines that go on with a construct are one
level deeper. What stands in columns: the cells of a family's rows, the parts of alternatives, the
`=>` of a match, and comments at the ends of neighbouring lines. Statements on one line are
separated by two blanks. Every comment stays, and the tree stays the same.
"""

import functools
from dataclasses import dataclass, field, replace

from lark import Lark, Token, Tree

from spec.columns import Line, render
from spec.diagnostics import Diagnostic
from spec.parse import GRAMMAR, parse
from spec.words import Kind, Word, words

_OPENERS = ("(", "[", "{")
_CLOSERS = (")", "]", "}")
_TIGHT_IN_INDEX = ("+", "-", "*", "/", "%")
_CLAUSES = ("where", "asm", "doc", "page")
_LISTS = ("enum", "mode", "struct", "names", "bank")  # their braces hold no statements
_APART = {  # words that are no function: a bracket after them stands apart
    *("if", "then", "else", "match", "for", "in", "require", "return", "when", "where"),
    *("constrain", "invariant", "family", "instruction"),
}
_STATE = {"mode", "pc", "register", "flag", "control", "time", "device", "bank", "memory"}
_COLUMNS = {  # the words and marks that begin a column, by kind of table
    "arms": {"=>": 1},
    "alternatives": {"=": 1, "tail": 2, "where": 3, "asm": 4},
    "cause": {":": 1, "{": 2},
    "names": {":": 1, "{": 2},
    "alias": {":": 1, "=": 2},
    "operand": {"=": 1},
}


def format_source(text: str, path: str = "") -> str | Diagnostic:
    """The text in the one style, or what keeps it from being parsed."""
    tree = parse(text, path)
    if isinstance(tree, Diagnostic):
        return tree
    for keep_separators in (False, True):
        made = _Formatter(text, keep_separators).text()
        if parse(made, path) == tree:
            return made
    raise AssertionError(f"formatting {path or 'the text'} changed its meaning")


@dataclass(frozen=True, slots=True)
class _Table:
    """What stands in columns; `start` tells tables of a kind apart."""

    kind: str  # rows, alternatives, arms, or what neighbouring declarations of one line are
    start: int


@dataclass(slots=True)
class _Places:
    """Where constructs begin in the text."""

    statements: set[int] = field(default_factory=set)
    items: set[int] = field(default_factory=set)
    members: set[int] = field(default_factory=set)  # arms, and the lines of `virtualize`
    unary: set[int] = field(default_factory=set)
    tables: dict[int, _Table] = field(default_factory=dict)  # by arm, or by a row's `|`


@functools.cache
def _grammar() -> Lark:
    """The grammar with a tree that has every token."""
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        keep_all_tokens=True,
        propagate_positions=True,
    )


def _places(text: str) -> _Places:
    """Where constructs begin in text that parses."""
    found = _Places()
    pending = [_grammar().parse(text + "\n")]
    while pending:
        tree = pending.pop()
        below = [child for child in tree.children if isinstance(child, Tree)]
        pending += below
        match tree.data:
            case "start" | "items":
                found.items |= {child.meta.start_pos for child in below}
            case "block":
                found.statements |= {child.meta.start_pos for child in below}
            case "unary":
                found.unary.add(tree.meta.start_pos)
            case "virtualize":
                found.members |= {child.meta.start_pos for child in below}
            case "match" | "match_expr":
                for arm in below:
                    if arm.data in ("arm", "expr_arm"):
                        found.members.add(arm.meta.start_pos)
                        found.tables[arm.meta.start_pos] = _Table("arms", tree.meta.start_pos)
            case "operand" | "family":
                kind = "rows" if tree.data == "family" else "alternatives"
                for child in below:
                    if child.data in ("alternative", "row"):
                        bar = child.children[0]
                        assert isinstance(bar, Token)  # blanks, then `|`
                        end = bar.end_pos or 1
                        found.tables[end - 1] = _Table(kind, tree.meta.start_pos)
            case _:
                pass
    return found


@dataclass(slots=True)
class _Open:
    """An open bracket; `level` is that of the line it stands on."""

    mark: str
    level: int


class _Formatter:
    """Goes through the tokens once and puts them into lines."""

    def __init__(self, text: str, keep_separators: bool) -> None:
        self.places = _places(text)
        self.tokens = words(text)
        if not keep_separators:
            self.tokens = _without_separators(self.tokens)
        self.lines: list[Line] = []
        self.brackets: list[_Open] = []
        self.head = ""  # the word that begins the present declaration
        self.in_name = False  # between `instruction` and its parameters
        self.placed = False  # after the `@` of a struct's field
        self.column = 0
        self.depth = 0  # brackets at the start of the line

    def text(self) -> str:
        previous: Word | None = None
        before: Word | None = None  # the previous one that is no comment
        for index, token in enumerate(self.tokens):
            item = token.start in self.places.items
            breaks = token.lines > 0 or (item and previous is not None and previous.text != "{")
            if previous is None or breaks:
                self._begin(index, before)
            elif token.kind is Kind.LINE_COMMENT:
                self.lines[-1].comment = token.text
            else:
                self._append(self._gap(previous, token), token, previous)
            self._note(token, previous, item)
            previous = token
            before = before if token.is_comment else token
        return render(self.lines)

    def _begin(self, index: int, previous: Word | None) -> None:
        """Start a line with a token."""
        token = self.tokens[index]
        blank = token.lines > 1 and index > 0 and self.tokens[index - 1].text != "{"
        blank = blank and token.text != "}"
        at = index
        while at < len(self.tokens) and self.tokens[at].is_comment:
            at += 1
        code = self.tokens[at] if at < len(self.tokens) else None
        line = Line(self._level(index, code, previous), [token.text], blank_before=blank)
        line.table = self.places.tables.get(token.start)
        if token.start in self.places.items:
            line.table = self._run(token, blank)
        self.lines.append(line)
        self.column = 0
        self.depth = len(self.brackets)
        self.in_name = False

    def _run(self, token: Word, blank: bool) -> _Table | None:
        """The table of a declaration and its neighbours of the same kind."""
        kind = "state" if token.text in _STATE else token.text
        if kind != "state" and kind not in _COLUMNS:
            return None
        above = self.lines[-1].table if self.lines and not blank else None
        if isinstance(above, _Table) and above.kind == kind:
            return above
        return _Table(kind, token.start)

    def _level(self, index: int, code: Word | None, previous: Word | None) -> int:
        """The level of the line that begins at a token.

        `code` is that token or, if it is a comment, the next one that is none; `previous` is the
        last one before that is none.
        """
        if code is None:
            return 0
        closed = 0
        while index + closed < len(self.tokens):
            token = self.tokens[index + closed]
            if token.text not in _CLOSERS or (closed and token.lines):
                break
            closed += 1
        if closed:
            return self.brackets[-closed].level
        level = self.brackets[-1].level + 1 if self.brackets else 0
        return level + self._goes_on(code, previous)

    def _goes_on(self, token: Word, previous: Word | None) -> bool:
        """Whether a line that begins so goes on with a construct of the line before."""
        places, at = self.places, token.start
        if at in places.tables and token.text == "|":
            return places.tables[at].kind == "rows"
        if at in places.statements or at in places.items or at in places.members:
            return False
        if previous is None or token.text in ("{", "instruction", *_CLOSERS):
            return False
        if token.text == "else" and previous.text == "}":
            return False
        if not self.brackets:
            return True
        if self.brackets[-1].mark != "{":
            return False
        return self.head not in _LISTS and previous.text not in ("{", "}", ",")

    def _note(self, token: Word, previous: Word | None, item: bool) -> None:
        """Keep track of what the token opens or closes."""
        if token.is_comment or token.kind is Kind.STRING:
            return
        if item or (previous is not None and previous.text == "replace"):
            self.head = token.text
            self.placed = False
        if token.text in _OPENERS:
            self.brackets.append(_Open(token.text, self.lines[-1].level))
            self.in_name = False
        elif token.text in _CLOSERS and self.brackets:
            self.brackets.pop()
        elif token.text == "instruction":
            self.in_name = True
        if token.text in ("@", ",", "{"):
            self.placed = token.text == "@"

    def _append(self, gap: str, token: Word, previous: Word) -> None:
        """Put a token at the end of the line, in a new cell if a column begins with it."""
        line = self.lines[-1]
        column = self._column_of(line, token, previous)
        if column <= self.column:
            line.cells[-1] += gap + token.text
            return
        line.cells += [""] * (column - self.column - 1)
        line.cells.append(token.text)
        self.column = column

    def _column_of(self, line: Line, token: Word, previous: Word) -> int:
        table = line.table
        if not isinstance(table, _Table) or len(self.brackets) != self.depth:
            return 0
        if table.kind == "state":
            return int(previous.text in _STATE)
        if table.kind != "rows":
            return _COLUMNS[table.kind].get(token.text, 0)
        if token.text == ":":
            return 2
        if self.column >= 2:
            return self.column + (previous.text == ",")
        return int(token.kind is Kind.STRING and previous.text != "|")

    def _gap(self, previous: Word, token: Word) -> str:
        """The blanks between two tokens of a line."""
        before, after = previous.text, token.text
        places = self.places
        if token.start in places.statements or token.start in places.members:
            return " " if before in ("{", "=>", "else", ",", ";") else "  "
        if after in _CLAUSES and self.head in ("instruction", "family"):
            return "  "
        if after == "write" and before == "}":
            return "  "
        if previous.is_comment or token.is_comment:
            return " "
        if previous.kind is Kind.STRING and token.kind is Kind.STRING:
            return " "
        if previous.start in places.unary or before in ("(", "["):
            return ""
        if after in (")", "]", ",", ";") or "." in (before, after) or ".." in (before, after):
            return ""
        if after in ("(", "["):
            return self._gap_of_bracket(previous, after)
        if ":" in (before, after):
            return self._gap_of_colon(after)
        in_index = bool(self.brackets) and self.brackets[-1].mark == "["
        if in_index and (before in _TIGHT_IN_INDEX or after in _TIGHT_IN_INDEX):
            return ""
        return " "

    def _gap_of_bracket(self, previous: Word, after: str) -> str:
        if self.in_name and after == "(":
            return " "
        if previous.kind is Kind.NAME and previous.text not in _APART:
            return ""
        if previous.text in (")", "]") or (previous.kind is Kind.STRING and after == "["):
            return ""
        return " "

    def _gap_of_colon(self, after: str) -> str:
        if self.brackets and self.brackets[-1].mark == "[":
            return ""
        if self.head == "struct" and self.placed:
            return ""
        if self.head == "bank" and self.brackets:
            return "" if after == ":" else " "
        return " "


def _without_separators(found: list[Word]) -> list[Word]:
    """The tokens without each `;` that no bracket follows."""
    kept: list[Word] = []
    lines = 0
    for index, token in enumerate(found):
        following = found[index + 1].text if index + 1 < len(found) else ""
        if token.text == ";" and following != "(":
            lines += token.lines
        else:
            kept.append(replace(token, lines=token.lines + lines) if lines else token)
            lines = 0
    return kept
