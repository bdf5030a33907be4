"""Virtual-8086 mode: verdicts, and what UMIP mends."""

from dataclasses import replace
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import InstructionReport, Report
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "x86"
SHOW = {"SGDT", "SIDT", "SMSW"}
REAL, V86, RING0 = 1, 3, 0
IF, IOPL_3 = 1 << 9, 3 << 12


def described(name: str) -> Isa:
    isa = load(str(ISAS / f"{name}.isa")).isa
    assert isa is not None
    return isa


@pytest.fixture(scope="module")
def reports(library_cache: Path) -> dict[str, Report]:
    names = ("v8086", "v8086_286", "v8086_umip")
    return {n: check(described(n), timeout=60.0, cache=library_cache) for n in names}


def test_every_claim_holds_and_nothing_is_left_undecided(reports: dict[str, Report]) -> None:
    for report in reports.values():
        assert report.claims
        assert [c.claim for c in report.claims if c.holds is not Answer.YES] == []
        assert report.all_defects == ()
        assert [r.label for c in report.configurations for r in c.instructions if r.undecided] == []


def test_the_80286_adds_three_escapes_which_umip_takes_away(reports: dict[str, Report]) -> None:
    before, after = (
        {row.instruction: plain(row) for row in reports[name].configurations[0].instructions}
        for name in ("v8086_286", "v8086_umip")
    )

    assert {name for name in before if before[name].escape is Answer.YES} == SHOW
    assert {name for name in before if before[name] != after[name]} == SHOW
    assert all(after[name].escape is Answer.NO for name in after)


def plain(row: InstructionReport) -> InstructionReport:
    return replace(row, witnesses=(), seconds=0.0, solver_seconds=0.0, solver_calls=0, cached=False)


def machine(text: str, mode: int, **state: int) -> Machine:
    isa = described("v8086_286")
    program = assemble(isa, text, origin=0x12340)
    assert isinstance(program, Program), program
    start = MachineState(isa)
    for segment in program.segments:
        start.load_cells(segment.address, list(segment.cells))
    for vector in range(256):
        start.load_cells(4 * vector, [vector, 0x10, 0x00, 0x20])  # 2000:1000 + vector
    start.load_cells(0x100000, list((0x101007).to_bytes(4, "little")))  # page directory and table
    for page in range(256):
        start.load_cells(0x101000 + 4 * page, list((page << 12 | 7).to_bytes(4, "little")))
    start.own_array("segment")[:] = (0x3000, 0x1234, 0x4000, 0x5000)
    start.own_array("r")[4] = 0x200
    start.update({"M": mode, "LIP": 0x12340, "CR3": 0x100000, "ESP0": 0x8000} | state)
    return Machine(isa, start, Codec(isa).decode)


def test_int_goes_through_the_table_of_real_address_mode() -> None:
    bare = machine("int 0x21", REAL, IF=1)

    bare.step()

    state = bare.state
    assert (bare.pc, state.arrays["segment"][1]) == (0x21021, 0x2000)
    assert state.arrays["r"][4] == 0x1FA
    stacked = [state.cells[0x401FA + n] | state.cells[0x401FB + n] << 8 for n in (0, 2, 4)]
    assert stacked == [2, 0x1234, IF | 2]
    assert state.scalars["IF"] == 0


@pytest.mark.parametrize("text", ["int 0x21", "cli", "sti", "pushf", "popf", "iret", "hlt"])
def test_virtual_8086_mode_gives_it_to_ring_0_unless_iopl_is_3(text: str) -> None:
    bare = machine(text, V86, IF=1)

    bare.step()

    state = bare.state
    assert state.scalars["M"] == RING0
    assert state.cells[0x8000 - 28] | state.cells[0x8001 - 28] << 8 == 0
    assert state.cells[0x8000 - 24] | state.cells[0x8001 - 24] << 8 == 0x1234

    bare = machine(text, V86, IF=1, IOPL=3)

    bare.step()

    assert (bare.state.scalars["M"] == RING0) == (text in ("int 0x21", "hlt"))


def test_a_program_moves_a_string_in_either_mode() -> None:
    text = """
        cld
        mov si, 0x10
        mov di, 0x20
        mov cx, 3
        rep movsw ds:[si]
        hlt
    """
    for mode in (REAL, V86):
        bare = machine(text, mode)
        bare.state.load_cells(0x50010, list(b"abcdef"))

        bare.run(12)

        assert [bare.state.cells[0x30020 + n] for n in range(6)] == list(b"abcdef")
        assert bare.state.arrays["r"][1] == 0
