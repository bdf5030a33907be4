"""The VAX of `isas/vax`: what the manual says and no simulator is asked, and a guest under its monitor."""

from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Group
from refvmm.derive import derive
from refvmm.lockstep import lockstep
from refvmm.obligations import hosted, obligations
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, place
from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "vax"
USER, EXECUTIVE, KERNEL = 3, 1, 0
ORIGIN = 0x1000
MODIFIED = 1 << 26

SYSTEM = """
start:  movl i^#0x3000, sp          ; reset leaves the processor on the interrupt stack
        mtpr i^#0x200, s^#scbb
        mtpr i^#0x3200, s^#ksp
        mtpr i^#0x3400, s^#usp
        movl i^#service, @#0x240    ; the vector of CHMK
        movl i^#0x8200, r2
        clrl r3
fill:   bisl3 i^#0xa0000000, r3, (r2)+
        aoblss i^#64, r3, fill      ; P0: 64 pages where they are, open to all
        movl i^#0xa0000041, @#0x8000
        mtpr i^#0x8000, s^#sbr
        mtpr s^#1, s^#slr
        mtpr i^#0x80000000, s^#p0br
        mtpr i^#64, s^#p0lr
        mtpr s^#1, s^#mapen
        pushl i^#0x03c00000
        pushal @#user
        rei
user:   clrl r0
        movl s^#10, r1
loop:   addl2 r1, r0
        movl r0, @#0x4000
        sobgtr r1, loop
        movpsl @#0x4004
        prober s^#0, s^#4, @#0x4000
        beql no
        chmk r0
no:     brb no
        .align 4
service: movl (sp)+, @#0x4200
        movpsl @#0x4204
        halt
"""


@cache
def described(name: str = "vax") -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def loaded_state(text: str, name: str = "vax") -> MachineState:
    isa = described(name)
    program = assemble(isa, text, origin=ORIGIN)
    assert isinstance(program, Program), program
    state = MachineState(isa)
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))
    state.update({"PC": ORIGIN})
    return state


def machine(text: str, name: str = "vax", **state: int) -> Machine:
    start = loaded_state(text, name)
    start.update({n: value for n, value in state.items() if not n.startswith("r")})
    for register, value in state.items():
        if register.startswith("r"):
            start.own_array("GPR")[int(register[1:])] = value
    return Machine(described(name), start, Codec(described(name)).decode)


def long_at(bare: Machine, address: int) -> int:
    return sum(bare.state.cells[address + i] << 8 * i for i in range(4))


@pytest.mark.parametrize("name", ["vax", "vax_vm"])
def test_a_system_maps_memory_runs_a_user_and_is_called(name: str) -> None:
    bare = machine(SYSTEM, name)

    bare.run(1000)

    assert bare.waiting
    assert (long_at(bare, 0x4000), long_at(bare, 0x4200)) == (55, 55)
    assert long_at(bare, 0x4004) & 0x03C0_0000 == 0x03C0_0000  # user, called from user
    assert long_at(bare, 0x4204) & 0x03C0_0000 == 0x00C0_0000  # kernel, called from user
    assert long_at(bare, 0x8200 + 4 * 0x20) & MODIFIED
    assert not long_at(bare, 0x8200 + 4 * 0x22) & MODIFIED


@pytest.mark.parametrize(
    ("name", "strategy"),
    [("vax", Strategy.INTERPRET), ("vax_vm", Strategy.TRAP_AND_EMULATE)],
)
def test_a_system_cannot_tell_its_monitor_from_the_bare_machine(
    name: str, strategy: Strategy
) -> None:
    isa = described(name)
    state = loaded_state(SYSTEM, name)
    codec = Codec(isa)
    monitor = derive(isa, next(c for c in isa.configurations if c.name == "vm"))
    host = place(monitor, state, Placement(0x2_0000, 0x1_0000, 0x100_0000))
    virtual = VirtualMachine([monitor], host, codec.decode, strategy)

    difference = lockstep(Machine(isa, state, codec.decode), virtual, 300)

    assert difference is None


def test_operands_are_evaluated_in_order() -> None:
    bare = machine("addl3 (r1)+, (r1)+, -(r2)", r1=0x2000, r2=0x3004)
    bare.state.load_cells(0x2000, [1, 0, 0, 0, 2, 0, 0, 0])

    bare.step()

    assert long_at(bare, 0x3000) == 3
    assert (bare.state.arrays["GPR"][1], bare.state.arrays["GPR"][2]) == (0x2008, 0x3000)


def test_a_fault_leaves_the_registers_that_specifiers_have_moved() -> None:
    bare = machine("movl (r1)+, s^#1", r1=0x2000, CUR=KERNEL, IPL=0, SCBB=0x200, KSP=0x3000)

    bare.step()

    assert bare.state.arrays["GPR"][1] == 0x2000
    assert long_at(bare, 0x2FF8) == ORIGIN


def test_the_program_counter_of_an_operand_lies_behind_its_specifier() -> None:
    bare = machine("movab b^4(pc), r0")

    bare.step()

    assert bare.state.arrays["GPR"][0] == ORIGIN + 3 + 4


def test_an_overflow_traps_after_its_instruction() -> None:
    bare = machine(
        "addl2 s^#1, r0", r0=0x7FFF_FFFF, IV=1, CUR=KERNEL, IPL=0, SCBB=0x200, KSP=0x3000
    )

    bare.step()

    assert bare.state.arrays["GPR"][0] == 0x8000_0000

    bare.step()

    assert long_at(bare, 0x2FF4) == 1  # the type: integer overflow
    assert long_at(bare, 0x2FF8) == ORIGIN + 3
    assert bare.state.scalars["KSP"] == 0x2FF4


def test_software_interrupts_wait_for_the_priority_to_fall() -> None:
    bare = machine(
        "mtpr s^#3, s^#sirr\nmtpr s^#2, s^#ipl\nnop",
        CUR=KERNEL,
        IPL=4,
        PRV=0,
        SCBB=0x200,
        KSP=0x3000,
    )
    bare.state.load_cells(0x200 + 0x8C, [0, 0x50, 0, 0])

    for _ in range(3):
        bare.step()

    assert (bare.pc, bare.state.scalars["IPL"]) == (0x5000, 3)
    assert bare.state.scalars["SISR"] == 0


def test_change_mode_never_goes_outwards() -> None:
    for mode, entered in ((USER, EXECUTIVE), (EXECUTIVE, EXECUTIVE), (KERNEL, KERNEL)):
        stacks = {"USP": 0x3000, "ESP": 0x4000, "KSP": 0x5000}
        bare = machine("chme s^#7", CUR=mode, PRV=3, IPL=0, SCBB=0x200, **stacks)
        bare.state.load_cells(0x244, [0, 0x60, 0, 0])

        bare.step()

        assert (bare.pc, bare.state.scalars["CUR"]) == (0x6000, entered)
        assert bare.state.scalars["PRV"] == mode


@pytest.mark.parametrize("name", ["vax", "vax_vm"])
def test_what_the_monitor_keeps_of_the_real_machine_makes_its_invariants_hold(name: str) -> None:
    """The architecture allows no other IPL and previous mode while a guest runs."""
    isa = load(ISAS / f"{name}.isa").isa
    assert isa is not None
    monitor = derive(isa, isa.configurations[0])
    context = hosted(monitor)
    asked = [s for s in obligations(monitor, Strategy.INTERPRET) if s.group is Group.START]

    answers = [d.answer for statement in asked for d in discharge(context, statement)]

    assert answers == [Answer.YES] * len(isa.mode.members)
