"""Programs from files: raw bytes, words in hexadecimal, ELF files of both classes and byte orders."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.diagnostics import Diagnostic
from spec.image import read_elf, read_image, read_raw, read_words
from spec.program import Program, Segment
from tests.encoding_toys import BYTE_TOY, EA_TOY, SCATTERED_TOY, WORD_TOY

_TEXT = bytes(range(1, 13))


def _elf(bits: int, order: str) -> bytes:
    """An ELF file with `_TEXT` at 0x2000 and four more zeros, and `main` at 0x2004."""
    small = bits == 32
    names = b"\0main\0"
    symbol = (
        struct.pack(f"{order}IIIBBH", 1, 0x2004, 0, 0x12, 0, 1)
        if small
        else struct.pack(f"{order}IBBHQQ", 1, 0x12, 0, 1, 0x2004, 0)
    )
    size = 52 if small else 64
    program_size, section_size = (32, 40) if small else (56, 64)
    text_at = size + program_size
    symbols_at = text_at + len(_TEXT)
    names_at = symbols_at + 2 * len(symbol)
    sections_at = names_at + len(names)
    header = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    header += struct.pack(f"{order}HHI", 2, 0, 1)
    header += struct.pack(f"{order}{'III' if small else 'QQQ'}", 0x2000, size, sections_at)
    header += struct.pack(f"{order}I6H", 0, size, program_size, 1, section_size, 3, 0)
    segment = (
        struct.pack(f"{order}8I", 1, text_at, 0x9000, 0x2000, 12, 16, 5, 4)
        if small
        else struct.pack(f"{order}2I6Q", 1, 5, text_at, 0x9000, 0x2000, 12, 16, 4)
    )
    layout = f"{order}{'10I' if small else '2I4Q2I2Q'}"
    sections = (
        struct.pack(layout, *[0] * 10)
        + struct.pack(layout, 0, 2, 0, 0, symbols_at, 2 * len(symbol), 2, 0, 0, len(symbol))
        + struct.pack(layout, 0, 3, 0, 0, names_at, len(names), 0, 0, 0, 0)
    )
    assert len(header) == size and len(segment) == program_size
    return header + segment + _TEXT + bytes(len(symbol)) + symbol + names + sections


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("order", "isa"), [("<", SCATTERED_TOY), (">", EA_TOY)])
def test_elf_files_give_segments_entry_and_symbols(bits: int, order: str, isa: object) -> None:
    program = read_image(isa, _elf(bits, order))  # type: ignore[arg-type]

    assert isinstance(program, Program), program
    assert program.segments == (Segment(0x2000, (*_TEXT, 0, 0, 0, 0)),)
    assert program.entry == 0x2000
    assert program.symbols == {"main": 0x2004}


def test_elf_files_that_do_not_suit_the_machine_are_refused() -> None:
    for found in (read_elf(EA_TOY, _elf(32, "<")), read_elf(WORD_TOY, _elf(32, ">"))):
        assert isinstance(found, Diagnostic) and found.code == "E0807"


@given(st.sampled_from([32, 64]), st.data())
def test_damaged_elf_files_are_refused_or_read(bits: int, data: st.DataObject) -> None:
    content = bytearray(_elf(bits, "<"))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(4, len(content)))])

    found = read_image(BYTE_TOY, cut)

    assert isinstance(found, Program) or found.code == "E0807"


def test_raw_bytes_fill_cells_in_the_order_of_memory() -> None:
    assert read_raw(WORD_TOY, b"\x12\x34\x56", 5).segments == (Segment(5, (0x1234, 0x5600)),)
    assert read_image(BYTE_TOY, b"\x12\x34", 5) == Program((Segment(5, (0x12, 0x34)),), 5)
    assert read_raw(BYTE_TOY, b"") == Program((), 0)


def test_words_are_fetch_units_in_hexadecimal() -> None:
    little = read_words(SCATTERED_TOY, "00a0_0513 // li\n@20 73", 0x10)
    big = read_words(EA_TOY, "4e71 4e72")

    assert isinstance(little, Program) and isinstance(big, Program)
    assert little.segments == (Segment(0x10, (0x13, 5, 0xA0, 0)), Segment(0x20, (0x73, 0, 0, 0)))
    assert little.entry == 0x10
    assert big.segments == (Segment(0, (0x4E, 0x71, 0x4E, 0x72)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12 zz", "`z` is no hexadecimal digit"),
        ("12345", "0x12345 does not fit 16 bits"),
        ("1 2 @1 3", "address 0x1 is used twice"),
    ],
)
def test_words_that_are_none_are_refused(text: str, message: str) -> None:
    found = read_words(WORD_TOY, text)

    assert isinstance(found, Diagnostic) and found.message == message
