"""AArch64 of `isas/aarch64` does what QEMU's Cortex-A53 does.

Random instructions (every one that the description has) from states biased to edges, at EL0, EL1
and EL2, with translation off and on. Compared: all general registers and stack pointers, PSTATE,
system registers of EL1 and EL2, memory. What is known to differ, and why, is said in `left_out` and
`known`; another difference is shrunk to one instruction and one plain state.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from spec.ir import FieldType
from spec.load import load
from tests.aarch64_cases import random_case
from tests.aarch64_oracles import (
    PROGRAM,
    Case,
    Described,
    Expectation,
    Qemu,
    differences,
    with_state,
)

ISA = Path(__file__).parent.parent / "isas" / "aarch64" / "aarch64.isa"
UNASKED = {"WFI", "WFE", "HINT"}
OF_THE_MODEL = (
    "MPIDR_EL1",
    "REVIDR_EL1",
    "ID_",
    "CCSIDR_EL1",
    "CNTFRQ_EL0",
    "CNTPCT_EL0",
    "CNTVCT_EL0",
)
TOO_LARGE = 0x801  # PAR_EL1: an address size fault
EXTERNAL = 0x10  # the status of an abort by what answers at an address, or does not
FETCHING = (0x20, 0x21, 0x22)  # exception classes: instruction aborts, alignment of the PC


@cache
def described() -> Described:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


@pytest.fixture(scope="module")
def qemu() -> Iterator[Qemu]:
    if shutil.which(PROGRAM) is None:
        pytest.skip("QEMU for AArch64 is not here")
    with Qemu(described().isa) as running:
        yield running


# --------------------------------------------------------------------------- known differences


def left_out(expected: Expectation) -> bool:
    """Where QEMU has no say, or its stub or the harness cannot ask it.

    WFI puts QEMU to sleep, from WFE and YIELD (a HINT) its stub goes on by two instructions; WFI that
    traps is asked, WFE never traps there. It does not check the alignment of stack pointers. What
    identification registers and counters say is not compared. DC ZVA clears a larger block there.
    """
    sleeps = expected.name in UNASKED and not (expected.cause and expected.name == "WFI")
    larger = named(expected) == "DC_ZVA" and not expected.cause
    unchecked = expected.cause == "sp_alignment"
    of_the_model = named(expected).startswith(OF_THE_MODEL)
    return not expected.within or sleeps or larger or unchecked or of_the_model


def known(expected: Expectation, seen: dict[str, int]) -> set[str] | None:
    """Elements in which a difference is known, or None if all may differ; "memory" is all of it.

    An exception return to a state that is not there is described with the exception that follows; the
    fetch that may fail before it is not. QEMU takes the address of all ones for one that LDXR has reserved. A pair may have been stored by half when the other half fails.
    Attributes of memory, which PAR_EL1 shows, are not described. DC ZVA may report any address of its
    block. The processor has more physical addresses than the description, but no memory there.

    By the manual's pseudo-code an exception leaves N, Z, C and V alone; QEMU clears them. For MSR of
    DAIFSet and DAIFClr it reports op1 and op2 in each other's place. It describes the access of a data abort in ESR_EL2 also when stage 1 refused it (ISV is then 0).
    """
    level = seen["EL"] >> 2
    if expected.name.startswith("STXR") and level and seen[f"FAR_EL{level}"] == 2**64 - 1:
        return None
    syndrome = f"ESR_EL{level}"
    free: set[str] = set()
    if not expected.cause:
        beyond = expected.state["PAR_EL1"] == TOO_LARGE and seen["PAR_EL1"] >> 32 & 0xFFFF
        if named(expected).startswith("AT_") and (
            beyond or _but(expected, seen, "PAR_EL1", ~0xFFFF_FFFF_F001)
        ):
            free.add("PAR_EL1")
        if named(expected) == "DCZID_EL0" and expected.decoded is not None:
            register = f"X[{expected.decoded.fields['t']}]"
            if register in seen and _but(expected, seen, register, 2 ^ 4):
                free.add(register)
        return free
    if not any(seen[flag] for flag in "NZCV"):
        free |= set("NZCV")
    if expected.cause == "illegal_state" and seen[syndrome] >> 26 in FETCHING:
        return None
    if expected.name in ("MSR DAIFSet", "MSR DAIFClr") and _but(expected, seen, syndrome, 0xF_C000):
        free.add(syndrome)
    if expected.cause in ("data_abort", "instruction_abort"):
        beyond = EXTERNAL if expected.state[syndrome] & 0x3F == 0 else 0
        described = 0x01FF_C000 if level == 2 and expected.cause == "data_abort" else 0
        if _but(expected, seen, syndrome, beyond | described):
            free.add(syndrome)
        if expected.name.startswith("STP"):
            free.add("memory")
        if named(expected) == "DC_ZVA" and _but(expected, seen, f"FAR_EL{level}", 0x3F):
            free.add(f"FAR_EL{level}")
    return free


def _but(expected: Expectation, seen: dict[str, int], name: str, bits: int) -> bool:
    """Whether both have the same value there, but for some bits."""
    return (expected.state[name] ^ seen[name]) & ~bits == 0


def named(expected: Expectation) -> str:
    """The register or operation of an MRS, MSR or SYS."""
    if expected.name not in ("MRS", "MSR", "SYS") or expected.decoded is None:
        return ""
    (chosen,) = [p for p in expected.decoded.instruction.parameters if p.name in ("r", "o")]
    assert isinstance(chosen.type, FieldType)
    names = {value: name for name, value in chosen.type.values}
    return names[expected.decoded.fields[chosen.name]]


# --------------------------------------------------------------------------- comparison


def compare(machine: Described, qemu: Qemu, case: Case) -> dict[str, str] | None:
    """The differences; None if QEMU has no say."""
    expected = machine.run(case)
    if left_out(expected):
        return None
    steps = expected.steps + (expected.cause == "illegal_state")
    seen = qemu.run(case, frozenset(expected.memory), steps)
    free = known(expected, seen[0])
    if free is None:
        return None
    found = differences(expected, seen)
    return {
        name: text
        for name, text in found.items()
        if name not in free and not ("memory" in free and name.startswith("["))
    }


def shrunk(machine: Described, qemu: Qemu, case: Case) -> Case:
    """A plainer state in which the same instruction still differs."""
    kept = {"EL", "PC", "TTBR0_EL1", "TTBR1_EL1", "TTBR0_EL2", "SPSR_EL2", "ELR_EL2"}
    kept |= {"SCTLR_EL1.M", "SCTLR_EL2.M", "HCR_EL2.TGE", "N", "Z", "C", "V", "D", "A", "I", "F"}
    for name, value in case.state.items():
        if value and name not in kept:
            plainer = with_state(case, **{name: 0})
            if compare(machine, qemu, plainer):
                case = plainer
    return case


def story(machine: Described, qemu: Qemu, case: Case) -> str:
    expected, found = machine.run(case), compare(machine, qemu, case)
    fields = {k: v for k, v in expected.decoded.fields.items() if v} if expected.decoded else {}
    before = " ".join(f"{n}={v:#x}" for n, v in case.state.items() if v)
    memory = " ".join(f"[{a:#x}]={w:#x}" for a, w in case.memory.items())
    lines = [f"{expected.name} {fields} {expected.cause}: {case.words[-1]:#010x}", before, memory]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in (found or {}).items()])


def campaign(machine: Described, qemu: Qemu, each: int, seed: int) -> Counter[tuple[str, int]]:
    """Compare `each` cases of every instruction; how many were, by instruction and level.

    MRS, MSR and SYS, which are many in one, get twenty times as many.
    """
    source = random.Random(seed)
    compared: Counter[tuple[str, int]] = Counter()
    failures: dict[str, str] = {}
    for instruction in machine.isa.instructions:
        times = 20 if instruction.name in ("MRS", "MSR", "SYS") else 1
        for _ in range(each * times):
            case = random_case(machine, instruction, source)
            found = compare(machine, qemu, case)
            if found is None:
                continue
            compared[instruction.name, case.level] += 1
            if found and instruction.name not in failures:
                least = shrunk(machine, qemu, case)
                failures[instruction.name] = story(machine, qemu, least)
    if failures:
        text = "\n\n".join(failures.values())
        pytest.fail(f"{len(failures)} instructions differ\n\n{text}", pytrace=False)
    return compared


# --------------------------------------------------------------------------- tests


def test_random_steps_agree_with_qemu(qemu: Qemu) -> None:
    compared = campaign(described(), qemu, 4, seed=64)

    asked = {i.name for i in described().isa.instructions} - UNASKED
    assert asked <= {name for name, _ in compared}
    assert sum(n for (_, level), n in compared.items() if level > 0) > compared.total() / 2


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(200, 204))
def test_many_random_steps_agree_with_qemu(qemu: Qemu, seed: int) -> None:
    """`python -m pytest -m deep tests/test_oracle_aarch64.py`"""
    compared = campaign(described(), qemu, 40, seed)

    assert sum(n for (_, level), n in compared.items() if level > 0) > compared.total() / 2
    assert compared.total() > 30 * len(described().isa.instructions)
