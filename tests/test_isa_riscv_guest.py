"""A guest of RISC-V's hypervisor extension: S as VS, U as VU, and the VMM's tables in the second stage."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest

from checker.answers import Answer
from checker.check import check
from checker.discharge import discharge
from checker.statements import Triple
from refvmm.campaign import campaign
from refvmm.derive import Monitor, derive
from refvmm.obligations import hosted, obligations
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place, virtual_state
from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.outcome import Retired
from spec.program import Program
from spec.state import MachineState

FOLDER = Path(__file__).resolve().parent.parent / "isas" / "riscv"
DIRECT = Strategy.TRAP_AND_EMULATE
U, HS = 4, 5
CODE, USER_CODE, USER_DATA, TABLES = 0x8000_0000, 0x8000_4000, 0x8000_5000, 0x8001_0000
PLACEMENT = Placement(region_base=1 << 55, region_size=1 << 40, monitor_base=1 << 12)


@cache
def described() -> Isa:
    isa = load(str(FOLDER / "rv64h.isa")).isa
    assert isa is not None
    return isa


@cache
def guest() -> Monitor:
    isa = described()
    (configuration,) = [c for c in isa.configurations if c.name == "guest"]
    return derive(isa, configuration)


def section6(monitor: Monitor, *names: str) -> list[Answer]:
    """The answers to statements about what real accesses reach."""
    context = hosted(monitor)
    return [
        found.answer
        for statement in obligations(monitor, DIRECT)
        if isinstance(statement, Triple) and statement.name in names
        for found in discharge(context, statement, timeout_ms=60_000)
    ]


def test_two_stages_of_tables_lead_where_the_guests_own_do() -> None:
    names = "fetch of 4, virtual mode U", "read of 8, virtual mode S"

    assert section6(guest(), *names) == [Answer.YES, Answer.YES]


def test_they_do_not_where_what_is_executable_is_readable() -> None:
    """The real mstatus.MXR counts in both stages, whatever the guest's is."""
    monitor = guest()
    kept = tuple((t, e) for t, e in monitor.constraints if t != "mstatus.MXR == 0")
    assert len(kept) == len(monitor.constraints) - 1

    found = section6(replace(monitor, constraints=kept), "read of 8, virtual mode S")

    assert found == [Answer.NO]


def test_random_programs_see_no_difference() -> None:
    isa, monitor = described(), guest()
    placement = trial_placement(isa, monitor.configuration)
    programs = Programs(isa, monitor.configuration, placement.region_size)

    assert campaign(Trial([monitor], [placement], DIRECT), programs, 20, 1) is None


# --------------------------------------------------------------------------- what runs directly

KERNEL = """
        csrrw zero, stvec, a0
        csrrw zero, satp, a1
        sfence.vma zero, zero
        csrrs s0, sstatus, a2       ; SUM
loop:   ld   t0, 0(a3)              ; of a page of the user's
        addi t0, t0, 1
        sd   t0, 0(a3)
        csrrc zero, sstatus, a2
        csrrs zero, sstatus, a2
        sfence.vma zero, zero
        csrrw zero, sepc, a4
        csrrc zero, sstatus, a5     ; SPP
        sret
        .org 0x80000200
        jal  zero, loop
"""
USER = """
        ld   t1, 0(a3)
        add  t1, t1, t1
        sd   t1, 8(a3)
        ecall
"""
ROUNDS = 12
LEAF, USERS = 0xCF, 0x10  # D A X W R V; U


def with_text(state: MachineState, origin: int, text: str) -> None:
    program = assemble(described(), text, origin=origin)
    assert isinstance(program, Program), program
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))


def system() -> MachineState:
    """A kernel in S mode and its user, in pages of 4 KiB."""
    state = bare_state(described(), PLACEMENT.region_size)
    with_text(state, CODE, KERNEL)
    with_text(state, USER_CODE, USER)
    tables = [TABLES, TABLES + 0x1000, TABLES + 0x2000]
    entries = {tables[0] + 8 * 2: tables[1] >> 2 | 1, tables[1]: tables[2] >> 2 | 1}
    for page in (CODE, USER_CODE, USER_DATA):
        rights = LEAF if page == CODE else LEAF | USERS
        entries[tables[2] + (page >> 12 & 0x1FF) * 8] = page >> 2 | rights
    for address, entry in entries.items():
        state.load_cells(address, list(entry.to_bytes(8, "little")))
    state.update({"priv": HS, "PC": CODE})
    registers = state.own_array("x")
    registers[10], registers[11] = CODE + 0x200, 8 << 60 | TABLES >> 12
    registers[12], registers[13], registers[14], registers[15] = (
        1 << 18,
        USER_DATA,
        USER_CODE,
        1 << 8,
    )
    state.scalars["medeleg"] = 1 << 8
    return state


def test_a_kernel_and_its_user_run_directly_between_system_calls() -> None:
    start, monitor = system(), guest()
    real = place(monitor, start, PLACEMENT)
    virtual = VirtualMachine([monitor], real, Codec(described()).decode)

    while virtual.direct + virtual.emulated < 4 + ROUNDS * 14:
        virtual.step()

    now = virtual_state(monitor, virtual.state)
    assert now.cells[USER_DATA] == ROUNDS
    assert now.cells[USER_DATA + 8] == 2 * ROUNDS
    assert now.scalars["priv"] == HS
    assert virtual.emulated <= ROUNDS + 8  # each ECALL, and the first of some pages


# --------------------------------------------------------------------------- interrupts


DRAWN = {
    "mie": ("SSIE", "STIE", "SEIE"),
    "mip": ("SSIP", "STIP", "SEIP"),
    "mideleg": ("SSI", "STI", "SEI"),
    "mstatus": ("SIE", "SPIE", "SPP"),
}


def test_an_interrupt_that_the_hart_delivers_is_the_one_that_the_guest_takes() -> None:
    """Those of VS level are delivered to VS mode without the monitor."""
    random, monitor, isa, delivered = Random(1), guest(), described(), 0
    by_name = {i.name: i for i in isa.interrupts}
    bare, real = ConcreteEngine(isa), ConcreteEngine(monitor.real)
    for _ in range(60):
        start = bare_state(isa, PLACEMENT.region_size)
        start.update({"priv": random.choice([U, HS]), "PC": CODE})
        for name, fields in DRAWN.items():
            for field in fields:
                start.scalars[f"{name}.{field}"] = random.getrandbits(1)
        start.update({"stvec.BASE": random.getrandbits(20), "stvec.MODE": random.getrandbits(1)})
        state = place(monitor, start, PLACEMENT)
        mine, theirs = by_name["virtual_supervisor_level"], by_name["supervisor_level"]
        pending = bool(real.value(state, mine.condition))
        assert pending == bool(bare.value(start, theirs.condition))
        if pending:
            here = real.run(state, mine.delivery, {"next": 0})
            there = bare.run(start, theirs.delivery, {"next": 0})
            assert isinstance(here, Retired)
            assert isinstance(there, Retired)
            found = virtual_state(monitor, here.state, with_memory=False)
            assert found.scalars == there.state.scalars
            delivered += 1

    assert delivered > 10


# --------------------------------------------------------------------------- the whole of it


@pytest.mark.deep
def test_every_claim_about_the_guest_holds(library_cache: Path) -> None:
    """python -m pytest -m deep tests/test_isa_riscv_guest.py"""
    report = check(described(), configurations=["guest"], timeout=120.0, cache=library_cache)

    assert report.claims_hold is Answer.YES
    assert report.all_defects == ()


@pytest.mark.deep
def test_the_monitor_of_the_guest_is_proved_for_all_programs() -> None:
    """python -m pytest -m deep tests/test_isa_riscv_guest.py"""
    monitor = guest()
    context = hosted(monitor)

    answers = [
        found.answer
        for statement in obligations(monitor, DIRECT)
        for found in discharge(context, statement)
    ]

    assert set(answers) == {Answer.YES}
    assert len(answers) > 1300
