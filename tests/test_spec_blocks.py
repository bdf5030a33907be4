"""A machine that runs by emitted code does what one that runs step by step does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spec.ir import (
    Bit,
    Call,
    Compare,
    CompareOp,
    Extend,
    Function,
    If,
    Literal,
    Local,
    Not,
    Read,
    Return,
    Write,
)
from spec.machine import Machine, Run, Stop
from spec.state import MachineState
from tests.small_machine import INSTRUCTIONS, SMALL, Word, decode, instruction

FIRST = 2  # the pc at reset
words = st.builds(
    lambda number, operand: number << 8 | operand,
    st.integers(0, len(INSTRUCTIONS)),  # one is no instruction
    st.one_of(st.integers(0, 30), st.integers(0, 255)),
)
scalars = st.fixed_dictionaries(
    {
        "A": st.integers(0, 0xFFFF) | st.integers(0, 5) | words,
        "P": st.integers(0, 20),
        "M": st.integers(0, 1),
        "R": st.sampled_from((0, 0, 1, 240)),
        "B": st.sampled_from((255, 255, 25, 10)),
        "I": st.integers(0, 1),
        "T": st.integers(0, 15),
    }
)


def ending(machine: Machine, run: Run) -> object:
    return run, machine.waiting, machine.double_trap and machine.double_trap.cause


@st.composite
def starts(draw: st.DrawFn) -> MachineState:
    state = MachineState(SMALL)
    state.update(draw(scalars))
    for address, word in enumerate(draw(st.lists(words, min_size=1, max_size=24))):
        state.cells[address] = word
    return state


@given(
    starts(),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 25), words), min_size=1, max_size=4),
    st.frozensets(st.integers(0, 20), max_size=2),
    st.integers(0, 2),
)
def test_runs_end_alike_also_in_pieces_with_breakpoints_and_changes_from_outside(
    start: MachineState,
    pieces: list[tuple[int, int, int]],
    breakpoints: frozenset[int],
    warm_up: int,
) -> None:
    concrete = Machine(SMALL, start.copy(), decode)
    emitted = Machine(SMALL, start.copy(), decode, "emitted", warm_up, block_length=6)
    concrete.breakpoints = emitted.breakpoints = breakpoints
    for limit, address, word in pieces:
        expected = ending(concrete, concrete.run(limit))

        found = ending(emitted, emitted.run(limit))

        assert found == expected
        assert emitted.state.differences(concrete.state) == {}
        for machine in (concrete, emitted):
            machine.state.cells[address] = word


def test_a_program_that_rewrites_itself_runs_what_it_wrote() -> None:
    program = ["GET 8", "ADD 1", "PUT 8", "JUMP 8", "", "", "SET 5", "JUMP 2"]
    numbers = {instruction.name: n for n, instruction in enumerate(INSTRUCTIONS)}
    state = MachineState(SMALL)
    for address, line in enumerate(program, FIRST):
        name, _, operand = line.partition(" ")
        state.cells[address] = numbers[name] << 8 | int(operand) if name else 0xFFFF
    machine = Machine(SMALL, state, decode, "emitted")

    run = machine.run(6 * 200 - 1)

    assert run == Run(Stop.LIMIT, 1199)
    assert machine.state.scalars["A"] == 205
    assert machine.state.cells[8] == 205


def test_a_loop_of_a_machine_with_a_clock_keeps_the_time() -> None:
    state = MachineState(SMALL)
    (jump,) = [number for number, i in enumerate(INSTRUCTIONS) if i.name == "JUMP"]
    state.cells[FIRST] = jump << 8 | FIRST
    machine = Machine(SMALL, state, decode, "emitted")

    machine.run(1001)

    assert machine.state.scalars["T"] == 1001 % 16


def test_an_instruction_too_deep_for_python_runs_all_the_same() -> None:
    zero = Compare(CompareOp.EQ, Read("A", 16), Literal(0, 16))
    leaf = Function("f0", (), (If(zero, (Return(zero),), ()), Return(Not(zero))), 0)
    functions = [leaf]
    for number in range(1, 30):
        inner = Call("inner", f"f{number - 1}", ())
        other = Compare(CompareOp.EQ, Read("A", 16), Literal(1000 + number, 16))
        early = If(other, (Return(zero),), ())
        again = (early, inner, Return(Local("inner", 0)))
        functions.append(Function(f"f{number}", (), again, 0))
    deep = instruction(
        "DEEP", Call("found", "f29", ()), Write("R", Extend(Bit(Local("found", 0)), False, 8))
    )
    isa = replace(SMALL, functions=(*SMALL.functions, *functions), instructions=(deep,))
    state = MachineState(isa)
    state.update({"A": 7, "B": 200})
    machine = Machine(isa, state, lambda unit: Word(deep, {"n": unit(0)}), "emitted", 0)

    machine.run(5)

    assert (machine.pc, machine.state.scalars["R"]) == (FIRST + 5, 1)
