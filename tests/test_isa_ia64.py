"""IA-64 of `isas/ia64`: what the manual says of levels, pages, banks, NaTs and PSR.vm; the pair.

There is no simulator to judge by. The facts are of the SDM, revision 2.3; its tables are here as
it prints them.
"""

from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.report import InstructionReport, Report
from tests.ia64_machine import (
    BUNDLE,
    CODE,
    DATA,
    GUEST,
    HOST,
    KERNEL,
    USER,
    VECTORS,
    described,
    gr,
    machine,
    set_gr,
    vector,
)

# --------------------------------------------------------------------------- a program


def test_a_program_sums_up_a_list_by_a_subroutine() -> None:
    bare = machine(
        f"""
        movl r10={DATA:#x}
        addl r11=4,r0
        mov.i ar.lc=r11
        br.call.sptk.few b0=total
        st4 [r10]=r8
        break.m 0x1
total:  adds r8=0,r0
next:   ld4 r9=[r10],4
        cmp.lt p6,p7=r9,r0
        (p7) add r8=r8,r9
        br.cloop.sptk.few next
        br.ret.sptk.few b0
        """
    )
    for i, value in enumerate((5, 6, 7, 8, 9)):
        bare.state.load_cells(DATA + 4 * i, list(value.to_bytes(4, "little")))

    bare.run(28)

    assert gr(bare, 8) == 35
    assert bare.state.cells[DATA + 20] == 35
    assert vector(bare) == 0x2C00
    assert bare.state.scalars["cr_iim"] == 1


# --------------------------------------------------------------------------- privilege


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("rfi", 0x10),
        ("bsw.1", 0x10),
        ("ssm 0x4000", 0x10),
        ("mov psr.l=r2", 0x10),
        ("mov r2=cr.iva", 0x10),
        ("mov rr[r2]=r3", 0x10),
        ("ptc.e r2", 0x10),
        ("tpa r1=r2", 0x8_0000_0010),
        ("tak r1=r2", 0x8_0000_0013),
        ("mov.m ar.k0=r2", 0x20),
        ("mov.m ar.itc=r2", 0x20),
    ],
)
def test_privileged_instructions_are_general_exceptions_below_level_0(
    text: str, status: int
) -> None:
    bare = machine(text, cpl=USER)

    bare.step()

    assert vector(bare) == 0x5400
    assert bare.state.scalars["cr_isr"] == status
    assert bare.state.scalars["cr_ipsr"] >> 32 & 3 == USER
    assert bare.state.scalars["cr_iip"] == CODE
    assert bare.state.scalars["cpl"] == KERNEL


@pytest.mark.parametrize(
    "text", ["thash r1=r2", "ttag r1=r2", "mov r1=cpuid[r2]", "mov.m r1=ar.k3", "cover"]
)
def test_what_the_literature_lists_runs_at_every_level(text: str) -> None:
    bare = machine(text, cpl=USER)

    bare.step()

    assert bare.pc == CODE + BUNDLE


def test_a_call_saves_the_level_and_a_return_lowers_but_never_raises_it() -> None:
    bare = machine("br.call.sptk.few b0=sub\nsub: br.ret.sptk.few b0", cpl=2)

    bare.step()

    assert bare.state.scalars["ar_pfs.ppl"] == 2

    bare.state.scalars["ar_pfs.ppl"] = USER
    bare.step()

    assert (bare.pc, bare.state.scalars["cpl"]) == (CODE + BUNDLE, USER)

    bare.state.scalars["ar_pfs.ppl"] = KERNEL
    bare.step()

    assert bare.state.scalars["cpl"] == USER


@pytest.mark.parametrize(("asked", "given"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_the_register_stack_gets_no_more_privilege_than_its_program(asked: int, given: int) -> None:
    bare = machine("mov.m ar.rsc=r2", cpl=2)
    set_gr(bare, r2=asked << 2)

    bare.step()

    assert bare.state.scalars["ar_rsc.pl"] == given


def test_cover_tells_of_the_frame_only_while_nothing_is_collected() -> None:
    for collecting in (0, 1):
        bare = machine("cover", CFM=0x123, **{"psr.ic": collecting})

        bare.step()

        assert bare.state.scalars["CFM"] == 0
        told = (bare.state.scalars["cr_ifs.v"], bare.state.scalars["cr_ifs.ifm"])
        assert told == ((0, 0) if collecting else (1, 0x123))


@pytest.mark.parametrize(("secure", "up"), [(0, 1), (1, 0)])
def test_secure_monitors_keep_user_programs_from_turning_them_on(secure: int, up: int) -> None:
    bare = machine("sum 0x6", cpl=USER, **{"psr.sp": secure})

    bare.step()

    assert (bare.state.scalars["be"], bare.state.scalars["up"]) == (1, up)


@pytest.mark.parametrize(
    ("level", "number", "secure", "closed", "read"),
    [(3, 5, 0, 0, 9), (3, 5, 1, 0, 0), (3, 5, 0, 1, 0), (0, 5, 1, 1, 9), (3, 2, 0, 1, 9)],
)
def test_a_monitor_that_is_closed_reads_0_below_level_0(
    level: int, number: int, secure: int, closed: int, read: int
) -> None:
    bare = machine("mov r1=pmd[r2]", cpl=level, **{"psr.sp": secure})
    set_gr(bare, r1=4, r2=number)
    bare.state.own_array("pmd")[number] = 9
    bare.state.own_array("pmc")[number] = closed << 6

    bare.step()

    assert gr(bare, 1) == read


# --------------------------------------------------------------------------- interruptions


def test_an_interruption_brings_the_other_bank_and_rfi_brings_it_back() -> None:
    bare = machine(
        f"break.m 0x5\nnop.m 0x0\n.org {VECTORS + 0x2C00:#x}\nrfi", cpl=USER, **{"psr.i": 1}
    )
    set_gr(bare, r16=7)
    bare.state.own_array("hidden_GR")[0] = 8

    bare.step()

    assert gr(bare, 16) == 8
    assert [bare.state.scalars[f"psr.{bit}"] for bit in ("bn", "ic", "i")] == [0, 0, 0]
    assert bare.state.scalars["cr_ipsr"] == 1 << 44 | USER << 32 | 1 << 14 | 1 << 13

    bare.state.scalars["cr_ipsr"] |= 1 << 41  # the handler goes on behind the break
    bare.step()

    assert gr(bare, 16) == 7
    assert [bare.state.scalars[f"psr.{bit}"] for bit in ("bn", "ic", "i")] == [1, 1, 1]
    assert (bare.pc, bare.state.scalars["cpl"]) == (CODE + BUNDLE, USER)


def test_a_second_interruption_keeps_the_registers_of_the_first() -> None:
    bare = machine("break.m 0x5", cr_iip=0x1230, cr_iim=9, **{"psr.ic": 0})

    bare.step()

    assert (bare.state.scalars["cr_iip"], bare.state.scalars["cr_iim"]) == (0x1230, 9)
    assert bare.state.scalars["cr_isr"] == 1 << 39


@pytest.mark.parametrize(("mask", "taken"), [(0x3, True), (0x4, False), (0x5, False)])
def test_the_task_priority_masks_classes_of_interrupts(mask: int, taken: bool) -> None:
    bare = machine("nop.m 0x0", irq=1, irq_vector=0x4F, **{"psr.i": 1, "cr_tpr.mic": mask})

    bare.step()

    assert bare.pc == (VECTORS + 0x3000 if taken else CODE + BUNDLE)


# --------------------------------------------------------------------------- NaTs


def test_a_nat_goes_through_arithmetic_and_faults_where_it_is_used() -> None:
    bare = machine("ld8.fill r4=[r3]\nadd r5=r4,r6\ntnat.z p6,p7=r5\nmov b1=r5", ar_unat=1 << 2)
    set_gr(bare, r3=DATA + 16)

    bare.run(3)

    assert [bare.state.arrays["NAT"][n] for n in (4, 5, 6)] == [1, 1, 0]
    assert [bare.state.arrays["PR"][n] for n in (6, 7)] == [0, 1]

    bare.step()

    assert (vector(bare), bare.state.scalars["cr_isr"]) == (0x5600, 0x10)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("ld8 r5=[r4]", 0x4_0000_0010),
        ("st8 [r6]=r4", 0x2_0000_0010),
        ("xchg8 r5=[r6],r4", 0x6_0000_0010),
        ("fc r4", 0xC_0000_0011),
        ("mov.i ar.lc=r4", 0x10),
    ],
)
def test_a_nat_that_is_used_tells_of_the_reference(text: str, status: int) -> None:
    bare = machine(text)
    bare.state.own_array("NAT")[4] = 1

    bare.step()

    assert (vector(bare), bare.state.scalars["cr_isr"]) == (0x5600, status)


def test_of_a_nat_no_comparison_holds() -> None:
    bare = machine("cmp.eq p6,p7=r4,r4")
    bare.state.own_array("NAT")[4] = 1
    bare.state.own_array("PR")[6] = bare.state.own_array("PR")[7] = 1

    bare.step()

    assert [bare.state.arrays["PR"][n] for n in (6, 7)] == [0, 0]


def test_data_are_big_endian_where_the_user_mask_says_so() -> None:
    bare = machine("ld4 r4=[r3]", be=1)
    set_gr(bare, r3=DATA)
    bare.state.load_cells(DATA, [1, 2, 3, 4])

    bare.step()

    assert gr(bare, 4) == 0x01020304


# --------------------------------------------------------------------------- control registers


@pytest.mark.parametrize(
    ("register", "written", "read"),
    [
        ("tpr", 0xFFFF_0001_00FF, 0x1_00F0),
        ("itv", 0xFFFF_0001_10EF, 0x1_00EF),
        ("lid", 0xFFFF_1234_0000, 0x1234_0000),
        ("iha", 0x1237, 0x1234),
        ("iva", 0x1_7FFF, 0x1_0000),
    ],
)
def test_what_a_control_register_ignores_reads_as_0(register: str, written: int, read: int) -> None:
    bare = machine(f"mov cr.{register}=r2\nmov r1=cr.{register}", **{"psr.ic": 0})
    set_gr(bare, r2=written)

    bare.run(2)

    assert gr(bare, 1) == read


@pytest.mark.parametrize(
    ("register", "written"),
    [
        ("ipsr", 1 << 6),
        ("ipsr", 1 << 28),
        ("ipsr", 3 << 41),
        ("ipsr", 1 << 46),
        ("ipsr", 1 << 47),
        ("isr", 1 << 24),
        ("isr", 1 << 44),
        ("lid", 1),
        ("tpr", 1 << 8),
    ],
)
def test_a_reserved_bit_of_a_control_register_is_not_written(register: str, written: int) -> None:
    bare = machine(f"mov cr.{register}=r2", **{"psr.ic": 0})
    set_gr(bare, r2=written)

    bare.step()

    assert (vector(bare), bare.state.scalars["cr_isr"]) == (0x5400, 1 << 39 | 0x30)


def test_a_monitor_may_return_to_a_guest() -> None:
    bare = machine("mov cr.ipsr=r2\nrfi", "ia64_vm", cr_iip=CODE, vm=HOST, **{"psr.ic": 0})
    set_gr(bare, r2=1 << 46)

    bare.run(2)

    assert (bare.pc, bare.state.scalars["vm"]) == (CODE, GUEST)


# --------------------------------------------------------------------------- PSR.vm


@pytest.mark.parametrize(
    ("text", "level", "calls"),
    [
        ("thash r1=r2", 3, True),
        ("mov r1=cpuid[r2]", 3, True),
        ("mov r1=pmd[r2]", 3, False),
        ("cover", 0, True),
        ("cover", 1, False),
        ("rfi", 0, True),
        ("ssm 0x2000", 0, True),
        ("mov.m r1=ar.k0", 0, False),
        ("br.call.sptk.few b0=.", 0, False),
    ],
)
def test_virtualized_instructions_of_a_guest_call_the_monitor(
    text: str, level: int, calls: bool
) -> None:
    bare = machine(text, "ia64_vm", vm=GUEST, cpl=level)

    bare.step()

    assert (vector(bare) == 0x6100) == calls
    if calls:
        assert bare.state.scalars["cr_ipsr"] >> 46 & 1 == 1
        assert (bare.state.scalars["vm"], bare.state.scalars["cpl"]) == (HOST, KERNEL)


def test_privileged_instructions_of_a_guest_s_programs_are_its_kernel_s_business() -> None:
    bare = machine("rfi", "ia64_vm", vm=GUEST, cpl=USER)

    bare.step()

    assert vector(bare) == 0x5400


@pytest.fixture(scope="module")
def reports(library_cache: Path) -> tuple[Report, Report]:
    """Of the machine without PSR.vm and with it."""
    before, after = (
        check(described(name), timeout=60.0, cache=library_cache) for name in ("ia64", "ia64_vm")
    )
    return before, after


def test_every_claim_holds(reports: tuple[Report, Report]) -> None:
    for report in reports:
        assert report.claims
        assert [c.claim for c in report.claims if c.holds.value != "yes"] == []
        assert report.all_defects == ()


def test_the_bit_changes_the_verdict_and_what_traps_but_nothing_that_instructions_change(
    reports: tuple[Report, Report],
) -> None:
    before, after = (report.configurations[0] for report in reports)
    rows = [
        {(row.instruction, row.operands): row for row in each.instructions}
        for each in (before, after)
    ]

    assert {escape.instruction for escape in before.escapes} >= LISTED
    assert {escape.instruction for escape in after.escapes} == LEFT_ALONE
    assert {escape.semantic for escape in after.escapes} == {Answer.NO}
    assert rows[1].keys() - rows[0].keys() == {("vmsw.0", ""), ("vmsw.1", "")}
    assert rows[0].keys() <= rows[1].keys()
    for key, row in rows[0].items():
        assert changed(row) == changed(rows[1][key]), key


LEFT_ALONE = {"cover", "epc", "fc"}
LISTED = {"thash", "ttag", "cover", "fc", "mov from cpuid", "mov from pmd", "mov from ar"}


def changed(row: InstructionReport) -> set[str]:
    """The mode is the level in one of the two, and PSR.vm in the other."""
    return {*row.control_sensitive.names} - {"mode", "cpl"}
