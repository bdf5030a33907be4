"""Encoder, decoder and overlap analysis, against a naive reading that multiplies all forms out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.encoding import Codec, decode, encode
from spec.ir import (
    Alternative,
    BitsPiece,
    Compare,
    CompareOp,
    FieldPiece,
    FieldType,
    Instruction,
    Isa,
    Literal,
    Local,
    Not,
    Operand,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
    Select,
)
from spec.overlap import overlaps, ragged, unreachable
from tests.encoding_toys import (
    BYTE_TOY,
    CSR,
    EA,
    EA_TOY,
    SCATTERED_TOY,
    TOYS,
    WORD_TOY,
    X,
    alternative,
    bits,
    differs,
    instruction,
    isa_of,
)

Bit = int | tuple[str, int]  # 0, 1, or a bit of a field


@dataclass(frozen=True)
class Form:
    """An instruction with its operands chosen."""

    instruction: Instruction
    spread: list[Bit]  # in the order of fetching
    chosen: dict[str, Alternative]  # by path

    @cached_property
    def fixed(self) -> tuple[int, int]:
        """Mask and value of the bits that are 0 or 1."""
        mask = value = 0
        for bit in self.spread:
            mask = mask << 1 | isinstance(bit, int)
            value = value << 1 | (bit if isinstance(bit, int) else 0)
        return mask, value


_EXCLUDED = {  # what the toys' `where`s say, written again in Python
    ("word", "MOV"): lambda f: f["rd"] == f["rs"],
    ("word", "SUM"): lambda f: f["a"] == 0,
    ("ea", "BRA"): lambda f: f["d"] == 0,
}
_EXCLUDED_FORMS = {
    "at": lambda f, at: f[at + "r"] in (4, 5),
    "near": lambda f, at: f[at + "r"] == 4,
    "index": lambda f, at: f[at + "i"] == 4,
}


def _spread(
    isa: Isa, pieces: tuple[Piece, ...], scope: str, parts: dict[str, list[Bit]]
) -> list[Bit]:
    unit = isa.fetch.unit_width
    made: list[Bit] = []
    for piece in pieces:
        match piece:
            case BitsPiece(value, width):
                made += [value >> bit & 1 for bit in reversed(range(width))]
            case FieldPiece(name, high, low):
                taken: list[Bit] = [(scope + name, bit) for bit in range(high, low - 1, -1)]
                if not isa.memory.big_endian and len(taken) > unit and len(taken) % unit == 0:
                    # the toys put such fields at unit boundaries only
                    taken = [
                        b for i in range(len(taken) - unit, -1, -unit) for b in taken[i : i + unit]
                    ]
                made += taken
            case OperandPiece(name, part):
                made += parts[f"{name}.{part}"]
    return made


def _operand(
    isa: Isa, parameter: Parameter, scope: str
) -> Iterator[tuple[dict[str, list[Bit]], dict[str, Alternative]]]:
    """Each way to choose an operand: the bits of its parts, and what is chosen."""
    assert isinstance(parameter.type, OperandRef)
    operand = next(o for o in isa.operands if o.name == parameter.type.operand)
    for one in operand.alternatives:
        if one.tag not in parameter.type.tags:
            continue
        inner = f"{scope}{parameter.name}.{one.name}."
        for below, chosen in _operands(isa, one.parameters, inner):
            parts = {
                f"{parameter.name}.{part}": _spread(isa, pieces, inner, below)
                for part, pieces in one.parts
            }
            parts[f"{parameter.name}.tail"] = _spread(isa, one.tail, inner, below)
            yield parts, {f"{scope}{parameter.name}": one} | chosen


def _operands(
    isa: Isa, parameters: tuple[Parameter, ...], scope: str
) -> Iterator[tuple[dict[str, list[Bit]], dict[str, Alternative]]]:
    refs = [p for p in parameters if isinstance(p.type, OperandRef)]
    for ways in product(*(_operand(isa, p, scope) for p in refs)):
        parts: dict[str, list[Bit]] = {}
        chosen: dict[str, Alternative] = {}
        for more_parts, more_chosen in ways:
            parts |= more_parts
            chosen |= more_chosen
        yield parts, chosen


def forms_of(isa: Isa) -> list[Form]:
    forms: list[Form] = []
    for one in isa.instructions:
        placed = {
            p.parameter for p in one.encoding if isinstance(p, OperandPiece) and p.part == "tail"
        }
        for parts, chosen in _operands(isa, one.parameters, ""):
            spread = _spread(isa, one.encoding, "", parts)
            for parameter in one.parameters:
                if isinstance(parameter.type, OperandRef) and parameter.name not in placed:
                    spread += parts[f"{parameter.name}.tail"]
            forms.append(Form(one, spread, chosen))
    return forms


def _read(toy: str, form: Form, bits: int, width: int) -> dict[str, int] | None:
    """The fields, if so many bits begin with this form."""
    used = len(form.spread)
    mask, value = form.fixed
    if width < used or (bits >> (width - used)) & mask != value:
        return None
    fields = {field.name: 0 for field in form.instruction.fields}
    seen: dict[tuple[str, int], int] = {}
    for position, bit in enumerate(form.spread):
        actual = bits >> (width - 1 - position) & 1
        if not isinstance(bit, int):
            if seen.setdefault(bit, actual) != actual:
                return None
            fields[bit[0]] |= actual << bit[1]
    if _EXCLUDED.get((toy, form.instruction.name), lambda f: False)(fields):
        return None
    for path, one in form.chosen.items():
        fields[f"{path}.tag"] = one.tag
        if _EXCLUDED_FORMS.get(one.name, lambda f, at: False)(fields, f"{path}.{one.name}."):
            return None
    for field in form.instruction.fields:
        if field.values and fields[field.name] not in dict(field.values).values():
            return None
    return fields


Reading = tuple[str, dict[str, int], int]  # instruction, fields, cells


def _naive(toy: str, cells: Sequence[int]) -> list[Reading]:
    isa = TOYS[toy]
    cell = isa.memory.cell_width
    size = isa.fetch.unit_width // cell
    bits = 0
    for start in range(0, len(cells), size):
        group = cells[start : start + size]
        for one in group if isa.memory.big_endian else reversed(group):
            bits = bits << cell | one
    found = []
    for form in FORMS[toy]:
        fields = _read(toy, form, bits, len(cells) * cell)
        if fields is not None:
            found.append((form.instruction.name, fields, len(form.spread) // cell))
    return found


def _decoded(toy: str, cells: Sequence[int]) -> list[Reading]:
    decoded = CODECS[toy].decode_cells(cells)
    if decoded is None:
        return []
    return [(decoded.instruction.name, decoded.fields, decoded.length)]


FORMS = {name: forms_of(isa) for name, isa in TOYS.items()}
CODECS = {name: Codec(isa) for name, isa in TOYS.items()}


def test_every_word_decodes_as_the_naive_reading_says() -> None:
    wrong = [w for w in range(1 << 16) if _decoded("word", [w, 7]) != _naive("word", [w, 7])]

    assert wrong == []


def test_every_first_unit_with_extension_words_decodes_as_the_naive_reading_says() -> None:
    tail = (0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0)
    cells = [(word >> 8, word & 0xFF, *tail) for word in range(1 << 16)]

    wrong = [c for c in cells if _decoded("ea", c) != _naive("ea", c)]

    assert wrong == []


def test_every_two_bytes_with_a_tail_decode_as_the_naive_reading_says() -> None:
    tail = (0x24, 0x0C, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0, 0x11)
    cells = [
        (*prefix, word >> 8, word & 0xFF, *tail)
        for word in range(1 << 16)
        for prefix in ((), (0x66,))
        if word >> 8 in (0x01, 0x0F, 0x66, 0x81, 0x83, 0x8D, 0x90, 0xB8, 0xBF, 0xE9, 0xEB, 0xFF)
    ]

    wrong = [c for c in cells if _decoded("byte", c) != _naive("byte", c)]

    assert wrong == []


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0x6F, 0x63, 0x23, 0x13, 0x73]))
def test_scattered_immediates_decode_as_the_naive_reading_says(word: int, opcode: int) -> None:
    cells = tuple((word & ~0x7F | opcode if opcode else word).to_bytes(4, "little"))

    assert _decoded("scattered", cells) == _naive("scattered", cells)


@given(st.data())
def test_what_is_encoded_decodes_to_the_same_fields(data: st.DataObject) -> None:
    toy = data.draw(st.sampled_from(sorted(TOYS)))
    form = data.draw(st.sampled_from(FORMS[toy]))
    fields = fields_of_form(data, form)

    try:
        cells = encode(TOYS[toy], form.instruction, fields)
    except ValueError as error:
        assert "excluded" in str(error) or "cannot be" in str(error)
        return
    decoded = CODECS[toy].decode_cells(cells)

    assert decoded is not None
    assert decoded.instruction is form.instruction
    assert decoded.fields == {field.name: 0 for field in form.instruction.fields} | fields
    assert decoded.length == len(cells) == len(form.spread) // TOYS[toy].memory.cell_width
    assert decoded.bits == CODECS[toy].bits(form.instruction, fields)[0]


def fields_of_form(data: st.DataObject, form: Form) -> dict[str, int]:
    """Values for the fields that the form has, most of them encodable."""
    fields = {f"{path}.tag": one.tag for path, one in form.chosen.items()}
    encoded: dict[str, int] = {}
    for bit in form.spread:
        if not isinstance(bit, int):
            encoded[bit[0]] = encoded.get(bit[0], 0) | 1 << bit[1]
    for field in form.instruction.fields:
        if field.name in encoded:
            values = [value for _, value in field.values]
            drawn = data.draw(
                st.sampled_from(values) if values else st.integers(0, (1 << field.width) - 1)
            )
            fields[field.name] = drawn & encoded[field.name]
    return fields


def test_cells_lie_in_the_byte_order_of_memory() -> None:
    jal = _named(SCATTERED_TOY, "JAL")
    bra = _named(EA_TOY, "BRA.W")
    jump = _named(BYTE_TOY, "JMP_LONG")

    assert encode(SCATTERED_TOY, jal, {"rd": 1, "imm": 2}) == (0xEF, 0x00, 0x20, 0x00)
    assert encode(EA_TOY, bra, {"d": 0x1234}) == (0x60, 0x00, 0x12, 0x34)
    assert encode(BYTE_TOY, jump, {"d": 0x12345678}) == (0xE9, 0x78, 0x56, 0x34, 0x12)


def _named(isa: Isa, name: str) -> Instruction:
    return next(one for one in isa.instructions if one.name == name)


@pytest.mark.parametrize(
    ("toy", "name", "fields", "complaint"),
    [
        ("word", "MOV", {"rd": 3, "rs": 3}, "excluded"),
        ("word", "BR", {"c": 2}, "excluded"),
        ("word", "BR", {"off": 3}, "cannot be 0x3"),
        ("word", "ADD", {"rd": 8}, "is not 3 bits"),
        ("word", "ADD", {"rx": 0}, "no field `rx`"),
        ("byte", "LEA", {"rm.tag": 0}, "no alternative 0"),
        ("byte", "ADD", {"rm.tag": 1, "rm.at.r": 4}, "excluded"),
    ],
)
def test_fields_that_cannot_be_encoded_are_refused(
    toy: str, name: str, fields: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode(TOYS[toy], _named(TOYS[toy], name), fields)


def test_fields_of_alternatives_not_chosen_are_ignored() -> None:
    clear = _named(EA_TOY, "CLR.W")

    assert encode(EA_TOY, clear, {"dst.tag": 0, "dst.dn.n": 3, "dst.absl.d": 99}) == (0x42, 0x43)


@pytest.mark.parametrize(
    ("toy", "units", "fetched"),
    [
        ("word", [0x1000], 1),
        ("word", [0x5000, 1], 2),
        ("word", [0x0000], 1),
        ("word", [0x2480], 1),  # MOV excludes rd = rs and SET reads it, without another unit
        ("ea", [0x31FC, 1, 2], 3),
        ("ea", [0x23C0], 1),
        ("byte", [0x66, 0x01, 0x04, 0x24], 4),
        ("byte", [0x90], 1),
        ("byte", [0x66, 0x90], 2),
        ("byte", [0x8D, 0xC0], 2),
        ("byte", [0x0F, 0x06], 2),
    ],
)
def test_no_more_units_are_fetched_than_decide(toy: str, units: list[int], fetched: int) -> None:
    asked: list[int] = []

    def fetch(index: int) -> int:
        asked.append(index)
        return units[index]

    decode(TOYS[toy], fetch)

    assert asked == list(range(fetched))


def test_a_fetch_that_traps_ends_decoding() -> None:
    asked: list[int] = []

    def fetch(index: int) -> int | None:
        asked.append(index)
        return [0x5000, None][index]

    assert decode(WORD_TOY, fetch) is None
    assert asked == [0, 1]


def test_a_condition_on_the_first_unit_is_tested_before_the_second_is_fetched() -> None:
    narrow = FieldType(8, values=(("A", 1), ("B", 2), ("C", 77)))
    isa = isa_of((instruction("I", {"a": narrow, "imm": bits(16)}, "00000000 a imm"),))
    asked: list[int] = []

    def fetch(index: int) -> int:
        asked.append(index)
        return 3

    assert decode(isa, fetch) is None
    assert asked == [0]


@pytest.mark.parametrize("toy", sorted(TOYS))
def test_the_toys_do_not_overlap(toy: str) -> None:
    assert overlaps(TOYS[toy]) == []
    assert unreachable(TOYS[toy]) == []
    assert ragged(TOYS[toy]) == []


def _pairs(isa: Isa) -> list[tuple[str, str]]:
    found = overlaps(isa)
    for overlap in found:  # every example is one: both instructions encode a beginning of it
        for one in (overlap.first, overlap.second):
            alone = Codec(replace(isa, instructions=(one,)))
            decoded = alone.decode(lambda i, units=overlap.units: units[i])
            assert decoded is not None and decoded.instruction is one
    return [(overlap.first.name, overlap.second.name) for overlap in found]


def test_a_word_of_two_instructions_is_an_overlap() -> None:
    isa = isa_of(
        (
            instruction("A", {"a": bits(8)}, "00000000 a"),
            instruction("B", {"b": bits(8)}, "b 11111111"),
            instruction("C", {"c": bits(15)}, "1 c", constraint=differs("c", 0x7FFF, 15)),
        )
    )

    assert _pairs(isa) == [("A", "B"), ("B", "C")]
    assert overlaps(isa)[0].units == (0x00FF,)


def test_a_shorter_instruction_overlaps_a_longer_one_that_begins_with_it() -> None:
    isa = isa_of(
        (
            instruction("SHORT", {"a": bits(8)}, "00000000 a"),
            instruction("LONG", {"b": bits(16)}, "0000000000000001 b"),
            instruction("OTHER", {"b": bits(16)}, "0000000100000001 b"),
        )
    )

    assert _pairs(isa) == [("SHORT", "LONG")]
    assert overlaps(isa)[0].units == (1, 0)


def test_conditions_can_keep_instructions_apart() -> None:
    same = Compare(CompareOp.EQ, Local("a", 5), Local("b", 5))
    other = Compare(CompareOp.NE, Local("a", 5), Local("b", 5))
    low = Compare(CompareOp.ULE, Local("a", 5), Local("b", 5))
    fields = {"a": bits(5), "b": bits(5)}
    isa = isa_of(
        (
            instruction("SAME", fields, "000000 a b", constraint=same),
            instruction("OTHER", fields, "000000 a b", constraint=other),
            instruction("LOW", fields, "000000 a b", constraint=low),
        )
    )

    assert _pairs(isa) == [("SAME", "LOW"), ("OTHER", "LOW")]


def test_members_of_enumerations_keep_instructions_apart() -> None:
    other_csr = FieldType(12, values=(("time", 0xC01), ("fflags", 0x001)))
    apart = FieldType(12, values=(("time", 0xC01),))
    encoding = "csr rs1 001 rd 1110011"
    isa = isa_of(
        (
            instruction("ONE", {"csr": CSR, "rd": X, "rs1": X}, encoding),
            instruction("TWO", {"csr": other_csr, "rd": X, "rs1": X}, encoding),
            instruction("THREE", {"csr": apart, "rd": X, "rs1": X}, encoding),
        ),
        unit_width=32,
        cell_width=8,
    )

    assert _pairs(isa) == [("ONE", "TWO"), ("TWO", "THREE")]


def test_conditions_that_compare_with_numbers_are_decided_at_any_width() -> None:
    equal = Compare(CompareOp.EQ, Local("a", 28), Literal(0xABCDEF0, 28))
    encoding = "0000 a"
    isa = isa_of(
        (
            instruction("ONE", {"a": bits(28)}, encoding, constraint=equal),
            instruction("REST", {"a": bits(28)}, encoding, constraint=differs("a", 0xABCDEF0, 28)),
            instruction("OTHER", {"a": bits(28)}, encoding, constraint=differs("a", 7, 28)),
        )
    )

    assert _pairs(isa) == [("ONE", "OTHER"), ("REST", "OTHER")]


def test_listed_values_are_tried_beside_any_other_field() -> None:
    listed = FieldType(24, values=(("LOW", 0x000001), ("HIGH", 0x800001)))
    isa = isa_of(
        (
            instruction("LISTED", {"a": listed, "b": bits(4)}, "0000 a b"),
            instruction(
                "NOT",
                {"h": bits(1), "m": bits(22), "l": bits(1), "b": bits(4)},
                "0000 h m l b",
                constraint=differs("m", 0, 22),
            ),
            instruction(
                "ODD",
                {"l": bits(16)},
                "0000000000000000 l",
                constraint=Compare(CompareOp.ULT, Local("l", 16), Literal(0x25, 16)),
            ),
        ),
        unit_width=32,
    )

    assert _pairs(isa) == [("LISTED", "ODD"), ("NOT", "ODD")]
    assert overlaps(isa)[0].units == (0x10,)


def test_a_condition_on_tags_decides_between_alternatives_of_the_same_bits() -> None:
    size = Local("size", 1)
    immediate = Operand(
        "immediate",
        2,
        (
            alternative("word", 0, {"v": bits(16)}, {"mode": "1"}, "v"),
            alternative("long", 2, {"v": bits(32)}, {"mode": "1"}, "v"),
            alternative("reg", 3, {}, {"mode": "0"}),
        ),
    )
    is_long = Compare(CompareOp.EQ, Local("i.tag", 2), Literal(2, 2))
    is_word = Compare(CompareOp.EQ, Local("i.tag", 2), Literal(0, 2))
    fits = Select(Compare(CompareOp.EQ, size, Literal(1, 1)), Not(is_word), Not(is_long), 0)
    fields = {"size": bits(1), "i": OperandRef("immediate", (0, 2, 3))}
    encoding = "00000000000000 size i.mode"
    isa = isa_of(
        (instruction("ADD", fields, encoding, operands=(immediate,), constraint=fits),),
        (immediate,),
    )
    add = isa.instructions[0]

    assert overlaps(isa) == []
    assert encode(isa, add, {"size": 1, "i.tag": 2, "i.long.v": 5}) == (3, 0, 5)
    assert encode(isa, add, {"size": 0, "i.tag": 0, "i.word.v": 5}) == (1, 5)
    short = decode(isa, lambda i: [1, 9][i])
    long = decode(isa, lambda i: [3, 0, 9][i])
    assert short is not None and short.fields["i.tag"] == 0 and short.fields["i.word.v"] == 9
    assert long is not None and long.fields["i.tag"] == 2 and long.fields["i.long.v"] == 9
    with pytest.raises(ValueError, match="excluded"):
        encode(isa, add, {"size": 0, "i.tag": 2})
    assert overlaps(replace(isa, instructions=(replace(add, constraint=None),))) != []


def test_alternatives_that_read_the_same_bits_are_an_overlap() -> None:
    doubled = Operand(
        "ea",
        4,
        (*EA.alternatives, alternative("all", 6, {"n": bits(3)}, {"mode": "111", "reg": "n"})),
    )
    ref = OperandRef("ea", (0, 3, 6))
    isa = isa_of(
        (instruction("CLR", {"ea": ref}, "0100001001 ea.mode ea.reg", operands=(doubled,)),),
        (doubled,),
    )

    (overlap,) = overlaps(isa)

    assert overlap.first_choices == (("ea", "absw"),)
    assert overlap.second_choices == (("ea", "all"),)
    assert overlap.units[0] == 0x4278


def test_an_empty_prefix_overlaps_an_opcode_that_looks_like_the_other_prefix() -> None:
    prefix = BYTE_TOY.operands[0]
    ref = OperandRef("prefix", (0, 1))
    isa = isa_of(
        (
            instruction("A", {"p": ref}, "p.p 01100110", operands=(prefix,)),
            instruction("B", {"p": ref}, "p.p 10010000", operands=(prefix,)),
        ),
        (prefix,),
        unit_width=8,
        cell_width=8,
    )

    assert _pairs(isa) == [("A", "A"), ("A", "B")]


def test_forms_without_any_word_are_unreachable() -> None:
    never = Compare(CompareOp.NE, Local("n", 3), Local("n", 3))
    operand = Operand("o", 1, (alternative("x", 0, {"n": bits(3)}, {"p": "n"}, constraint=never),))
    none = Compare(CompareOp.ULT, Local("a", 4), Local("a", 4))
    isa = isa_of((instruction("I", {"a": bits(4)}, "000000000000 a", constraint=none),), (operand,))

    assert unreachable(isa) == [(operand, operand.alternatives[0]), isa.instructions[0]]
    assert decode(isa, lambda _: 0) is None


def test_encodings_that_do_not_fill_their_units_are_ragged() -> None:
    isa = isa_of(
        (
            instruction("A", {"a": bits(7)}, "00000000 a"),
            instruction(
                "B", {"ea": OperandRef("ea", (0, 3))}, "0100001001 ea.mode ea.reg 1", operands=(EA,)
            ),
            instruction("C", {}, "1111111111111111"),
        ),
        (EA,),
    )

    assert [(one.name, width) for one, width in ragged(isa)] == [("A", 15), ("B", 17)]
