"""Counterexamples of instructions, with the instruction in memory: both machines stepped side by side.

The counterexample is sought again with the instruction where the machine fetches it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from checker.proof import Counterexample
from checker.statements import Simulation, Text
from refvmm.derive import Monitor
from refvmm.lockstep import lockstep
from refvmm.redirect import Noted
from refvmm.replayed import Replayed, combined_state, presented, text_of, values_of
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, place
from spec.concrete import ConcreteEngine
from spec.encoding import Decoded, codec_of
from spec.ir import (
    Access,
    Binary,
    BinaryOp,
    Block,
    Call,
    Compare,
    CompareOp,
    Expr,
    Extend,
    Extract,
    If,
    Instruction,
    Isa,
    Literal,
    Load,
    Local,
    Not,
    Read,
    Translate,
    Trap,
    TrapClass,
)
from spec.machine import Machine
from spec.outcome import Retired
from spec.state import MachineState
from spec.template import disassemble

Refine = Callable[[Simulation], Counterexample | None]
"""Solves a statement again; None if it has no counterexample now."""


def side_by_side(
    monitor: Monitor,
    strategy: Strategy,
    statement: Simulation,
    counterexample: Counterexample,
    refine: Refine,
) -> Replayed | None:
    """A failing step of the two machines; None if there is none, or no one instruction fails."""
    isa = monitor.description
    named = [i for i in isa.instructions if i.name == statement.instruction]
    if not named:
        return None
    names = {field.name for field in named[0].fields}
    fields = {name: value for name, value in counterexample.frame if name in names}
    found = refine(_in_memory(monitor, statement, named[0], fields))
    if found is None:
        return None
    state = combined_state(monitor, found)
    bare = presented(monitor, statement, state)
    placement = Placement(
        *(state.scalars[n] for n in ("region.base", "region.size", "monitor.base"))
    )
    used = strategy if statement.text is Text.DIRECT else Strategy.INTERPRET
    start = _warm(monitor, place(monitor, bare, placement), bare, named[0], fields)
    virtual = VirtualMachine([monitor], start, codec_of(isa).decode, used)
    divergence = lockstep(Machine(isa, bare.copy()), virtual, 1)
    if divergence is None:
        return None
    shown = tuple((n, text_of(a), text_of(b)) for n, (a, b) in divergence.differences.items())
    how = "bare and virtual machine, stepped side by side"
    return Replayed(how, values_of(isa, bare), shown, _assembly(isa, named[0], fields, bare))


def _in_memory(
    monitor: Monitor, statement: Simulation, instruction: Instruction, fields: Mapping[str, int]
) -> Simulation:
    """The statement of one encoding, with the encoded instruction at the program counter."""
    isa = monitor.description
    codec = codec_of(isa)
    cells = codec.encode(instruction, fields)
    size = isa.fetch.unit_width // isa.memory.cell_width
    units = [codec.unit(cells[n : n + size]) for n in range(0, len(cells), size)]
    fetched = _fetched(isa, units, size)
    own = fetched
    if statement.text is Text.MONITOR:
        own = monitor.redirect.block(fetched)
    equal = tuple(
        Compare(CompareOp.EQ, Local(f.name, f.width), Literal(fields[f.name], f.width))
        for f in instruction.fields
    )
    calm = tuple(Not(monitor.redirect.expr(i.condition)) for i in isa.interrupts)
    return replace(
        statement,
        left=(*own, *statement.left),
        right=(*fetched, *statement.right),
        assume=(*statement.assume, *equal, *calm),
    )


def _fetched(isa: Isa, units: list[int], size: int) -> Block:
    (translate,) = [f for f in isa.functions if f.name == isa.translate]
    (pc,) = [e for e in isa.elements if e.name == isa.pc]
    width = translate.parameters[0].width
    block: Block = ()
    for number, unit in enumerate(units):
        at: Expr = Read(pc.name, pc.width)
        if number:
            at = Binary(BinaryOp.ADD, at, Literal(number * size, pc.width), pc.width)
        if pc.width > width:
            at = Extract(at, width - 1, 0)
        elif pc.width < width:
            at = Extend(at, False, width)
        word = Local(f"fetched {number}", isa.fetch.unit_width)
        other = Compare(CompareOp.NE, word, Literal(unit, word.width))
        block += (
            Load(word.name, at, word.width, Access.FETCH),
            If(other, (Trap("another instruction", TrapClass.FAULT),), ()),
        )
    return block


def _warm(
    monitor: Monitor,
    state: MachineState,
    bare: MachineState,
    instruction: Instruction,
    fields: Mapping[str, int],
) -> MachineState:
    """With shadow tables: the pages that the instruction touches are mapped."""
    if monitor.shadow is None:
        return state
    isa = monitor.description
    length = codec_of(isa).length(instruction, fields)
    outcome = ConcreteEngine(isa).execute(bare, instruction, fields, length)
    (width,) = [f.parameters[0].width for f in isa.functions if f.name == isa.translate]
    reached = [(bare.scalars[isa.pc], Access.FETCH)]
    reached += [(a.address, a.access) for a in outcome.accesses.virtual]
    engine = ConcreteEngine(monitor.virtual)
    for address, access in reached:
        at = Literal(address & ((1 << width) - 1), width)
        touching: Block = (_touch(at),)
        if monitor.shadow.noted is Noted.PLACES:
            place = Local("place", isa.memory.address_width)
            touching = (
                Translate(place.name, at, 1, access, None, place.width),
                Call(None, "vmm.touch", (place, Literal(0, place.width))),
            )
        touched = engine.run(state, (*monitor.save, *touching, *monitor.resume), {})
        if isinstance(touched, Retired):
            state = touched.state
    return state


def _touch(address: Expr) -> Call:
    """Note that the guest touched an address, as its own trap would."""
    return Call(None, "vmm.touch", (address,))


def _assembly(
    isa: Isa, instruction: Instruction, fields: Mapping[str, int], state: MachineState
) -> str:
    bits, width = codec_of(isa).bits(instruction, fields)
    decoded = Decoded(instruction, dict(fields), width // isa.memory.cell_width, bits)
    return disassemble(isa, decoded, state.scalars[isa.pc])
