"""AArch64: what the simulator does not judge, a hypervisor at EL1, and a program that runs."""

from functools import cache
from pathlib import Path

import pytest

from checker.check import check
from checker.report import ConfigurationReport
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

ISAS = Path(__file__).parent.parent / "isas" / "aarch64"
EL0, EL1T, EL1H, EL2T, EL2H = 0, 4, 5, 8, 9
CODE, VECTORS_1, VECTORS_2 = 0x8000, 0x1_0000, 0x2_0000
AS_EL0 = {"LDTRB", "LDTRSB W", "LDTRSB", "LDTRH", "LDTRSH W", "LDTRSH", "LDTR W", "LDTRSW", "LDTR"}
AS_EL0 |= {"STTRB", "STTRH", "STTR W", "STTR"}


@cache
def described(name: str = "aarch64") -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(text: str, name: str = "aarch64", **state: int) -> Machine:
    """A machine whose program counter is at the program."""
    isa = described(name)
    program = assemble(isa, text, origin=CODE)
    assert isinstance(program, Program), program
    start = MachineState(isa)
    for segment in program.segments:
        start.load_cells(segment.address, list(segment.cells))
    start.update({"PC": program.entry, "VBAR_EL1": VECTORS_1, "VBAR_EL2": VECTORS_2} | state)
    return Machine(isa, start, Codec(isa).decode)


def stepped(text: str, name: str = "aarch64", **state: int) -> Machine:
    bare = machine(text, name, **state)
    bare.step()
    return bare


# --------------------------------------------------------------------------- a program

KERNEL_AND_PROGRAM = """
        .org 0x9000
start:  movz x0, #0x1000, 1             ; level 2 at 0x10000000: two entries
        movz x1, #0x0401, 0             ; block 0 for EL1: the kernel, at its place
        str 1, [x0, #0 * size]
        movz x1, #0x1003, 0
        movk x1, #0x1000, 1
        str 1, [x0, #1 * size]          ; block 1: pages
        movz x2, #0x1000, 0
        add x2, x2, x0, lsl #0
        movz x1, #0x0443, 0             ; page 0 for everyone
        movk x1, #0x0030, 1
        str 1, [x2, #0 * size]
        msr ttbr0_el1, x0
        movz x1, #0x8000, 0             ; the vectors
        msr vbar_el1, x1
        movz x1, #1, 0
        msr sctlr_el1, x1
        movz x1, #5, 0                  ; to EL1
        msr spsr_el2, x1
        adr x1, kernel
        msr elr_el2, x1
        eret
kernel: movz x1, #0x4000, 0
        add xsp, x1, #0, lsl #0
        sys tlbi_vmalle1, xzr
        movz x1, #0x0020, 1
        msr elr_el1, x1
        msr spsr_el1, xzr               ; EL0, with nothing masked
        eret
        .org 0x8400                     ; synchronous exceptions from EL0
        mrs x5, esr_el1
        mrs x6, elr_el1
        ldtr 7, [x0, #0]
        b .
        .org 0x300000
        movz x0, #0x0020, 1             ; the program, seen at 200000
        add x0, x0, #0x80, lsl #0
        movz x1, #0x1234, 0
        stp 1, 2, [x0], #2 * size
        ldrb 2, [x0, #-15]
        subs x2, x2, #0x12, lsl #0
        csinc x3, xzr, xzr, eq
        ldxr 4, [x0], 0
        stxr w5, 2, [x0], 0
        add x0, x0, #0x10, lsl #0
        svc #77
"""


def test_a_program_at_el0_uses_its_page_and_calls_the_kernel() -> None:
    bare = machine(KERNEL_AND_PROGRAM)

    bare.run(60)

    registers = bare.state.arrays["X"]
    assert bare.state.scalars["EL"] == EL1H
    assert registers[2:4] == [0, 0]
    assert registers[5] == 0x15 << 26 | 1 << 25 | 77
    assert registers[6] == 0x20_002C
    assert registers[0] == 0x20_00A0
    assert bare.state.cells[0x30_0081] == 0x12
    assert bare.state.scalars["Z"] == 1
    assert bare.state.scalars["SP_EL1"] == 0x4000


# --------------------------------------------------------------------------- exceptions


@pytest.mark.parametrize(
    ("mode", "routed", "vector", "handler"),
    [
        (EL0, 0, VECTORS_1 + 0x400, EL1H),
        (EL0, 1, VECTORS_2 + 0x400, EL2H),
        (EL1T, 0, VECTORS_1, EL1H),
        (EL1H, 0, VECTORS_1 + 0x200, EL1H),
        (EL2T, 0, VECTORS_2, EL2H),
        (EL2H, 1, VECTORS_2 + 0x200, EL2H),
    ],
)
def test_an_exception_enters_its_level_at_a_vector_by_where_it_comes_from(
    mode: int, routed: int, vector: int, handler: int
) -> None:
    bare = stepped("svc #9", EL=mode, D=0, A=1, I=0, F=0, C=1, **{"HCR_EL2.TGE": routed})

    state, level = bare.state.scalars, handler >> 2
    assert (state["EL"], bare.pc) == (handler, vector)
    assert state[f"SPSR_EL{level}"] == 1 << 29 | 1 << 8 | mode
    assert state[f"ELR_EL{level}"] == CODE + 4
    assert state[f"ESR_EL{level}"] == 0x15 << 26 | 1 << 25 | 9
    assert [state[mask] for mask in "DAIF"] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("signal", "route", "mask", "kind"),
    [("IRQ", "IMO", "I", 0x80), ("FIQ", "FMO", "F", 0x100), ("ERROR", "AMO", "A", 0x180)],
)
@pytest.mark.parametrize(
    ("mode", "masked", "routed", "vector"),
    [
        (EL0, 0, 0, VECTORS_1 + 0x400),
        (EL0, 1, 0, None),
        (EL1H, 0, 0, VECTORS_1 + 0x200),
        (EL1H, 1, 1, VECTORS_2 + 0x400),
        (EL2H, 0, 1, VECTORS_2 + 0x200),
        (EL2H, 1, 1, None),
        (EL2H, 0, 0, None),
    ],
)
def test_an_interrupt_comes_to_its_level_unless_it_is_masked_there(
    signal: str,
    route: str,
    mask: str,
    kind: int,
    mode: int,
    masked: int,
    routed: int,
    vector: int | None,
) -> None:
    masks = {"A": 0, "I": 0, "F": 0, mask: masked}

    bare = stepped("isb #15", EL=mode, **masks, **{signal: 1, f"HCR_EL2.{route}": routed})

    assert bare.pc == (CODE + 4 if vector is None else vector + kind)


@pytest.mark.parametrize("status", [9, 1, 0x10, 6, 0x0010_0000])
def test_a_return_to_what_is_not_there_ends_in_an_exception_at_its_target(status: int) -> None:
    flags = 1 << 30
    bare = stepped("eret", EL=EL1H, SPSR_EL1=status | flags, ELR_EL1=0x1234_5678, I=1)

    state = bare.state.scalars
    before = EL0 if status == 0x0010_0000 else EL1H
    assert state["ESR_EL1"] == 0x0E << 26 | 1 << 25
    assert state["ELR_EL1"] == 0x1234_5678
    assert state["SPSR_EL1"] == flags | 1 << 20 | before
    assert bare.pc == VECTORS_1 + (0x400 if before == EL0 else 0x200)


@pytest.mark.parametrize(
    ("mode", "bits", "pending", "vector"),
    [
        (EL0, {}, 0, VECTORS_1 + 0x400),
        (EL0, {"HCR_EL2.TGE": 1}, 0, VECTORS_2 + 0x400),
        (EL0, {"SCTLR_EL1.nTWI": 1}, 0, None),
        (EL0, {"SCTLR_EL1.nTWI": 1, "HCR_EL2.TWI": 1}, 0, VECTORS_2 + 0x400),
        (EL1H, {"HCR_EL2.TWI": 1}, 0, VECTORS_2 + 0x400),
        (EL1H, {"HCR_EL2.TWI": 1}, 1, None),
        (EL2H, {"HCR_EL2.TWI": 1}, 0, None),
    ],
)
def test_waiting_for_an_interrupt_traps_where_it_is_not_allowed_and_none_is_pending(
    mode: int, bits: dict[str, int], pending: int, vector: int | None
) -> None:
    bare = stepped("wfi", EL=mode, A=1, I=1, F=1, IRQ=pending, **bits)

    assert bare.pc == (CODE + 4 if vector is None else vector)
    if vector is not None:
        level = bare.state.scalars["EL"] >> 2
        assert bare.state.scalars[f"ESR_EL{level}"] == 0x07E0_0000


@pytest.mark.parametrize(("allowed", "mode"), [(1, EL0), (0, EL1H), (1, EL1T)])
def test_dczid_tells_el0_what_its_kernel_allows(allowed: int, mode: int) -> None:
    bare = stepped("mrs x1, dczid_el0", EL=mode, **{"SCTLR_EL1.DZE": allowed})
    refused = stepped("mrs x1, dczid_el0", EL=EL0)

    assert bare.state.arrays["X"][1] == 2
    assert refused.state.arrays["X"][1] == 2 | 1 << 4


# --------------------------------------------------------------------------- a hypervisor at EL1


def test_at_el1_what_belongs_to_el2_goes_to_the_guest_itself_before_nv() -> None:
    old = stepped("msr hcr_el2, x1", "aarch64_nested", EL=EL1H)
    new = stepped("msr hcr_el2, x1", "aarch64_nv", EL=EL1H, **{"HCR_EL2.NV": 1})

    assert (old.state.scalars["EL"], old.pc) == (EL1H, VECTORS_1 + 0x200)
    assert old.state.scalars["ESR_EL1"] == 1 << 25
    assert (new.state.scalars["EL"], new.pc) == (EL2H, VECTORS_2 + 0x400)
    assert new.state.scalars["ESR_EL2"] >> 26 == 0x18


def test_with_nv_a_return_at_el1_traps_and_the_level_reads_as_2() -> None:
    bits = {"HCR_EL2.NV": 1}
    returned = stepped("eret", "aarch64_nv", EL=EL1H, **bits)
    asked = stepped("mrs x1, currentel", "aarch64_nv", EL=EL1H, **bits)
    before = stepped("mrs x1, currentel", "aarch64_nested", EL=EL1H)

    assert returned.state.scalars["ESR_EL2"] == 0x1A << 26 | 1 << 25
    assert asked.state.arrays["X"][1] == 2 << 2
    assert before.state.arrays["X"][1] == 1 << 2


# --------------------------------------------------------------------------- a guest

COUNTING = """
start:  movz x1, #50, 0
loop:   sub x1, x1, #1, lsl #0
        str 1, [x2, #1 * size]
        cbnz x1, loop
        svc #1
"""


@pytest.mark.parametrize(("mode", "directly"), [(EL0, True), (EL1H, False)])
def test_a_hybrid_monitor_runs_el0_directly_and_interprets_el1(mode: int, directly: bool) -> None:
    isa, steps = described(), 1 + 3 * 50 + 1
    (classic,) = isa.configurations
    bare = machine(COUNTING, EL=mode)
    bare.state.own_array("X")[2] = 0x9000
    monitor = derive(isa, classic)
    host = place(monitor, bare.state, Placement(0x40_0000, 0x40_0000, 0x100_0000))
    virtual = VirtualMachine([monitor], host, Codec(isa).decode, Strategy.HYBRID)

    difference = lockstep(bare, virtual, steps)

    assert difference is None
    assert bare.state.scalars["ESR_EL1"] >> 26 == 0x15
    assert virtual.direct > 140 if directly else virtual.direct == 0


# --------------------------------------------------------------------------- verdicts


def checked(name: str, only: list[str] | None, cache: Path) -> ConfigurationReport:
    report = check(described(name), only=only, timeout=30.0, cache=cache)
    (configuration,) = report.configurations
    return configuration


def escaping(configuration: ConfigurationReport) -> set[tuple[str, str]]:
    return {(e.instruction, e.operands) for e in configuration.escapes}


def test_unprivileged_loads_and_stores_escape_and_others_do_not(tmp_path: Path) -> None:
    only = [
        "LDTRSB",
        "STTR",
        "LDR",
        "STP",
        "STXR",
        "ERET",
        "WFI",
        "MSR SPSel",
        "SVC",
        "MSR DAIFSet",
    ]

    configuration = checked("aarch64", only, tmp_path)

    assert {name for name, _ in escaping(configuration)} == AS_EL0 & set(only)
    assert all(e.replayed for e in configuration.escapes)


def test_nv_mends_what_it_is_for(tmp_path: Path) -> None:
    only = ["ERET", "SYS", "STR"]

    before, after = (checked(name, only, tmp_path) for name in ("aarch64_nested", "aarch64_nv"))

    assert {name for name, _ in escaping(before)} == {"ERET", "SYS"}
    assert escaping(after) == set()


@pytest.mark.deep
def test_dczid_and_the_unprivileged_ones_are_all_that_escapes(tmp_path: Path) -> None:
    """`python -m pytest -m deep tests/test_isa_aarch64.py`"""
    configuration = checked("aarch64", None, tmp_path)

    assert escaping(configuration) == {(name, "") for name in AS_EL0} | {("MRS", "DCZID_EL0")}


@pytest.mark.deep
def test_nv_changes_the_verdict_and_no_other_instruction(tmp_path: Path) -> None:
    """`python -m pytest -m deep tests/test_isa_aarch64.py`"""
    before, after = (checked(name, None, tmp_path) for name in ("aarch64_nested", "aarch64_nv"))

    rows = [
        {(row.instruction, row.operands): row for row in configuration.instructions}
        for configuration in (before, after)
    ]
    mended = escaping(before)
    assert ("ERET", "") in mended
    assert ("MRS", "CurrentEL") in mended
    assert escaping(after) == set()
    assert rows[0].keys() == rows[1].keys()
    for key in rows[0].keys() - mended:
        mine, theirs = rows[0][key], rows[1][key]
        assert (mine.traps, mine.control_sensitive, mine.behaviour_sensitive) == (
            theirs.traps,
            theirs.control_sensitive,
            theirs.behaviour_sensitive,
        ), key
