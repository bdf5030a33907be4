"""Members of an enumeration that are declared together: `r[3..6]`."""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.operand_sets import operand_sets
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.outcome import Retired
from spec.state import MachineState
from spec.template import disassemble
from tests.description_text import codes, write

MACHINE = """isa "A machine with numbered places"
mode M : bits(1) { user, supervisor } reset supervisor
pc P : bits(8)
register a : bits(16)
control c : bits(16)[4]
control lock : bits(16)
memory E : bits(8)[2^8] big
enum Place : bits(4) { none, r[3..6] = 4, gap, last = 15 }
translate(va, access, size, mode) { return paddr(bits(va)) }
cause denied : privilege { P = 0 }
undecodable trap denied : fault
fn index(p : Place) -> bits(2) { return (bits(p) - bits(r3))[1:0] }
instruction PUT (p : Place) = "1001" p
  asm "put {p}"
{
  require M == supervisor
  match p {
    r          => c[index(p)] = a
    last       => lock = a
    none | gap => { }
  }
}
instruction GET (p : Place) = "1010" p
  asm "get {p}"
{
  a = match p { r5 => 5, last => lock, none | gap => 0, _ => c[index(p)] }
}
virtualize v { supervisor, user as user  shadow rest }
claim PUT[r] privileged
claim PUT[r] control_sensitive on c
claim PUT[gap] innocuous
claim GET[r] behaviour_sensitive on c
claim GET[last] behaviour_sensitive on lock
claim GET[gap] innocuous
claim v escapes GET
"""


def machine(folder: Path) -> Isa:
    loaded = load(write(folder, MACHINE))
    assert loaded.isa is not None, [d.message for d in loaded.diagnostics]
    return loaded.isa


def test_each_is_a_member_with_a_name_and_a_value_of_its_own(tmp_path: Path) -> None:
    isa = machine(tmp_path)
    codec = Codec(isa)

    texts = []
    for value in range(16):
        decoded = codec.decode(lambda _, value=value: 0x90 | value)
        texts.append(decoded and disassemble(isa, decoded, 0))

    named = {0: "none", 4: "r3", 5: "r4", 6: "r5", 7: "r6", 8: "gap", 15: "last"}
    assert texts == [f"put {named[v]}" if v in named else None for v in range(16)]


@pytest.mark.parametrize(("place", "index"), [(4, 0), (6, 2), (7, 3)])
def test_a_pattern_with_their_common_name_matches_each(
    tmp_path: Path, place: int, index: int
) -> None:
    isa = machine(tmp_path)
    state = MachineState(isa)
    state.update({"a": 7})
    (put,) = [i for i in isa.instructions if i.name == "PUT"]

    done = ConcreteEngine(isa).execute(state, put, {"p": place}, 1)

    assert isinstance(done, Retired)
    assert done.state.arrays["c"] == [7 if i == index else 0 for i in range(4)]


def test_they_are_classified_together_and_the_others_apart(tmp_path: Path) -> None:
    isa = machine(tmp_path)
    (get,) = [i for i in isa.instructions if i.name == "GET"]

    assert [chosen.text for chosen in operand_sets(isa, get)] == ["none", "r", "gap", "last"]
    report = check(isa, timeout=60.0)
    assert report.claims_hold is Answer.YES
    assert report.all_defects == ()


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ("enum F : bits(2) { a[0..4] }", "E0204"),
        ("enum F : bits(4) { a1, a[0..2] }", "E0301"),
        ("enum F : bits(4) { a = 2, b[0..2] = 0 }", "E0301"),
        ("enum F : bits(4) { a, a[0..2] }", "E0301"),
        ("enum F : bits(4) { a[2..1] }", "E0209"),
        ("enum F : bits(64) { a[0..1000000000] }", "E0209"),
        ("enum F : bits(4) { a[0..A] }", "E0201"),
    ],
)
def test_what_cannot_be_declared_together_is_refused(
    tmp_path: Path, declaration: str, code: str
) -> None:
    assert codes(tmp_path, "", declaration) == [code]


def test_a_match_must_cover_all_of_them(tmp_path: Path) -> None:
    text = MACHINE.replace("r          => c[index(p)] = a", "r3 | r4    => c[index(p)] = a")

    (diagnostic,) = [d for d in load(write(tmp_path, text)).diagnostics if d.code == "E0208"]

    assert "`r5`, `r6`" in diagnostic.message


def test_a_claim_is_about_all_of_them(tmp_path: Path) -> None:
    text = MACHINE.replace("claim PUT[r] privileged", "claim PUT[r4] privileged")

    assert [d.code for d in load(write(tmp_path, text)).diagnostics] == ["E0201"]
