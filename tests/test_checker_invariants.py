"""What breaks the invariants of a description, and what a translation that changes state changes."""

from pathlib import Path

import pytest

from checker.answers import Answer, OperandSet
from checker.classify import classify
from checker.invariants import check_invariants
from spec.ir import Instruction, Isa
from spec.load import load
from tests.description_text import write

COUNTING = """isa "Counting"
type word = bits(8)
mode M : bits(1) { user = 0, top = 1 } reset top
pc PC : bits(6)
register r : word[2]
control root, count : bits(2)
memory E : word[2^6] big
fetch 8
invariant count != 3
cause denied : privilege { PC = 1 }
cause broken : fault { PC = 3 }
undecodable trap broken
translate(va, access, size, mode) {
  TRANSLATING
  return paddr(bits(va) ^ 4'd0 ++ root)
}
fn further() { count = count + 1 }
fn no_further() { if count < 2 { further() } }
instruction MOVE () = 8'h01 { r[0] = r[1] }
instruction CALLED () = 8'h02 { further() }
instruction BOUNDED () = 8'h03 { no_further() }
instruction THERE () = 8'h04 { r[0] = load(r[1][5:0], 8) }
virtualize classic {
  top, user as user
  shadow rest
}
"""


def counting(folder: Path, translating: str) -> Isa:
    loaded = load(write(folder, COUNTING.replace("TRANSLATING", translating)))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def called(isa: Isa, name: str) -> Instruction:
    (found,) = [i for i in isa.instructions if i.name == name]
    return found


@pytest.mark.parametrize(
    ("instruction", "translating", "kept"),
    [
        ("MOVE", "", Answer.YES),
        ("CALLED", "", Answer.NO),
        ("BOUNDED", "", Answer.YES),
        ("THERE", "", Answer.YES),
        ("THERE", "count = count + 1", Answer.NO),
        ("THERE", "if count == 1 { count = 2 }", Answer.YES),
    ],
)
def test_an_invariant_is_broken_by_what_an_instruction_calls_or_its_translation_writes(
    tmp_path: Path, instruction: str, translating: str, kept: Answer
) -> None:
    isa = counting(tmp_path, translating)

    (fact,) = check_invariants(isa, called(isa, instruction), timeout_ms=60_000)

    assert fact.answer is kept


@pytest.mark.parametrize(("translating", "changed"), [("", ()), ("count = count + 1", ("count",))])
def test_what_translation_changes_an_instruction_that_uses_it_changes(
    tmp_path: Path, translating: str, changed: tuple[str, ...]
) -> None:
    isa = counting(tmp_path, translating)
    there = called(isa, "THERE")

    found = classify(isa, isa.configurations[0], there, OperandSet(), timeout_ms=60_000)

    assert found.control_sensitive.names == changed
    assert found.undecided == ()
    assert found.defects == ()
