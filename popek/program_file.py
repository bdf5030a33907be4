"""Programs on the command line: assembly text, or an image of the memory."""

import sys
from pathlib import Path
from typing import Literal

from popek.description import complaint, show
from spec.assembly import assemble
from spec.ir import Isa
from spec.program import Program, Segment


def read_program(isa: Isa, name: str, origin: int, color: str, raw: bool = False) -> Program | None:
    """The program in a file (`-`: standard input); None after its errors were shown on stderr.

    A file is assembly, unless it is `raw` or holds no text: then its bytes are memory cells from
    `origin` on, each in as many bytes as it needs, in the byte order of the memory.
    """
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        show((complaint("E0907", f"cannot read `{name}`: {reason.lower()}"),), color)
        return None
    text = None if raw else _text(content)
    if text is None:
        return image(isa, content, origin)
    assembled = assemble(isa, text, origin, name)
    if isinstance(assembled, Program):
        return assembled
    show(assembled, color, {name: text})
    return None


def image(isa: Isa, content: bytes, origin: int) -> Program:
    """Bytes as memory cells; bytes that do not fill the last cell are its first ones."""
    size = cell_bytes(isa)
    order: Literal["big", "little"] = "big" if isa.memory.big_endian else "little"
    padded = content + bytes(-len(content) % size)
    cells = tuple(
        int.from_bytes(padded[at : at + size], order) & ((1 << isa.memory.cell_width) - 1)
        for at in range(0, len(padded), size)
    )
    return Program((Segment(origin, cells),) if cells else (), origin)


def image_bytes(isa: Isa, program: Program) -> bytes:
    """The inverse of `image`: from the first segment's address on, gaps filled with 0."""
    order: Literal["big", "little"] = "big" if isa.memory.big_endian else "little"
    size = cell_bytes(isa)
    content = bytearray()
    begin = program.segments[0].address if program.segments else 0
    for segment in program.segments:
        content.extend(bytes((segment.address - begin) * size - len(content)))
        content.extend(b"".join(cell.to_bytes(size, order) for cell in segment.cells))
    return bytes(content)


def cell_bytes(isa: Isa) -> int:
    """Bytes that hold a memory cell."""
    return (isa.memory.cell_width + 7) // 8


def _text(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
