"""Overlaps and decoding of random small encodings, against a reading of every word in every way."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from spec.encoding import Codec
from spec.ir import Compare, CompareOp, Expr, Instruction, Isa, Literal, Local, Operand, OperandRef
from spec.overlap import overlaps
from tests.encoding_toys import alternative, bits, differs, instruction, isa_of
from tests.test_spec_encoding import Form, forms_of

UNIT = 4
UNITS = 3  # no random instruction is longer

Excluded = Callable[[dict[str, int]], bool]


def _ones_and_zeros(data: st.DataObject, width: int) -> str:
    return "".join(data.draw(st.sampled_from("01")) for _ in range(width))


def _operand(data: st.DataObject, width: int) -> tuple[Operand, dict[int, Excluded]]:
    """An operand with one part, of this width or (rarely) another, and what it excludes by tag."""
    alternatives = []
    excluded: dict[int, Excluded] = {}
    for tag in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.sampled_from([width] * 4 + [0, width + UNIT]))
        free = data.draw(st.integers(0, min(size, 2)))
        part = " ".join(filter(None, [_ones_and_zeros(data, size - free), "n" if free else ""]))
        parameters = {"n": bits(free)} if free else {}
        constraint: Expr | None = None
        if free and data.draw(st.booleans()):
            value = data.draw(st.integers(0, (1 << free) - 1))
            constraint = differs("n", value, free)
            excluded[tag] = lambda f, value=value: f["n"] == value  # type: ignore[misc]
        tail = ""
        if data.draw(st.integers(0, 4)) == 0:
            parameters["t"] = bits(UNIT)
            tail = "t"
        alternatives.append(
            alternative(f"a{tag}", tag, parameters, {"p": part}, tail, constraint=constraint)
        )
    return Operand(f"o{width}", 2, tuple(alternatives)), excluded


def _instruction(
    data: st.DataObject, name: str, operands: dict[int, Operand]
) -> tuple[Instruction, Excluded]:
    """One unit of fixed bits, a field and an operand in any order, perhaps with a condition."""
    width = data.draw(st.sampled_from([0, *operands]))
    free = data.draw(st.integers(0, UNIT - width))
    fixed = _ones_and_zeros(data, UNIT - width - free)
    parameters = {}
    pieces = [fixed] if fixed else []
    if free:
        parameters["f"] = bits(free)
        pieces.append("f")
    if width:
        operand = operands[width]
        tags = tuple(one.tag for one in operand.alternatives if data.draw(st.integers(0, 3)))
        if tags:
            parameters["o"] = OperandRef(operand.name, tags)  # type: ignore[assignment]
            pieces.append("o.p")
        else:
            pieces.append(_ones_and_zeros(data, width))
    constraint: Expr | None = None
    excluded: Excluded = lambda f: False  # noqa: E731
    kinds = ["none", "none"] + ["field"] * bool(free) + ["tag"] * ("o" in parameters)
    match data.draw(st.sampled_from(kinds)):
        case "field":
            value = data.draw(st.integers(0, (1 << free) - 1))
            constraint = Compare(CompareOp.ULT, Local("f", free), Literal(value, free))
            excluded = lambda f: f["f"] >= value  # noqa: E731
        case "tag" if free:
            constraint = Compare(CompareOp.NE, Local("o.tag", 2), Literal(1, 2))
            excluded = lambda f: f["o.tag"] == 1  # noqa: E731
        case _:
            pass
    order = data.draw(st.permutations(pieces))
    made = instruction(
        name, parameters, " ".join(order), operands=tuple(operands.values()), constraint=constraint
    )
    return made, excluded


def _read(
    form: Form, word: int, excluded: Excluded, inner: dict[str, dict[int, Excluded]]
) -> dict[str, int] | None:
    """The fields, if the word of all units begins with the form."""
    rest = UNIT * UNITS - len(form.spread)
    mask, value = form.fixed
    if len(form.spread) % UNIT or not form.spread or word >> rest & mask != value:
        return None
    fields = {field.name: 0 for field in form.instruction.fields}
    for position, bit in enumerate(reversed(form.spread)):
        if not isinstance(bit, int):
            fields[bit[0]] |= (word >> rest >> position & 1) << bit[1]
    for path, one in form.chosen.items():
        fields[f"{path}.tag"] = one.tag
        operand = next(p.type for p in form.instruction.parameters if p.name == path)
        assert isinstance(operand, OperandRef)
        forbids = inner[operand.operand].get(one.tag)
        if forbids is not None and forbids({"n": fields[f"{path}.{one.name}.n"]}):
            return None
    return None if excluded(fields) else fields


@given(st.data())
def test_overlaps_and_decoding_are_those_of_reading_every_word(data: st.DataObject) -> None:
    made = {width: _operand(data, width) for width in (1, 2, 3)}
    operands = {width: operand for width, (operand, _) in made.items()}
    inner = {operand.name: excluded for operand, excluded in made.values()}
    count = data.draw(st.integers(1, 4))
    instructions = [_instruction(data, f"I{i}", operands) for i in range(count)]
    isa = isa_of(
        tuple(one for one, _ in instructions),
        tuple(operands.values()),
        unit_width=UNIT,
        cell_width=UNIT,
    )
    excluded = {one.name: condition for one, condition in instructions}
    forms = forms_of(isa)
    assert all(len(form.spread) <= UNIT * UNITS for form in forms)
    codec = Codec(isa)

    expected: set[tuple[str, str]] = set()
    for word in range(1 << (UNIT * UNITS)):
        readings = [
            (form, fields)
            for form in forms
            if (fields := _read(form, word, excluded[form.instruction.name], inner)) is not None
        ]
        names = [form.instruction.name for form, _ in readings]
        expected |= {(a, b) for i, a in enumerate(names) for b in names[i + 1 :]}
        if len(readings) < 2:
            decoded = codec.decode_cells([word >> 8, word >> 4 & 15, word & 15])
            found = None if decoded is None else (decoded.instruction.name, decoded.fields)
            assert found == next(((n, f) for n, (_, f) in zip(names, readings, strict=True)), None)
    found_pairs = {(one.first.name, one.second.name) for one in overlaps(isa)}

    assert found_pairs == expected


def test_the_examples_of_overlaps_are_read_by_both() -> None:
    isa: Isa = isa_of(
        (
            instruction("A", {"f": bits(2)}, "01 f"),
            instruction("B", {"f": bits(2), "g": bits(4)}, "f 11 g"),
        ),
        unit_width=UNIT,
        cell_width=UNIT,
    )

    (overlap,) = overlaps(isa)

    assert [overlap.first.name, overlap.second.name] == ["A", "B"]
    assert overlap.units[0] == 0b0111 and len(overlap.units) == 2
