"""What is written of a syntax tree is parsed to the same tree."""

from pathlib import Path

import pytest

from popek import library
from spec import syntax
from spec.parse import parse
from spec.source import NOWHERE
from spec.syntax_text import COLUMNS, block_lines, expression_text

FILES = sorted(library.root().rglob("*.isa"))
X = syntax.Name("x", span=NOWHERE)
Y = syntax.Name("y", span=NOWHERE)


def bodies(path: Path) -> list[syntax.Block]:
    source = parse(path.read_text(encoding="utf-8"), str(path))
    assert isinstance(source, syntax.Source)
    found: list[syntax.Block] = []
    for item in source.items:
        match item:
            case syntax.Function() | syntax.Instruction() | syntax.Translate():
                found.append(item.body)
            case syntax.Accessor():
                found += [item.read, item.write]
            case syntax.Cause() | syntax.Interrupt():
                found.append(item.delivery)
            case _:
                pass
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_bodies_of_a_description_are_the_same_when_written_and_parsed(path: Path) -> None:
    written = bodies(path)
    text = "".join(
        "\n".join([f"fn f{number}() {{", *block_lines(block, 1), "}\n"])
        for number, block in enumerate(written)
    )

    again = parse(text, "again.isa")

    assert isinstance(again, syntax.Source)
    assert [i.body for i in again.items if isinstance(i, syntax.Function)] == written


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_long_statements_are_broken_into_lines(path: Path) -> None:
    lines = [line for block in bodies(path) for line in block_lines(block, 1)]

    assert [line for line in lines if len(line) > COLUMNS] == []


def test_parentheses_stand_only_where_they_are_needed() -> None:
    total = syntax.Binary("+", X, Y, span=NOWHERE)
    product = syntax.Binary("*", total, total, span=NOWHERE)
    chosen = syntax.IfExpr(X, total, product, span=NOWHERE)

    assert expression_text(syntax.Binary("+", total, X, span=NOWHERE)) == "x + y + x"
    assert expression_text(syntax.Binary("+", X, total, span=NOWHERE)) == "x + (x + y)"
    assert expression_text(product) == "(x + y) * (x + y)"
    assert expression_text(syntax.Unary("-", total, span=NOWHERE)) == "-(x + y)"
    assert expression_text(chosen) == "if x then x + y else (x + y) * (x + y)"
    assert expression_text(syntax.Binary("+", chosen, X, span=NOWHERE)) == (
        "(if x then x + y else (x + y) * (x + y)) + x"
    )


def test_no_line_begins_with_a_bar() -> None:
    long = syntax.Name("a" * 40, span=NOWHERE)
    value: syntax.Expr = long
    for _ in range(3):
        value = syntax.Binary("|", value, long, span=NOWHERE)
    statement = syntax.Return(value, span=NOWHERE)

    lines = [*block_lines(syntax.Block((statement,), span=NOWHERE), 0)]

    assert len(lines) > 1
    assert not any(line.strip().startswith("|") for line in lines)
