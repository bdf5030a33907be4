"""The concrete engine and the bare machine, on a machine built by hand."""

from spec.concrete import ConcreteEngine
from spec.ir import Access, TrapClass
from spec.machine import Machine, Run, Stop
from spec.outcome import Retired, Touch, Trapped, VirtualAccess
from spec.state import MachineState, dump
from tests.small_machine import INSTRUCTIONS, SMALL, decode

BY_NAME = {i.name: (number, i) for number, i in enumerate(INSTRUCTIONS)}


def words(*program: str) -> list[int]:
    return [
        (BY_NAME[name][0] << 8) | int(operand, 0)
        for name, operand in (f"{line} 0".split()[:2] for line in program)
    ]


def machine(*program: str, **scalars: int) -> Machine:
    state = MachineState(SMALL)
    state.update(scalars)
    state.load_cells(2 + state.scalars["R"], words(*program))
    return Machine(SMALL, state, decode)


def execute(line: str, state: MachineState) -> Retired | Trapped:
    name, operand = line.split()
    return ConcreteEngine(SMALL).execute(state, BY_NAME[name][1], {"n": int(operand)}, 1)


def test_a_loop_runs_until_its_counter_is_zero() -> None:
    subject = machine("SET 3", "LOOP 3", "PUT 100", "JUMP 5")

    run = subject.run(6)

    assert run == Run(Stop.LIMIT, 6)
    assert subject.pc == 5
    assert subject.state.cells[100] == 0
    assert subject.state.scalars["T"] == 6


def test_a_trap_leaves_the_state_as_it_was() -> None:
    state = MachineState(SMALL)
    state.update({"A": 7})
    before = state.copy()

    outcome = execute("PUT_TRAP 9", state)

    assert isinstance(outcome, Trapped)
    assert (outcome.cause, outcome.trap_class, outcome.arguments) == ("call", TrapClass.CALL, (7,))
    assert outcome.next == 3
    assert state == before


def test_accesses_say_where_the_address_went_or_that_it_was_refused() -> None:
    state = MachineState(SMALL)
    state.update({"A": 7, "R": 16, "B": 32})

    reached = execute("PUT 9", state)
    refused = execute("PUT 32", state)

    assert reached.accesses.virtual == (
        VirtualAccess(Touch.STORE, 9, 25, 1, Access.WRITE, None, 7),
    )
    assert refused.accesses.virtual == (
        VirtualAccess(Touch.STORE, 32, None, 1, Access.WRITE, None, 7),
    )
    assert isinstance(refused, Trapped)
    assert refused.trap_class is TrapClass.MEMORY


def test_a_trap_is_delivered_in_the_state_before_the_instruction() -> None:
    subject = machine("PUT_TRAP 9", A=7)
    subject.state.cells[1] = 50

    subject.step()

    assert subject.state.cells[0] == 0x8302
    assert subject.state.cells[9] == 0
    assert subject.pc == 50


def test_a_privileged_instruction_traps_in_user_mode_and_a_fetch_outside_too() -> None:
    privileged, outside = machine("RELOCATE 5", M=0), machine("SET 1", B=2)

    privileged.step()
    outside.step()

    assert privileged.state.cells[0] == 0x0102
    assert outside.state.cells[0] == 0x8202


def test_a_trap_while_a_trap_is_delivered_stops_the_machine() -> None:
    subject = machine()
    subject.state.cells[2] = 0xFFFF

    run = subject.run(10)

    assert run.stop is Stop.DOUBLE_TRAP
    assert run.steps == 1
    assert run.trap is not None and run.trap.cause == "outside"


def test_a_machine_that_waits_goes_on_when_the_clock_interrupts() -> None:
    subject = machine("ENABLE 1", "WAIT")
    subject.state.cells[1] = 50

    subject.run(15)
    assert subject.waiting
    subject.step()

    assert not subject.waiting
    assert subject.state.cells[0] == 0x8504
    assert subject.pc == 50


def test_a_breakpoint_stops_the_run_before_its_instruction() -> None:
    subject = machine("SET 3", "ADD 1", "ADD 1")
    subject.breakpoints = frozenset({4})

    run = subject.run(10)

    assert run == Run(Stop.BREAKPOINT, 2)
    assert subject.state.scalars["A"] == 4


def test_copies_of_a_state_do_not_see_each_others_changes() -> None:
    state = MachineState(SMALL)
    state.cells[5] = 1
    twin = state.copy()

    state.cells[5] = 2
    twin.cells[6] = 3

    assert (state.cells[5], state.cells[6]) == (2, 0)
    assert (twin.cells[5], twin.cells[6]) == (1, 3)
    assert state.differences(twin) == {"[0x5]": (2, 1), "[0x6]": (0, 3)}


def test_states_are_equal_when_they_hold_the_same_whatever_was_written() -> None:
    state, other = MachineState(SMALL), MachineState(SMALL)
    state.cells[5] = 1

    assert state != other
    state.cells[5] = 0
    assert state == other


def test_a_dump_names_modes_and_shows_cells_that_are_not_zero() -> None:
    state = MachineState(SMALL)
    state.cells[0x12] = 0xABC

    text = dump(SMALL, state)

    assert "M = 0x1 supervisor" in text
    assert "E[0x10..] = 0000 0000 0abc" in text
