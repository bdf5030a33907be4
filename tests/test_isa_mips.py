"""MIPS32 of `isas/mips`: its repair, what no simulator tells of it, and guests of a VMM, linked before and again."""

from functools import cache
from pathlib import Path

import pytest

from checker.check import check
from checker.report import ConfigurationReport, Report
from refvmm.derive import derive
from refvmm.lockstep import lockstep
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Configuration, Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "mips"
KSEG0, KSEG1, KSSEG, VECTOR = 0x8000_0000, 0xA000_0000, 0xC000_0000, 0x8000_0180
USER, SUPERVISOR, KERNEL = 2, 1, 0
REGION_BYTES, PAGE_BYTES = 1 << 20, 1 << 12
STEPS = 200
FOUND_ALIKE = (
    "traps",
    "privileged",
    "control_sensitive",
    "behaviour_sensitive",
    "escape",
    "innocuous",
)


@cache
def described(name: str) -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def configuration(isa: Isa, name: str) -> Configuration:
    (found,) = [c for c in isa.configurations if c.name == name]
    return found


def loaded(texts: dict[int, str], size: int = REGION_BYTES, **values: int) -> MachineState:
    """After reset, but in kernel mode with the vectors in KSEG0; texts at addresses in KSEG0 or below."""
    isa = described("mips32")
    state = bare_state(isa, size)
    for origin, text in texts.items():
        program = assemble(isa, text, origin=origin)
        assert isinstance(program, Program), program
        for segment in program.segments:
            state.load_cells(segment.address & 0x1FFF_FFFF, list(segment.cells))
    state.update({"Status.ERL": 0, "Status.BEV": 0} | values)
    return state


def machine(texts: dict[int, str], **values: int) -> Machine:
    isa = described("mips32")
    return Machine(isa, loaded(texts, **values), Codec(isa).decode)


# --------------------------------------------------------------------------- delay slots


SUM = """
start:  addiu $t0, $zero, 5        ; 5 + 4 + 3 + 2 + 1
        addu $t1, $zero, $zero
loop:   addu $t1, $t1, $t0
        addiu $t0, $t0, -1
        bne $t0, $zero, loop
        sll $t2, $t1, 1            ; in the delay slot, each time
        beql $t0, $t1, loop        ; not taken: its slot is skipped
        addiu $t1, $zero, 99
        jal {routine}
        addiu $a0, $t1, 1
        syscall 0
routine: jr $ra
        sw $a0, 256($k0)
"""


def test_a_program_with_delay_slots_runs() -> None:
    text = SUM.format(routine=0x400 + 11 * 4)
    bare = machine({KSEG0 + 0x400: text}, PC=KSEG0 + 0x400)
    bare.state.own_array("r")[26] = KSEG0

    while bare.pc != VECTOR:
        bare.step()

    registers = bare.state.arrays["r"]
    assert (registers[9], registers[10], registers[4]) == (15, 30, 16)
    assert bare.state.cells[256] == 16
    assert bare.state.scalars["EPC"] == KSEG0 + 0x400 + 10 * 4


@pytest.mark.parametrize(
    ("before", "delayed"), [("beq $zero, $zero, 0x80000600", 1), ("sync 0", 0)]
)
def test_an_exception_in_a_delay_slot_restarts_with_the_branch(before: str, delayed: int) -> None:
    bare = machine({KSEG0 + 0x400: f"{before}\n syscall 0"}, PC=KSEG0 + 0x400)

    bare.step()
    bare.step()

    scalars = bare.state.scalars
    assert (bare.pc, scalars["Cause.BD"]) == (VECTOR, delayed)
    assert scalars["EPC"] == KSEG0 + 0x404 - 4 * delayed
    assert scalars["delayed"] == 0


# --------------------------------------------------------------------------- modes and interrupts


def test_an_exception_within_a_handler_keeps_where_the_first_one_came_from() -> None:
    bare = machine({0x180: "syscall 0", 0x400: "break 1"}, PC=KSEG0 + 0x400)

    bare.step()
    first = bare.state.scalars["EPC"]
    bare.step()

    scalars = bare.state.scalars
    assert (first, scalars["EPC"]) == (KSEG0 + 0x400, KSEG0 + 0x400)
    assert scalars["Cause.ExcCode"] == 8
    assert bare.pc == VECTOR


def test_eret_goes_back_to_the_mode_that_trapped() -> None:
    bare = machine({0x180: "eret"}, PC=KSEG0 + 0x180, EPC=0x1000)
    bare.state.update({"Status.EXL": 1, "Status.KSU": USER})

    bare.step()

    assert (bare.pc, bare.state.scalars["M"]) == (0x1000, USER)


@pytest.mark.parametrize("line", [{"timer": 1}, {"lines": 0b100000}])
@pytest.mark.parametrize(
    ("mask", "special", "at"), [(0x80, 0, 0x180), (0x80, 1, 0x200), (0x7F, 1, 0)]
)
def test_the_timer_shares_the_last_interrupt(
    line: dict[str, int], mask: int, special: int, at: int
) -> None:
    bare = machine({0x400: "sync 0"}, PC=KSEG0 + 0x400)
    bare.state.update({"Status.IE": 1, "Status.IM": mask, "Cause.IV": special} | line)

    bare.step()

    assert bare.pc == (KSEG0 + at if at else KSEG0 + 0x404)


def test_a_write_of_compare_ends_the_timers_request() -> None:
    bare = machine({0x400: "mtc0 $zero, compare"}, PC=KSEG0 + 0x400, timer=1)

    bare.step()

    assert bare.state.scalars["timer"] == 0


# --------------------------------------------------------------------------- verdicts


@pytest.fixture(scope="module")
def reports(library_cache: Path) -> dict[str, Report]:
    names = ("mips32", "mips32_mapped", "r4000_lladdr")
    return {name: check(described(name), timeout=60.0, cache=library_cache) for name in names}


def test_every_claim_holds(reports: dict[str, Report]) -> None:
    for report in reports.values():
        assert report.claims
        assert [c.claim for c in report.claims if c.holds.value != "yes"] == []
        assert report.all_defects == ()


def test_to_link_the_kernel_again_makes_it_efficient_and_nothing_else(
    reports: dict[str, Report],
) -> None:
    before, after = reports["mips32"].configurations

    assert (before.name, after.name) == ("classic", "relinked")
    assert before.efficient.answer.value == "no"
    assert "kernel can reach it, user never" in before.efficient.reason
    assert after.efficient.answer.value == "yes"
    assert answers(before) == answers(after)
    assert before.escapes == after.escapes == ()


def test_mapped_segments_make_the_kernel_efficient_and_nothing_else(
    reports: dict[str, Report],
) -> None:
    before, after = (reports[name].configurations[0] for name in ("mips32", "mips32_mapped"))

    assert (before.efficient.answer.value, after.efficient.answer.value) == ("no", "yes")
    assert answers(before) == answers(after)
    assert found(before) == found(after)


def test_lladdr_changes_the_verdict_and_no_other_instruction(reports: dict[str, Report]) -> None:
    before, after = (reports[name].configurations[0] for name in ("mips32", "r4000_lladdr"))
    classes = [dict(found(c)) for c in (before, after)]
    different = {label for label in classes[0] if classes[0][label] != classes[1].get(label)}

    assert {e.instruction for e in after.escapes} == {"LL"}
    assert {label.split("[")[0] for label in different} <= {"LL", "MFC0", "MTC0"}
    assert classes[1]["MFC0[EPC]"] == classes[0]["MFC0[EPC]"]


def found(configuration: ConfigurationReport) -> list[tuple[str, object]]:
    return [
        (row.label, [getattr(row, name) for name in FOUND_ALIKE])
        for row in configuration.instructions
    ]


def answers(configuration: ConfigurationReport) -> list[object]:
    return [(v.kind, v.theorem, v.answer) for v in configuration.verdicts]


# --------------------------------------------------------------------------- guests


COUNT = """
start:  addiu $t0, $zero, 100
loop:   addiu $t0, $t0, -1
        bne $t0, $zero, loop
        sw $t0, 1024($k0)
        break 0
"""
ENTER = """
        mtc0 $s0, entryhi          ; the kernel's first pages in KSSEG: the first pages of memory
        mtc0 $s1, entrylo0
        mtc0 $s2, entrylo1
        tlbwi
        jr $s3
        sync 0
"""


@pytest.mark.parametrize(
    ("name", "linked"), [("classic", KSEG0), ("classic", KSSEG), ("relinked", KSSEG)]
)
def test_a_guests_kernel_runs_directly_where_the_real_mode_reaches(name: str, linked: int) -> None:
    isa = described("mips32")
    chosen = configuration(isa, name)
    texts = {KSEG0 + 0x400: ENTER, KSEG0 + 0x800: COUNT}
    state = loaded(texts, PC=KSEG0 + 0x400)
    values = (linked, 6, 6 | 1 << 6, linked + 0x800)  # D and V
    state.own_array("r")[16:20] = list(values)
    state.own_array("r")[26] = linked
    monitor = derive(isa, chosen)
    host = place(monitor, state, Placement(REGION_BYTES, REGION_BYTES, 0))
    virtual = VirtualMachine([monitor], host, Codec(isa).decode, Strategy.TRAP_AND_EMULATE)
    bare = Machine(isa, state, Codec(isa).decode)

    difference = lockstep(bare, virtual, STEPS)

    assert difference is None
    assert linked <= bare.pc < linked + PAGE_BYTES
    assert virtual.direct + virtual.emulated == STEPS
    assert virtual.direct == 0 if name == "classic" else virtual.direct > 0.9 * STEPS
