"""What the source says is what the lowered body does."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.load import load
from spec.outcome import Retired, Trapped
from spec.state import MachineState
from tests.description_text import MACHINE, codes, machine, outcome, run, write

# --------------------------------------------------------------------------- expressions

WORD = 0xFFFF


class Text:
    """An expression as source text and as a plain Python value of 16 bits."""

    def __init__(self, text: str, value: int) -> None:
        self.text, self.value = text, value & WORD


def signed(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


ENVIRONMENT = {"A": 0x8001, "B": 3, "C": 0xFFF0, "D": 0x1234}


def _leaf() -> st.SearchStrategy[Text]:
    names = st.sampled_from(sorted(ENVIRONMENT)).map(lambda n: Text(n, ENVIRONMENT[n]))
    sized = st.integers(0, WORD).map(lambda v: Text(f"16'd{v}", v))
    return names | sized


def _binary(operator: str, a: Text, b: Text) -> Text:
    x, y = a.value, b.value
    if operator in ("/", "%") and not y:
        b = Text("(D - D)", 0)  # a constant zero is refused
    value = {
        "+": x + y,
        "-": x - y,
        "*": x * y,
        "&": x & y,
        "|": x | y,
        "^": x ^ y,
        "/": x // y if y else WORD,
        "%": x % y if y else x,
        "<<": x << y if y < 16 else 0,
        ">>": x >> y if y < 16 else 0,
    }[operator]
    return Text(f"({a.text} {operator} {b.text})", value)


def _condition(operator: str, a: Text, b: Text, with_sign: bool) -> tuple[str, bool]:
    x, y = (signed(a.value), signed(b.value)) if with_sign else (a.value, b.value)
    holds = {
        "==": x == y, "!=": x != y, "<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y,
    }[operator]  # fmt: skip
    left = f"signed({a.text})" if with_sign else a.text
    return f"({left} {operator} {b.text})", holds


def _choice(operator: str, with_sign: bool, a: Text, b: Text, then: Text, orelse: Text) -> Text:
    condition, holds = _condition(operator, a, b, with_sign)
    chosen = then if holds else orelse
    return Text(f"(if {condition} then {then.text} else {orelse.text})", chosen.value)


def _extend(inner: st.SearchStrategy[Text]) -> st.SearchStrategy[Text]:
    operators = st.sampled_from(["+", "-", "*", "&", "|", "^", "/", "%", "<<", ">>"])
    comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    return (
        st.builds(_binary, operators, inner, inner)
        | st.builds(_choice, comparisons, st.booleans(), inner, inner, inner, inner)
        | inner.map(lambda a: Text(f"(~{a.text})", ~a.value))
        | inner.map(lambda a: Text(f"(-{a.text})", -a.value))
        | inner.map(lambda a: Text(f"sext({a.text}[7:0], 16)", (a.value & 0xFF ^ 0x80) - 0x80))
        | inner.map(lambda a: Text(f"zext({a.text}[15:4], 16)", a.value >> 4))
        | inner.map(
            lambda a: Text(f"({a.text}[3:0] ++ {a.text}[15:4])", (a.value << 12) | a.value >> 4)
        )
        | inner.map(lambda a: Text(f"bits(signed({a.text}) >> 3)", signed(a.value) >> 3))
        | inner.map(lambda a: Text(f"rol({a.text}, 5)", (a.value << 5) | a.value >> 11))
        | inner.map(lambda a: Text(f"popcount({a.text})", a.value.bit_count()))
        | inner.map(lambda a: Text(f"helper({a.text}, 3)", a.value * 3 + 1))
    )


HELPER = """
fn helper(a : bits(N), n : int) -> bits(N) {
  if a[N-1:0] == a { let t = a * trunc(16'd0 + n, N)  return t + 1 }
  return a
}
"""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(_leaf(), _extend, max_leaves=12))
def test_an_expression_means_what_its_text_says(
    tmp_path_factory: pytest.TempPathFactory, expression: Text
) -> None:
    folder = tmp_path_factory.mktemp("e")
    after = run(folder, f"K = {expression.text}", HELPER, **ENVIRONMENT)

    assert after.scalars["K"] == expression.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 + A", 8),
        ("A | B & 16'd2 ^ C", 1 | ((3 & 2) ^ 4)),
        ("if A == 1 && B == 3 || false then 5 else 6", 5),
        ("A << 1 + 1", 4),
        ("zext(carry(16'hFFFF, A, 1'b0))", 1),
        ("zext(carry(16'hFFFE, A, 1'b1))", 1),
        ("zext(overflow(16'h7FFF, A))", 1),
        ("zext(overflow(16'hFFFF, A))", 0),
        ("zext(borrow(A, B))", 1),
        ("zext(borrow(B, B, 1'b1))", 1),
        ("zext(underflow(16'h8000, A))", 1),
        ("zext(underflow(A, B))", 0),
        ("min(A, B)", 1),
        ("max(signed(A), 16'hFFFF)", 1),
        ("bswap(16'h1234)", 0x3412),
        ("clz(A)", 15),
        ("ctz(C)", 2),
        ("match A { 0 => 16'd7, 1 | 2 => 8, _ => 9 }", 8),
        ("match tint { red => 16'd1, green => 2, blue => 3 }", 2),
        ("zext(bits(Color.blue))", 3),
        ("zext(A[B - 3])", 1),
        ("16'hFFFF >> B", 0x1FFF),
        ("rol(A, 17)", 2),
        ("2^4 - 1 + A", 16),
    ],
)
def test_operators_and_functions_have_their_meaning(tmp_path: Path, text: str, value: int) -> None:
    after = run(tmp_path, f"K = {text}", A=1, B=3, C=4)

    assert after.scalars["K"] == value


# --------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A[7:4] = 4'hF", {"A": 0x00F0}),
        ("A[3] = 1", {"A": 8}),
        ("A[B] = 1", {"A": 4}),
        ("AB = 32'h12345678", {"A": 0x1234, "B": 0x5678}),
        ("AB[19:12] = 8'hFF", {"A": 0x000F, "B": 0xF002}),
        ("x[0] = 7  x[1] = x[0] + 5", {"x[0]": 0, "x[1]": 5}),
        ("W.mid = 6'h3F", {"W.mid": 0x3F, "W.high": 0, "W.bit": 0}),
        ("W = Word(high = 3, mid = 1, bit = 1)", {"W.high": 3, "W.mid": 1, "W.bit": 1}),
        ("W = Word(16'hFFFF)  K = bits(W)", {"K": 0xF3F1}),
        ("let w = Word(16'hFFFF)  K = bits(w)", {"K": 0xF3F1}),
        ("let w = Word(65535)  K = bits(w)", {"K": 0xF3F1}),
        ("R[1].high = 4'd9  K = bits(R[1])", {"R.high[1]": 9, "K": 0x9000}),
        ("packed = Packed(top = 1, color = blue, low = 5)", {"packed.color": 3, "packed.low": 5}),
        ("K = zext(SR)", {"K": 0b01011000 & 0xFF | 4}),
        ("SR = 8'hFF", {"N": 1, "Z": 1, "M": 1}),
        ("SP = 5  M = user  SP = 6", {"SSP": 5, "USP": 6, "M": 0}),
        ("var n : bits(16) = 1  n = n + 1  n[15] = 1  K = n", {"K": 0x8002}),
        ("let t = A  A = 9  K = t", {"A": 9, "K": 0}),
        ("K = A + setting(4)", {"K": 4, "A": 4}),
        ("cell(2) = 5  K = cell(2) + 1", {"K": 6, "C": 5}),
        ("tint = Color(A[1:0] + 1)", {"tint": 1}),
    ],
)
def test_assignments_change_what_they_name(
    tmp_path: Path, body: str, expected: dict[str, int]
) -> None:
    functions = """
    fn setting(v : bits(16)) -> bits(16) { A = v  return v }
    accessor cell(n : int) : bits(16) { read { return if n == 2 then C else B } write(v) { C = v } }
    """
    state = run(tmp_path, body, functions, B=2)

    got = dict(state.scalars)
    for name, values in state.arrays.items():
        got |= {f"{name}[{i}]": v for i, v in enumerate(values)}
    if body.startswith("K = zext(SR)"):
        expected = {"K": 0b0101_0100}
    assert {name: got[name] for name in expected} == expected


# --------------------------------------------------------------------------- statements


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if A == 0 { K = 1 } else if B == 2 { K = 2 } else { K = 3 }", 1),
        ("if A != 0 { K = 1 } else if B == 2 { K = 2 } else { K = 3 }", 2),
        ("for i in 1..3 { K = K + i }", 6),
        ("for i in 0..3 { x[i] = 16'd0 + i }  K = x[3] + x[0]", 3),
        ("match B { 0 => K = 5   1 | 2 => { K = 6 }   _ => { } }", 6),
        ("match 1 { 0 => K = nonsense   1 => K = 6 }", 6),
        ("require M == supervisor  K = 1", 1),
        ("store(16'd10, 32'h01020304)  K = load(16'd12, 16)", 0x0304),
        ("pstore(paddr(16'd10), 16'hAABB)  K = zext(pload(paddr(16'd11), 8))", 0xBB),
        ("K = zext(accessible(16'd1, write, 2))", 1),
        ("K = bits(translate(B, read, 1))", 2),
        ("K = next - P", 1),
        ("K = unknown(16) + unknown()", 0),
        ("K = early(B)", 12),
        ("K = if B == 2 && load(16'd0, 8) == 0 then sum(1) else sum(2)", 3),
    ],
)
def test_statements_do_what_they_say(tmp_path: Path, body: str, expected: int) -> None:
    functions = """
    fn early(v : bits(16)) -> bits(16) { if v == 2 { return 12 }  A = 1  return 13 }
    fn sum(v : bits(16)) -> bits(16) { let r = v + B  return r }
    """
    state = run(tmp_path, body, functions, B=2)

    assert state.scalars["K"] == expected


def test_a_trap_carries_its_arguments_and_discards_changes(tmp_path: Path) -> None:
    isa = machine(tmp_path, "A = 5  if B == 2 { trap overflow(B + 1, true) }")
    state = MachineState(isa)
    state.update({"B": 2})

    ended = outcome(isa, state)

    assert isinstance(ended, Trapped)
    assert (ended.cause, ended.arguments) == ("overflow", (3, 1))
    assert state.scalars["A"] == 0


def test_require_without_else_takes_the_only_privilege_trap(tmp_path: Path) -> None:
    isa = machine(tmp_path, "require M == supervisor")
    state = MachineState(isa)
    state.update({"M": 0})

    ended = outcome(isa, state)

    assert isinstance(ended, Trapped) and ended.trap_class.value == "privilege"


def test_choices_are_taken_in_order(tmp_path: Path) -> None:
    isa = machine(tmp_path, "A = unknown(16)  B = unknown(16)")

    ended = outcome(isa, MachineState(isa), (7, 8))

    assert isinstance(ended, Retired)
    assert (ended.state.scalars["A"], ended.state.scalars["B"]) == (7, 8)


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("K = nothing", "E0201"),
        ("K = A + tint", "E0203"),
        ("K = tint", "E0202"),
        ("K = A[3:0]", "E0203"),
        ("K = A + A[3:0]", "E0203"),
        ("A[3:0] = 16", "E0204"),
        ("let n = zext(A)  K = n", "E0205"),
        ("K = helper()", "E0201"),
        ("K = min(A)", "E0206"),
        ("1 = A", "E0207"),
        ("let t = A  t = B", "E0207"),
        ("match tint { red => K = 1  green => K = 2 }", "E0208"),
        ("match A { 0 => K = 1 }", "E0208"),
        ("A[16] = 1", "E0210"),
        ("K = A[3:7]", "E0210"),
        ("x[4] = 1", "E0210"),
        ("K = load(A, 12)", "E0214"),
        ("K = pload(A, 16)", "E0202"),
        ("K = translate(A, read, 1)", "E0202"),
        ("A + 1", "E0101"),
        ("min(A, B)", "E0215"),
        ("return A", "E0215"),
        ("if A { K = 1 }", "E0202"),
        ("trap nothing", "E0201"),
        ("trap overflow(A)", "E0206"),
        ("for i in 0..100000 { K = 1 }", "E0217"),
        ("K = 16'd70000", "E0204"),
        ("K = x", "E0202"),
        ("let A = B", "E0301"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, body: str, code: str) -> None:
    assert codes(tmp_path, body) == [code]


BEFORE = "before instruction { P = if C == 1 then D else next  let early = B  A = early }\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", {"A": 2, "P": 9}),
        ("C = 3", {"A": 2, "P": 9, "C": 3}),
        ("P = 7", {"A": 2, "P": 7}),
        ("let early = A  B = early + 1", {"A": 2, "B": 3}),
        ("K = next", {"K": 1, "P": 9}),
    ],
)
def test_every_instruction_begins_with_what_comes_before_instructions(
    tmp_path: Path, body: str, expected: dict[str, int]
) -> None:
    state = run(tmp_path, body, BEFORE, B=2, C=1, D=9)

    assert {name: state.scalars[name] for name in expected} == expected


def test_what_comes_before_instructions_does_not_see_their_operands(tmp_path: Path) -> None:
    other = "instruction Y (B : bits(8)) = 8'h01 B { K = zext(B) }\nfetch 16\n"
    text = "\n".join((MACHINE, BEFORE, other))
    loaded = load(write(tmp_path, text))
    assert loaded.isa is not None
    state = MachineState(loaded.isa)
    state.update({"B": 2})

    ended = ConcreteEngine(loaded.isa).execute(state, loaded.isa.instructions[0], {"B": 5}, 1)

    assert isinstance(ended, Retired)
    assert (ended.state.scalars["A"], ended.state.scalars["K"]) == (2, 5)


def test_what_comes_before_instructions_is_discarded_by_their_traps(tmp_path: Path) -> None:
    isa = machine(tmp_path, "trap privileged", BEFORE)
    state = MachineState(isa)
    state.update({"B": 2})

    ended = outcome(isa, state)

    assert isinstance(ended, Trapped)
    assert state.scalars["A"] == 0


def test_what_comes_before_instructions_may_be_replaced(tmp_path: Path) -> None:
    state = run(tmp_path, "", BEFORE + "replace before instruction { A = 7 }", B=2)

    assert state.scalars["A"] == 7


@pytest.mark.parametrize(
    ("declarations", "code"),
    [
        ("register A : bits(2)", "E0301"),
        (BEFORE + BEFORE, "E0301"),
        ("before instruction { A = one }", "E0201"),
        ("fn f(a : bits(4)) -> bits(4) { if a == 1 { return a } }", "E0211"),
        ("fn f(a : bits(4)) -> bits(4) { return f(a) }", "E0212"),
        ("instruction Y (n : bits(4)) = 8'h01 { }", "E0304"),
        ("instruction Y (n : bits(4)) = 8'h01 n { }", "E0303"),
        ("instruction Y = 8'h00 { }", "E0305"),
        ("instruction X = 8'h01 { }", "E0301"),
        ("remove instruction Y", "E0505"),
        ("replace fn nothing() { }", "E0505"),
        ('include "missing.isa"', "E0501"),
        ("virtualize c { user as user }", "E0401"),
        ("virtualize c { shadow rest }", "E0404"),
        ("virtualize c { user as user shadow rest linked(va) where va == A }", "E0218"),
        ("virtualize c { user as user shadow rest linked(va) where va }", "E0203"),
        ("virtualize c { user as user shadow rest pass A }", "E0402"),
        ("virtualize c { user as user shadow K pass K shadow rest }", "E0403"),
        ("virtualize c { nobody as user shadow rest }", "E0201"),
        ("claim X privileged claim X not privileged", "E0406"),
        ("claim X happy", "E0201"),
        ("claim Q privileged", "E0201"),
        ('instruction Y (n : bits(8)) = n asm "y {n" { }', "E0306"),
        ('instruction Y (n : bits(8)) = n asm "y {n:q}" { }', "E0306"),
        (
            'operand o {\n | f(n : bits(4)) = up "0000" low n asm "{n}"\n}\n'
            'instruction Y (p : o) = "0101" p.low asm "y {p}" { }',
            "E0304",
        ),
        ("struct S : bits(4) { a @ 3:1, b @ 1 }", "E0303"),
        ("enum F : bits(1) { a, b, c }", "E0204"),
        ("operand o { }", "E0101"),
        ("alias T : bits(8) = A", "E0203"),
        ("cause c : nonsense { }", "E0201"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(
    tmp_path: Path, declarations: str, code: str
) -> None:
    assert codes(tmp_path, "", declarations) == [code]


def test_all_mistakes_of_a_file_are_found_in_one_run(tmp_path: Path) -> None:
    found = codes(tmp_path, "K = one\nK = A[3:0]\nlet t = two\nK = t", "register A : bits(3)")

    assert found == ["E0301", "E0201", "E0203", "E0201"]


def test_what_depends_on_a_mistake_is_not_reported_again(tmp_path: Path) -> None:
    found = codes(
        tmp_path,
        "Q = 1  c = violet",
        "register Q : nonsense\nregister c : Paint\nenum Paint : bits(1) { violet = 9 }",
    )

    assert found == ["E0204", "E0201"]


# --------------------------------------------------------------------------- files


def test_a_description_extends_another(tmp_path: Path) -> None:
    from spec.load import load
    from tests.description_text import MACHINE

    base = MACHINE + (
        "param WIDE = false\nwhen WIDE { register wide : bits(8) } else { register thin : bits(8) }\n"
        'family (op, v) \n | ONE "one" : 8\'h01, 16\'d1\n | TWO : "00000010", A + 1\n'
        'instruction = op asm "{name}" { K = v }\n'
        'virtualize c { supervisor, user as user shadow rest }\nclaim ONE privileged\nliterature "A" says c hybrid\n'
    )
    write(tmp_path, base, "base.isa")
    text = (
        'isa "More"\nextends "base.isa" with WIDE = true\nremove instruction TWO\n'
        'replace instruction ONE = 8\'h03 asm "uno" { A = 1 }\ninclude "part.isa"\n'
    )
    said = 'literature "B 1975" says c not hybrid but "T"\nliterature "C" says ONE innocuous\n'
    write(tmp_path, 'note "n"\nclaim ONE innocuous\n' + said, "part.isa")

    isa = load(write(tmp_path, text)).isa

    assert isa is not None
    assert isa.title == "More"
    assert [(i.name, i.assembly) for i in isa.instructions] == [("ONE", "uno")]
    assert "wide" in {e.name for e in isa.elements}
    assert [c.text for c in isa.claims] == ["ONE innocuous"]
    assert [(s.author, s.claim.text, s.but) for s in isa.literature] == [
        ("B 1975", "c not hybrid", "T"),
        ("C", "ONE innocuous", ""),
    ]
    assert [c.name for c in isa.configurations] == ["c"]


def test_an_endless_include_is_refused(tmp_path: Path) -> None:
    from spec.load import load

    path = write(tmp_path, 'isa "x"\ninclude "t.isa"\n')

    assert [d.code for d in load(path).diagnostics][:1] == ["E0503"]


# --------------------------------------------------------------------------- the size of memory


def test_a_description_may_ask_how_many_cells_there_are(tmp_path: Path) -> None:
    isa = machine(tmp_path, "A = E.size[16:1]  K = if 17'd5 < E.size then 1 else 0")
    state = run(tmp_path, "A = E.size[16:1]  K = if 17'd5 < E.size then 1 else 0")
    small = MachineState(isa)
    small.update({"E.size": 4})
    ended = outcome(isa, small)

    assert isa.memory.size == "E.size"
    assert (state.scalars["A"], state.scalars["K"]) == (0x8000, 1)
    assert isinstance(ended, Retired)
    assert (ended.state.scalars["A"], ended.state.scalars["K"]) == (2, 0)


def test_a_description_that_does_not_ask_has_no_element_for_it(tmp_path: Path) -> None:
    isa = machine(tmp_path, "A = 1")

    assert isa.memory.size is None
    assert "E.size" not in {e.name for e in isa.elements}


def test_the_number_of_cells_is_a_constant(tmp_path: Path) -> None:
    assert codes(tmp_path, "E.size = 4") == ["E0207"]
    assert codes(tmp_path, "A = E.length") == ["E0201"]
    assert codes(tmp_path, "K = 0", "control Q : bits(17) reset E.size") == ["E0209"]


def test_a_variable_hides_the_name_of_the_memory(tmp_path: Path) -> None:
    assert codes(tmp_path, "let E = K  A = E.size") == ["E0202"]


def test_calls_in_a_constraint_leave_parameters_of_any_name_alone(tmp_path: Path) -> None:
    isa = load(
        write(
            tmp_path,
            MACHINE
            + "fn odd(n : bits(4)) -> bool { return n[0:0] == 1 }\n"
            + "fn small(n : bits(4)) -> bool { return n[3:1] == 1 }\n"
            + 'instruction T (t : bits(4)) = 4\'h1 t where odd(t) && small(t) asm "t {t}" { }\n',
        )
    ).isa
    assert isa is not None
    codec = Codec(isa)

    assert codec.encode(isa.instructions[0], {"t": 3}) == (0x13,)
    assert codec.decode(lambda _: 0x12) is None
    assert codec.decode(lambda _: 0x15) is None
