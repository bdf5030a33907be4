"""The PDP-11/45 of `isas/pdp11`: programs, registers in the I/O page, its VMM's relocation, its repair."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.answers import Answer
from checker.check import check
from checker.report import InstructionReport, Report
from refvmm.control_block import composed
from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Access, Isa, Literal, Load, Write
from spec.load import load
from spec.machine import Machine
from spec.outcome import Retired
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "pdp11"
KERNEL, SUPERVISOR, USER = 0, 1, 3
MAPPINGS = {KERNEL: "KAPR", SUPERVISOR: "SAPR", USER: "UAPR"}
WHOLE_PAGE = 0o77406
IO_PAGE = 0o760000
FULL = "pdp11_full"  # with the stack limit, and what page descriptors note
REPAIRED = {"RTI", "RTT", "RESET", "SPL", "MFPI/MFPD", "MTPI/MTPD"}


@cache
def described(name: str) -> Isa:
    loaded = load(str((Path(__file__).parent if name == FULL else ISAS) / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(programs: dict[int, str], name: str = "pdp11_45", **state: int) -> Machine:
    """A machine with programs at physical addresses, which starts at 1000 (octal)."""
    isa = described(name)
    start = MachineState(isa)
    for origin, text in programs.items():
        program = assemble(isa, text, origin=origin & 0o17777)
        assert isinstance(program, Program), program
        for segment in program.segments:
            start.load_cells((origin & ~0o17777) + segment.address, list(segment.cells))
    start.update({"PC": 0o1000} | state)
    return Machine(isa, start, Codec(isa).decode)


def word(bare: Machine, address: int) -> int:
    cells = bare.state.cells
    return cells[address] | cells[address + 1] << 8


# --------------------------------------------------------------------------- programs

KERNEL_PROGRAM = """
        mov #0o700, sp
        mov #0o77406, @#0o177600    ; a user's page 0 is at 20000
        mov #0o200, @#0o177640
        mov #0o77406, @#0o172300    ; the kernel's is where it is
        mov #0o77406, @#0o172316    ; and its page 7 is the I/O page
        mov #0o7600, @#0o172356
        mov #1, @#0o177572
        mov #0o140000, -(sp)
        mov #0o100, -(sp)
        rti
"""
USER_PROGRAM = """
        mov #0o1000, sp
        mov #numbers, r1
        clr r0
        mov #3, r2
        add (r1)+, r0
        sob r2, 2
        jsr pc, double(pc)
        mov r0, @#0o200
        trap 1
        .equ double, 8
        nop
        nop
        nop
        asl r0
        rts pc
numbers: .half 1, 2, 3
"""


def test_a_kernel_maps_a_user_who_calls_it_back() -> None:
    bare = machine(
        {0o1000: KERNEL_PROGRAM, 0o20100: USER_PROGRAM, 0o2000: "halt", 0o34: ".half 0o2000, 0"}
    )

    bare.run(100)

    assert word(bare, 0o20200) == 12
    assert (bare.state.scalars["CM"], bare.state.scalars["PM"]) == (KERNEL, USER)
    assert (bare.waiting, bare.pc) == (True, 0o2002)


def test_without_memory_management_a_user_sets_the_psw_by_a_store() -> None:
    bare = machine({0o1000: "mov #0o340, @#0o177776"}, CM=USER, PM=USER)

    bare.step()

    assert (bare.state.scalars["CM"], bare.state.scalars["IPL"]) == (KERNEL, 7)


def test_a_user_whose_pages_leave_the_io_page_out_traps_there() -> None:
    bare = machine(
        {0o1000: "mov #0, @#0o177776", 0o250: ".half 0o2000, 0o340"}, CM=USER, MMR0=1, KSP=0o700
    )
    bare.state.own_array("UAPR")[0] = WHOLE_PAGE
    bare.state.own_array("KAPR")[0] = WHOLE_PAGE

    bare.step()

    assert (bare.pc, bare.state.scalars["CM"]) == (0o2000, KERNEL)
    assert bare.state.scalars["MMR0"] == 0o140157
    assert bare.state.scalars["MMR2"] == 0o1000


def test_the_data_space_of_a_user_is_apart_if_mmr3_says_so() -> None:
    bare = machine({0o1000: "mov @#0o200, r0"}, CM=USER, MMR0=1, MMR3=1)
    bare.state.own_array("UAPR")[0] = WHOLE_PAGE
    bare.state.own_array("UAPR")[8] = 0o300 << 16 | WHOLE_PAGE
    bare.state.load_cells(0o30200, [5, 0])

    bare.step()

    assert bare.state.arrays["R"][0] == 5


def test_spl_and_reset_do_nothing_for_a_user_and_halt_traps() -> None:
    bare = machine(
        {0o1000: "spl 3\n reset\n halt", 4: ".half 0o2000, 0"}, CM=USER, IPL=1, MMR3=1, KSP=0o700
    )

    bare.run(3)

    assert (bare.state.scalars["MMR3"], bare.pc) == (1, 0o2000)
    assert word(bare, 0o676) >> 5 & 7 == 1


def test_a_change_of_the_register_set_changes_the_registers() -> None:
    bare = machine({0o1000: "mov #0o4000, @#0o177776"})
    bare.state.own_array("R")[:] = [1, 2, 3, 4, 5, 6]
    bare.state.own_array("other")[:] = [11, 12, 13, 14, 15, 16]

    bare.step()

    assert bare.state.arrays["R"] == [11, 12, 13, 14, 15, 16]
    assert bare.state.arrays["other"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("mode", "sp", "yellow", "pc"),
    [
        (KERNEL, 0o402, 0, 0o3000),
        (KERNEL, 0o400, 1, 0o3000),
        (KERNEL, 0o340, 0, 0o2000),
        (USER, 0o340, 0, 0o3000),
    ],
)
def test_the_stack_limit_is_looked_at_in_kernel_mode_only(
    mode: int, sp: int, yellow: int, pc: int
) -> None:
    bare = machine(
        {0o1000: "jsr pc, @#0o3000", 4: ".half 0o2000, 0"}, FULL, CM=mode, KSP=sp, USP=sp
    )

    bare.step()

    assert (bare.pc, bare.state.scalars["yellow"]) == (pc, yellow)


def test_a_store_marks_its_page_as_written() -> None:
    bare = machine({0o1000: "clr @#0o200"}, FULL, CM=USER, MMR0=1)
    bare.state.own_array("UAPR")[0] = WHOLE_PAGE

    bare.step()

    assert bare.state.arrays["UAPR"][0] == WHOLE_PAGE | 0o100


@pytest.mark.parametrize(("ipl", "taken"), [(3, True), (4, False)])
def test_a_program_request_interrupts_a_lower_priority(ipl: int, taken: bool) -> None:
    bare = machine({0o240: ".half 0o2000, 0o200", 0o1000: "nop"}, PIR=0b0001000, IPL=ipl, KSP=0o700)

    bare.step()

    assert bare.pc == (0o2000 if taken else 0o1002)


# --------------------------------------------------------------------------- relocation of a VMM

entries = st.builds(
    lambda frame, length, down, access: frame << 16 | length << 8 | down << 3 | access,
    st.integers(0, 0o7777) | st.integers(0, 0o200),
    st.integers(0, 127),
    st.integers(0, 1),
    st.integers(0, 7),
)


@given(
    mode=st.sampled_from([KERNEL, SUPERVISOR, USER]),
    pages=st.lists(entries, min_size=16, max_size=16),
    managed=st.integers(0, 1),
    spaces=st.integers(0, 7),
    first=st.integers(0, 4000),
    data=st.data(),
)
def test_composed_pages_reach_the_same_cells_of_the_region_or_trap(
    mode: int, pages: list[int], managed: int, spaces: int, first: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 4096 - first)) * 64
    address = data.draw(st.integers(0, (1 << 17) - 1)) & ~1
    virtual = MachineState(described("pdp11_45"))
    virtual.update({"CM": mode, "MMR0": managed, "MMR3": spaces, "E.size": size})
    virtual.own_array(MAPPINGS[mode])[:] = pages

    real = host(virtual, first * 64, size)
    reached, meant = reach(real, address), reach(virtual, address)

    if reached is not None:
        assert meant is not None
        assert reached == first * 64 + meant
        assert reached < IO_PAGE


def test_composed_pages_reach_all_that_a_guest_of_ordinary_pages_does() -> None:
    virtual = MachineState(described("pdp11_45"))
    virtual.update({"CM": KERNEL, "MMR0": 1})
    virtual.own_array("KAPR")[:2] = [WHOLE_PAGE, 0o100 << 16 | WHOLE_PAGE]
    real = host(virtual, 0o400000, 0o200000)

    for address in (0, 0o17776, 0o20000, 0o37776):
        assert reach(real, address) == 0o400000 + (reach(virtual, address) or 0)
        assert reach(real, 1 << 16 | address) == reach(real, address)


def host(virtual: MachineState, base: int, size: int) -> MachineState:
    """The real state that the first configuration makes of a virtual one."""
    isa = described("pdp11_45")
    body = tuple(Write(e, v, i) for e, i, v in composed(isa, isa.configurations[0]))
    region = {"region.base": base, "region.size": size}
    outcome = ConcreteEngine(isa).run(virtual, body, region)
    assert isinstance(outcome, Retired)
    outcome.state.update({"CM": USER, "MMR0": 1, "MMR3": 1, "E.size": 1 << 18})
    return outcome.state


def reach(state: MachineState, address: int) -> int | None:
    """The physical address, or None where the reference traps."""
    body = (Load("word", Literal(address, 17), 16, Access.READ),)
    outcome = ConcreteEngine(described("pdp11_45")).run(state, body, {})
    return outcome.accesses.virtual[-1].physical if isinstance(outcome, Retired) else None


# --------------------------------------------------------------------------- the repair


QUICK = ("RTI", "RTT", "RESET", "SPL", "HALT", "WAIT", "MOV", "JSR", "TRAP")


def rows(report: Report) -> dict[str, InstructionReport]:
    return {row.instruction: row for row in report.configurations[0].instructions}


def compare(plain: Report, modified: Report, repaired: set[str]) -> None:
    """The repaired instructions are privileged and no escapes, the others as they were."""
    before, after = rows(plain), rows(modified)

    assert {e.instruction for e in plain.configurations[0].escapes} == repaired
    assert modified.configurations[0].escapes == ()
    assert {name for name, row in before.items() if row.traps != after[name].traps} == repaired
    assert {n for n, row in before.items() if row.privileged != after[n].privileged} == repaired
    for name in before.keys() - repaired:
        assert before[name].control_sensitive == after[name].control_sensitive
    assert plain.claims_hold is Answer.YES
    assert modified.claims_hold is Answer.YES


def test_the_modified_machine_makes_what_escapes_privileged_and_nothing_else(
    library_cache: Path,
) -> None:
    plain, modified = (
        check(described(name), only=QUICK, timeout=60.0, cache=library_cache)
        for name in ("pdp11_45", "pdp11_45_modified")
    )

    compare(plain, modified, REPAIRED & set(QUICK))


@pytest.mark.deep
def test_every_claim_holds_and_the_modified_machine_lets_nothing_escape(
    library_cache: Path,
) -> None:
    """Some minutes: `pytest -m deep -n0 tests/test_isa_pdp11.py`."""
    plain, modified = (
        check(described(name), timeout=60.0, cache=library_cache)
        for name in ("pdp11_45", "pdp11_45_modified")
    )

    compare(plain, modified, REPAIRED)
