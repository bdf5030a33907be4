"""The relocation unit of `isas/m68k/m68010_board`, by itself and under a monitor."""

from functools import cache
from pathlib import Path

import pytest

from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.lockstep import lockstep
from refvmm.processor import stack
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, default_placement, place
from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Access, Isa
from spec.load import load
from spec.machine import Machine
from spec.outcome import Trapped
from spec.program import Program
from spec.state import MachineState

BOARD = Path(__file__).resolve().parent.parent / "isas" / "m68k" / "m68010_board.isa"
SIZE = 1 << 16
USER, SUPERVISOR = 0, 1

# Supervisor mode makes user mode see 0x4000 to 0x40FF as 0 to 0xFF, and starts it. User mode writes
# and reads there, then reaches beyond; the handler widens the limit and goes on in user mode.
PROGRAM = """
        .org 8
        .long beyond
        .org 0x1000
start:  moveq #3,%d0
        movec %d0,%dfc
        movec %d0,%sfc
        move.l #0x4000,%d1
        moves.l %d1,0x0:w
        move.l #0x100,%d2
        moves.l %d2,0x4:w
        moves.l 0x4:w,%d5
        move.w #0,%a7@-
        move.l #0x10,%a7@-
        move.w #0,%a7@-
        rte
beyond: addq.l #1,%d7
        move.w %a7@(6),%d6
        moves.l %d1,0x4:w
        move.l #0x20,%a7@(2)
        rte
        .org 0x4010
        move.l %d1,0x80:w
        move.l 0x80:w,%d3
        move.w 0x100:w,%d4
        .org 0x4020
        move.w 0x100:w,%d4
        nop
        .org 0x4100
        .half 0x1234
"""
STEPS = 22


@cache
def board() -> Isa:
    isa = load(str(BOARD)).isa
    assert isa is not None
    return isa


def found(state: MachineState, address: int, access: Access, size: int = 2) -> int | str:
    """Where an access of the present mode goes, or the trap it takes."""
    result = ConcreteEngine(board()).look_up(state, address, size, access)
    return result.cause if isinstance(result, Trapped) else result


def relocated(mode: int, base: int, limit: int, size: int = SIZE) -> MachineState:
    state = bare_state(board(), size)
    state.update({"S": mode, "relocation.base": base, "relocation.limit": limit})
    return state


def test_after_reset_nothing_is_relocated() -> None:
    state = bare_state(board(), 1 << 24)
    state.scalars["S"] = USER

    assert found(state, 0xFFFFFE, Access.READ) == 0xFFFFFE


def test_user_mode_is_relocated_and_supervisor_mode_is_not() -> None:
    assert found(relocated(USER, 0x4000, 0x100), 0xFE, Access.FETCH) == 0x40FE
    assert found(relocated(SUPERVISOR, 0x4000, 0x100), 0xFE, Access.FETCH) == 0xFE
    assert found(relocated(SUPERVISOR, 0x4000, 0x100), 0x1000, Access.WRITE) == 0x1000


@pytest.mark.parametrize(
    ("mode", "address", "size", "cause"),
    [
        (USER, 0x100, 1, "bus_error"),
        (USER, 0xFE, 4, "bus_error"),
        (USER, 0xFF, 2, "address_error"),
        (SUPERVISOR, SIZE, 1, "bus_error"),
        (SUPERVISOR, SIZE - 2, 4, "bus_error"),
    ],
)
def test_outside_the_limit_and_the_memory_the_board_answers_with_an_error(
    mode: int, address: int, size: int, cause: str
) -> None:
    assert found(relocated(mode, 0x4000, 0x100), address, Access.READ, size) == cause


def test_a_base_beyond_the_memory_does_not_wrap_around() -> None:
    assert found(relocated(USER, 0xFFFFFE, 0x100, 1 << 24), 2, Access.READ) == "bus_error"


# --------------------------------------------------------------------------- a program


def started() -> MachineState:
    program = assemble(board(), PROGRAM)
    assert isinstance(program, Program), program
    state = bare_state(board(), SIZE)
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))
    state.update({"PC": program.entry, "SSP": 0x8000})
    return state


def test_a_program_sets_the_window_of_user_mode_and_is_told_what_lies_beyond() -> None:
    bare = Machine(board(), started(), Codec(board()).decode)

    outcomes = [bare.step().outcome for _ in range(STEPS)]
    causes = [o.cause for o in outcomes if isinstance(o, Trapped)]

    registers = bare.state.arrays["D"]
    assert causes == ["bus_error"]
    assert bare.state.scalars["S"] == USER
    assert registers[3] == 0x4000
    assert registers[4] & 0xFFFF == 0x1234
    assert registers[5] == 0x100
    assert registers[6] & 0xFFFF == 0x8008  # format 8, vector 2
    assert registers[7] == 1
    assert [bare.state.cells[0x4080 + i] for i in range(4)] == [0, 0, 0x40, 0]


@pytest.mark.parametrize("strategy", list(Strategy), ids=lambda s: s.value)
def test_it_does_the_same_under_a_monitor(strategy: Strategy) -> None:
    isa = board()
    monitors = stack(isa, isa.configurations[0], 1)
    state = place(monitors[0], started(), Placement(0x30000, SIZE, 0))
    virtual = VirtualMachine(monitors, state, Codec(isa).decode, strategy)
    bare = Machine(isa, started(), Codec(isa).decode)

    assert lockstep(bare, virtual, STEPS) is None
    assert bare.state.arrays["D"][7] == 1
    assert (virtual.direct > 0) == (strategy is not Strategy.INTERPRET)


def test_the_configuration_can_host_a_guest() -> None:
    isa = board()
    placement = default_placement(isa, isa.configurations[0])

    monitor = derive(isa, isa.configurations[0])

    assert obstacles(monitor, placement, Strategy.TRAP_AND_EMULATE) == ()
