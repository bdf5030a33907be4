"""ARMv7-A: what the simulator does not judge, the trapping variant, and a program that runs."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.check import check
from checker.report import ConfigurationReport
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "arm"
USR, FIQ, IRQ, SVC, ABT, UND, SYS = 16, 17, 18, 19, 23, 27, 31
CODE = 0x8000
RETURNING = ("ands", "eors", "subs", "rsbs", "adds", "adcs", "sbcs", "rscs", "orrs", "bics")
TWELVE = {f"{name.upper()} PC" for name in (*RETURNING, "movs", "mvns")}
AS_USER = {"LDRT", "LDRBT", "STRT", "STRBT", "LDRHT", "LDRSBT", "LDRSHT", "STRHT"}
STATUS = {"CPS", "MRS CPSR", "MRS SPSR", "MSR CPSR", "MSR SPSR", "RFE", "SRS"}
SEVERAL = {"LDM (user registers)", "LDM (exception return)", "STM (user registers)"}
SENSITIVE = TWELVE | AS_USER | STATUS | SEVERAL


@cache
def described(name: str = "armv7a") -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@cache
def codec() -> Codec:
    return Codec(described())


def machine(text: str, **state: int) -> Machine:
    """A machine whose program counter is at the program."""
    isa = described()
    program = assemble(isa, text, origin=CODE)
    assert isinstance(program, Program), program
    start = MachineState(isa)
    for segment in program.segments:
        start.load_cells(segment.address, list(segment.cells))
    start.update({"PC": program.entry} | state)
    return Machine(isa, start, codec().decode)


# --------------------------------------------------------------------------- programs

KERNEL_AND_PROGRAM = """
        .org 0x00
        b start                         ; reset
        b stop
        b called                        ; SVC
        b stop
        .org 0x100
start:  movw r0, #0x4000                ; the first-level table: two sections
        movw r1, #0xc02                 ; 0: for everyone, domain 0
        str r1, [r0]
        movt r1, #0x10                  ; megabyte 0x801 leads to megabyte 1
        movw r2, #0x6004
        str r1, [r2]
        mov r3, #1
        mcr dacr, r3
        mcr ttbr0, r0
        mcr tlbiall, r3
        mrc r4, sctlr
        orr r4, r4, #1
        mcr sctlr, r4
        isb #15
        movw sp, #0x3000
        movw lr, #0x200
        mov r5, #0x10                   ; to User mode, with nothing masked
        msr spsr_fsxc, r5
        movs pc, lr
called: stmdb sp!, 0x4001
        ldr r8, [lr, #-4]
        bic r8, r8, #255, 8             ; what was called
        ldmia sp!, 0x0001, pc^
stop:   b stop
        .org 0x200
        movw r0, #0
        movt r0, #0x8010
        movw r1, #0x1234
        strb r1, [r0, #3]!
        ldrb r2, [r0], #1
        sub r0, r0, #4
        ldr r3, [r0]
        svc #77
        movs r6, r2, lsr #3
        bleq stop
        mrs r7, cpsr
end:    b end
"""


def test_a_program_in_user_mode_uses_its_pages_and_calls_the_kernel() -> None:
    bare = machine(KERNEL_AND_PROGRAM)
    bare.state.update({"PC": 0x100})

    bare.run(60)

    registers = bare.state.arrays["R"]
    assert bare.state.scalars["M"] == USR
    assert bare.state.cells[0x0010_0003] == 0x34
    assert registers[2] == 0x34
    assert registers[3] == 0x3400_0000
    assert bare.state.scalars["R8_usr"] == 77
    assert registers[7] & 0xDF == USR
    assert bare.state.scalars["SP_svc"] == 0x3000


# --------------------------------------------------------------------------- exceptions (B1.8)


@pytest.mark.parametrize(
    ("text", "mode", "vector", "link"),
    [
        ("udf #0", UND, 0x04, CODE + 4),
        ("svc #0", SVC, 0x08, CODE + 4),
        ("bkpt #0", ABT, 0x0C, CODE + 4),
        ("ldrexd r0, [r2]", ABT, 0x10, CODE + 8),
    ],
)
@pytest.mark.parametrize("high", [0, 1])
def test_an_exception_enters_its_mode_at_its_vector(
    text: str, mode: int, vector: int, link: int, high: int
) -> None:
    bare = machine(text, M=USR, A=0, I=0, F=0, E=1, VBAR=0x2000, **{"SCTLR.V": high})
    bare.state.own_array("R")[2] = 4

    bare.step()

    names = {UND: "und", SVC: "svc", ABT: "abt"}
    state = bare.state.scalars
    assert (state["M"], bare.pc) == (mode, vector + (0xFFFF_0000 if high else 0x2000))
    assert state[f"LR_{names[mode]}"] == link
    assert state[f"SPSR_{names[mode]}"] == USR | 1 << 9
    assert (state["A"], state["I"], state["F"], state["E"]) == (mode == ABT, 1, 0, 0)


@pytest.mark.parametrize(
    ("signal", "mask", "mode", "vector"), [("IRQ", "I", IRQ, 0x18), ("FIQ", "F", FIQ, 0x1C)]
)
def test_an_interrupt_comes_unless_it_is_masked(
    signal: str, mask: str, mode: int, vector: int
) -> None:
    open_ = {"M": USR, "A": 0, "I": 0, "F": 0, signal: 1}
    taken, masked = machine("nop", **open_), machine("nop", **open_ | {mask: 1})

    taken.step()
    masked.step()

    assert (taken.state.scalars["M"], taken.pc) == (mode, vector)
    assert taken.state.scalars[f"LR_{signal.lower()}"] == CODE + 4
    assert (taken.state.scalars["A"], taken.state.scalars["I"]) == (1, 1)
    assert taken.state.scalars["F"] == (mode == FIQ)
    assert (masked.state.scalars["M"], masked.pc) == (USR, CODE + 4)


def test_the_fast_interrupt_goes_first() -> None:
    bare = machine("nop", M=USR, A=0, I=0, F=0, IRQ=1, FIQ=1)

    bare.step()

    assert bare.state.scalars["M"] == FIQ


# --------------------------------------------------------------------------- exception returns


@given(
    name=st.sampled_from(RETURNING),
    left=st.integers(0, 2**32 - 1),
    right=st.integers(0, 2**32 - 1),
    carry=st.integers(0, 1),
    to=st.sampled_from([USR, SYS, IRQ, FIQ, UND]),
)
@settings(max_examples=60)
def test_a_result_in_the_program_counter_returns_as_movs_does(
    name: str, left: int, right: int, carry: int, to: int
) -> None:
    state = {"M": SVC, "C": carry, "SPSR_svc": to | 0xF00F_0340}
    direct = machine(f"{name} pc, r1, r2", **state)
    computed = machine(f"{name[:-1]} r3, r1, r2\nmovs pc, r3", **state)
    for each in (direct, computed):
        each.state.own_array("R")[1:3] = [left, right]

    direct.step()
    computed.step()
    computed.step()

    assert direct.pc == computed.pc
    assert direct.state.scalars["M"] == to
    assert direct.state.scalars == computed.state.scalars


@pytest.mark.parametrize("mode", [USR, SYS])
def test_where_there_is_no_spsr_an_exception_return_does_nothing_if_it_goes_on(mode: int) -> None:
    bare = machine("movs pc, r0", M=mode, I=0)

    bare.step()

    assert (bare.state.scalars["M"], bare.pc) == (mode, CODE + 4)


# --------------------------------------------------------------------------- the trapping variant


def checked(name: str, only: list[str] | None, cache: Path) -> ConfigurationReport:
    report = check(described(name), only=only, timeout=30.0, cache=cache)
    (configuration,) = report.configurations
    return configuration


def test_what_the_variant_makes_trap_is_no_escape_any_more(tmp_path: Path) -> None:
    only = ["CPS", "MRS CPSR", "MSR SPSR", "STRBT", "ADD", "SVC"]
    before, after = (checked(name, only, tmp_path) for name in ("armv7a", "armv7a_trapping"))

    escaping = {row.instruction for row in before.instructions if row.escape.value == "yes"}
    assert escaping == SENSITIVE & set(only)
    assert {row.escape.value for row in after.instructions} == {"no"}


@pytest.mark.deep
def test_the_variant_changes_the_verdict_and_no_other_instruction(tmp_path: Path) -> None:
    """`python -m pytest -m deep tests/test_isa_arm.py`"""
    before, after = (checked(name, None, tmp_path) for name in ("armv7a", "armv7a_trapping"))

    classes = [
        {(row.instruction, row.operands): row for row in configuration.instructions}
        for configuration in (before, after)
    ]
    assert {e.instruction for e in before.escapes} == SENSITIVE
    assert after.escapes == ()
    assert classes[0].keys() == classes[1].keys()
    for key in classes[0]:
        mine, theirs = classes[0][key], classes[1][key]
        if key[0] not in SENSITIVE:
            assert (mine.behaviour_sensitive, mine.control_sensitive, mine.traps) == (
                theirs.behaviour_sensitive,
                theirs.control_sensitive,
                theirs.traps,
            ), key
