"""ARMv7-A of `isas/arm` does what QEMU's Cortex-A8 does.

Random instructions (every one that the description has) from states biased to edges, in all seven
modes, with translation off and on. Compared: all registers with their banks, CPSR, SPSRs, CP15,
memory. What is known to differ, and why, is said in `known`; another difference is shrunk to one
instruction and one plain state.
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
from tests.arm_cases import random_case
from tests.arm_oracles import PROGRAM, Case, Described, Expectation, Qemu, differences, with_state

ISA = Path(__file__).parent.parent / "isas" / "arm" / "armv7a.isa"
ALIGNMENT, TRANSLATION, DOMAIN = 0x01, 0x07, 0x0B  # fault statuses of pages
RETURNS = ("AND", "EOR", "RSB", "ADD", "ADC", "SBC", "RSC", "ORR", "BIC", "MVN")
UNASKED = {"WFI", "WFE", "YIELD"} | {f"{name}S PC" for name in RETURNS}
RETURNING = ("SUBS PC", "MOVS PC", "RFE", "LDM (exception return)")
OF_THE_MODEL = ("CTR", "TCMTR", "TLBTR", "ACTLR", "CPACR", "CCSIDR", "CLIDR", "AIDR")


@cache
def described() -> Described:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


@pytest.fixture(scope="module")
def qemu() -> Iterator[Qemu]:
    if shutil.which(PROGRAM) is None:
        pytest.skip("QEMU for ARM is not here")
    with Qemu(described().isa) as running:
        yield running


# --------------------------------------------------------------------------- known differences


def left_out(machine: Described, case: Case, expected: Expectation) -> bool:
    """Where QEMU has no say, or its stub or the harness cannot ask it.

    WFI puts QEMU to sleep, as it may; from WFE and YIELD its stub goes on by two instructions. What identification registers say is not compared. Of the
    instructions that return from an exception by a result in the program counter, QEMU knows SUBS
    and MOVS; it takes the others (all are in B9.3.20 of the manual) for jumps that set flags. LDRT
    and the like are aligned in the description.
    """
    unaligned = expected.cause == "data_abort" and expected.outcome.arguments[1] == ALIGNMENT
    return (
        not expected.within
        or (unaligned and expected.name.endswith("T"))
        or expected.name in UNASKED
        or _named(expected).startswith(("MIDR", "MPIDR", "REVIDR", "ID_"))
        or _named(expected) in OF_THE_MODEL
    )


def known(case: Case, expected: Expectation, seen: dict[str, int]) -> set[str] | None:
    """Elements in which a difference is known, or None if all may differ.

    Thumb and Jazelle states are not described, nor returns to them. Of what is UNPREDICTABLE outside User mode QEMU does as it likes;
    in User mode it chooses the exception, or keeps bit 1 of a branch's target. STM of a base that
    it writes back stores an UNKNOWN value. BKPT leaves IFAR
    UNKNOWN. PAR's attributes are not described. QEMU puts the domain into IFSR, which has no such
    field (B4.1.96). A second-level descriptor that is invalid in a domain without access is a
    translation fault by the manual's order of checks (figure B3-25), and a domain fault to QEMU.
    """
    if expected.chosen and (not case.user or seen["PC"] & 2 or expected.name == "STM"):
        return None
    if seen["T"] == 1:
        assert expected.cause == "undefined_instruction"
        return None
    if expected.name in RETURNING and expected.cause == "undefined_instruction" and not case.user:
        return None
    free: set[str] = set()
    for register in ("IFSR", "DFSR"):
        mine, theirs = expected.state[register] & ~0xF0, seen[register] & ~0xF0
        if mine & 0x40F == TRANSLATION and theirs & 0x40F == DOMAIN:
            free.add(register)
    if seen["IFSR"] & ~0xF0 == expected.state["IFSR"] & ~0xF0:
        free.add("IFSR")
    if expected.name == "MSR SPSR":  # QEMU keeps bit 20, which is ARMv8's
        written = (n for n in seen if n.startswith("SPSR_"))
        free |= {n for n in written if (seen[n] ^ expected.state[n]) & ~(1 << 20) == 0}
    if expected.name == "BKPT":
        free.add("IFAR")
    if _named(expected).startswith("ATS") or _named(expected) == "PAR":
        free.add("PAR")
    return free


def _named(expected: Expectation) -> str:
    """The CP15 register of an MRC or MCR."""
    if expected.name not in ("MRC", "MCR") or expected.decoded is None:
        return ""
    (register,) = [p for p in expected.decoded.instruction.parameters if p.name == "r"]
    assert isinstance(register.type, FieldType)
    return {value: name for name, value in register.type.values}[expected.decoded.fields["r"]]


# --------------------------------------------------------------------------- comparison


def compare(machine: Described, qemu: Qemu, case: Case) -> dict[str, str] | None:
    """The differences; None if QEMU has no say."""
    expected = machine.run(case)
    if left_out(machine, case, expected):
        return None
    seen = qemu.run(case, frozenset(expected.memory), expected.steps)
    free = known(case, expected, seen[0])
    if free is None:
        return None
    found = _unexplained(expected, seen, free)
    if found and expected.chosen:
        found = _unexplained(machine.run(case, 1), seen, free)
    return found


def _unexplained(
    expected: Expectation, seen: tuple[dict[str, int], dict[int, int]], free: set[str]
) -> dict[str, str]:
    return {n: text for n, text in differences(expected, seen).items() if n not in free}


def shrunk(machine: Described, qemu: Qemu, case: Case) -> Case:
    """A plainer state in which the same instruction still differs."""
    kept = {"M", "PC", "DACR", "TTBR0", "TTBR1", "SCTLR.M"}
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
    memory = (
        " ".join(f"[{a:#x}]={w:#x}" for a, w in case.memory.items())
        if case.state["SCTLR.M"]
        else ""
    )
    lines = [f"{expected.name} {fields} {expected.cause}: {case.words[0]:#010x}", before, memory]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in (found or {}).items()])


def campaign(machine: Described, qemu: Qemu, each: int, seed: int) -> Counter[tuple[str, bool]]:
    """Compare `each` cases of every instruction; how many were, by instruction and user mode."""
    source = random.Random(seed)
    compared: Counter[tuple[str, bool]] = Counter()
    failures: dict[str, str] = {}
    for instruction in machine.isa.instructions:
        for _ in range(each):
            case = random_case(machine, instruction, source)
            found = compare(machine, qemu, case)
            if found is None:
                continue
            compared[instruction.name, case.user] += 1
            if found and instruction.name not in failures:
                least = shrunk(machine, qemu, case)
                failures[instruction.name] = story(machine, qemu, least)
    if failures:
        text = "\n\n".join(failures.values())
        pytest.fail(f"{len(failures)} instructions differ\n\n{text}", pytrace=False)
    return compared


# --------------------------------------------------------------------------- tests


def test_random_steps_agree_with_qemu(qemu: Qemu) -> None:
    compared = campaign(described(), qemu, 6, seed=7)

    asked = {i.name for i in described().isa.instructions} - UNASKED
    assert asked <= {name for name, _ in compared}
    assert sum(n for (_, user), n in compared.items() if not user) > compared.total() / 3


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_steps_agree_with_qemu(qemu: Qemu, seed: int) -> None:
    """`python -m pytest -m deep tests/test_oracle_arm.py`"""
    compared = campaign(described(), qemu, 60, seed)

    assert sum(n for (_, user), n in compared.items() if not user) > compared.total() / 2
    assert compared.total() > 40 * len(described().isa.instructions)
