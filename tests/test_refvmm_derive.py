"""A derived monitor, run beside the bare machine, cannot be told from it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refvmm.derive import Monitor
from refvmm.lockstep import Divergence, lockstep
from refvmm.processor import stack
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.encoding import Codec
from spec.ir import Binary, BinaryOp, Isa, Literal, Write
from spec.load import load
from spec.machine import Machine
from spec.state import MachineState

ISAS = Path(__file__).resolve().parent.parent / "isas"
CELLS = 64  # that programs use, of the guest's memory


@cache
def described(name: str) -> Isa:
    isa = load(ISAS / f"{name}.isa").isa
    assert isa is not None
    return isa


@st.composite
def memory_words(draw: st.DrawFn) -> int:
    """A word of the paper's machine: an instruction with small addresses, or a PSW."""
    code = draw(
        st.sampled_from([1, 2, 9, 9, 0xA, 0xB, 0x10, 0x11, 0x13, 0x81, 0x82, 0x83, 0x80, 0])
    )
    a, b = draw(st.integers(0, CELLS)), draw(st.integers(0, CELLS))
    bound = draw(st.sampled_from([0, 3, CELLS, 256, 700, 1024]))
    program_status = draw(st.booleans()) << 31 | a << 21 | draw(st.integers(0, 9)) << 11 | bound
    return draw(st.sampled_from([code << 24 | a << 10 | b] * 5 + [program_status]))


@st.composite
def pg74_states(draw: st.DrawFn, size: int) -> MachineState:
    state = bare_state(described("pg74/pg74"), size)
    state.scalars["P"] = draw(st.integers(0, 9))
    state.scalars["M"] = draw(st.integers(0, 1))
    state.scalars["R.l"] = draw(st.sampled_from([0, 0, 5, size - 9]))
    state.scalars["R.b"] = draw(st.sampled_from([9, CELLS, size, 1024]))
    for address in range(CELLS):
        state.cells[address] = draw(memory_words())
    return state


def virtual_machine(
    isa: Isa, bare: MachineState, sizes: list[int], strategy: Strategy
) -> VirtualMachine:
    """Monitors one above the other; `sizes`: of each guest's memory, the outermost first."""
    monitors = stack(isa, isa.configurations[0], len(sizes))
    whole = [1 << isa.memory.address_width, *sizes]
    state = bare
    for monitor, size, host in reversed(list(zip(monitors, sizes, whole, strict=False))):
        state = place(monitor, state, Placement(host - size, size, 0))
    return VirtualMachine(monitors, state, Codec(isa).decode, strategy)


@pytest.mark.parametrize("strategy", list(Strategy), ids=lambda s: s.value)
@settings(max_examples=40)
@given(st.data())
def test_the_virtual_machine_does_what_the_bare_one_does(
    strategy: Strategy, data: st.DataObject
) -> None:
    isa = described("pg74/pg74")
    state = data.draw(pg74_states(512))
    virtual = virtual_machine(isa, state, [512], strategy)

    assert lockstep(Machine(isa, state), virtual, 12) is None


@settings(max_examples=15)
@given(pg74_states(256))
def test_a_monitor_under_a_monitor_under_a_monitor_presents_the_same_machine(
    state: MachineState,
) -> None:
    isa = described("pg74/pg74")
    virtual = virtual_machine(isa, state, [768, 512, 256], Strategy.TRAP_AND_EMULATE)

    assert lockstep(Machine(isa, state), virtual, 12) is None


def test_an_offset_too_large_by_one_is_seen() -> None:
    isa = described("pg74/pg74")
    state = bare_state(isa, 512)
    state.cells[0] = 0x09005007  # set 20, 7
    state.cells[1] = 0x09005008  # set 20, 8
    (monitor,) = virtual_machine(isa, state, [512], Strategy.TRAP_AND_EMULATE).monitors
    off_by_one = tuple(
        replace(s, value=Binary(BinaryOp.ADD, s.value, Literal(1, 10), 10))
        if isinstance(s, Write) and s.element == "R.l"
        else s
        for s in monitor.resume
    )

    def run(monitor: Monitor) -> Divergence | None:
        virtual = place(monitor, state, Placement(512, 512, 0))
        return lockstep(
            Machine(isa, state.copy()),
            VirtualMachine([monitor], virtual, Codec(isa).decode),
            2,
        )

    assert run(monitor) is None
    assert run(replace(monitor, resume=off_by_one)) is not None


@pytest.mark.parametrize("sizes", [[512], [768, 512, 256]])
def test_innocuous_instructions_run_directly_at_any_depth(sizes: list[int]) -> None:
    isa = described("pg74/pg74")
    state = bare_state(isa, sizes[-1])
    state.cells[0] = 0x09005007  # set 20, 7
    state.cells[1] = 0x10000000  # jmp 0
    virtual = virtual_machine(isa, state, sizes, Strategy.TRAP_AND_EMULATE)

    assert lockstep(Machine(isa, state), virtual, 10) is None
    assert (virtual.direct, virtual.emulated) == (10, 0)
