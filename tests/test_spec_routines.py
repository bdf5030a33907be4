"""Routines: an instruction that runs often is emitted, and does what it did before."""

from collections.abc import Callable, Mapping
from random import Random

import pytest

from popek.library import locate
from refvmm.executor import Hardware
from spec import routines
from spec.compiled import Code
from spec.concrete import ConcreteEngine
from spec.ir import Instruction, Isa
from spec.load import load
from spec.outcome import Trapped
from spec.routines import OFTEN


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of instructions that were emitted."""
    names: list[str] = []
    emit: Callable[[Isa, dict[str, object], Instruction], Code] = routines.emit_instruction

    def noted(isa: Isa, surroundings: dict[str, object], instruction: Instruction) -> Code:
        names.append(instruction.name)
        return emit(isa, surroundings, instruction)

    monkeypatch.setattr(routines, "emit_instruction", noted)
    return names


def some_fields(instruction: Instruction, random: Random) -> Mapping[str, int]:
    return {field.name: random.getrandbits(field.width) for field in instruction.fields}


@pytest.mark.parametrize("name", ["pg74/pg74", "lc3/lc3"])
def test_an_instruction_does_the_same_before_and_after_it_is_emitted(
    name: str, emitted: list[str]
) -> None:
    isa = load(str(locate(name))).isa
    assert isa is not None
    hardware, random = Hardware(isa), Random(1)
    engine = ConcreteEngine(isa)
    texts = routines.routines(isa, hardware.runtime, "emitted")
    modes = [encoding for _, encoding in isa.mode.members]
    (mask,) = [(1 << e.width) - 1 for e in isa.elements if e.name == isa.pc]
    trapped = 0
    for instruction in isa.instructions:
        routine = texts.instruction(instruction)
        for _ in range(2 * OFTEN):
            state = hardware.state.copy()
            for element in isa.elements:
                if element.length is None and element.name != isa.memory.size:
                    state.scalars[element.name] = random.getrandbits(element.width)
            state.scalars[isa.mode.element] = random.choice(modes)
            fields = some_fields(instruction, random)
            outcome = engine.execute(state, instruction, fields, 1)
            following = (state.scalars[isa.pc] + 1) & mask
            hardware.attach(state.copy())

            hardware.call(routine, (*fields.values(), following))

            signals = hardware.runtime.signals
            assert len(signals) <= 1
            if isinstance(outcome, Trapped):
                trapped += 1
                assert isa.causes[signals.pop()[0]].name == outcome.cause
                assert hardware.state == state
            else:
                signals.clear()
                assert hardware.state == outcome.state

    assert sorted(emitted) == sorted(instruction.name for instruction in isa.instructions)
    assert trapped > OFTEN
