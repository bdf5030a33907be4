"""The machine of `isas/pg74` is the one that the paper defines: translation, traps, LPSW."""

from functools import cache
from pathlib import Path

import pytest

from spec.assembly import assemble
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine, Stop
from spec.program import Program
from spec.state import MachineState

ISA = Path(__file__).parent.parent / "isas" / "pg74" / "pg74.isa"
USER, SUPERVISOR = 0, 1
WORDS = 1024


@cache
def pg74() -> Isa:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def psw(mode: int, pc: int, relocation: int, bound: int) -> int:
    """PG74: "a PSW (M, P, R) fits a word"."""
    return mode << 31 | pc << 21 | relocation << 11 | bound


def machine(text: str, origin: int, **state: int) -> Machine:
    """A machine with a program at a physical address; its trap handler is a HALT at 100."""
    isa = pg74()
    program = assemble(isa, text, origin=origin)
    handler = assemble(isa, "halt", origin=100)
    assert isinstance(program, Program)
    assert isinstance(handler, Program)
    start = MachineState(isa)
    for segment in (*program.segments, *handler.segments):
        start.load_cells(segment.address, list(segment.cells))
    start.load_cells(1, [psw(SUPERVISOR, 100, 0, WORDS)])
    start.update({name.replace("_", "."): value for name, value in state.items()})
    return Machine(isa, start, Codec(isa).decode)


def test_a_trap_stores_the_psw_at_0_and_loads_the_one_at_1() -> None:
    bare = machine("halt", 300, M=USER, P=20, R_l=280, R_b=50)

    bare.step()

    assert bare.state.cells[0] == psw(USER, 20, 280, 50)
    registers = {"M": SUPERVISOR, "P": 100, "R.l": 0, "R.b": WORDS}
    assert bare.state.scalars == {**registers, "E.size": WORDS}


@pytest.mark.parametrize("mode", [USER, SUPERVISOR])
@pytest.mark.parametrize(
    ("relocation", "bound", "address", "is_reached"),
    [
        (200, 50, 49, True),
        (200, 50, 50, False),
        (1000, 100, 23, True),
        (1000, 100, 24, False),
        (0, WORDS, WORDS - 1, True),
        (1, WORDS, WORDS - 1, False),
    ],
)
def test_an_address_traps_past_the_bound_and_past_memory_in_both_modes(
    mode: int, relocation: int, bound: int, address: int, is_reached: bool
) -> None:
    bare = machine(f"set {address}, 7", relocation, M=mode, P=0, R_l=relocation, R_b=bound)

    bare.step()

    assert (bare.pc == 1) is is_reached
    assert (bare.pc == 100) is not is_reached
    if is_reached:
        assert bare.state.cells[relocation + address] == 7


def test_a_supervisor_starts_a_user_program_and_gets_control_back_when_that_traps() -> None:
    bare = machine("lpsw 210\n", 200, M=SUPERVISOR, P=200)
    bare.state.load_cells(210, [psw(USER, 0, 300, 40)])
    summing = assemble(
        pg74(),
        """
        loop:   get 30, 21      // E[30] := E[E[21]]
                add 20, 30
                sub 21, 23
                sub 22, 23
                jz 22, done
                jmp loop
        done:   halt
        """,
    )
    assert isinstance(summing, Program)
    (segment,) = summing.segments
    bare.state.load_cells(300, list(segment.cells))
    bare.state.load_cells(320, [0, 35, 3, 1])  # the sum, the last summand's place, how many, 1
    bare.state.load_cells(333, [1000, 200, 30])

    run = bare.run(100)

    assert run.stop is Stop.WAITING
    assert bare.state.cells[320] == 1230
    assert bare.state.cells[0] == psw(USER, 6, 300, 40)
    assert bare.state.scalars["M"] == SUPERVISOR
