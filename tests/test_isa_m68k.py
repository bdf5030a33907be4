"""The address errors of `isas/m68k`, which no oracle here has: frames as in the user's manual, 6.3."""

import pytest

from spec.machine import Machine
from tests.m68k_oracles import (
    CODE,
    HANDLERS,
    MEMORY_BYTES,
    SUPERVISOR_STACK,
    USER_STACK,
    Case,
    Described,
    Expectation,
)
from tests.test_oracle_m68k import described

ODD = 0x8001
ADDRESS_ERROR = HANDLERS + 4 * 3
USER_DATA, USER_PROGRAM, SUPERVISOR_DATA = 1, 2, 5
READ = 0x10


def run(machine: Described, code: str, sr: int, pointer: int = ODD) -> Expectation:
    """One instruction with an address register A0 at `pointer`."""
    content = bytes.fromhex(code).ljust(10, b"\0")
    return machine.run(Case(content, (0,) * 8, (pointer,) * 7, USER_STACK, SUPERVISOR_STACK, sr))


def word(expected: Expectation, offset: int, size: int = 2) -> int:
    """What lies at an offset from the supervisor stack pointer."""
    at = expected.after.registers["SSP"] + offset
    return int.from_bytes((expected.after.memory[at + i] for i in range(size)), "big")


@pytest.mark.parametrize(
    ("code", "sr", "status"),
    [
        ("3010", 0x0000, READ | USER_DATA),  # move.w (a0),d0
        ("2010", 0x2700, READ | SUPERVISOR_DATA),  # move.l (a0),d0
        ("3080", 0x0000, USER_DATA),  # move.w d0,(a0)
    ],
)
def test_an_odd_word_stacks_the_group_0_frame_of_the_mc68000(
    code: str, sr: int, status: int
) -> None:
    expected = run(described("m68000"), code, sr)

    assert expected.cause == "address_error"
    assert expected.after.registers["PC"] == ADDRESS_ERROR
    assert expected.after.registers["SSP"] == SUPERVISOR_STACK - 14
    assert word(expected, 0) & 0x1F == status
    assert word(expected, 2, 4) == ODD
    assert word(expected, 6) == int(code, 16)
    assert word(expected, 8) == sr
    assert CODE + 2 <= word(expected, 10, 4) <= CODE + 10


def test_an_odd_word_stacks_the_long_frame_of_the_mc68010() -> None:
    expected = run(described("m68010"), "3010", 0)

    assert expected.after.registers["PC"] == ADDRESS_ERROR
    assert expected.after.registers["SSP"] == SUPERVISOR_STACK - 58
    assert word(expected, 0) == 0
    assert CODE + 2 <= word(expected, 2, 4) <= CODE + 10
    assert word(expected, 6) == 0x800C
    assert word(expected, 8) & 0x107 == 0x100 | USER_DATA
    assert word(expected, 10, 4) == ODD


@pytest.mark.parametrize("model", ["m68000", "m68010"])
def test_a_byte_may_lie_anywhere(model: str) -> None:
    expected = run(described(model), "1010", 0)  # move.b (a0),d0

    assert expected.cause == ""


@pytest.mark.parametrize("model", ["m68000", "m68010"])
def test_nothing_is_changed_by_what_traps(model: str) -> None:
    expected = run(described(model), "301e", 0, MEMORY_BYTES - 1)  # move.w (a6)+,d0

    assert expected.cause == "address_error"
    assert expected.after.registers["A6"] == MEMORY_BYTES - 1


def test_an_odd_program_counter_is_an_address_error_of_program_space() -> None:
    machine = described("m68000")
    state = machine.state(Case(b"", (0,) * 8, (0,) * 7, USER_STACK, SUPERVISOR_STACK, 0))
    state.update({"PC": ODD})
    bare = Machine(machine.isa, state, machine.codec.decode)

    bare.step()

    frame = SUPERVISOR_STACK - 14
    assert bare.pc == ADDRESS_ERROR
    assert bare.state.cells[frame + 1] & 0x1F == READ | USER_PROGRAM
    assert [bare.state.cells[frame + 2 + i] for i in range(4)] == list(ODD.to_bytes(4, "big"))
