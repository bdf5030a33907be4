"""From text to the syntax tree, or to diagnostics. Nothing is checked here but the grammar."""

import functools
import os
import re
import sys
from pathlib import Path
from typing import Any

from lark import Lark, UnexpectedCharacters, UnexpectedToken
from lark.exceptions import UnexpectedEOF, UnexpectedInput

from spec import syntax
from spec.build import Build
from spec.diagnostics import Diagnostic, Label, Severity
from spec.shift_reduce import Tables
from spec.source import Span

GRAMMAR = Path(__file__).with_name("grammar.lark")

MAXIMUM_NESTING = 200
"""Brackets deeper than this are refused: no manual needs them and later passes recurse."""


def parse(text: str, path: str) -> syntax.Source | Diagnostic:
    """The tree of one file's text, or what is wrong with it."""
    if refused := _too_deep(text, path) or _too_long(text, path):
        return refused
    try:
        BUILD.path = path
        tables = _driver()
        read: Any = None if tables is None else tables.parse(text + "\n")
        if read is None:
            read = _lark().parse(text + "\n")
        tree: syntax.Source = read
    except UnexpectedInput as error:
        return _unexpected(error, text, path)
    except RecursionError:
        return Diagnostic(
            Severity.ERROR,
            "E0104",
            "an expression is too long or too deeply nested",
            Label(Span(path, 0, 1)),
            help="name parts of it with `let`, or put them into functions",
        )
    return tree


def _too_deep(text: str, path: str) -> Diagnostic | None:
    depth = 0
    for match in re.finditer(r"//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|[()\[\]{}]|\bif\b|[-~!]+", text):
        bracket = match.group()
        if len(bracket) > MAXIMUM_NESTING and bracket[0] in "-~!":
            depth = MAXIMUM_NESTING
        if bracket in "([{":
            depth += 1
        elif bracket in ")]}":
            depth = max(0, depth - 1)
        if depth >= MAXIMUM_NESTING:
            return Diagnostic(
                Severity.ERROR,
                "E0104",
                f"nested more than {MAXIMUM_NESTING} levels deep",
                Label(Span(path, match.start(), match.end())),
                help="name parts of it with `let`, or put them into functions",
            )
    return None


def _too_long(text: str, path: str) -> Diagnostic | None:
    match = re.search(r"[0-9a-fA-F_]{1000,}", text)
    if match is None:
        return None
    return Diagnostic(
        Severity.ERROR,
        "E0105",
        "a number or name of more than 1000 characters",
        Label(Span(path, match.start(), match.start() + 1)),
    )


def _expected(names: "set[str]") -> str:
    readable = {
        "NAME": "a name",
        "NUMBER": "a number",
        "SIZED": "a sized number",
        "STRING": "a string",
        "OPERATOR": "an operator",
        "UNARY": "an operator",
        "BAR": "`|` at the start of a line",
        "$END": "the end of the file",
    }
    # Lark names anonymous terminals after their characters; the grammar has their text.
    texts = _terminal_texts()
    words = sorted({readable.get(n) or f"`{texts.get(n, n.lower())}`" for n in names})
    if len(words) > 8:
        return ""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _unexpected(error: UnexpectedInput, text: str, path: str) -> Diagnostic:
    size = len(text)
    match error:
        case UnexpectedToken(token=token) if token.type != "$END":
            start = min(token.start_pos or 0, size)
            if text.startswith("/*", start):
                return Diagnostic(
                    Severity.ERROR,
                    "E0103",
                    "this comment is not closed",
                    Label(Span(path, start, start + 2)),
                    help="close it with `*/`",
                )
            written = str(token).strip().splitlines()[0] if str(token).strip() else "end of line"
            expected = _expected(set(error.accepts or error.expected))
            return Diagnostic(
                Severity.ERROR,
                "E0101",
                f"unexpected `{written}`",
                Label(Span(path, start, min(size, start + max(1, len(written))))),
                help=f"expected {expected}" if expected else "",
            )
        case UnexpectedToken() | UnexpectedEOF():
            expected = _expected(set(getattr(error, "expected", ()) or ()))
            return Diagnostic(
                Severity.ERROR,
                "E0102",
                "the file ends in the middle of a declaration",
                Label(Span(path, max(0, size - 1), size)),
                help=f"expected {expected}" if expected else "",
            )
        case UnexpectedCharacters(pos_in_stream=position):
            start = min(position or 0, max(0, size - 1))
            character = text[start : start + 1]
            shown = character if character.isprintable() else f"\\u{ord(character or ' '):04x}"
            unclosed = character == '"' or text.startswith("/*", start)
            expected = _expected(set(error.allowed or ()))
            return Diagnostic(
                Severity.ERROR,
                "E0103",
                "this string or comment is not closed" if unclosed else f"unexpected `{shown}`",
                Label(Span(path, start, min(size, start + 1))),
                help=f"expected {expected}" if expected and not unclosed else "",
            )
        case _:
            raise error


def _tables() -> str | bool:
    """Where the parser's tables are kept between runs (building them takes 0.2 s)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "popek"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    return (
        str(folder / f"grammar-{sys.version_info[0]}.{sys.version_info[1]}.tables")
        if usable
        else False
    )


BUILD = Build()


@functools.cache
def _lark() -> Lark:
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=True,
        transformer=BUILD,
        cache=_tables(),
    )


@functools.cache
def _driver() -> Tables | None:
    try:
        return Tables(_lark())
    except (AttributeError, KeyError):  # another version of Lark, perhaps
        return None


@functools.cache
def _terminal_texts() -> dict[str, str]:
    return {t.name: t.pattern.value for t in _lark().terminals if t.pattern.type == "str"}
