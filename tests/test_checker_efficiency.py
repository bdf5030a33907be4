"""What user mode can reach, where an array of control state decides about each page."""

from pathlib import Path

import pytest

from checker.answers import Answer, Fact
from checker.efficiency import EFFICIENT, check_configuration
from spec.load import load
from tests.description_text import write


def efficiency(folder: Path, text: str) -> Fact:
    """Whether user mode can reach all, in the one configuration of a description."""
    isa = load(write(folder, text)).isa
    assert isa is not None
    facts = check_configuration(isa, isa.configurations[0], timeout_ms=60_000)
    (found,) = [fact for fact in facts if fact.question == EFFICIENT]
    return found


MACHINE = """isa "A machine with a table of pages"
mode M : bits(1) {{ user, supervisor }} reset supervisor
pc P : bits(16)
control open : bits(1)[16] {reset}
memory E : bits(8)[2^16] big
cause denied : memory {{ P = 0 }}
undecodable trap denied : fault
translate(va, access, size, mode) {{
  if mode == user && ({refused}) {{ trap denied }}
  return paddr(bits(va))
}}
instruction NOP = 8'h00 {{ }}
virtualize v {{ supervisor, user as user  shadow rest }}
"""


@pytest.mark.parametrize("reset", ["reset 1", "reset 0"])
@pytest.mark.parametrize(
    ("refused", "answer"),
    [
        ("open[bits(va)[15:12]] == 0", Answer.YES),
        ("open[3] == 0", Answer.YES),
        ("open[3] == 0 && open[4] == 1", Answer.YES),
        ("open[bits(va)[15:12]] == 0 || bits(va)[15:8] == 7", Answer.NO),
        ("open[3] == 0 || bits(va) == 9", Answer.NO),
    ],
)
def test_an_array_may_hold_whatever_makes_an_address_reachable(
    tmp_path: Path, reset: str, refused: str, answer: Answer
) -> None:
    found = efficiency(tmp_path, MACHINE.format(reset=reset, refused=refused))

    assert found.answer is answer, found.reason


@pytest.mark.parametrize(
    ("linked", "answer"),
    [
        ("", Answer.NO),
        ("linked(va) where va[15:12] != 7", Answer.YES),
        ("linked(a) where a < 0x7800", Answer.NO),
        ("linked(va) where elsewhere(va)", Answer.YES),
    ],
)
def test_only_the_addresses_that_a_guest_is_linked_to_count(
    tmp_path: Path, linked: str, answer: Answer
) -> None:
    text = MACHINE.format(reset="", refused="bits(va)[15:12] == 7")
    text = text.replace("shadow rest", f"shadow rest {linked}")
    text += "fn elsewhere(a : bits(16)) -> bool { return a >= 0x8000 }\n"
    isa = load(write(tmp_path, text)).isa
    assert isa is not None

    facts = check_configuration(isa, isa.configurations[0], timeout_ms=5000)

    assert [fact.answer for fact in facts if fact.question == EFFICIENT] == [answer]


SEGMENTS = """isa "A machine with two segments"
struct Bounds {{ low : bits(8), high : bits(8) }}
mode M : bits(1) {{ user, supervisor }} reset supervisor
pc P : bits(16)
control R : Bounds
control base : bits(8)
memory E : bits(8)[2^16] big
cause denied : memory {{ P = 0 }}
undecodable trap denied : fault
translate(va, access, size, mode) {{
  let a = bits(va)
  if mode == user && a[15:8] > R.low && (a[15:15] == 0 || a[15:8] > R.high) {{ trap denied }}
  if mode == user && ({refused}) {{ trap denied }}
  let at = if mode == user then a + (base ++ 8'd0) else a
  if zext(at, 17) >= E.size {{ trap denied }}
  return paddr(at)
}}
instruction NOP = 8'h00 {{ }}
virtualize v {{ supervisor, user as user  shadow rest }}
"""


@pytest.mark.parametrize(
    ("refused", "answer"),
    [("1 == 0", Answer.YES), ("a[15:4] == 0xffe", Answer.NO), ("base < 0x80", Answer.YES)],
)
def test_registers_that_bound_what_is_reached_may_be_as_wide_as_they_go(
    tmp_path: Path, refused: str, answer: Answer
) -> None:
    found = efficiency(tmp_path, SEGMENTS.format(refused=refused))

    assert found.answer is answer, found.reason


ENTRIES = """isa "A machine whose TLB has wide entries"
struct Entry : bits(80) {{ v @ 79, key @ 78:55, tag @ 54:15, page @ 14:0 }}
mode M : bits(1) {{ user, supervisor }} reset supervisor
pc P : bits(48)
control tlb : bits(80)[4]
memory E : bits(8)[2^16] big
cause denied : memory {{ P = 0 }}
undecodable trap denied : fault
translate(va, access, size, mode) {{
  let a = bits(va)
  if mode == supervisor {{ return paddr(a[15:0]) }}
  for n in 0..3 {{
    let e = Entry(tlb[n])
    if e.v == 1 && e.tag == a[47:8] && ({also}) {{ return paddr(a[15:0]) }}
  }}
  trap denied
}}
instruction NOP = 8'h00 {{ }}
virtualize v {{ supervisor, user as user  shadow rest }}
"""


@pytest.mark.parametrize(
    ("also", "answer"),
    [("e.key == 5", Answer.YES), ("a[47:44] != 9", Answer.NO), ("e.page[3:0] == 1", Answer.YES)],
)
def test_entries_wider_than_an_address_hold_the_tag_that_each_address_needs(
    tmp_path: Path, also: str, answer: Answer
) -> None:
    found = efficiency(tmp_path, ENTRIES.format(also=also))

    assert found.answer is answer, found.reason
