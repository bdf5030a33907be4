"""Assembly templates: the text of `asm`, and what its holes stand for.

`{p}` is a parameter: an enumeration or `names` by name (members of an enumeration in lower case),
an operand by its own template, bits as an unsigned decimal number; `{p:s}` as a signed one, `{p:x}`
in hexadecimal; `{p:pc}`, `{p:pc+2}` and `{p:next}` as the address that is so far away.
`{name}` is the instruction's name in lower case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeAlias, assert_never

from spec.encoding import Decoded
from spec.ir import FieldType, Instruction, Isa, Operand, OperandRef, Parameter


class Style(Enum):
    """How the bits of a parameter are written."""

    UNSIGNED = ""
    SIGNED = "s"
    HEXADECIMAL = "x"
    FROM_PC = "pc"
    FROM_NEXT = "next"


@dataclass(frozen=True, slots=True)
class Hole:
    parameter: str
    style: Style
    offset: int = 0  # of FROM_PC


Template: TypeAlias = tuple[str | Hole, ...]

_HOLE = re.compile(r"\{(\w+)(?::(s|x|next|pc(?:\+(\d+))?))?\}")


@lru_cache(maxsize=4096)
def parse_template(text: str, name: str) -> Template:
    """The pieces of a template; `name` stands for `{name}`. ValueError for a malformed hole."""
    pieces: list[str | Hole] = []
    literal = ""
    position = 0
    for match in _HOLE.finditer(text):
        literal += text[position : match.start()]
        position = match.end()
        parameter, style, offset = match.groups()
        if parameter == "name" and style is None:
            literal += name.lower()
            continue
        if literal:
            pieces.append(literal)
            literal = ""
        kind = Style.FROM_PC if offset else Style(style or "")
        pieces.append(Hole(parameter, kind, int(offset or 0)))
    literal += text[position:]
    if "{" in literal or "}" in literal:
        raise ValueError(f"the template `{text}` has a brace that is no `{{parameter}}`")
    return (*pieces, literal) if literal else tuple(pieces)


def disassemble(
    isa: Isa, decoded: Decoded, address: int, symbols: Mapping[str, int] | None = None
) -> str:
    """The assembly text of an instruction at `address`.

    Assembling the text there gives the same cells, unless a shorter form has the same text or
    the template leaves out a parameter that is not 0. Addresses of `symbols` print as their name.
    """
    printer = _Printer(isa, decoded, address, symbols or {})
    return printer.text(decoded.instruction.assembly, decoded.instruction.parameters, "").strip()


def form_text(instruction: Instruction) -> str:
    """The template as a reader is told it: `add <rd>, <ra>, <rb>`."""
    pieces = parse_template(instruction.assembly, instruction.name)
    return "".join(p if isinstance(p, str) else f"<{p.parameter}>" for p in pieces)


def names_of(type_: FieldType) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The values that have names, with their names, the one to print first."""
    if type_.names:
        return tuple((value, names) for value, names in enumerate(type_.names) if names)
    return tuple((value, (name.lower(),)) for name, value in type_.values)


class _Printer:
    def __init__(
        self, isa: Isa, decoded: Decoded, address: int, symbols: Mapping[str, int]
    ) -> None:
        self.operands: Mapping[str, Operand] = {operand.name: operand for operand in isa.operands}
        self.decoded = decoded
        self.address = address
        self.labels = {value: name for name, value in reversed(list(symbols.items()))}
        self.address_bits = next(e.width for e in isa.elements if e.name == isa.pc)

    def text(self, template: str, parameters: tuple[Parameter, ...], scope: str) -> str:
        types = {parameter.name: parameter.type for parameter in parameters}
        return "".join(
            piece
            if isinstance(piece, str)
            else self._hole(piece, types[piece.parameter], scope + piece.parameter)
            for piece in parse_template(template, self.decoded.instruction.name)
        )

    def _hole(self, hole: Hole, type_: FieldType | OperandRef, path: str) -> str:
        fields = self.decoded.fields
        match type_:
            case OperandRef(operand):
                alternatives = self.operands[operand].alternatives
                chosen = next(a for a in alternatives if a.tag == fields[f"{path}.tag"])
                return self.text(chosen.assembly, chosen.parameters, f"{path}.{chosen.name}.")
            case FieldType():
                return self._bits(hole, type_, fields[path])
            case _:
                assert_never(type_)

    def _bits(self, hole: Hole, type_: FieldType, value: int) -> str:
        for named, names in names_of(type_):
            if named == value:
                return names[0]
        signed = value - (1 << type_.width) if value >> (type_.width - 1) else value
        match hole.style:
            case Style.UNSIGNED:
                return str(value)
            case Style.SIGNED:
                return str(signed)
            case Style.HEXADECIMAL:
                return hex(value)
            case Style.FROM_PC:
                return self._target(self.address + hole.offset + signed)
            case Style.FROM_NEXT:
                return self._target(self.address + self.decoded.length + signed)
            case _:
                assert_never(hole.style)

    def _target(self, address: int) -> str:
        address &= (1 << self.address_bits) - 1
        return self.labels.get(address, hex(address))
