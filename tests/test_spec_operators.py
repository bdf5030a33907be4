"""Every operator against a plain reading of SMT-LIB, on bits and natural numbers."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.concrete import Concrete
from spec.folding import Folding
from spec.ir import BinaryOp, CompareOp, LogicOp, UnaryOp
from spec.python_code import Save, render, tidy
from spec.runtime import Runtime
from tests.small_machine import SMALL
from tests.strategies import vectors, widths

SMALL_WIDTHS = range(1, 5)
CONCRETE = Concrete()


# -- the plain reading


def bits(value: int, width: int) -> str:
    """Most significant first."""
    return format(value, f"0{width}b")


def number(text: str) -> int:
    return int(text, 2)


def bvnot(value: int, width: int) -> int:
    return number("".join("1" if bit == "0" else "0" for bit in bits(value, width)))


def bvneg(value: int, width: int) -> int:
    return (2**width - value) % 2**width


def bvudiv(left: int, right: int, width: int) -> int:
    return 2**width - 1 if right == 0 else left // right


def bvurem(left: int, right: int, width: int) -> int:
    return left if right == 0 else left % right


def bvsdiv(left: int, right: int, width: int) -> int:
    match bits(left, width)[0], bits(right, width)[0]:
        case "0", "0":
            return bvudiv(left, right, width)
        case "1", "0":
            return bvneg(bvudiv(bvneg(left, width), right, width), width)
        case "0", _:
            return bvneg(bvudiv(left, bvneg(right, width), width), width)
        case _:
            return bvudiv(bvneg(left, width), bvneg(right, width), width)


def bvsrem(left: int, right: int, width: int) -> int:
    match bits(left, width)[0], bits(right, width)[0]:
        case "0", "0":
            return bvurem(left, right, width)
        case "1", "0":
            return bvneg(bvurem(bvneg(left, width), right, width), width)
        case "0", _:
            return bvurem(left, bvneg(right, width), width)
        case _:
            return bvneg(bvurem(bvneg(left, width), bvneg(right, width), width), width)


def shifted(left: int, right: int, width: int, fill: str) -> int:
    """Right by `right` places, `fill` coming in."""
    return number((fill * min(right, width) + bits(left, width))[:width])


def rotated(left: int, places: int, width: int) -> int:
    """To the left."""
    text = bits(left, width)
    places %= width
    return number(text[places:] + text[:places])


def unary(op: UnaryOp, value: int, width: int) -> int:
    text = bits(value, width)
    match op:
        case UnaryOp.NOT:
            return bvnot(value, width)
        case UnaryOp.NEG:
            return bvneg(value, width)
        case UnaryOp.POPCOUNT:
            return text.count("1") % 2**width
        case UnaryOp.CLZ:
            return (width - len(text.lstrip("0"))) % 2**width
        case UnaryOp.CTZ:
            return (width - len(text.rstrip("0"))) % 2**width
        case UnaryOp.REVERSE_BYTES:
            octets = [text[i : i + 8] for i in range(0, width, 8)]
            return number("".join(reversed(octets)))


def bitwise(op: BinaryOp, left: int, right: int, width: int) -> int:
    table = {BinaryOp.AND: "0001", BinaryOp.OR: "0111", BinaryOp.XOR: "0110"}[op]
    pairs = zip(bits(left, width), bits(right, width), strict=True)
    return number("".join(table[number(a + b)] for a, b in pairs))


def binary(op: BinaryOp, left: int, right: int, width: int) -> int:
    match op:
        case BinaryOp.ADD:
            return (left + right) % 2**width
        case BinaryOp.SUB:
            return (left + bvneg(right, width)) % 2**width
        case BinaryOp.MUL:
            return (left * right) % 2**width
        case BinaryOp.UDIV:
            return bvudiv(left, right, width)
        case BinaryOp.UREM:
            return bvurem(left, right, width)
        case BinaryOp.SDIV:
            return bvsdiv(left, right, width)
        case BinaryOp.SREM:
            return bvsrem(left, right, width)
        case BinaryOp.AND | BinaryOp.OR | BinaryOp.XOR:
            return bitwise(op, left, right, width)
        case BinaryOp.SHL:
            return number((bits(left, width) + "0" * min(right, width))[-width:])
        case BinaryOp.LSHR:
            return shifted(left, right, width, "0")
        case BinaryOp.ASHR:
            return shifted(left, right, width, bits(left, width)[0])
        case BinaryOp.ROL:
            return rotated(left, right, width)
        case BinaryOp.ROR:
            return rotated(left, width - right % width, width)


def compare(op: CompareOp, left: int, right: int, width: int) -> bool:
    match op:
        case CompareOp.EQ:
            return bits(left, width) == bits(right, width)
        case CompareOp.NE:
            return bits(left, width) != bits(right, width)
        case CompareOp.ULT:
            return bits(left, width) < bits(right, width)
        case CompareOp.ULE:
            return bits(left, width) <= bits(right, width)
        case CompareOp.SLT | CompareOp.SLE:
            sign_left, sign_right = bits(left, width)[0], bits(right, width)[0]
            if sign_left != sign_right:
                return sign_left == "1"
            unsigned = CompareOp.ULT if op is CompareOp.SLT else CompareOp.ULE
            return compare(unsigned, left, right, width)


# -- emitted code


def emitted(domain: Folding, result: int | bool | str, **parameters: int) -> int | bool:
    """The value of what the domain wrote."""
    if not isinstance(result, str):
        return result
    domain.out.append(Save("result", result))
    tidy(domain.out)
    names = Runtime(SMALL).names()
    body = "\n".join(render(domain.out, 1, []))
    exec(f"def code({', '.join(parameters)}):\n{body}\n return result\n", names)
    value = names["code"](**parameters)  # type: ignore[operator]  # just defined
    assert isinstance(value, int)
    return value


def operands(
    domain: Folding, values: tuple[int, ...], known: tuple[bool, ...], width: int
) -> Iterator[int | str]:
    """Values that the domain knows, or variables that hold them."""
    for place, (value, is_known) in enumerate(zip(values, known, strict=True), 1):
        domain.bound[f"p{place}"] = (1 << width) - 1
        yield value if is_known else f"p{place}"


def emit_and_run(
    call: str, op: object, values: tuple[int, ...], known: tuple[bool, ...], width: int
) -> int | bool:
    domain = Folding()
    result = getattr(domain, call)(op, *operands(domain, values, known, width), width)
    return emitted(domain, result, p1=values[0], p2=values[-1])


@pytest.mark.parametrize("op", UnaryOp)
def test_unary_operators_mean_what_they_should_on_all_small_values(op: UnaryOp) -> None:
    for width in (8,) if op is UnaryOp.REVERSE_BYTES else SMALL_WIDTHS:
        for value in range(1 << width):
            assert CONCRETE.unary(op, value, width) == unary(op, value, width)


@pytest.mark.parametrize("op", BinaryOp)
def test_binary_operators_mean_what_they_should_on_all_small_values(op: BinaryOp) -> None:
    for width in SMALL_WIDTHS:
        for left, right in product(range(1 << width), repeat=2):
            assert CONCRETE.binary(op, left, right, width) == binary(op, left, right, width)


@pytest.mark.parametrize("op", CompareOp)
def test_comparisons_mean_what_they_should_on_all_small_values(op: CompareOp) -> None:
    for width in SMALL_WIDTHS:
        for left, right in product(range(1 << width), repeat=2):
            assert CONCRETE.compare(op, left, right, width) == compare(op, left, right, width)


@pytest.mark.parametrize("op", LogicOp)
def test_logic_is_that_of_one_bit_vectors(op: LogicOp) -> None:
    meaning = {LogicOp.AND: BinaryOp.AND, LogicOp.OR: BinaryOp.OR, LogicOp.XOR: BinaryOp.XOR}
    for left, right in product((False, True), repeat=2):
        expected = bool(bitwise(meaning[op], left, right, 1))
        assert CONCRETE.logic(op, left, right) is expected
        for known in product((False, True), repeat=2):
            domain = Folding()
            domain.bound.update(p1=1, p2=1)
            result = domain.logic(op, left if known[0] else "p1", right if known[1] else "p2")
            assert emitted(domain, result, p1=left, p2=right) == expected


@given(st.data(), st.sampled_from(UnaryOp), widths, st.booleans())
def test_unary_operators_agree_at_every_width(
    data: st.DataObject, op: UnaryOp, width: int, known: bool
) -> None:
    width = width // 8 * 8 or 8 if op is UnaryOp.REVERSE_BYTES else width
    value = data.draw(vectors(width))

    expected = unary(op, value, width)

    assert CONCRETE.unary(op, value, width) == expected
    assert emit_and_run("unary", op, (value,), (known,), width) == expected


@given(st.data(), st.sampled_from(BinaryOp), widths, st.tuples(st.booleans(), st.booleans()))
def test_binary_operators_agree_at_every_width(
    data: st.DataObject, op: BinaryOp, width: int, known: tuple[bool, bool]
) -> None:
    near = st.integers(0, min(2 * width, (1 << width) - 1))  # shifts up to and over the width
    values = (data.draw(vectors(width)), data.draw(vectors(width) | near))

    expected = binary(op, *values, width)

    assert CONCRETE.binary(op, *values, width) == expected
    assert emit_and_run("binary", op, values, known, width) == expected


@given(st.data(), st.sampled_from(CompareOp), widths, st.tuples(st.booleans(), st.booleans()))
def test_comparisons_agree_at_every_width(
    data: st.DataObject, op: CompareOp, width: int, known: tuple[bool, bool]
) -> None:
    values = (data.draw(vectors(width)), data.draw(vectors(width)))

    expected = compare(op, *values, width)

    assert CONCRETE.compare(op, *values, width) == expected
    assert emit_and_run("compare", op, values, known, width) == expected


@given(st.data(), widths)
def test_pieces_of_a_vector_are_pieces_of_its_bits(data: st.DataObject, width: int) -> None:
    value = data.draw(vectors(width))
    low = data.draw(st.integers(0, width - 1))
    high = data.draw(st.integers(low, width - 1))
    wider = data.draw(st.integers(width, width + 20))
    text = bits(value, width)

    piece = CONCRETE.extract(value, width, high, low)
    padded = CONCRETE.extend(value, width, False, wider)
    signed = CONCRETE.extend(value, width, True, wider)
    joined = CONCRETE.concat(value, piece, high - low + 1, width + high - low + 1)

    assert bits(piece, high - low + 1) == text[width - 1 - high : width - low]
    assert bits(padded, wider) == text.rjust(wider, "0")
    assert bits(signed, wider) == text.rjust(wider, text[0])
    assert bits(joined, width + high - low + 1) == text + bits(piece, high - low + 1)
