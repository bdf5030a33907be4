"""Machines and monitors do the same by emitted code as by the concrete engine."""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refvmm.bare_machine import BareMachine
from refvmm.comparison import Comparison
from refvmm.lockstep import differences
from refvmm.processor import stack
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state
from spec.encoding import Codec
from spec.ir import Isa
from spec.machine import Machine
from spec.routines import EngineName
from spec.state import MachineState
from tests.test_refvmm_derive import described, pg74_states

SIZE = {"pg74/pg74": 512, "riscv/rv32": 1 << 16, "m68k/m68010": 1 << 16}
STEPS = 10


def random_program(isa: Isa, size: int, seed: int) -> MachineState:
    """Any instructions, one after the other, in the middle of memory."""
    random, codec = Random(seed), Codec(isa)
    state = bare_state(isa, size)
    address = state.scalars[isa.pc] = size // 2
    for _ in range(STEPS):
        instruction = random.choice(isa.instructions)
        fields = {
            f.name: random.choice(f.values)[1] if f.values else random.getrandbits(f.width)
            for f in instruction.fields
        }
        try:
            cells = codec.encode(instruction, fields)
        except ValueError:
            continue
        state.load_cells(address, list(cells))
        address += len(cells)
    return state


@cache
def bare_machine(name: str) -> BareMachine:
    isa = described(name)
    return BareMachine(isa, bare_state(isa, SIZE[name]), Codec(isa).decode)


@cache
def virtual_machine(strategy: Strategy, engine: EngineName) -> VirtualMachine:
    isa = described("pg74/pg74")
    monitors = stack(isa, isa.configurations[0], 1)
    state = MachineState(monitors[0].real)
    return VirtualMachine(monitors, state, Codec(isa).decode, strategy, engine)


@pytest.mark.parametrize("name", SIZE)
@settings(max_examples=15)
@given(seed=st.integers(0, 1 << 32))
def test_the_bare_machine_does_by_emitted_code_what_the_concrete_one_does(
    name: str, seed: int
) -> None:
    isa = described(name)
    state = random_program(isa, SIZE[name], seed)
    concrete = Machine(isa, state.copy())
    emitted = bare_machine(name)
    emitted.restart(state.copy())

    for _ in range(STEPS):
        steps = concrete.step(), emitted.step()

        assert steps[0].interrupt == steps[1].interrupt
        assert concrete.state == emitted.state
        assert concrete.waiting == emitted.waiting
        assert (concrete.double_trap is None) == (emitted.double_trap is None)
        if concrete.double_trap is not None:
            return


@pytest.mark.parametrize("strategy", list(Strategy), ids=lambda s: s.value)
@settings(max_examples=10)
@given(state=pg74_states(512))
def test_a_virtual_machine_does_by_emitted_code_what_the_concrete_one_does(
    strategy: Strategy, state: MachineState
) -> None:
    concrete = virtual_machine(strategy, "concrete")
    emitted = virtual_machine(strategy, "emitted")
    machines = concrete, emitted
    for machine in machines:
        machine.place(state.copy(), [Placement(512, 512, 0)])

    for _ in range(STEPS):
        for machine in machines:
            machine.step()

        assert concrete.state == emitted.state
        assert concrete.waiting == emitted.waiting
        assert (concrete.direct, concrete.emulated) == (emitted.direct, emitted.emulated)
        if concrete.double_trap is not None:
            return


@settings(max_examples=30)
@given(state=pg74_states(512), steps=st.integers(0, STEPS), change=st.integers(0, 4))
def test_the_cheap_comparison_sees_what_differs_through_the_vm_map(
    state: MachineState, steps: int, change: int
) -> None:
    virtual, bare = virtual_machine(Strategy.TRAP_AND_EMULATE, "emitted"), bare_machine("pg74/pg74")
    virtual.place(state.copy(), [Placement(512, 512, 0)])
    bare.restart(state.copy())
    comparison = Comparison(bare, virtual)
    comparison.restart()
    for _ in range(steps):
        bare.step()
        virtual.step()
        if bare.double_trap is not None:
            break
    match change:
        case 1:
            virtual.state.scalars["P"] ^= 1
        case 2:
            virtual.state.scalars["vm.R.l"] ^= 4
        case 3:
            virtual.hardware.runtime.own(9)[7] ^= 1
        case 4:
            bare.hardware.runtime.own(1)[20] ^= 1 << 31
        case _:
            pass

    related = comparison.related()

    assert related == (not differences(bare, virtual)) == (change == 0)


def test_the_cheap_comparison_sees_a_store_outside_the_region() -> None:
    isa = described("pg74/pg74")
    virtual, bare = virtual_machine(Strategy.TRAP_AND_EMULATE, "emitted"), bare_machine("pg74/pg74")
    virtual.place(bare_state(isa, 512), [Placement(512, 512, 0)])
    bare.restart(bare_state(isa, 512))
    comparison = Comparison(bare, virtual)
    comparison.restart()

    virtual.hardware.runtime.own(0)[3] = 1

    assert not comparison.related()
