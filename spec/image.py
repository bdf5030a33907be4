"""Programs from files that hold machine code: raw bytes, ELF, and words in hexadecimal.

ELF is read here, in the part that a bare machine needs (loadable segments at their physical
addresses, the entry, the symbols of `.symtab`), rather than by a library.
"""

import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

from spec.diagnostics import Diagnostic, Label, Severity
from spec.encoding import codec_of
from spec.ir import Isa
from spec.program import Program, Segment
from spec.source import Span

_MOST_CELLS = 1 << 26
_LOAD = 1  # type of a program header
_SYMBOLS = 2  # type of a section header
_WORD = re.compile(r"//[^\n]*|(@?)([0-9a-fA-F_]+)|(\S)")


def read_image(
    isa: Isa, content: bytes, origin: int = 0, path: str = "<image>"
) -> Program | Diagnostic:
    """An ELF file if the bytes are one, else cells from `origin` on (see `read_raw`)."""
    if content.startswith(b"\x7fELF"):
        return read_elf(isa, content, path)
    return read_raw(isa, content, origin)


def read_raw(isa: Isa, content: bytes, origin: int = 0) -> Program:
    """Bytes as cells, each in as many bytes as it needs, in the byte order of the memory.

    Bytes that do not fill the last cell are its first ones; bits too many for a cell are dropped.
    """
    size = (isa.memory.cell_width + 7) // 8
    order: Literal["big", "little"] = "big" if isa.memory.big_endian else "little"
    padded = content + bytes(-len(content) % size)
    cells = tuple(
        int.from_bytes(padded[at : at + size], order) & ((1 << isa.memory.cell_width) - 1)
        for at in range(0, len(padded), size)
    )
    return Program((Segment(origin, cells),) if cells else (), origin)


def read_words(isa: Isa, text: str, origin: int = 0, path: str = "<words>") -> Program | Diagnostic:
    """Fetch units in hexadecimal between blanks; `@1000` goes on at that address of cells.

    `_` between digits and `//` comments are allowed. The program starts at its first word.
    """
    codec = codec_of(isa)
    segments: list[tuple[int, list[int]]] = []
    address = origin
    for match in _WORD.finditer(text):
        place, digits, other = match.groups()
        span = Span(path, match.start(), match.end())
        if other is not None:
            return _complaint(f"`{other}` is no hexadecimal digit", span)
        if digits is None:
            continue
        value = int(digits.replace("_", "") or "0", 16)
        if place:
            address = value
        elif value >> isa.fetch.unit_width:
            return _complaint(f"{value:#x} does not fit {isa.fetch.unit_width} bits", span)
        else:
            if not segments or segments[-1][0] + len(segments[-1][1]) != address:
                segments.append((address, []))
            cells = codec.cells((value,))
            segments[-1][1].extend(cells)
            address += len(cells)
    entry = segments[0][0] if segments else origin
    return _program(segments, entry, {}, path)


class _Header(NamedTuple):
    """What this module needs of an ELF header."""

    bits: int
    order: str
    entry: int
    program_headers: int
    program_header_size: int
    program_header_count: int
    section_headers: int
    section_header_size: int
    section_header_count: int


def read_elf(isa: Isa, content: bytes, path: str = "<image>") -> Program | Diagnostic:
    """The loadable segments of an ELF file of 32 or 64 bits; the machine it names is not checked."""
    whole = Span(path, 0, 0)
    if isa.memory.cell_width != 8:
        return _complaint(
            f"an ELF file holds bytes, the cells have {isa.memory.cell_width} bits", whole
        )
    try:
        header = _header(content)
        if (header.order == ">") != isa.memory.big_endian:
            order = "big" if header.order == ">" else "little"
            return _complaint(f"the file is {order}-endian, the memory is not", whole)
        segments = list(_segments(header, content))
        symbols = dict(_symbols(header, content))
    except (struct.error, ValueError, IndexError) as error:
        return _complaint(f"the ELF file is damaged: {error}", whole)
    return _program(segments, header.entry, symbols, path)


def _header(content: bytes) -> _Header:
    if content[4] not in (1, 2) or content[5] not in (1, 2):
        raise ValueError("neither 32 nor 64 bits")
    bits = 32 * content[4]
    order = "<" if content[5] == 1 else ">"
    address = "I" if bits == 32 else "Q"
    entry, programs, sections = struct.unpack_from(f"{order}{address * 3}", content, 24)
    sizes = struct.unpack_from(f"{order}6H", content, 40 if bits == 32 else 52)
    return _Header(bits, order, entry, programs, sizes[1], sizes[2], sections, sizes[3], sizes[4])


def _segments(header: _Header, content: bytes) -> Iterator[tuple[int, list[int]]]:
    for index in range(header.program_header_count):
        at = header.program_headers + index * header.program_header_size
        if header.bits == 32:
            kind, offset, _, physical, file_size, size = struct.unpack_from(
                f"{header.order}6I", content, at
            )
        else:
            kind, _, offset, _, physical, file_size, size = struct.unpack_from(
                f"{header.order}2I5Q", content, at
            )
        if kind != _LOAD or not size:
            continue
        if size > _MOST_CELLS or file_size > size or offset + file_size > len(content):
            raise ValueError(f"segment {index} lies outside the file")
        cells = list(content[offset : offset + file_size])
        yield physical, cells + [0] * (size - file_size)


def _symbols(header: _Header, content: bytes) -> Iterator[tuple[str, int]]:
    """The symbols that are defined, without those of sections, files and `$` (mapping symbols)."""
    sections = [_section(header, content, i) for i in range(header.section_header_count)]
    for kind, offset, size, link, entry_size in sections:
        if kind != _SYMBOLS or not entry_size:
            continue
        names = sections[link][1]
        for at in range(offset, min(offset + size, len(content)), entry_size):
            if header.bits == 32:
                name, value, _, mark, _, section = struct.unpack_from(
                    f"{header.order}IIIBBH", content, at
                )
            else:
                name, mark, _, section, value = struct.unpack_from(
                    f"{header.order}IBBHQ", content, at
                )
            text = content[names + name : content.index(b"\0", names + name)]
            if text and section and mark & 15 < 3 and not text.startswith(b"$"):
                yield text.decode("utf-8", "replace"), value


def _section(header: _Header, content: bytes, index: int) -> tuple[int, int, int, int, int]:
    """Type, offset, size, link and entry size of a section."""
    at = header.section_headers + index * header.section_header_size
    layout = "10I" if header.bits == 32 else "2I4Q2I2Q"
    found = struct.unpack_from(header.order + layout, content, at)
    return found[1], found[4], found[5], found[6], found[9]


def _program(
    segments: list[tuple[int, list[int]]], entry: int, symbols: dict[str, int], path: str
) -> Program | Diagnostic:
    ordered = sorted((address, cells) for address, cells in segments if cells)
    end = 0
    for address, cells in ordered:
        if address < end:
            return _complaint(f"address {address:#x} is used twice", Span(path, 0, 0))
        end = address + len(cells)
    return Program(tuple(Segment(a, tuple(cells)) for a, cells in ordered), entry, symbols)


def _complaint(message: str, span: Span) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "E0807", message, Label(span))
