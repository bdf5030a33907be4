"""Instructions that store where a table is which translates what they reach afterwards."""

from pathlib import Path

from checker.answers import Answer, Classification, OperandSet
from checker.check import check
from checker.classify import classify
from checker.replay import Side
from spec.concrete import ConcreteEngine
from spec.ir import Isa
from spec.load import load
from spec.state import MachineState
from tests.description_text import write

PAGED = """isa "Pages"
type word = bits(8)
mode M : bits(1) { user = 0, top = 1 } reset top
pc PC : bits(6)
register r : word[2]
control root : bits(2)
memory E : word[2^6] big
fetch 8
cause outside : memory { PC = 0 }
cause denied : privilege { PC = 1 }
cause broken : fault { PC = 3 }
undecodable trap broken
translate(va, access, size, mode) {
  let entry = pload(paddr(root ++ bits(va)[5:2]), 8)
  if entry[7:7] == 0 { trap outside }
  return paddr(entry[3:0] ++ bits(va)[1:0])
}
instruction ONE () = 8'h01 { store(r[0][5:0], r[1]) }
instruction TWO () = 8'h02 {
  store(r[0][5:0], r[1])
  store(r[1][5:0], r[0])
}
instruction PHYSICAL () = 8'h03 {
  pstore(paddr(r[0][5:0]), r[1])
  r[1] = load(r[1][5:0], 8)
}
virtualize classic {
  top, user as user
  shadow rest
}
"""


def paged(folder: Path) -> Isa:
    loaded = load(write(folder, PAGED))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def classes(isa: Isa, name: str) -> Classification:
    (instruction,) = [i for i in isa.instructions if i.name == name]
    return classify(isa, isa.configurations[0], instruction, OperandSet(), timeout_ms=60_000)


def test_storing_twice_through_tables_is_innocuous(tmp_path: Path) -> None:
    found = classes(paged(tmp_path), "TWO")

    assert found.sensitive is Answer.NO
    assert found.escape is Answer.NO
    assert found.defects == ()
    assert found.undecided == ()


def test_a_table_that_is_changed_physically_counts(tmp_path: Path) -> None:
    found = classes(paged(tmp_path), "PHYSICAL")

    assert found.sensitive is Answer.YES
    assert "memory" in found.control_sensitive.names


def test_the_report_names_the_assumption_where_it_is_used(tmp_path: Path) -> None:
    isa = paged(tmp_path)

    report = check(isa, timeout=60.0)

    assert any("buffered" in a for a in report.configurations[0].assumptions)


def test_a_replayed_run_tells_whether_it_walked_what_it_stored(tmp_path: Path) -> None:
    isa = paged(tmp_path)
    (two,) = [i for i in isa.instructions if i.name == "TWO"]

    def runs(first: int, second: int) -> Side:
        state = MachineState(isa)
        for entry in range(16):
            state.cells[entry] = 0x80 | entry  # each page where it is
        state.own_array("r")[:] = [first, second]
        return Side(state, ConcreteEngine(isa).execute(state, two, {}, 1), ())

    assert runs(0x05, 0x16).walks_what_it_stored  # the entry of page 5, then an address in it
    assert not runs(0x05, 0x1A).walks_what_it_stored
    assert not runs(0x25, 0x16).walks_what_it_stored
