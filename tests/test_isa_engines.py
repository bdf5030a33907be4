"""The descriptions run alike step by step and by emitted code, on random words."""

from functools import cache
from pathlib import Path
from random import Random

import pytest

from spec.concrete import ConcreteEngine
from spec.encoding import codec_of
from spec.ir import Access, Instruction, Isa
from spec.load import load
from spec.machine import Machine
from spec.state import MachineState

DESCRIPTIONS = ("pg74/pg74", "riscv/rv32", "m68k/m68010", "x86/ia32", "pdp10/ka10")
FOLDER = Path(__file__).parent.parent / "isas"
MACHINES = 12
PROGRAM = 24  # instructions
PLACES = (0, 0x40, 0x100, 0x200, 0x1000)  # where registers point to, roughly, and cells are set


@cache
def description(name: str) -> Isa:
    loaded = load(str(FOLDER / f"{name}.isa"))
    assert loaded.isa is not None
    return loaded.isa


def random_state(isa: Isa, random: Random) -> MachineState:
    """Registers that hold small numbers and addresses, and instructions at the pc."""
    state = MachineState(isa)
    for element in isa.elements:
        mask = (1 << element.width) - 1
        values = [random.choice((*PLACES, random.getrandbits(element.width))) & mask for _ in "xx"]
        if element.length is not None:
            count = range(element.length)
            state.own_array(element.name)[:] = [random.choice(values) for _ in count]
        elif element.values:
            state.scalars[element.name] = random.choice(element.values)[1]
        elif random.random() < 0.4:
            state.scalars[element.name] = values[0]
    if isa.pc in state.scalars:
        state.scalars[isa.pc] = 0x200
    for _ in range(40):
        place = random.choice(PLACES) + random.randrange(64)
        state.cells[place] = random.getrandbits(isa.memory.cell_width)
    found = ConcreteEngine(isa).look_up(state, 0x200, 1, Access.FETCH)
    address = found if isinstance(found, int) else 0x200
    for _ in range(PROGRAM):
        cells = encoded(isa, random.choice(isa.instructions), random)
        state.load_cells(address, list(cells))
        address += len(cells)
    return state


def encoded(isa: Isa, instruction: Instruction, random: Random) -> tuple[int, ...]:
    """The instruction with random operands; nothing if it has no such form."""
    fields = {
        field.name: random.choice(field.values)[1]
        if field.values
        else random.choice((0, 1, random.getrandbits(field.width))) & ((1 << field.width) - 1)
        for field in instruction.fields
    }
    try:
        return codec_of(isa).encode(instruction, fields)
    except ValueError:
        return ()


def run_alike(isa: Isa, random: Random) -> set[str]:
    """Run one random machine on both engines; the instructions that it came to."""
    state = random_state(isa, random)
    concrete = Machine(isa, state.copy())
    lengths = random.choice((1, 4, 8))
    emitted = Machine(isa, state.copy(), None, "emitted", random.choice((0, 1)), lengths)
    seen: set[str] = set()
    concrete.on_step = lambda step: seen.add(step.decoded.instruction.name if step.decoded else "")
    for limit in (7, 13):
        expected = concrete.run(limit)
        found = emitted.run(limit)
        assert (found.stop, found.steps) == (expected.stop, expected.steps)
        assert emitted.waiting == concrete.waiting
        assert emitted.state.differences(concrete.state) == {}
    return seen


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_random_words_run_alike_on_both_engines(name: str) -> None:
    random = Random(name)
    seen: set[str] = set()

    for _ in range(MACHINES):
        seen |= run_alike(description(name), random)

    assert len(seen - {""}) > 3  # else the words were not instructions


@pytest.mark.deep
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_thousands_of_random_programs_run_alike(name: str) -> None:
    random = Random(f"deep {name}")
    for _ in range(1000):
        run_alike(description(name), random)
