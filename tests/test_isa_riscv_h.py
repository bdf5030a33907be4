"""RV64 with the hypervisor extension: what the manual says that no simulator here judges, and that an
operating system which knows nothing of the extension runs in HS mode as in S mode."""

from functools import cache
from pathlib import Path

import pytest

from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState
from tests.oracle_riscv import Case, Ours, Snapshot
from tests.oracle_riscv_cases import Cases
from tests.oracle_riscv_target import PROTECTED, RV64, RV64H

TESTS = Path(__file__).resolve().parent
VU, VS, U, HS, M = 0, 1, 4, 5, 7
CODE, GUEST_CODE, HANDLER, GUEST_HANDLER = 0x8000_0000, 0x8000_1000, 0x8000_2000, 0x8000_3000
GUEST_ROOT = 0x8001_0000
EVERYTHING = 0xDF  # D A U X W R V, not G
TIMER_INTERRUPTS = 1 << 6


@cache
def described(name: str) -> Isa:
    folder = TESTS if name == "rv64h_loads" else TESTS.parent / "isas" / "riscv"
    loaded = load(str(folder / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(texts: dict[int, str], **state: int) -> Machine:
    isa = described("rv64h_loads")
    start = MachineState(isa)
    for origin, text in texts.items():
        program = assemble(isa, text, origin=origin)
        assert isinstance(program, Program), program
        for segment in program.segments:
            start.load_cells(segment.address, list(segment.cells))
    start.update({"PC": CODE} | state)
    return Machine(isa, start, Codec(isa).decode)


HYPERVISOR = """
  csrrw zero, stvec, a0
  csrrw zero, sepc, a1
  csrrw zero, hgatp, a2
  csrrw zero, hedeleg, a3
  csrrw zero, hstatus, a4
  sret
"""
GUEST = """
  csrrw zero, stvec, a0
  csrrw zero, sepc, a1
  csrrw zero, sscratch, a5
  ecall
"""
SAVE = """
  csrrs s2, scause, zero
  hlv.d s3, (a6)
"""


def test_a_hypervisor_enters_a_guest_which_uses_its_own_registers_and_calls_back() -> None:
    bare = machine({CODE: HYPERVISOR, GUEST_CODE: GUEST, HANDLER: SAVE}, priv=HS)
    table = bare.state
    table.load_cells(GUEST_ROOT, list((0x8000_0000 >> 2 | EVERYTHING).to_bytes(8, "little")))
    table.load_cells(0x8000_5008, list((0x1234_5678_9ABC_DEF0).to_bytes(8, "little")))
    registers = table.own_array("x")
    registers[10], registers[11] = HANDLER, GUEST_CODE - CODE  # guest physical 0 is CODE
    registers[12] = 8 << 60 | GUEST_ROOT >> 12
    registers[14] = 1 << 7  # SPV; sstatus.SPP says VS
    registers[15], registers[16] = 0x55, 0x5008
    table.update({"mstatus.SPP": 1, "medeleg": 1 << 10})

    for _ in range(6):
        bare.step()
    assert bare.state.scalars["priv"] == VS
    for _ in range(4):
        bare.step()
    for _ in range(2):
        bare.step()

    scalars, registers = bare.state.scalars, bare.state.arrays["x"]
    assert (scalars["priv"], scalars["hstatus.SPV"], scalars["hstatus.SPVP"]) == (HS, 1, 1)
    assert (registers[18], registers[19]) == (10, 0x1234_5678_9ABC_DEF0)
    assert (scalars["vsscratch"], scalars["sscratch"], scalars["vsepc"]) == (0x55, 0, 0x1000)
    assert scalars["sepc"] == GUEST_CODE - CODE + 12


@pytest.mark.parametrize(("delta", "pending"), [(0, 0), (1, 1), (2, 1)])
def test_a_guest_s_timer_compares_with_its_own_time(delta: int, pending: int) -> None:
    enabled = {"menvcfg.STCE": 1, "henvcfg.STCE": 1, "mcounteren.TM": 1}
    times = {"mtime": 0x1000, "htimedelta": delta, "vstimecmp": 0x1001}
    bare = machine({CODE: "csrrs a0, hip, zero"}, priv=HS, **enabled, **times)

    bare.step()

    assert bare.state.arrays["x"][10] == TIMER_INTERRUPTS * pending


@pytest.mark.parametrize(
    ("mode", "machine_enable", "hypervisor_enable", "cause"),
    [
        (VS, 1, 1, None),
        (VS, 1, 0, 22),
        (VS, 0, 1, 2),
        (VU, 1, 1, 22),
        (HS, 1, 0, None),
        (U, 1, 1, 2),
    ],
)
def test_a_guest_s_timer_register_needs_both_enables_and_is_its_own(
    mode: int, machine_enable: int, hypervisor_enable: int, cause: int | None
) -> None:
    enables = {"menvcfg.STCE": machine_enable, "henvcfg.STCE": hypervisor_enable}
    counters = {"mcounteren.TM": 1, "hcounteren.TM": 1}
    values = {"stimecmp": 7, "vstimecmp": 9}
    text = {CODE: "csrrs a0, stimecmp, zero"}
    bare = machine(text, priv=mode, **enables, **counters, **values)

    bare.step()

    if cause is None:
        assert bare.state.arrays["x"][10] == (9 if mode == VS else 7)
    else:
        assert bare.state.scalars["mcause"] == cause


@pytest.mark.parametrize("taken", [False, True])
def test_an_interrupt_of_vs_level_reaches_the_guest_under_the_number_of_s_level(
    taken: bool,
) -> None:
    pending = {"hvip.VSSI": 1, "mie.VSSIE": 1, "hideleg.VSSI": int(taken)}
    bare = machine(
        {CODE: "addi a0, zero, 1"}, priv=VU, **pending, **{"vstvec.BASE": GUEST_HANDLER >> 2}
    )

    bare.step()

    scalars = bare.state.scalars
    if taken:
        assert (scalars["priv"], scalars["vscause"], bare.pc) == (VS, 1 << 63 | 1, GUEST_HANDLER)
    else:
        assert (scalars["priv"], scalars["scause"]) == (HS, 1 << 63 | 2)


# --------------------------------------------------------------------------- the pair


ALIKE = 200
OTHERWISE = ("pmp", "misa", "mideleg", "medeleg", "mie", "mip", "mstatus", "menvcfg", "stimecmp")


def unprotected(case: Case) -> Case:
    """The case with all of memory open, on a machine with and on one without PMP."""
    entries = {f"pmpcfg{2 * n}": 0 for n in range(PROTECTED // 8)}
    entries |= {f"pmpaddr{n}": 0 for n in range(PROTECTED)}
    entries |= {"pmpcfg0": 0x1F, "pmpaddr0": (1 << 54) - 1}
    before = {**case.before, **entries, "menvcfg": 0, "stimecmp": 0}
    return Case(before, case.memory, case.steps)


def test_what_knows_nothing_of_the_extension_runs_in_hs_mode_as_in_s_mode() -> None:
    plain = Ours(described("rv64"), RV64)
    extended = Ours(described("rv64h"), RV64H)
    cases = Cases(described("rv64"), RV64)
    absent = dict.fromkeys(RV64H.csr_numbers, 0) | {"virt": 0}
    compared = 0

    for number in range(ALIKE):
        case = unprotected(cases.case(number))
        steps = plain.run(case)
        csr = steps[0].operands.get("csr")
        if csr is not None and plain.csr_names[csr].startswith(OTHERWISE):
            continue
        with_extension = Case({**absent, **case.before}, case.memory, case.steps)
        others = extended.run(with_extension)
        assert [s.cause for s in steps] == [s.cause for s in others], number
        for step, other in zip(steps, others, strict=True):
            assert common(step.after) == common(other.after), number
            assert step.memory == other.memory
        compared += 1

    assert compared > ALIKE // 2


def common(snapshot: Snapshot) -> Snapshot:
    shared = RV64.csr_numbers.keys() & RV64H.csr_numbers.keys() - {"mideleg"}
    shared |= {"pc", "priv", *(f"x{n}" for n in range(1, 32))}
    return {name: value for name, value in snapshot.items() if name in shared}


def test_the_extension_leaves_the_encodings_of_rv64_alone() -> None:
    plain = {i.name: i.encoding for i in described("rv64").instructions}
    extended = {i.name: i.encoding for i in described("rv64h_loads").instructions}

    assert {name for name in plain if extended[name] != plain[name]} == set()
    added = extended.keys() - plain.keys()
    assert len(added) == 15 and all(name.startswith("H") for name in added)
