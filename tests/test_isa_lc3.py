"""The LC-3 of `isas/lc3`, which docs/adding-an-architecture.md writes step by step."""

import pytest

from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState
from tests.document import ROOT, blocks

FILE = ROOT / "isas" / "lc3" / "lc3.isa"
USER, SUPERVISOR = 1, 0
NEGATIVE, PRIORITY_5 = 1 << 2, 5 << 8


def described() -> Isa:
    isa = load(str(FILE)).isa
    assert isa is not None
    return isa


def machine(text: str, origin: int, **state: int) -> Machine:
    """With stacks at 0x3000 and 0xFE00, and vectors that lead to 0x1000 plus themselves."""
    isa = described()
    program = assemble(isa, text, origin=origin)
    assert isinstance(program, Program), program
    start = MachineState(isa)
    for vector in range(0x200):
        start.load_cells(vector, [0x1000 + vector])
    for segment in program.segments:
        start.load_cells(segment.address, list(segment.cells))
    start.update({"PC": origin, "SSP": 0x3000, "USP": 0xFE00} | state)
    return Machine(isa, start, Codec(isa).decode)


def test_the_tutorial_writes_the_bundled_description() -> None:
    document = ROOT / "docs" / "adding-an-architecture.md"
    written = [block.text for block in blocks(document) if block.name == "lc3.isa"]

    assert "\n".join(written) == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "vector", "pc"),
    [
        ("rti", 0x100, 0x4001),
        (".cell 0xD000", 0x101, 0x4001),
        ("ldr r0, r6, #0", 0x102, 0x4001),  # at 0xFE00, the page of the devices
        ("trap 0x25", 0x25, 0x4001),
    ],
)
def test_a_trap_saves_psr_and_pc_on_the_stack_of_the_supervisor(
    text: str, vector: int, pc: int
) -> None:
    bare = machine(text, 0x4000, M=USER, PL=5, N=1)

    bare.step()

    assert (bare.pc, bare.state.scalars["M"]) == (0x1000 + vector, SUPERVISOR)
    assert bare.state.scalars["SSP"] == 0x2FFE
    assert bare.state.cells[0x2FFE] == pc
    assert bare.state.cells[0x2FFF] == USER << 15 | PRIORITY_5 | NEGATIVE


def test_rti_goes_back_to_the_program_and_its_stack() -> None:
    bare = machine("rti", 0x200, M=SUPERVISOR, SSP=0x2FFE)
    bare.state.load_cells(0x2FFE, [0x4001, USER << 15 | PRIORITY_5 | NEGATIVE])

    bare.step()

    after = bare.state.scalars
    assert (bare.pc, after["M"], after["PL"], after["N"], after["Z"]) == (0x4001, USER, 5, 1, 0)
    assert (after["SSP"], after["USP"]) == (0x3000, 0xFE00)


@pytest.mark.parametrize(("priority", "taken"), [(3, True), (4, False)])
def test_the_keyboard_interrupts_programs_of_less_priority(priority: int, taken: bool) -> None:
    bare = machine("and r0, r0, #0", 0x4000, M=USER, PL=priority, keyboard=1)

    bare.step()

    assert (bare.state.scalars["M"] == SUPERVISOR) is taken
    if taken:
        assert (bare.pc, bare.state.scalars["PL"]) == (0x1180, 4)
        assert bare.state.cells[0x2FFE] == 0x4000


def test_lea_leaves_the_flags_alone_as_the_third_edition_says() -> None:
    bare = machine("lea r0, 0x3FFF", 0x4000, M=USER, Z=1)

    bare.step()

    assert bare.state.arrays["r"][0] == 0x3FFF
    assert bare.state.scalars["Z"] == 1
