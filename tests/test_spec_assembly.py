"""The assembler and the disassembler, on hand-made descriptions."""

import string
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.assembly import assemble
from spec.diagnostics import Diagnostic
from spec.encoding import Decoded, codec_of, encode
from spec.ir import FieldType, Isa, OperandRef, Parameter
from spec.load import load
from spec.program import Program, Segment
from spec.template import disassemble
from tests.encoding_toys import (
    BYTE_TOY,
    EA_TOY,
    SCATTERED_TOY,
    TOYS,
    WORD_TOY,
    bits,
    instruction,
    isa_of,
    registers,
)
from tests.test_spec_encoding import FORMS, fields_of_form


def _cells(isa: Isa, text: str, origin: int = 0) -> tuple[int, ...]:
    program = assemble(isa, text, origin)
    assert isinstance(program, Program), program
    (segment,) = program.segments
    return segment.cells


def _errors(isa: Isa, text: str) -> list[tuple[str, str, str]]:
    """Code, message and the marked text of everything that is wrong."""
    found = assemble(isa, text)
    assert isinstance(found, list)
    return [(d.code, d.message, _marked(text, d)) for d in found]


def _marked(text: str, diagnostic: Diagnostic) -> str:
    return text[diagnostic.label.span.start : diagnostic.label.span.end]


def _one_error(isa: Isa, text: str) -> Diagnostic:
    found = assemble(isa, text)
    assert isinstance(found, list)
    (diagnostic,) = found
    return diagnostic


@given(st.data())
def test_what_is_disassembled_assembles_to_the_same_cells(data: st.DataObject) -> None:
    toy = data.draw(st.sampled_from(sorted(TOYS)))
    isa, codec = TOYS[toy], codec_of(TOYS[toy])
    form = data.draw(st.sampled_from(FORMS[toy]))
    address = data.draw(st.integers(0, 0x7FF)) * codec.cells_per_unit
    try:
        cells = encode(isa, form.instruction, fields_of_form(data, form))
    except ValueError:
        return  # excluded by a condition
    decoded = codec.decode_cells(cells)
    assert decoded is not None

    text = disassemble(isa, decoded, address)
    again = _cells(isa, text, address)

    if len(again) == len(cells):
        assert again == cells
    else:  # a shorter form is written the same
        shorter = codec.decode_cells(again)
        assert shorter is not None and len(again) < len(cells)
        assert disassemble(isa, shorter, address) == text


def test_labels_comments_and_blanks_are_read() -> None:
    program = assemble(
        WORD_TOY,
        "\n".join(
            [
                "; a program",
                "begin: start:  ADD r1 ,r2,R3 ; add",
                "  // nothing",
                "there:",
                "halt",
                "\tbeq   begin // back",
            ]
        ),
        0x100,
    )

    assert isinstance(program, Program)
    assert program.symbols == {"begin": 0x100, "start": 0x100, "there": 0x101}
    assert program.entry == 0x100
    assert [(line.number, line.address) for line in program.lines] == [(2, 256), (5, 257), (6, 258)]
    assert program.segments == (Segment(0x100, (0x1298, 0xFFFF, 0x33FC)),)


def test_of_several_forms_the_shortest_that_fits_is_taken() -> None:
    assert _cells(BYTE_TOY, "add e1, 5") == (0x83, 0xC1, 5)
    assert _cells(BYTE_TOY, "add e1, -128") == (0x83, 0xC1, 0x80)
    assert _cells(BYTE_TOY, "add e1, 128") == (0x81, 0xC1, 128, 0, 0, 0)
    assert _cells(BYTE_TOY, "wide add [e0+e1*2], e2") == (0x66, 0x01, 0x14, 0x88)
    assert _cells(BYTE_TOY, "add [e4], 1") == (0x83, 0x04, 0x24, 1)
    assert _cells(EA_TOY, "bra 2") == (0x60, 0x00, 0x00, 0x00)  # distance 0 is no short form


def test_a_number_is_never_taken_for_a_name() -> None:
    prefix, wide = registers("s", 3), bits(16)
    partly = FieldType(3, names=(("p0",), ("p1",)))
    segment = FieldType(3, values=(("ES", 0), ("CS", 1)))
    isa = isa_of(
        (
            instruction("MOVS", {"r": prefix, "s": segment}, "0000000000 r s", "mov {r}, {s}"),
            instruction("MOVI", {"r": prefix, "v": wide}, "1000000000000 r v", "mov {r}, {v}"),
            instruction("PART", {"p": partly}, "1100000000000 p", "part {p}"),
        )
    )

    assert _cells(isa, "mov s1, 1") == (0x8001, 1)
    assert _cells(isa, "mov s1, cs") == (0x0009,)
    assert _cells(isa, "part p1\npart 2") == (0xC001, 0xC002)
    assert _errors(isa, "part 1") == [("E0805", "1 is written `p1` here", "1")]


def test_jumps_grow_until_all_of_them_fit() -> None:
    filler = ".space 123"
    text = f"a: jmp c\n{filler}\nb: jmp a\n c: nop\n.org 0x1000\n jmp b"

    near = _cells(BYTE_TOY, f"a: jmp c\n{filler}\nb: jmp a\nc: nop")
    program = assemble(BYTE_TOY, text)

    assert near[:2] == (0xEB, 125) and near[125:127] == (0xEB, 0x100 - 127)
    assert isinstance(program, Program)
    assert program.segments[1].cells[0] == 0xE9
    far = assemble(BYTE_TOY, "a: jmp c\n.space 124\nb: jmp a\n.space 2\nc: nop")
    assert isinstance(far, Program)
    assert far.segments[0].cells[0] == 0xE9
    assert far.segments[0].cells[129] == 0xE9  # pushed out of reach by the first one's growth


def test_addresses_are_relative_to_what_the_template_says() -> None:
    assert _cells(WORD_TOY, "beq 0x104", 0x100) == (0x3008,)
    assert _cells(EA_TOY, "bra 0x10A", 0x100) == (0x60, 8)
    assert _cells(BYTE_TOY, "jmp 0x10A", 0x100) == (0xEB, 8)
    assert _cells(BYTE_TOY, "jmp . - 1", 0x100) == (0xEB, 0xFD)


def test_directives_place_cells_in_the_order_of_memory() -> None:
    assert _cells(EA_TOY, ".half 0x1234, -1\n.word 0x12345678") == (
        *(0x12, 0x34, 0xFF, 0xFF),
        *(0x12, 0x34, 0x56, 0x78),
    )
    assert _cells(SCATTERED_TOY, ".long 0x12345678\n.byte 'A', 2") == (
        0x78,
        0x56,
        0x34,
        0x12,
        65,
        2,
    )
    assert _cells(SCATTERED_TOY, '.asciz "a;\\n\\x41"') == (97, 59, 10, 65, 0)
    assert _cells(WORD_TOY, ".word 7\n.align 4\n.cell end-1, K\nend: .equ K, 9") == (
        7,
        0,
        0,
        0,
        5,
        9,
    )


def test_segments_are_split_where_origin_moves() -> None:
    program = assemble(WORD_TOY, ".org 32\n halt\n.org 16\nstart: halt\n halt")

    assert isinstance(program, Program)
    assert program.segments == (Segment(16, (0xFFFF, 0xFFFF)), Segment(32, (0xFFFF,)))
    assert program.entry == 16


def test_symbols_are_printed_for_addresses() -> None:
    cells = encode(EA_TOY, next(i for i in EA_TOY.instructions if i.name == "BRA"), {"d": 6})
    decoded = codec_of(EA_TOY).decode_cells(cells)
    assert isinstance(decoded, Decoded)

    assert disassemble(EA_TOY, decoded, 0x100) == "bra 0x108"
    assert disassemble(EA_TOY, decoded, 0x100, {"loop": 0x108}) == "bra loop"


@pytest.mark.parametrize(
    ("isa", "text", "code", "message", "marked"),
    [
        (WORD_TOY, "ad r1", "E0801", "no instruction is called `ad`", "ad"),
        (WORD_TOY, ".wrod 1", "E0801", "no directive is called `.wrod`", ".wrod"),
        (WORD_TOY, "add r1, r9, r2", "E0802", "no form of `add` is written so", "r9, r2"),
        (WORD_TOY, "mov r1", "E0802", "no form of `mov` is written so", "1"),
        (WORD_TOY, "halt 5", "E0802", "no form of `halt` is written so", "5"),
        (WORD_TOY, ".word 1 2", "E0803", "a comma is expected between numbers", "2"),
        (WORD_TOY, ".word 1,", "E0803", "a number or a symbol is expected", ","),
        (WORD_TOY, ".equ 5", "E0803", "`.equ` takes a name and a number", ".equ 5"),
        (WORD_TOY, ".byte 5", "E0803", "8 bits are not whole memory cells of 16 bits", ".byte"),
        (WORD_TOY, "long nowhere", "E0804", "`nowhere` is not defined", "nowhere"),
        (WORD_TOY, "a: halt\na: halt", "E0804", "`a` is defined twice", "a"),
        (WORD_TOY, "addi r1, 32", "E0805", "32 does not fit 6 bits (-32 to 31)", "32"),
        (
            WORD_TOY,
            "beq 0x1000",
            "E0805",
            "the distance 4096 does not fit 9 bits (-256 to 255)",
            "0x1000",
        ),
        (
            WORD_TOY,
            "mov r1, r1",
            "E0805",
            "MOV: these values of `rd`, `rs` are excluded",
            "mov r1, r1",
        ),
        (WORD_TOY, ".word 65536", "E0805", "65536 does not fit 16 bits", "65536"),
        (WORD_TOY, ".org 0x10000\nhalt", "E0805", "this lies past the last address", "halt"),
        (WORD_TOY, "halt\n.org 0\nhalt", "E0806", "address 0x0 is used twice", "halt"),
        (
            BYTE_TOY,
            "add e0, 0x1FFFFFFFF",
            "E0805",
            "8589934591 does not fit 32 bits (-2147483648 to 4294967295)",
            "0x1FFFFFFFF",
        ),
    ],
)
def test_mistakes_are_named_where_they_are(
    isa: Isa, text: str, code: str, message: str, marked: str
) -> None:
    assert _errors(isa, text) == [(code, message, marked)]


def test_all_mistakes_are_reported_in_the_order_of_lines() -> None:
    text = "foo\nhalt\nadd r1\n.wrod\n"

    assert [code for code, _, _ in _errors(WORD_TOY, text)] == ["E0801", "E0802", "E0801"]


def test_a_mistake_comes_with_the_forms_that_exist() -> None:
    assert _one_error(BYTE_TOY, "mov e1").help == "it is written `mov <r>, <imm>`"
    assert _one_error(BYTE_TOY, "lae e1, [e2]").help == "did you mean `lea`?"


_PIECES = (
    "add jmp beq move.w r1 e1 x: x , .word .org .align .equ .ascii \" ' ( ) [ ] - + 9 0x # ; // \\"
)


@given(
    st.sampled_from(sorted(TOYS)),
    st.lists(
        st.one_of(
            st.sampled_from([*_PIECES.split(), " ", "\n"]),
            st.text(string.printable + "é\u0130\ud800²", max_size=3),
        ),
        max_size=30,
    ),
)
def test_no_text_makes_the_assembler_fail(toy: str, pieces: list[str]) -> None:
    text = "".join(pieces)

    found = assemble(TOYS[toy], text)

    if isinstance(found, list):
        assert found
        for diagnostic in found:
            span = diagnostic.label.span
            assert 0 <= span.start <= span.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        ".word " + "(" * 5000,
        ".word " + "-" * 5000,
        ".word " + "1+" * 5000 + "1",
        "add " + "9" * 5000,
    ],
)
def test_extreme_lines_are_refused_quickly(text: str) -> None:
    assert _errors(WORD_TOY, text)


_MACHINES = (
    "pg74/pg74.isa",
    "tiny/invlpg.isa",
    "riscv/rv32.isa",
    "m68k/m68010.isa",
    "x86/ia32.isa",
    "pdp10/ka10.isa",
    "pdp10/ks10.isa",
    "pdp11/pdp11_45.isa",
    "ia64/ia64.isa",
)


def _draw(
    isa: Isa, parameters: tuple[Parameter, ...], scope: str, random: Random
) -> dict[str, int]:
    """Values for the fields of some form."""
    fields: dict[str, int] = {}
    for parameter in parameters:
        path = scope + parameter.name
        match parameter.type:
            case FieldType(width, values):
                any_bits = random.getrandbits(width)
                some = [value for _, value in values] or [
                    any_bits,
                    any_bits & 7,
                    0,
                    (1 << width) - 1,
                ]
                fields[path] = random.choice(some)
            case OperandRef(name, tags):
                operand = next(one for one in isa.operands if one.name == name)
                tag = random.choice(tags)
                chosen = next(one for one in operand.alternatives if one.tag == tag)
                fields[f"{path}.tag"] = tag
                fields |= _draw(isa, chosen.parameters, f"{path}.{chosen.name}.", random)
    return fields


@pytest.mark.parametrize("machine", _MACHINES)
def test_every_instruction_of_a_description_survives_all_four_directions(machine: str) -> None:
    """Encode, decode, disassemble, assemble; where text has several encodings, it stays the text."""
    isa = load(str(Path(__file__).parent.parent / "isas" / machine)).isa
    assert isa is not None
    codec = codec_of(isa)
    random = Random(machine)
    never = {one.name for one in isa.instructions}
    wrong = []
    for one in isa.instructions:
        for _ in range(6):
            fields = _draw(isa, one.parameters, "", random)
            try:
                cells = codec.encode(one, fields)
            except ValueError:
                continue  # excluded by a condition
            never.discard(one.name)
            decoded = codec.decode_cells(cells)
            if decoded is None or {**decoded.fields, **fields} != decoded.fields:
                wrong.append((one.name, fields, decoded))
                continue
            text = disassemble(isa, decoded, 0x20)
            program = assemble(isa, text, 0x20)
            again = None
            if isinstance(program, Program) and len(program.segments[0].cells) <= len(cells):
                again = codec.decode_cells(program.segments[0].cells)
            if again is None or disassemble(isa, again, 0x20) != text:
                wrong.append((one.name, text, program))

    assert wrong == []
    assert len(never) <= len(isa.instructions) // 20
