"""The KA10 of `isas/pdp10`: what no simulator tells of it, its repair, and its VMM's relocation."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.check import check
from checker.report import InstructionReport, Report
from refvmm.derive import derive
from refvmm.lockstep import lockstep
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Access, Isa, Literal, Load, Write
from spec.load import load
from spec.machine import Machine
from spec.outcome import Retired
from spec.program import Program
from spec.state import MachineState
from tests.pdp10_oracles import CODE, KA10, UNASSIGNED, UUO, Described
from tests.test_oracle_pdp10 import random_case

ISAS = Path(__file__).parent.parent / "isas" / "pdp10"
USER, EXECUTIVE = 1, 0
MEMORY_WORDS, BLOCK_WORDS = 1 << 17, 1024
ADDRESSES = 1 << 18
REPAIRED = {"JRST 1", "JRSTF", "JRST 3", "PUSHJ", "JSR", "JSP", "LUUO"}


@cache
def described(name: str) -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(
    executive: dict[int, str], user: dict[int, str] | None = None, low: int = 0, **state: int
) -> Machine:
    """A machine with programs at physical addresses, and at a user's whose first block is `low`."""
    isa = described("ka10")
    start = MachineState(isa)
    for base, parts in ((0, executive), (low * BLOCK_WORDS, user or {})):
        for origin, text in parts.items():
            program = assemble(isa, text, origin=origin)
            assert isinstance(program, Program), program
            for segment in program.segments:
                start.load_cells(base + segment.address, list(segment.cells))
    start.update({"R.Rl": low} | state)
    return Machine(isa, start, Codec(isa).decode)


# --------------------------------------------------------------------------- programs

USER_PROGRAM = """
        movei 1, 0                  ; add up the bytes of a text
        move 2, pointer
        move 14, stack
loop:   ildb 3, 2
        jumpe 3, done
        pushj 14, adding
        jrst loop
adding: add 1, 3
        popj 14, 0
done:   movem 1, @where             ; through an address word
        blt 4, 0o37                 ; one word from 1 to 37
        muuo 0o50, 1, 0o37
pointer: .cell 0o440700000300       ; before the first 7-bit byte at 300
stack:  .cell 0o777770000400
where:  .cell 0o310
"""


def test_a_user_program_runs_relocated_and_calls_the_monitor() -> None:
    base = 3 * BLOCK_WORDS
    text = sum(ord(c) << (29 - 7 * i) for i, c in enumerate("PDP"))
    bare = machine(
        {0o41: "jsr 0o500", 0o100: "jrst 1, 0o20", 0o501: "jrst 4, 0"},
        {0o20: USER_PROGRAM, 0o300: f".cell {text}"},
        low=3,
        PC=0o100,
    )
    bare.state.own_array("AC")[4] = 1 << 18 | 0o37

    bare.run(100)

    assert bare.state.scalars["USER"] == EXECUTIVE
    assert bare.state.cells[base + 0o310] == sum(map(ord, "PDP"))
    assert bare.state.cells[base + 0o37] == sum(map(ord, "PDP"))
    assert bare.state.cells[0o40] == 0o050040_000037
    assert bare.state.cells[0o500] >> 30 & 1 == USER
    assert bare.state.cells[0o500] & 0o777777 == 0o20 + 12


def test_jsr_ignores_its_accumulator_field() -> None:
    bare = machine({0o100: f".cell {0o264140_000500}"}, PC=0o100)

    bare.step()

    assert bare.pc == 0o501
    assert bare.state.cells[0o500] == 0o101


def test_a_reference_past_the_protection_executes_a_zero() -> None:
    bare = machine({0o41: "jsr 0o500"}, {0o20: "move 1, 0o2000"}, low=1, PC=0o20, USER=USER)
    bare.state.cells[0o40] = 7

    bare.step()

    assert (bare.pc, bare.state.scalars["MPV"]) == (0o501, 1)
    assert bare.state.cells[0o40] == 0


def test_a_reference_to_no_memory_goes_on_with_its_flag_set() -> None:
    bare = machine({0o100: "move 1, 0o400000"}, PC=0o100)

    bare.step()

    assert (bare.pc, bare.state.scalars["NXM"]) == (0o101, 1)


@pytest.mark.parametrize(
    ("held", "asked", "taken"),
    [(0, 0b0000001, True), (0b0000010, 0b0000001, False), (0b0000010, 0b0000100, True)],
)
def test_a_channel_interrupts_only_what_comes_after_it(held: int, asked: int, taken: bool) -> None:
    channel = 8 - asked.bit_length()
    bare = machine(
        {0o40 + 2 * channel: "jsr 0o500", 0o100: "jrst 0o100"},
        PC=0o100,
        PI_ON=1,
        PI_HELD=held,
        PI_ASKED=asked,
    )

    bare.step()

    assert bare.pc == (0o501 if taken else 0o100)
    assert bare.state.scalars["PI_HELD"] == (held | asked if taken else held)
    assert bare.state.scalars["PI_ASKED"] == (0 if taken else asked)


def test_dismissing_an_interrupt_ends_the_first_in_progress() -> None:
    bare = machine({0o501: "jrst 12, @0o500"}, PC=0o501, PI_ON=1, PI_HELD=0b0100010)
    bare.state.cells[0o500] = 0o010000_000200

    bare.step()

    assert (bare.pc, bare.state.scalars["USER"]) == (0o200, USER)
    assert bare.state.scalars["PI_HELD"] == 0b0000010


# --------------------------------------------------------------------------- the repair


@pytest.fixture(scope="module")
def reports(library_cache: Path) -> tuple[Report, Report]:
    """Of the KA10 and of the repaired one; what has the same meaning in both is asked once."""
    before, after = (
        check(described(name), timeout=60.0, cache=library_cache) for name in ("ka10", "ka10_jrst")
    )
    return before, after


def test_the_repair_changes_the_verdict_and_no_other_instruction(
    reports: tuple[Report, Report],
) -> None:
    for before, after in zip(*(report.configurations for report in reports), strict=True):
        classes = [
            {row.instruction: row for row in configuration.instructions}
            for configuration in (before, after)
        ]

        assert {e.instruction for e in before.escapes} == REPAIRED
        assert after.escapes == ()
        assert classes[0].keys() == classes[1].keys()
        for name in classes[0].keys() - REPAIRED:
            assert classes_of(classes[0][name]) == classes_of(classes[1][name]), name


def test_every_claim_holds(reports: tuple[Report, Report], library_cache: Path) -> None:
    ks10 = check(described("ks10"), timeout=60.0, cache=library_cache)
    for report in (*reports, ks10):
        assert report.claims
        assert [c.claim for c in report.claims if c.holds.value != "yes"] == []
        assert report.all_defects == ()


def classes_of(row: InstructionReport) -> InstructionReport:
    return replace(row, witnesses=(), seconds=0.0, solver_seconds=0.0, solver_calls=0, cached=False)


# --------------------------------------------------------------------------- monitors


@pytest.mark.parametrize(
    ("name", "configuration", "strategy", "same"),
    [
        ("ka10", "no_user_io", Strategy.HYBRID, True),
        ("ka10", "no_user_io", Strategy.TRAP_AND_EMULATE, False),
        ("ka10_jrst", "classic", Strategy.TRAP_AND_EMULATE, True),
    ],
)
def test_a_guest_cannot_tell_where_the_theorem_holds(
    name: str, configuration: str, strategy: Strategy, same: bool
) -> None:
    isa, random = described(name), Random(1974)
    (chosen,) = [c for c in isa.configurations if c.name == configuration]
    monitor, machine = derive(isa, chosen), Described(isa, KA10)
    half, told_apart = MEMORY_WORDS // 2, 0

    for _ in range(40):
        state = random_program(machine, random, bare_state(isa, half))
        host = place(monitor, state, Placement(half, half, 0))
        virtual = VirtualMachine([monitor], host, machine.codec.decode, strategy)
        bare = Machine(isa, state, machine.codec.decode)
        told_apart += lockstep(bare, virtual, 8) is not None

    assert (told_apart == 0) is same


def random_program(machine: Described, random: Random, state: MachineState) -> MachineState:
    """Random instructions, biased to jumps, in either mode; segments within and past memory."""
    user, low = random.choice((USER, EXECUTIVE)), random.choice((1, 2, 63, 64, 200))
    instructions = machine.isa.instructions
    base = low * BLOCK_WORDS if user == USER else 0
    biased = [*instructions, *[i for i in instructions if i.name in REPAIRED] * 4]
    cases = [random_case(machine, random.choice(biased), random) for _ in range(8)]
    words = dict(cases[0].memory) | {CODE + i: case.code for i, case in enumerate(cases)}
    for address, value in words.items():
        state.cells[(base + address) % (MEMORY_WORDS // 2)] = value
    state.own_array("AC")[:] = cases[0].ac
    state.cells[UUO] = state.cells[UNASSIGNED] = 0o264000_000100
    state.update({"PC": CODE, "USER": user, "R.Rl": low, "R.Pl": random.choice((0, 3, 255))})
    state.update({"R.Ph": random.getrandbits(8), "R.Rh": random.getrandbits(8)})
    return state


# --------------------------------------------------------------------------- relocation of a VMM

blocks = st.integers(0, 255)


@given(
    mode=st.sampled_from([USER, EXECUTIVE]),
    registers=st.tuples(blocks, blocks, blocks, blocks, st.integers(0, 1)),
    first=st.integers(0, 127),
    data=st.data(),
)
def test_composed_relocation_reaches_the_same_cells_of_the_region_or_traps(
    mode: int, registers: tuple[int, int, int, int, int], first: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 128 - first)) * BLOCK_WORDS
    edges = [BLOCK_WORDS * n + offset for n in (*registers[:4], size >> 10) for offset in (-1, 0)]
    address = data.draw(st.sampled_from(edges) | st.integers(0, ADDRESSES - 1)) % ADDRESSES
    names = ("R.Pl", "R.Rl", "R.Ph", "R.Rh", "R.W")
    virtual = MachineState(described("ka10"))
    virtual.update(dict(zip(names, registers, strict=True)) | {"USER": mode, "E.size": size})
    base = first * BLOCK_WORDS

    real = composed(virtual, base, size)
    reached, meant = reach(real, address), reach(virtual, address)

    if reached is not None:
        assert meant is not None
        assert reached == base + meant


def test_composed_relocation_reaches_all_that_a_guest_of_ordinary_segments_does() -> None:
    virtual = MachineState(described("ka10"))
    virtual.update({"USER": USER, "R.Pl": 3, "R.Rl": 5, "R.Ph": 129, "R.Rh": 138})
    real = composed(virtual, 32 * BLOCK_WORDS, 16 * BLOCK_WORDS)

    for address in (16, 4095, 0o400000, 0o403777):
        assert reach(virtual, address) is not None
        assert reach(real, address) == 32 * BLOCK_WORDS + (reach(virtual, address) or 0)


def composed(virtual: MachineState, base: int, size: int) -> MachineState:
    """The real state that the first configuration makes of a virtual one."""
    isa = described("ka10")
    body = tuple(Write(element, value) for element, value in isa.configurations[0].compose)
    region = {"region.base": base, "region.size": size}
    outcome = ConcreteEngine(isa).run(virtual, body, region)
    assert isinstance(outcome, Retired)
    outcome.state.update({"USER": USER, "E.size": MEMORY_WORDS})
    return outcome.state


def reach(state: MachineState, address: int) -> int | None:
    """The physical address, or None where the reference traps."""
    body = (Load("word", Literal(address, 18), 36, Access.READ),)
    outcome = ConcreteEngine(described("ka10")).run(state, body, {})
    return outcome.accesses.virtual[-1].physical if isinstance(outcome, Retired) else None
