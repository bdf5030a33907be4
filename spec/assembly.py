"""The assembler. Instructions are written as the description's `asm` templates print them.

    loop:   add r1, r1, r2      ; a comment, as is: // this
            bne r1, r3, loop

A line is labels, then an instruction or a directive. Numbers: 10, 0x1F, 0b101, 0o17, 'c'; they and
labels are added and subtracted; `.` is the address of the line. Directives:

    .org E          go on at address E              .equ NAME, E    a name for a number
    .align E        go on at a multiple of E cells  .space E        E cells that hold 0
    .cell E, ...    memory cells                    .byte .half .long .quad E, ...   8 to 64 bits
    .word E, ...    32 bits where cells are bytes, else a cell
    .ascii "..."    one cell per byte of the text (\\n \\t \\r \\0 \\\\ \\" \\xHH); .asciz adds a 0

Of the instructions and forms that a line may be, the shortest that fits is taken, of equally
short ones the one declared first. A program starts at the symbol `start` if it defines one, else
at the origin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from spec.diagnostics import Diagnostic, Label, Severity
from spec.encoding import codec_of
from spec.ir import Isa
from spec.matching import Amount, Candidate, Matcher
from spec.program import Line, Program, Segment
from spec.source import Span
from spec.statement import (
    Definition,
    Move,
    Numbers,
    Operation,
    Quantity,
    Reader,
    Statement,
    Text,
)
from spec.template import Style

_PASSES = 1000  # then sizes and symbols depend on each other without end
_MOST_SPACE = 1 << 20  # cells that one directive may fill


def assemble(
    isa: Isa, text: str, origin: int = 0, path: str = "<assembly>"
) -> Program | list[Diagnostic]:
    """The program, or all that is wrong with the text; `path` is what spans name."""
    reader = Reader(isa, matcher_of(isa), text, path)
    statements = reader.statements()
    assembler = _Assembler(isa, statements, origin)
    diagnostics = reader.diagnostics + assembler.definition_errors()
    if not diagnostics:
        diagnostics = assembler.place()
    diagnostics.sort(key=lambda diagnostic: diagnostic.label.span.start)
    return diagnostics or assembler.program()


def matcher_of(isa: Isa) -> Matcher:
    """The matcher of a description, made at its first use."""
    for known, matcher in _matchers:
        if known is isa:
            return matcher
    matcher = Matcher(isa)
    _matchers.append((isa, matcher))
    del _matchers[:-8]
    return matcher


_matchers: list[tuple[Isa, Matcher]] = []


@dataclass(frozen=True, slots=True)
class _Misfit:
    """Why something cannot be assembled."""

    code: str
    message: str
    span: Span
    open_symbol: bool = False  # only because a symbol has no value yet


class _Assembler:
    """Gives every statement its address and cells.

    An operation starts with its shortest candidate and goes on to longer ones, never back, until
    all fit; so this ends.
    """

    def __init__(self, isa: Isa, statements: list[Statement], origin: int) -> None:
        self.isa = isa
        self.codec = codec_of(isa)
        self.address_bits = next(e.width for e in isa.elements if e.name == isa.pc)
        self.statements = statements
        self.origin = origin
        self.symbols: dict[str, int] = {}
        self.defined = {s.name for s in statements if isinstance(s, Definition)}
        self.addresses = [0] * len(statements)
        self.cells: list[tuple[int, ...]] = [()] * len(statements)
        self.candidates: list[list[tuple[int, Candidate]]] = [
            sorted(
                ((self.codec.length(c.instruction, c.fields), c) for c in s.candidates),
                key=lambda pair: pair[0],
            )
            if isinstance(s, Operation)
            else []
            for s in statements
        ]
        self.chosen = [0] * len(statements)

    def definition_errors(self) -> list[Diagnostic]:
        """Symbols defined twice."""
        seen: dict[str, Span] = {}
        found = []
        for statement in self.statements:
            if isinstance(statement, Definition):
                if statement.name in seen:
                    found.append(
                        Diagnostic(
                            Severity.ERROR,
                            "E0804",
                            f"`{statement.name}` is defined twice",
                            Label(statement.span),
                            (Label(seen[statement.name], "first here"),),
                        )
                    )
                seen.setdefault(statement.name, statement.span)
        return found

    def place(self) -> list[Diagnostic]:
        """Find addresses and cells; what does not fit is returned."""
        for _ in range(_PASSES):
            before = (dict(self.symbols), list(self.chosen))
            misfits = self._pass()
            if before == (self.symbols, self.chosen):
                break
        else:
            span = self.statements[0].span
            misfits = [_Misfit("E0806", "sizes and symbols depend on each other", span)]
        if not misfits:
            misfits = self._overlaps()
        return [Diagnostic(Severity.ERROR, m.code, m.message, Label(m.span)) for m in misfits]

    def program(self) -> Program:
        """The program, once everything is placed."""
        segments: list[tuple[int, list[int]]] = []
        lines = []
        for statement, address, cells in zip(
            self.statements, self.addresses, self.cells, strict=True
        ):
            if cells:
                lines.append(Line(statement.line, address, cells))
                if not segments or segments[-1][0] + len(segments[-1][1]) != address:
                    segments.append((address, []))
                segments[-1][1].extend(cells)
        return Program(
            tuple(Segment(address, tuple(cells)) for address, cells in sorted(segments)),
            self.symbols.get("start", self.origin),
            self.symbols,
            tuple(lines),
        )

    def _pass(self) -> list[_Misfit]:
        """Place everything once with the symbols of the pass before."""
        misfits: list[_Misfit] = []
        symbols: dict[str, int] = {}
        address = self.origin
        for index, statement in enumerate(self.statements):
            self.addresses[index] = address
            known = {**self.symbols, ".": address}
            match statement:
                case Definition(_, _, name, quantity):
                    value = address if quantity is None else self._value(quantity, known, misfits)
                    if value is not None:
                        symbols[name] = value
                case Move():
                    address = self._moved(index, statement, address, known, misfits)
                case Numbers():
                    self.cells[index] = self._numbers(statement, known, misfits)
                case Text(_, _, cells):
                    self.cells[index] = cells
                case Operation():
                    self._operation(index, statement, known, misfits)
                case _:
                    assert_never(statement)
            if not isinstance(statement, Move):
                address += len(self.cells[index])
            if address > 1 << self.address_bits:
                misfits.append(_Misfit("E0805", "this lies past the last address", statement.span))
                break
        self.symbols = symbols
        return misfits

    def _value(
        self, quantity: Quantity, known: Mapping[str, int], misfits: list[_Misfit]
    ) -> int | None:
        value = quantity.sum.value(known)
        if isinstance(value, int):
            return value
        misfits.append(_Misfit("E0804", f"`{value}` is not defined", quantity.span))
        return None

    def _moved(
        self,
        index: int,
        move: Move,
        address: int,
        known: Mapping[str, int],
        misfits: list[_Misfit],
    ) -> int:
        """The address after `.org`, `.align` or `.space`."""
        amount = self._value(move.amount, known, misfits)
        if amount is None:
            return address
        least = 1 if move.kind == "align" else 0
        if not least <= amount <= 1 << self.address_bits:
            message = f"{amount} is no {'address' if move.kind == 'org' else 'number of cells'}"
            misfits.append(_Misfit("E0805", message, move.amount.span))
            return address
        if move.kind == "org":
            return amount
        count = amount if move.kind == "space" else -address % amount
        if count > _MOST_SPACE:
            misfits.append(_Misfit("E0805", f"{count} cells are too many", move.amount.span))
            return address
        self.cells[index] = (0,) * count
        return address + count

    def _numbers(
        self, numbers: Numbers, known: Mapping[str, int], misfits: list[_Misfit]
    ) -> tuple[int, ...]:
        width, cell = numbers.width, self.isa.memory.cell_width
        cells: list[int] = []
        for quantity in numbers.numbers:
            value = self._value(quantity, known, misfits)
            if value is not None and not -(1 << (width - 1)) <= value < 1 << width:
                misfits.append(
                    _Misfit("E0805", f"{value} does not fit {width} bits", quantity.span)
                )
            shifts = range(0, width, cell)
            ordered = reversed(shifts) if self.isa.memory.big_endian else shifts
            cells += ((value or 0) >> shift & ((1 << cell) - 1) for shift in ordered)
        return tuple(cells)

    def _operation(
        self,
        index: int,
        operation: Operation,
        known: Mapping[str, int],
        misfits: list[_Misfit],
    ) -> None:
        candidates = self.candidates[index]
        complaints: list[_Misfit] = []
        for chosen in range(self.chosen[index], len(candidates)):
            length, candidate = candidates[chosen]
            fitted = self._fit(candidate, length, operation, known)
            if not isinstance(fitted, _Misfit):
                self.chosen[index] = chosen
                self.cells[index] = fitted
                return
            complaints.append(fitted)
            if fitted.open_symbol:
                self.chosen[index] = chosen
                self.cells[index] = (0,) * length
                misfits.append(fitted)
                return
        self.chosen[index] = len(candidates) - 1
        self.cells[index] = (0,) * candidates[-1][0]
        misfits.append(_best(complaints))

    def _fit(
        self, candidate: Candidate, length: int, operation: Operation, known: Mapping[str, int]
    ) -> tuple[int, ...] | _Misfit:
        """The cells of a candidate, or why it is none."""
        fields = dict(candidate.fields)
        for amount in candidate.amounts:
            first = operation.places[amount.start]
            span = Span(operation.span.path, first, operation.places[amount.end - 1] + 1)
            value = amount.sum.value(known)
            if isinstance(value, str):
                later = value in self.defined
                return _Misfit("E0804", f"`{value}` is not defined", span, open_symbol=later)
            bits = self._bits(amount, value, known["."], length)
            if isinstance(bits, str):
                return _Misfit("E0805", bits, span)
            if fields.setdefault(amount.field, bits) != bits:
                return _Misfit("E0805", "this is written twice, with different values", span)
        try:
            return self.codec.encode(candidate.instruction, fields)
        except ValueError as error:
            return _Misfit("E0805", str(error), operation.span)

    def _bits(self, amount: Amount, value: int, address: int, length: int) -> int | str:
        """The field's bits for a value, or why there are none."""
        width, style = amount.width, amount.hole.style
        modulus = 1 << self.address_bits
        match style:
            case Style.UNSIGNED | Style.HEXADECIMAL:
                low, high = 0, (1 << width) - 1
                written = f"{value}"
            case Style.SIGNED:
                low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
                written = f"{value}"
            case Style.FROM_PC | Style.FROM_NEXT:
                base = address + (length if style is Style.FROM_NEXT else amount.hole.offset)
                value = (value - base) % modulus
                if value >= modulus >> 1:
                    value -= modulus
                low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
                written = f"the distance {value}"
            case _:
                assert_never(style)
        if width >= self.address_bits:  # a whole word: signed and unsigned mean the same bits
            low, high = -(1 << (width - 1)), (1 << width) - 1
        if not low <= value <= high:
            return f"{written} does not fit {width} bits ({low} to {high})"
        bits = value & ((1 << width) - 1)
        if bits in amount.names:
            return f"{value} is written `{amount.names[bits][0]}` here"
        return bits

    def _overlaps(self) -> list[_Misfit]:
        """Statements whose cells lie where others do."""
        placed = sorted(
            (address, address + len(cells), index)
            for index, (address, cells) in enumerate(zip(self.addresses, self.cells, strict=True))
            if cells
        )
        found = []
        for (_, end, _), (start, _, index) in pairwise(placed):
            if start < end:
                message = f"address {start:#x} is used twice"
                found.append(_Misfit("E0806", message, self.statements[index].span))
        return found


def _best(complaints: list[_Misfit]) -> _Misfit:
    """The complaint that says most: of the widest form that can be named, not of a wrong guess."""
    named = [complaint for complaint in complaints if complaint.code != "E0804"]
    return named[-1] if named else complaints[0]
