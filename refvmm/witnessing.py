"""What the checker found against a strategy, as a program that bare and virtual machine run.

An escape's witness is two states: of the real machine while the guest runs, and of the virtual
machine. The guest is begun in the second, with the instruction in its memory; the first is then
what the monitor makes of the real machine. What the witness leaves open is tried at random.
"""

import re
from collections.abc import Iterator
from random import Random

from checker.answers import Witness
from refvmm.lockstep import Divergence
from refvmm.programs import Programs
from refvmm.repertoire import Context
from refvmm.scenario import Scenario, Written
from refvmm.shrinking import shrink
from refvmm.trial import Trial
from spec.ir import Access, Instruction

_TRIES = 200
_MEMBER = re.compile(r"(.+)\[(0x[0-9a-f]+|\d+)\]\Z")


def witnessed(
    trial: Trial, programs: Programs, instruction: str, witness: Witness
) -> tuple[Scenario, Divergence] | None:
    """A short run that diverges at the witness's instruction; None if none is found."""
    (named,) = [i for i in programs.isa.instructions if i.name == instruction]

    def by_it(divergence: Divergence) -> bool:
        steps = (divergence.bare.decoded, divergence.virtual.decoded)
        return all(
            decoded is not None and decoded.instruction.name == instruction for decoded in steps
        )

    for scenario in _scenarios(programs, named, witness):
        divergence = trial.run(scenario)
        if divergence is not None and by_it(divergence):
            return shrink(trial, scenario, by_it)
    return None


def _scenarios(
    programs: Programs, instruction: Instruction, witness: Witness
) -> Iterator[Scenario]:
    """The instruction at once, after another that maps its page, and twice, so that what it
    reaches is mapped; in ever other surroundings."""
    fields = dict(witness.fields)
    cells = programs.codec.encode(instruction, fields)
    plain = programs.codec.encode(programs.plain, {})
    for number in range(_TRIES):
        context = programs.context(Random(f"witness {number}"))
        if number == 0:
            context = Context(programs.reset.copy(), {})
        _overlay(programs, context, witness)
        if number % 2 == 0:
            context.state.scalars[programs.isa.pc] = witness.address
        place = _place(programs, context)
        if place is None:
            continue
        for several in ((instruction,), (programs.plain, instruction), (instruction, instruction)):
            program, at = [], place
            for each in several:
                own = each is instruction
                program.append(Written(at, each, fields if own else {}, cells if own else plain))
                at += len(program[-1].cells)
            yield context.scenario(programs, tuple(program), len(program))


def _overlay(programs: Programs, context: Context, witness: Witness) -> None:
    """Give the virtual machine the values that the witness's second run begins with."""
    isa, state, run = programs.isa, context.state, witness.runs[-1]
    for value in run.values:
        member = _MEMBER.match(value.name)
        if value.name in state.scalars:
            state.scalars[value.name] = value.before
        elif member is not None and member[1] in state.arrays:
            state.own_array(member[1])[int(member[2], 0)] = value.before
        elif member is not None and member[1] == isa.memory.name:
            context.put(int(member[2], 0), value.before)
    state.scalars[isa.mode.element] = dict(isa.mode.members)[run.mode]


def _place(programs: Programs, context: Context) -> int | None:
    """Where the program counter's instruction lies in physical memory."""
    state = context.state
    programs.translator.attach(state.copy())
    pc, size = state.scalars[programs.isa.pc], programs.codec.cells_per_unit
    found = programs.translator.translate(pc, size, Access.FETCH)
    return found if found is not None and found < programs.size else None
