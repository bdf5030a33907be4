"""System/370 of `isas/s370`: what no simulator tells of it, and its claims."""

from functools import cache
from pathlib import Path

import pytest

from checker.check import check
from refvmm.derive import derive
from refvmm.lockstep import lockstep
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, place
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISA = Path(__file__).parent.parent / "isas" / "s370" / "s370.isa"
PROBLEM, SUPERVISOR = 1, 0
NEW_PSW = 0x0008_0000_0000_4000  # extended control, supervisor state


@cache
def described() -> Isa:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(programs: dict[int, str], **state: int) -> Machine:
    """A machine with programs in memory; every interruption leads to 4000 (hexadecimal)."""
    isa = described()
    start = MachineState(isa)
    for new in range(0x58, 0x80, 8):
        start.load_cells(new, NEW_PSW.to_bytes(8, "big"))
    for origin, text in programs.items():
        program = assemble(isa, text, origin=origin)
        assert isinstance(program, Program), program
        for segment in program.segments:
            start.load_cells(segment.address, list(segment.cells))
    start.update({"EC": 1} | state)
    return Machine(isa, start, Codec(isa).decode)


def word(bare: Machine, at: int, size: int = 4) -> int:
    return int.from_bytes(bytes(bare.state.cells[at + i] for i in range(size)), "big")


def test_a_problem_program_runs_in_pages_and_calls_the_supervisor() -> None:
    bare = machine(
        {
            0x100: "lctl 0, 0, 512(0)\n lctl 1, 1, 516(0)\n lpsw 520(0)",
            0x200: ".long 0x00800000, 0x00003000, 0x04090000, 0x00001000",
            0x3000: ".long 0xF0003400",  # a segment of 64K with pages of 4K
            0x3402: ".half 0x0060, 0x0070",  # page 1 is at 6000, page 2 at 7000
            0x6000: """la 1, 5(0,0)
                       l 2, 510(0,3)           ; half of the word lies in each page
                       ar 2, 1
                       stm 1, 2, 2048(3)
                       bct 1, 0(0,4)
                       svc 7""",
            0x6FFE: ".half 0x1234",
            0x7000: ".half 0x5678",
        },
        IA=0x100,
    )
    bare.state.own_array("GR")[3] = 0x1E00
    bare.state.own_array("GR")[4] = 0x1012

    bare.run(12)

    assert bare.state.scalars["P"] == SUPERVISOR
    assert bare.pc == 0x4000
    assert bare.state.arrays["GR"][2] == 0x1234_5678 + 5
    assert word(bare, 0x7600) == 5
    assert word(bare, 0x88, 4) == 0x0002_0007
    assert word(bare, 0x20, 8) >> 48 == 0x0409


def test_a_page_translation_exception_names_its_address_and_the_instruction() -> None:
    bare = machine(
        {0x3000: ".long 0xF0003400", 0x3402: ".half 0x0010", 0x3404: ".half 0x0008"},
        SM=4,
        P=PROBLEM,
        IA=0x1000,
        CR1=0x3000,
    )
    bare.state.update({"CR0.page_size": 2})
    bare.state.load_cells(0x1000, [0x58, 0x10, 0x20, 0x00])  # l 1, 0(2)
    bare.state.own_array("GR")[2] = 0x2ABC

    bare.step()

    assert word(bare, 0x90) == 0x2ABC
    assert word(bare, 0x8C) == 0x0004_0011
    assert word(bare, 0x2C) == 0x1000


@pytest.mark.parametrize(
    ("key", "held", "writes", "refused"),
    [
        (0, 0b0010_1_00, True, False),
        (2, 0b0010_1_00, True, False),
        (3, 0b0010_0_00, False, False),
        (3, 0b0010_0_00, True, True),
        (3, 0b0010_1_00, False, True),
    ],
)
def test_keys_protect_blocks(key: int, held: int, writes: bool, refused: bool) -> None:
    text = "st 1, 0(0,2)" if writes else "l 1, 0(0,2)"
    bare = machine({0x1000: text}, KEY=key, IA=0x1000, P=PROBLEM)
    bare.state.own_array("storage_key")[0x8000 >> 11] = held
    bare.state.own_array("GR")[2] = 0x8000

    bare.step()

    assert (bare.pc == 0x4000) is refused
    assert word(bare, 0x8E, 2) == (4 if refused else 0)


def test_in_basic_control_mode_the_code_is_in_the_old_psw() -> None:
    bare = machine({0x1000: "lpsw 0(2)"}, EC=0, IA=0x1000, P=PROBLEM, CC=2, PM=5)

    bare.step()

    assert word(bare, 0x28, 8) == 0x0001_0002_A500_1004


def test_an_overflow_is_completed_before_it_interrupts() -> None:
    bare = machine({0x1000: "ar 1, 2"}, IA=0x1000, PM=8)
    bare.state.own_array("GR")[1:3] = [0x7FFF_FFFF, 1]

    bare.step()

    assert bare.state.arrays["GR"][1] == 0x8000_0000
    assert word(bare, 0x2A, 1) & 0x30 == 0x30
    assert word(bare, 0x8C) == 0x0002_0008


def test_the_interval_timer_asks_when_it_becomes_negative() -> None:
    bare = machine({0x1000: "bcr 0, 0"}, IA=0x1000, SM=1)
    bare.state.update({"CR0.interval_timer_mask": 1, "timer_tick": 1})

    bare.step()
    assert word(bare, 0x50) == 0xFFFF_FF00
    bare.step()

    assert bare.pc == 0x4000
    assert word(bare, 0x86, 2) == 0x0080
    assert bare.state.scalars["INTERVAL_TIMER"] == 0


def test_a_psw_with_bits_that_must_be_zero_is_refused_before_its_first_instruction() -> None:
    bare = machine({0x1000: "lpsw 0(2)", 0x8000: ".long 0x40080000, 0x00002000"}, IA=0x1000)
    bare.state.own_array("GR")[2] = 0x8000

    bare.step()
    assert bare.pc == 0x2000
    bare.state.scalars["SM"] |= 0x80
    bare.step()

    assert bare.pc == 0x4000
    assert word(bare, 0x8C) == 0x0000_0006
    assert word(bare, 0x2C) == 0x2000


def test_prefixing_exchanges_two_pages() -> None:
    bare = machine(
        {0x1000: "spx 0(2)\n l 1, 8(0,3)\n l 4, 8(0,0)", 0x8000: ".long 0x9000"}, IA=0x1000
    )
    bare.state.own_array("GR")[2:4] = [0x8000, 0x9000]
    bare.state.load_cells(8, [1, 2, 3, 4])
    bare.state.load_cells(0x9008, [5, 6, 7, 8])

    bare.run(3)

    assert bare.state.arrays["GR"][1] == 0x0102_0304
    assert bare.state.arrays["GR"][4] == 0x0506_0708


def test_a_problem_program_runs_directly_through_tables_that_begin_invalid() -> None:
    isa = described()
    (classic,) = [c for c in isa.configurations if c.name == "classic"]
    monitor = derive(isa, classic)
    bare = machine(
        {
            0x100: "lpsw 520(0)",
            0x208: ".long 0x00090000, 0x00001000",
            0x1000: "la 1, 100(0,0)\n st 1, 2048(0,1)\n bct 1, 4(0,3)\n svc 0",
        },
        IA=0x100,
    )
    bare.state.scalars["E.size"] = 0x40_0000
    bare.state.own_array("GR")[3] = 0x1000
    host = place(monitor, bare.state, Placement(0x80_0000, 0x40_0000, 2048))
    virtual = VirtualMachine([monitor], host, Codec(isa).decode, Strategy.TRAP_AND_EMULATE)

    difference = lockstep(bare, virtual, 203)

    assert difference is None
    assert bare.pc == 0x4000
    assert virtual.direct > 150


def test_every_claim_holds(library_cache: Path) -> None:
    report = check(described(), timeout=60.0, cache=library_cache)

    assert report.claims
    assert [c.claim for c in report.claims if c.holds.value != "yes"] == []
    assert report.all_defects == ()
    assert all("buffered" in " ".join(c.assumptions) for c in report.configurations)
