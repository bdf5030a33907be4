"""The Beta of `isas/beta`: supervisor mode as the handout has it, and monitors for its variants."""

from functools import cache
from pathlib import Path
from random import Random

import pytest

from checker.answers import Answer
from checker.check import check
from refvmm.derive import derive
from refvmm.lockstep import lockstep
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "beta"
USER, SUPERVISOR = 0, 1
SUPERVISOR_BIT = 1 << 31
ILLOP, DEVICE = 4, 8
MEMORY_BYTES = 0x1000
WORD = (1 << 32) - 1


@cache
def described(name: str = "beta") -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def machine(text: str, origin: int = 0x100, **state: int) -> Machine:
    isa = described()
    program = assemble(isa, text, origin=origin)
    assert isinstance(program, Program), program
    start = MachineState(isa)
    for segment in program.segments:
        start.load_cells(segment.address, list(segment.cells))
    start.update({"PC": origin} | {name: value for name, value in state.items() if name != "r"})
    return Machine(isa, start, Codec(isa).decode)


def test_a_jump_takes_the_supervisor_bit_away_and_cannot_give_it() -> None:
    bare = machine("jmp r1, lp", S=SUPERVISOR)
    bare.state.own_array("r")[1] = 0x200

    bare.step()

    assert (bare.pc, bare.state.scalars["S"]) == (0x200, USER)
    assert bare.state.arrays["r"][28] == SUPERVISOR_BIT | 0x104

    bare = machine("jmp r1, lp", S=USER)
    bare.state.own_array("r")[1] = SUPERVISOR_BIT | 0x203

    bare.step()

    assert (bare.pc, bare.state.scalars["S"]) == (0x200, USER)
    assert bare.state.arrays["r"][28] == 0x104


@pytest.mark.parametrize("mode", [USER, SUPERVISOR])
def test_a_branch_shows_the_supervisor_bit_and_keeps_it(mode: int) -> None:
    bare = machine("beq r31, -1, r0", S=mode)

    bare.step()

    assert (bare.pc, bare.state.scalars["S"]) == (0x100, mode)
    assert bare.state.arrays["r"][0] == mode << 31 | 0x104


@pytest.mark.parametrize("text", [".long 0x20000000", "halt"])
def test_what_is_no_instruction_to_a_user_goes_to_4_in_supervisor_mode(text: str) -> None:
    bare = machine(text, S=USER)

    bare.step()

    assert (bare.pc, bare.state.scalars["S"]) == (ILLOP, SUPERVISOR)
    assert bare.state.arrays["r"][30] == 0x104


@pytest.mark.parametrize(("mode", "taken"), [(USER, True), (SUPERVISOR, False)])
def test_devices_interrupt_user_mode_only(mode: int, taken: bool) -> None:
    bare = machine("add r1, r1, r1", S=mode, irq=1)

    bare.step()

    assert bare.pc == (DEVICE if taken else 0x104)
    if taken:
        assert bare.state.arrays["r"][30] == 0x104


def test_a_program_adds_up_a_list() -> None:
    bare = machine(
        """
        addc r31, 0, r0
        addc r31, 0x200, r1
loop:   ld r1, 0, r2
        beq r2, 3, r31
        add r0, r2, r0
        addc r1, 4, r1
        beq r31, -5, r31
        st r0, 0x80, r31
        halt
        """,
        S=SUPERVISOR,
    )
    for i, value in enumerate((3, 4, 5, 0)):
        bare.state.load_cells(0x200 + 4 * i, list(value.to_bytes(4, "little")))

    bare.run(100)

    assert bare.waiting
    assert bare.state.cells[0x80] == 12


@pytest.mark.parametrize(
    ("name", "theorem1"), [("beta_relocated", Answer.NO), ("beta_repaired", Answer.YES)]
)
def test_the_repair_changes_the_verdict(name: str, theorem1: Answer, library_cache: Path) -> None:
    report = check(described(name), timeout=60.0, cache=library_cache)

    (classic,) = report.configurations
    assert [v.answer for v in classic.verdicts if v.theorem == 1] == [theorem1] * 3
    assert [v.answer for v in classic.verdicts if v.theorem == 3] == [Answer.YES] * 3
    assert report.claims_hold is Answer.YES
    assert report.all_defects == ()


@pytest.mark.parametrize(
    ("name", "strategy", "same"),
    [
        ("beta_relocated", Strategy.INTERPRET, True),
        ("beta_relocated", Strategy.HYBRID, True),
        ("beta_relocated", Strategy.TRAP_AND_EMULATE, False),
        ("beta_repaired", Strategy.TRAP_AND_EMULATE, True),
    ],
)
def test_a_guest_cannot_tell_where_the_theorem_holds(
    name: str, strategy: Strategy, same: bool
) -> None:
    isa, codec, random = described(name), Codec(described(name)), Random(6004)
    monitor = derive(isa, isa.configurations[0])
    told_apart = 0

    for _ in range(60):
        state = random_program(isa, codec, random)
        host = place(monitor, state, Placement(2 * MEMORY_BYTES, MEMORY_BYTES, 0))
        virtual = VirtualMachine([monitor], host, codec.decode, strategy)
        told_apart += lockstep(Machine(isa, state, codec.decode), virtual, 10) is not None

    assert (told_apart == 0) is same


def random_program(isa: Isa, codec: Codec, random: Random) -> MachineState:
    """Some instructions in either mode, among handlers of instructions too."""
    state = bare_state(isa, MEMORY_BYTES)
    base, mode = random.choice((0, 0x400, 0xF80)), random.choice((USER, SUPERVISOR))
    first = base if mode == USER else 0
    for address in (*range(0, 0x40, 4), *range(first + 0x100, first + 0x130, 4)):
        instruction = random.choice([*isa.instructions, *isa.instructions[-14:]])
        fields = {field.name: random.getrandbits(field.width) for field in instruction.fields}
        if address < MEMORY_BYTES:
            state.load_cells(address, list(codec.encode(instruction, fields)))
    values = (0, 1, 0x100, 0x108, SUPERVISOR_BIT | 0x104, 0x3FC, WORD, 0x800)
    state.own_array("r")[:] = [random.choice(values) for _ in range(31)]
    state.update({"S": mode, "PC": 0x100, "base": base, "bound": random.choice((0x200, 0x2000))})
    return state
