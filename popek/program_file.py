"""Programs on the command line: assembly text, or an image of the memory."""

import sys
from pathlib import Path
from typing import Literal

from popek.messages import complaint, show
from spec.assembly import assemble
from spec.diagnostics import Diagnostic
from spec.image import read_image, read_raw, read_words
from spec.ir import Isa
from spec.program import Program


def read_program(isa: Isa, name: str, origin: int, color: str, raw: bool = False) -> Program | None:
    """The program in a file (`-`: standard input); None after its errors were shown on stderr.

    A file is assembly if it holds text; words in hexadecimal if its name ends in `.hex`; an image
    (ELF, or memory cells from `origin` on) if it holds no text or `raw` is set.
    """
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        show((complaint("E0907", f"cannot read `{name}`: {reason.lower()}"),), color)
        return None
    text = None if raw else _text(content)
    result: Program | Diagnostic | list[Diagnostic]
    if text is None:
        result = read_raw(isa, content, origin) if raw else read_image(isa, content, origin, name)
    elif name.endswith(".hex"):
        result = read_words(isa, text, origin, name)
    else:
        result = assemble(isa, text, origin, name)
    if isinstance(result, Program):
        return result
    found = [result] if isinstance(result, Diagnostic) else result
    show(found, color, {name: text or ""})
    return None


def image_bytes(isa: Isa, program: Program) -> bytes:
    """The inverse of `spec.image.read_raw`: from the first segment's address on, gaps filled with 0."""
    order: Literal["big", "little"] = "big" if isa.memory.big_endian else "little"
    size = (isa.memory.cell_width + 7) // 8
    content = bytearray()
    begin = program.segments[0].address if program.segments else 0
    for segment in program.segments:
        content.extend(bytes((segment.address - begin) * size - len(content)))
        content.extend(b"".join(cell.to_bytes(size, order) for cell in segment.cells))
    return bytes(content)


def _text(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
