"""Assembly source as statements: labels, directives, and the instructions a line may be."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from spec.diagnostics import Diagnostic, Label, Severity
from spec.ir import Isa
from spec.matching import Candidate, Matcher, Sum, escape, plain, sums
from spec.source import Span
from spec.template import form_text

_FORMS = 8  # shown of a mnemonic


@dataclass(frozen=True, slots=True)
class Quantity:
    """A sum and where it stands."""

    sum: Sum
    span: Span


@dataclass(frozen=True, slots=True)
class Definition:
    """A label (`value` None), or what `.equ` defines."""

    line: int
    span: Span
    name: str
    value: Quantity | None


@dataclass(frozen=True, slots=True)
class Move:
    """`.org`, `.align` or `.space`."""

    line: int
    span: Span
    kind: str
    amount: Quantity


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of `width` bits each, a whole number of cells."""

    line: int
    span: Span
    width: int
    numbers: tuple[Quantity, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Cells that need no symbols."""

    line: int
    span: Span
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An instruction; `places` leads from its plain text back to the source."""

    line: int
    span: Span
    candidates: tuple[Candidate, ...]
    places: tuple[int, ...]


Statement: TypeAlias = Definition | Move | Numbers | Text | Operation

_LABEL = re.compile(r"\s*([A-Za-z_.$][\w.$]*):(?!:)")
_DIRECTIVE = re.compile(r"\s*(\.[A-Za-z]+)(?![\w.])\s*")
_COMMENT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^\\'])'|(;|//)")
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"\s*$')
_WIDTHS = {".byte": 8, ".half": 16, ".long": 32, ".quad": 64}
_MOVES = ("org", "align", "space")
_DIRECTIVES = (
    *(".org", ".align", ".space", ".equ", ".cell", ".cells", ".word", ".ascii", ".asciz"),
    *_WIDTHS,
)


class Reader:
    """Reads the statements of one source text; `diagnostics` collects what is wrong."""

    def __init__(self, isa: Isa, matcher: Matcher, text: str, path: str) -> None:
        self.matcher = matcher
        self.cell_width = isa.memory.cell_width
        self.text = text
        self.path = path
        self.diagnostics: list[Diagnostic] = []

    def statements(self) -> list[Statement]:
        """All statements in order."""
        found: list[Statement] = []
        start = 0
        for number, line in enumerate(self.text.split("\n"), 1):
            end = start + _code_length(line)
            found += self._line(number, start, end)
            start += len(line) + 1
        return found

    def _line(self, number: int, start: int, end: int) -> Iterator[Statement]:
        while label := _LABEL.match(self.text, start, end):
            span = self._span(label.start(1), label.end(1))
            yield Definition(number, span, label.group(1), None)
            start = label.end()
        code = self.text[start:end]
        start += len(code) - len(code.lstrip())
        end = start + len(code.strip())
        if start >= end:
            return
        directive = _DIRECTIVE.match(self.text, start, end)
        if directive and not self.matcher.known(directive.group(1)):
            yield from self._directive(
                number, directive.group(1).lower(), start, directive.end(), end
            )
        else:
            yield from self._operation(number, start, end)

    def _operation(self, number: int, start: int, end: int) -> Iterator[Statement]:
        text, places = plain(self.text[start:end])
        candidates = self.matcher.candidates(text)
        if candidates:
            at = tuple(start + place for place in places)
            yield Operation(number, self._span(start, end), tuple(candidates), at)
            return
        known = self.matcher.known(text)
        if known:
            self._complain_form(text, start + places[self.matcher.furthest], start, end)
            return
        word = re.match(r"\S+", self.text[start:end])
        assert word is not None
        close = difflib.get_close_matches(word.group().lower(), self.matcher.by_head, n=3)
        self._complain(
            "E0801",
            f"no instruction is called `{word.group()}`",
            self._span(start, start + word.end()),
            help=f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else "",
        )

    def _complain_form(self, text: str, place: int, start: int, end: int) -> None:
        """No form goes on at `place` as the statement at `start..end` does."""
        while place < end and self.text[place].isspace():
            place += 1
        known = dict.fromkeys(
            f"`{form_text(instruction)}`" for instruction in self.matcher.known(text)
        )
        forms = [*known][:_FORMS] + (
            [f"{len(known) - _FORMS} others"] if len(known) > _FORMS else []
        )
        self._complain(
            "E0802",
            f"no form of `{re.split('[ ,]', text)[0]}` is written so",
            self._span(place, end) if place < end else self._span(max(end - 1, start), end),
            label="not expected here" if place < end else "more is expected after this",
            help=f"it is written {', '.join(forms)}",
        )

    def _directive(
        self, number: int, name: str, start: int, arguments: int, end: int
    ) -> Iterator[Statement]:
        span = self._span(start, end)
        if name not in _DIRECTIVES:
            close = difflib.get_close_matches(name, _DIRECTIVES, n=1)
            self._complain(
                "E0801",
                f"no directive is called `{name}`",
                self._span(start, start + len(name)),
                help=f"did you mean `{close[0]}`?"
                if close
                else f"there are {', '.join(_DIRECTIVES)}",
            )
        elif name in (".ascii", ".asciz"):
            yield from self._string(number, name, span, arguments, end)
        elif name == ".equ":
            yield from self._equate(number, span, arguments, end)
        elif name[1:] in _MOVES:
            amounts = self._quantities(arguments, end)
            if amounts is not None and len(amounts) == 1:
                yield Move(number, span, name[1:], amounts[0])
            elif amounts is not None:
                self._complain("E0803", f"`{name}` takes one number", span)
        else:
            word = max(self.cell_width, 32) if self.cell_width == 8 else self.cell_width
            width = _WIDTHS.get(name, word if name == ".word" else self.cell_width)
            numbers = self._quantities(arguments, end)
            if width % self.cell_width:
                self._complain(
                    "E0803",
                    f"{width} bits are not whole memory cells of {self.cell_width} bits",
                    self._span(start, start + len(name)),
                    help="write `.cell`",
                )
            elif numbers is not None:
                yield Numbers(number, span, width, tuple(numbers))

    def _equate(self, number: int, span: Span, start: int, end: int) -> Iterator[Statement]:
        match = re.match(r"([A-Za-z_.$][\w.$]*)\s*,\s*", self.text[start:end])
        if match is None:
            self._complain("E0803", "`.equ` takes a name and a number", span, help="`.equ NAME, 5`")
            return
        quantities = self._quantities(start + match.end(), end)
        if quantities is not None and len(quantities) == 1:
            yield Definition(
                number, self._span(start, start + match.end(1)), match.group(1), quantities[0]
            )
        elif quantities is not None:
            self._complain("E0803", "`.equ` takes a name and a number", span, help="`.equ NAME, 5`")

    def _string(
        self, number: int, name: str, span: Span, start: int, end: int
    ) -> Iterator[Statement]:
        quoted = _QUOTED.match(self.text[start:end])
        if quoted is None:
            self._complain(
                "E0803", f"`{name}` takes a text in quotes", span, help=f'`{name} "text"`'
            )
            return
        pieces = re.findall(r"\\x[0-9a-fA-F]{2}|\\.|[^\\]", quoted.group(1))
        cells: list[int] = []
        for piece in pieces:
            if piece.startswith("\\"):
                cells.append(int(piece[2:], 16) if len(piece) == 4 else escape(piece[1]))
            else:
                cells += piece.encode(errors="surrogatepass")
        if name == ".asciz":
            cells.append(0)
        if max(cells, default=0) >> self.cell_width:
            self._complain("E0805", f"a character does not fit {self.cell_width} bits", span)
            return
        yield Text(number, span, tuple(cells))

    def _quantities(self, start: int, end: int) -> list[Quantity] | None:
        """Numbers between commas; None after a complaint."""
        found: list[Quantity] = []
        text, places = plain(self.text[start:end])
        position = 0
        while True:
            longest = next(sums(text, position), None)
            place = start + places[min(position, len(text))]
            if longest is None:
                at = self._span(place, end) if place < end else self._span(max(end - 1, 0), end)
                self._complain("E0803", "a number or a symbol is expected", at)
                return None
            amount, stop = longest
            found.append(Quantity(amount, self._span(place, start + places[stop - 1] + 1)))
            if stop == len(text):
                return found
            if text[stop] != ",":
                rest = self._span(start + places[stop] + (text[stop] == " "), end)
                self._complain("E0803", "a comma is expected between numbers", rest)
                return None
            position = stop + 1

    def _span(self, start: int, end: int) -> Span:
        return Span(self.path, start, end)

    def _complain(
        self, code: str, message: str, span: Span, label: str = "", help: str = ""
    ) -> None:
        self.diagnostics.append(
            Diagnostic(Severity.ERROR, code, message, Label(span, label), help=help)
        )


def _code_length(line: str) -> int:
    """The length of a line up to its comment."""
    for match in _COMMENT.finditer(line):
        if match.group(1):
            return match.start()
    return len(line)
