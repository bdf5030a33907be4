"""Which instructions a line of assembly may be: matching text with templates.

Text is first made *plain*: blanks remain only between two words. Letters match in either case,
except in symbols. What stands for bits is a `Sum`, whose value may not be known yet.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from spec.ir import FieldType, Instruction, Isa, Operand, OperandRef, Parameter
from spec.template import Hole, Template, names_of, parse_template


@dataclass(frozen=True, slots=True)
class Sum:
    """A constant plus and minus symbols."""

    constant: int
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

    def added(self, other: "Sum") -> "Sum":
        return Sum(self.constant + other.constant, self.plus + other.plus, self.minus + other.minus)

    def negated(self) -> "Sum":
        return Sum(-self.constant, self.minus, self.plus)

    def value(self, symbols: Mapping[str, int]) -> int | str:
        """The value, or the first symbol that has none."""
        total = self.constant
        for name in self.plus:
            if name not in symbols:
                return name
            total += symbols[name]
        for name in self.minus:
            if name not in symbols:
                return name
            total -= symbols[name]
        return total


@dataclass(frozen=True, slots=True)
class Amount:
    """What is written for a field of bits, at `start..end` of the plain text."""

    field: str
    width: int
    hole: Hole
    sum: Sum
    start: int
    end: int
    names: Mapping[int, tuple[str, ...]]  # values that are to be written by name


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instruction with the fields that are known from the text alone, and the others."""

    instruction: Instruction
    fields: Mapping[str, int]
    amounts: tuple[Amount, ...]


_Bound: TypeAlias = tuple[dict[str, int], tuple[Amount, ...]]

_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F][0-9a-fA-F_]*|0[bB][01][01_]*|0[oO][0-7][0-7_]*|[0-9][0-9_]*"
)
_CHARACTER = re.compile(r"'(\\.|[^\\'])'")
_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$]*")
_HEAD = re.compile(r"[\w.]*")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "\\": 92, "'": 39, '"': 34}
_HEADS = 256
_DEPTH = 60  # terms and brackets of a sum
_DIGITS = 200
_ANY = "\0"  # a word that cannot be listed


def plain(text: str) -> tuple[str, list[int]]:
    """Plain text, and for each of its places (and its end) the place in `text`."""
    made = ""
    places: list[int] = []
    for match in re.finditer(r"'(?:\\.|[^\\'])'|\S", text):
        piece = match.group()
        blank = match.start() > 0 and text[match.start() - 1].isspace()
        if made and blank and _joins(made[-1]) and _joins(piece[0]):
            made += " "
            places.append(match.start() - 1)
        made += piece
        places += range(match.start(), match.end())
    return made, [*places, len(text.rstrip())]


def escape(letter: str) -> int:
    """The character that a backslash and this letter write."""
    return _ESCAPES.get(letter, ord(letter))


def sums(text: str, start: int) -> Iterator[tuple[Sum, int]]:
    """Every sum that begins at `start`, with its end; the longest first."""
    found = list(_sums(text, start, 0))
    yield from sorted(found, key=lambda pair: -pair[1])


def _sums(text: str, start: int, depth: int) -> Iterator[tuple[Sum, int]]:
    for term, end in _terms(text, start, depth):
        yield term, end
        yield from _more(text, term, end, depth + 1)


def _more(text: str, left: Sum, position: int, depth: int) -> Iterator[tuple[Sum, int]]:
    sign = text[position : position + 1]
    if sign not in ("+", "-") or depth > _DEPTH:
        return
    for right, end in _terms(text, position + 1, depth):
        total = left.added(right if sign == "+" else right.negated())
        yield total, end
        yield from _more(text, total, end, depth + 1)


def _terms(text: str, start: int, depth: int) -> Iterator[tuple[Sum, int]]:
    here = text[start : start + 1]
    if depth > _DEPTH:
        return
    if here == "-":
        for term, end in _terms(text, start + 1, depth + 1):
            yield term.negated(), end
    elif here == "(":
        for inner, end in _sums(text, start + 1, depth + 1):
            if text[end : end + 1] == ")":
                yield inner, end + 1
    elif number := _NUMBER.match(text, start):
        digits = number.group().replace("_", "")
        if len(digits) <= _DIGITS:
            yield Sum(int(digits, 0 if digits[1:2].isalpha() else 10)), number.end()
    elif character := _CHARACTER.match(text, start):
        written = character.group(1)
        code = escape(written[1]) if written[0] == "\\" else ord(written)
        yield Sum(code), character.end()
    elif symbol := _SYMBOL.match(text, start):
        name = symbol.group()
        yield Sum(0, (name,)), symbol.end()
        while "." in name[1:]:  # `there.w` may be the symbol `there` in `{d}.w`
            name = name[: name.rindex(".")]
            yield Sum(0, (name,)), start + len(name)


class Matcher:
    """The templates of a description, indexed by the word they begin with."""

    def __init__(self, isa: Isa) -> None:
        self.operands: Mapping[str, Operand] = {operand.name: operand for operand in isa.operands}
        self.by_head: dict[str, list[Instruction]] = {}
        self.others: list[Instruction] = []  # begin with no word, or with too many
        self.furthest = 0  # how far the last call of `candidates` came
        for instruction in isa.instructions:
            heads = self._heads(instruction)
            if heads is None:
                self.others.append(instruction)
            for head in heads or ():
                self.by_head.setdefault(head, []).append(instruction)

    def known(self, text: str) -> list[Instruction]:
        """The instructions whose template begins with the first word of the plain text."""
        return self.by_head.get(_head(text), [])

    def candidates(self, text: str) -> list[Candidate]:
        """All ways to read the plain text as an instruction, in the order of declaration."""
        self.furthest = 0
        found: list[Candidate] = []
        for instruction in (*self.known(text), *self.others):
            template = parse_template(instruction.assembly, instruction.name)
            for end, (fields, amounts) in self._match(
                template, 0, instruction.parameters, "", text, 0, ({}, ())
            ):
                if end == len(text):
                    found.append(Candidate(instruction, fields, amounts))
                self._reach(end)
        return found

    def _reach(self, position: int) -> None:
        self.furthest = max(self.furthest, position)

    def _match(
        self,
        template: Template,
        index: int,
        parameters: tuple[Parameter, ...],
        scope: str,
        text: str,
        position: int,
        bound: _Bound,
    ) -> Iterator[tuple[int, _Bound]]:
        """The ends of what `template[index:]` matches from `position` on, with what it binds."""
        if index == len(template):
            yield position, bound
            return
        piece = template[index]
        ways: Iterator[tuple[int, _Bound]]
        if isinstance(piece, str):
            end = _literal(piece, text, position)
            ways = iter(()) if end is None else iter(((end, bound),))
            self._reach(position if end is None else end)
        else:
            previous = template[index - 1] if index else ""
            glued = isinstance(previous, str) and _is_word(previous[-1:])
            parameter = next(p for p in parameters if p.name == piece.parameter)
            ways = self._hole(piece, parameter, scope, text, position, bound, glued)
        for end, more in ways:
            yield from self._match(template, index + 1, parameters, scope, text, end, more)

    def _hole(
        self,
        hole: Hole,
        parameter: Parameter,
        scope: str,
        text: str,
        position: int,
        bound: _Bound,
        glued: bool,
    ) -> Iterator[tuple[int, _Bound]]:
        path = scope + parameter.name
        fields, amounts = bound
        match parameter.type:
            case OperandRef(operand, tags):
                for one in self.operands[operand].alternatives:
                    if one.tag in tags and fields.get(f"{path}.tag", one.tag) == one.tag:
                        template = parse_template(one.assembly, "")
                        chosen = ({**fields, f"{path}.tag": one.tag}, amounts)
                        inner = f"{path}.{one.name}."
                        yield from self._match(
                            template, 0, one.parameters, inner, text, position, chosen
                        )
            case FieldType(width) as type_:
                named = names_of(type_)
                for value, names in named:
                    if fields.get(path, value) != value:
                        continue
                    for name in names:
                        end = position + len(name)
                        if text[position:end].lower() == name.lower():
                            self._reach(end)
                            yield end, ({**fields, path: value}, amounts)
                if type_.values or len(named) == 1 << width:
                    return
                for total, end in sums(text, position):
                    if glued and (total.plus or total.minus):
                        continue
                    self._reach(end)
                    amount = Amount(path, width, hole, total, position, end, dict(named))
                    yield end, (fields, (*amounts, amount))
            case _:
                assert_never(parameter.type)

    def _heads(self, instruction: Instruction) -> set[str] | None:
        """The words that its text may begin with; None if they cannot be listed."""
        template = parse_template(instruction.assembly, instruction.name)
        heads: set[str] = set()
        for word, _ in self._words(template, instruction.parameters):
            heads.add(word)
            if not word or _ANY in word or len(heads) > _HEADS:
                return None
        return heads

    def _words(
        self, template: Template, parameters: tuple[Parameter, ...]
    ) -> Iterator[tuple[str, bool]]:
        """The words that text of the template may begin with, and whether they end before it."""
        if not template:
            yield "", False
            return
        piece, rest = template[0], template[1:]
        if isinstance(piece, str):
            starts = _beginning(piece)
        else:
            type_ = next(p.type for p in parameters if p.name == piece.parameter)
            starts = self._hole_words(type_)
        for start, ended in starts:
            if ended:
                yield start, True
            else:
                for more, more_ended in self._words(rest, parameters):
                    yield start + more, more_ended

    def _hole_words(self, type_: FieldType | OperandRef) -> Iterator[tuple[str, bool]]:
        match type_:
            case OperandRef(operand, tags):
                for one in self.operands[operand].alternatives:
                    if one.tag in tags:
                        yield from self._words(parse_template(one.assembly, ""), one.parameters)
            case FieldType():
                named = names_of(type_)
                if not named:
                    yield _ANY, True
                for _, names in named:
                    for name in names:
                        yield from _beginning(name)
            case _:
                assert_never(type_)


def _beginning(text: str) -> Iterator[tuple[str, bool]]:
    head = _head(text)
    yield head, len(head) < len(text)


def _head(text: str) -> str:
    match = _HEAD.match(text)
    assert match is not None
    return match.group().lower()


def _literal(literal: str, text: str, position: int) -> int | None:
    """Where the text goes on after the literal, or None."""
    for letter in literal:
        here = text[position : position + 1]
        if letter.isspace():
            if here == " ":
                position += 1
            elif position and _is_word(text[position - 1]) and here and _is_word(here):
                return None
        elif here.lower() == letter.lower():
            position += 1
        else:
            return None
    return position


def _joins(letter: str) -> bool:
    """Whether a blank beside this letter may keep two words apart."""
    return letter == "." or _is_word(letter)


def _is_word(letter: str) -> bool:
    return letter == "_" or letter.isalnum()
