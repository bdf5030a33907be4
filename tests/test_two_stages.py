"""A guest's own translation is done by the machine, on top of the monitor's: tables of a second stage."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest

from checker.answers import Answer
from checker.check import check
from checker.proof import Group
from refvmm.campaign import campaign
from refvmm.derive import Monitor, derive
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec import ir
from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.load import load
from spec.outcome import Retired
from spec.program import Program
from spec.rewrite import in_block, transform
from spec.state import MachineState
from spec.told_modes import told_modes
from tests.test_refvmm_obligations import proved, refutations

HERE = Path(__file__).resolve().parent / "two_stages.isa"
DIRECT = Strategy.TRAP_AND_EMULATE
PAGES = 24  # of the guest, 16 words each; the second stage can map the first 16 of them
PLACEMENT = Placement(region_base=512, region_size=16 * PAGES, monitor_base=16)
ADDRESSES = range(1 << 8)
USER, KERNEL = 1, 3


@cache
def two_stages() -> ir.Isa:
    isa = load(HERE).isa
    assert isa is not None
    return isa


def staged(slots: int = 8) -> Monitor:
    return derive(two_stages(), two_stages().configurations[0], slots)


def found_by_programs(monitor: Monitor, examples: int) -> bool:
    isa, configuration = monitor.description, monitor.configuration
    placement = trial_placement(isa, configuration)
    programs = Programs(isa, configuration, placement.region_size)
    trial = Trial([monitor], [placement], DIRECT)
    return campaign(trial, programs, examples, 1) is not None


def with_another(monitor: Monitor, name: str, old: ir.Expr, new: ir.Expr) -> Monitor:
    """One of the monitor's own functions with another expression in place of one."""

    def leaf(expr: ir.Expr) -> ir.Expr | None:
        return new if expr == old else None

    functions = tuple(
        replace(f, body=in_block(f.body, lambda e: transform(e, leaf))) if f.name == name else f
        for f in monitor.virtual.functions
    )
    return replace(monitor, virtual=replace(monitor.virtual, functions=functions))


# --------------------------------------------------------------------------- what is written


def test_tables_that_name_places_are_a_second_stage() -> None:
    staged, shadowed = two_stages().configurations

    assert staged.second_stage
    assert not shadowed.second_stage
    assert staged.install is not None
    assert [p.width for p in staged.install.parameters] == [10, 10, 3, 8]
    assert shadowed.install is not None
    assert [p.width for p in shadowed.install.parameters] == [8, 10, 3, 8]


def test_a_second_stage_is_the_same_for_all_modes() -> None:
    staged, shadowed = two_stages().configurations

    assert told_modes(staged, "M") == staged.modes
    assert told_modes(replace(staged, second_stage=False), "M") == ()
    assert told_modes(shadowed, "M") == ()


def test_claims_of_both_ways_to_host_a_guest_hold(library_cache: Path) -> None:
    report = check(two_stages(), timeout=30.0, cache=library_cache)

    assert report.claims_hold is Answer.YES
    assert report.all_defects == ()


# --------------------------------------------------------------------------- the monitor


def test_all_obligations_of_a_second_stage_are_proved() -> None:
    answers = [found for _, found in proved(staged(), DIRECT)]

    assert {found.answer for found in answers} == {Answer.YES}
    names = {found.name for found in answers}
    assert "filling maps a page of the region where it lies" in names
    assert {f"{a} of 1, virtual mode kernel" for a in ("fetch", "read", "write")} <= names


@pytest.mark.parametrize("configuration", [0, 1])
def test_random_programs_see_no_difference(configuration: int) -> None:
    monitor = derive(two_stages(), two_stages().configurations[configuration])

    assert not found_by_programs(monitor, 300)


def looked_up(engine: ConcreteEngine, state: MachineState, address: int, access: ir.Access) -> int:
    """Where an access leads in the present mode; -1 if it traps."""
    at = ir.Local("at", 10)
    body: ir.Block = (
        ir.Translate(at.name, ir.Literal(address, 8), 1, access, None, 10),
        ir.Write("found", at),
    )
    outcome = engine.run(state, body, {})
    return outcome.state.scalars["found"] if isinstance(outcome, Retired) else -1


def with_found(isa: ir.Isa) -> ir.Isa:
    found = ir.Element("found", 10, ir.Role.CONTROL)
    return replace(isa, elements=(*isa.elements, found))


def drawn(random: Random) -> MachineState:
    """A guest with tables all over its memory, its own second stage too."""
    state = bare_state(two_stages(), PLACEMENT.region_size)
    for cell in range(PLACEMENT.region_size):
        page = random.randrange(PAGES if random.random() < 0.8 else 64)
        state.cells[cell] = random.choice([7, 7, 6, 5, 4, 0]) << 13 | page
    for name in ("root", "guest_root", "stage"):
        state.scalars[f"{name}.ON"] = int(random.random() < 0.8)
        state.scalars[f"{name}.PPN"] = random.randrange(PAGES)
    state.scalars["reach"] = random.getrandbits(1)
    state.scalars["M"] = random.choice([USER, KERNEL])
    return state


def test_whatever_is_mapped_an_address_leads_where_the_virtual_machine_says_or_traps() -> None:
    """Section 6 of the formal model, at every address, as pages come and go."""
    random, monitor, reached, refused = Random(0), staged(slots=3), 0, 0
    real = ConcreteEngine(with_found(monitor.real))
    bare = ConcreteEngine(with_found(two_stages()))
    virtual = ConcreteEngine(monitor.virtual)
    for _ in range(12):
        guest = drawn(random)
        state = place(monitor, guest, PLACEMENT)
        for _ in range(random.randrange(12)):
            place_, more = random.randrange(16 * PAGES), random.randrange(2)
            touch = ir.Call(None, "vmm.touch", (ir.Literal(place_, 10), ir.Literal(more, 10)))
            done = virtual.run(state, (*monitor.save, touch, *monitor.resume), {})
            assert isinstance(done, Retired)
            state = done.state
        for address in ADDRESSES:
            for access in ir.Access:
                here = looked_up(real, state, address, access)
                there = looked_up(bare, guest, address, access)
                assert here in (-1, PLACEMENT.region_base + there)
                reached += here >= 0
                refused += here < 0 <= there

    assert reached > 300
    assert refused > 300


PROGRAM = """
        .org 0x20
start:  ldi r1, 0x83
        ldh r1, 0x80
        root r1         ; the table in page 3
        reach 1
loop:   ld r0, (r2)
        st r0, (r3)
        reach 0
        add r0, r0
        reach 1
        bz r0, loop
"""
ROUNDS = 40


def test_what_a_kernel_does_all_day_runs_directly() -> None:
    """It changes REACH, and reads its users' pages through a table of its own."""
    isa, monitor = two_stages(), staged()
    program = assemble(isa, PROGRAM)
    assert isinstance(program, Program), program
    guest = bare_state(isa, PLACEMENT.region_size)
    for segment in program.segments:
        guest.load_cells(segment.address, list(segment.cells))
    table = {2: 0xC002, 4: 0xE005, 5: 0xC006}
    guest.load_cells(0x30, [table.get(n, 0) for n in range(16)])
    guest.update({"PC": 0x20, "r[2]": 0x40, "r[3]": 0x50})
    virtual = VirtualMachine([monitor], place(monitor, guest, PLACEMENT), Codec(isa).decode)

    for _ in range(6 * ROUNDS):
        virtual.step()

    assert virtual.state.arrays["r"][0] == 0
    assert virtual.emulated <= 5  # the first of each page, and no walk
    assert virtual.direct == 6 * ROUNDS - virtual.emulated


# --------------------------------------------------------------------------- broken monitors


def test_a_page_mapped_elsewhere_is_found_out() -> None:
    base = ir.Read("region.base", 10)
    beyond = ir.Binary(ir.BinaryOp.ADD, base, ir.Literal(16, 10), 10)
    broken = with_another(staged(), "vmm.fill", base, beyond)

    found = refutations(broken, DIRECT, lambda s: s.group is Group.MAP)

    assert (Group.MAP, "filling maps a page of the region where it lies") in found
    assert found_by_programs(broken, 300)


def test_a_second_stage_that_leads_to_another_page_is_found_out() -> None:
    """`install` enters the page beside the one that it is given."""
    monitor = staged()
    install = next(f for f in monitor.virtual.functions if f.name == "vmm.install")
    pa = install.parameters[1]
    beside = ir.Binary(ir.BinaryOp.XOR, pa, ir.Literal(16, 10), 10)
    broken = with_another(monitor, "vmm.install", pa, beside)

    found = refutations(broken, DIRECT, lambda s: s.group is Group.MAP)

    assert (Group.MAP, "read of 1, virtual mode kernel") in found
    assert found_by_programs(broken, 300)


def test_a_real_second_stage_that_is_left_off_is_found_out() -> None:
    """The guest then reaches what lies at the same places of the real memory."""
    monitor = staged()
    resume = tuple(
        replace(s, value=ir.Literal(0, 1))
        if isinstance(s, ir.Write) and s.element == "stage.ON"
        else s
        for s in monitor.resume
    )

    assert found_by_programs(replace(monitor, resume=resume), 300)


@pytest.mark.parametrize("call", ["vmm.install", "vmm.remove"])
def test_a_page_that_is_not_mapped_or_stays_so_is_found_out(call: str) -> None:
    """No program can tell: all that stays mapped is right."""
    monitor = staged()

    def without(block: ir.Block) -> ir.Block:
        return tuple(
            replace(s, then=without(s.then), orelse=without(s.orelse))
            if isinstance(s, ir.If)
            else s
            for s in block
            if not (isinstance(s, ir.Call) and s.function == call)
        )

    functions = tuple(
        replace(f, body=without(f.body)) if f.name == "vmm.fill" else f
        for f in monitor.virtual.functions
    )
    broken = replace(monitor, virtual=replace(monitor.virtual, functions=functions))

    found = refutations(broken, DIRECT, lambda s: "slot" in getattr(s, "name", ""))

    assert (Group.EFFICIENCY, "what is mapped is what slots name") in found
