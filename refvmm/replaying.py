"""Runs counterexamples of obligations on the concrete machines, before anyone sees them.

A counterexample of an instruction is first sought again with the instruction in memory where the
machine fetches it: then bare and virtual machine are stepped side by side from there. What cannot
be shown so is shown by the two routines themselves, run on integers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from checker.proof import Counterexample
from checker.statements import Anew, Simulation, Statement, Text, Triple
from refvmm.derive import Monitor
from refvmm.lockstep import lockstep
from refvmm.redirect import Noted
from refvmm.relation import homes
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.concrete import ConcreteEngine
from spec.encoding import Decoded, codec_of
from spec.ir import (
    Access,
    Assign,
    Binary,
    BinaryOp,
    Bit,
    Block,
    Call,
    Compare,
    CompareOp,
    Element,
    Expr,
    Extend,
    Extract,
    If,
    Instruction,
    Isa,
    Literal,
    Load,
    LoadPhysical,
    Local,
    Not,
    Probe,
    Read,
    Role,
    Translate,
    Trap,
    TrapClass,
    Write,
)
from spec.machine import Machine
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState
from spec.template import disassemble

_VALUES = 40

Refine = Callable[[Simulation], Counterexample | None]
"""Solves a statement again; None if it has no counterexample now."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run that fails as the obligation says.

    `state`: the virtual machine's before it, as far as it is not 0. `differences`: an element, a
    cell or the outcome, on the bare machine and on the virtual one.
    """

    how: str
    state: tuple[tuple[str, str], ...]
    differences: tuple[tuple[str, str, str], ...]
    assembly: str = ""


def replay(
    monitor: Monitor,
    strategy: Strategy,
    statement: Statement,
    counterexample: Counterexample,
    refine: Refine,
) -> Replayed | None:
    """A failing run, or None if the counterexample does not replay."""
    match statement:
        case Simulation():
            return _side_by_side(monitor, strategy, statement, counterexample, refine) or (
                _routines(monitor, statement, counterexample)
            )
        case Triple():
            return _shown(monitor, statement, counterexample)
        case _:
            return None


# --------------------------------------------------------------------------- side by side


def _side_by_side(
    monitor: Monitor,
    strategy: Strategy,
    statement: Simulation,
    counterexample: Counterexample,
    refine: Refine,
) -> Replayed | None:
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
    bare = _presented(monitor, statement, state)
    placement = Placement(
        *(state.scalars[n] for n in ("region.base", "region.size", "monitor.base"))
    )
    used = strategy if statement.text is Text.DIRECT else Strategy.INTERPRET
    start = _warm(monitor, place(monitor, bare, placement), bare, named[0], fields)
    virtual = VirtualMachine([monitor], start, codec_of(isa).decode, used)
    divergence = lockstep(Machine(isa, bare.copy()), virtual, 1)
    if divergence is None:
        return None
    shown = tuple((n, _text(a), _text(b)) for n, (a, b) in divergence.differences.items())
    how = "bare and virtual machine, stepped side by side"
    return Replayed(how, _values(isa, bare), shown, _assembly(isa, named[0], fields, bare))


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
        touching: Block = (touch(at),)
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


def touch(address: Expr) -> Call:
    return Call(None, "vmm.touch", (address,))


# --------------------------------------------------------------------------- routines


def combined_state(
    monitor: Monitor, counterexample: Counterexample, ghosts: tuple[Element, ...] = ()
) -> MachineState:
    """The combined state that a counterexample describes."""
    state = MachineState(replace(monitor.real, elements=(*monitor.real.elements, *ghosts)))
    state.scalars.update(counterexample.scalars)
    for name, content in counterexample.arrays:
        array = state.own_array(name)
        for index in range(len(array)):
            array[index] = 0
        for index, value in content:
            if index < len(array):
                array[index] = value
    for address, value in counterexample.cells:
        state.cells[address] = value
    return state


def _presented(monitor: Monitor, statement: Simulation, state: MachineState) -> MachineState:
    """The virtual machine's state at the start of a statement."""
    read = ConcreteEngine(monitor.virtual).run(state, statement.before, {})
    assert isinstance(read, Retired)
    return _bare(monitor, read.state)


def _bare(monitor: Monitor, now: MachineState) -> MachineState:
    size, start = now.scalars["region.size"], now.scalars["region.base"]
    found = bare_state(monitor.description, size)
    where = homes(monitor)
    for name in found.scalars:
        found.scalars[name] = now.scalars[where.get(name, name)]
    for name in found.arrays:
        found.arrays[name] = now.arrays[where.get(name, name)][:]
    mask = now.cells.mask
    for address, value in now.cells.written():
        if (address - start) & mask < size:
            found.cells[(address - start) & mask] = value
    return found


def _routines(
    monitor: Monitor, statement: Simulation, counterexample: Counterexample
) -> Replayed | None:
    """Both blocks on the concrete engine, with the operands and choices of the counterexample."""
    state = combined_state(monitor, counterexample)
    bare = _presented(monitor, statement, state)
    frame = dict(counterexample.frame)
    isa = monitor.virtual if statement.text is Text.MONITOR else monitor.real
    left = _ran(isa, state, statement, statement.left, frame, counterexample)
    right = _ran(monitor.description, bare, statement, statement.right, frame, counterexample)
    found: list[tuple[str, str, str]] = []
    match left, right:
        case Retired(), Retired():
            after = ConcreteEngine(monitor.virtual).run(left.state, statement.after, {})
            assert isinstance(after, Retired)
            there = _bare(monitor, after.state)
            found += [
                (n, _text(a), _text(b)) for n, (a, b) in right.state.differences(there).items()
            ]
            if left.waiting != right.waiting:
                found.append(("waiting", _text(right.waiting), _text(left.waiting)))
            found += _not_kept(statement, state, left.state)
            found += _strayed(monitor, state, left.state)
        case Trapped(), Trapped() if (left.cause, left.arguments) == (right.cause, right.arguments):
            pass
        case Trapped(), Retired() if statement.forward:
            pass
        case _:
            found.append(("outcome", _outcome(right), _outcome(left)))
    if not found:
        return None
    how = "both routines, run on the concrete engine"
    return Replayed(how, _values(monitor.description, bare), tuple(found))


def _ran(
    isa: Isa,
    state: MachineState,
    statement: Simulation,
    block: Block,
    frame: Mapping[str, int],
    counterexample: Counterexample,
) -> Outcome:
    engine = ConcreteEngine(isa)
    if statement.instruction is None:
        return engine.run(state, block, frame, counterexample.choices)
    named = next(i for i in isa.instructions if i.name == statement.instruction)
    return engine.execute(
        state, replace(named, body=block), frame, counterexample.length, counterexample.choices
    )


def _not_kept(
    statement: Simulation, before: MachineState, after: MachineState
) -> list[tuple[str, str, str]]:
    found = []
    for name in statement.keep:
        pairs = [(s.scalars.get(name), s.arrays.get(name)) for s in (before, after)]
        if pairs[0] != pairs[1]:
            found.append((f"{name} (the monitor's)", _text(pairs[0][0]), _text(pairs[1][0])))
    return found


def _strayed(
    monitor: Monitor, before: MachineState, after: MachineState
) -> Iterator[tuple[str, str, str]]:
    """Cells outside the region, and outside the monitor's tables, that changed."""
    start, size = before.scalars["region.base"], before.scalars["region.size"]
    tables, length = before.scalars["monitor.base"], monitor.configuration.monitor_size
    mask = before.cells.mask
    contents = dict(before.cells.written()), dict(after.cells.written())
    for address in sorted(contents[0].keys() | contents[1].keys()):
        mine, theirs = (content.get(address, 0) for content in contents)
        own = (address - start) & mask < size or (address - tables) & mask < length
        if mine != theirs and not own:
            yield f"cell 0x{address:X} outside the region", _text(mine), _text(theirs)


def _outcome(outcome: Outcome) -> str:
    match outcome:
        case Retired():
            return "retires"
        case Trapped(cause, _, arguments):
            return f"traps: {cause}{tuple(map(_text, arguments)) if arguments else ''}"


def _values(isa: Isa, state: MachineState) -> tuple[tuple[str, str], ...]:
    """Elements and cells that are not 0."""
    found = [(name, value) for name, value in state.scalars.items()]
    for name, values in state.arrays.items():
        found += [(f"{name}[{index}]", value) for index, value in enumerate(values)]
    found += [(f"{isa.memory.name}[0x{at:X}]", value) for at, value in state.cells.written()]
    shown = [(name, _text(value)) for name, value in found if value]
    return tuple(shown[:_VALUES]) + ((("and more", "..."),) if len(shown) > _VALUES else ())


def _assembly(
    isa: Isa, instruction: Instruction, fields: Mapping[str, int], state: MachineState
) -> str:
    bits, width = codec_of(isa).bits(instruction, fields)
    decoded = Decoded(instruction, dict(fields), width // isa.memory.cell_width, bits)
    return disassemble(isa, decoded, state.scalars[isa.pc])


def _text(value: object) -> str:
    return f"0x{value:X}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


# --------------------------------------------------------------------------- triples


def _shown(monitor: Monitor, statement: Triple, counterexample: Counterexample) -> Replayed | None:
    """Run the parts one after the other, with the locals handed on in elements made for them."""
    if any(part.anew is Anew.REGION for part in statement.parts):
        return None
    state = combined_state(monitor, counterexample, statement.ghosts)
    before = _values(monitor.description, _bare(monitor, state))
    frame: dict[str, int | bool] = dict(counterexample.frame)
    original = state
    for part in statement.parts:
        block = part.block
        isa = _with_functions(monitor, part.text, statement)
        values = _locals(block)
        if part.anew is Anew.START:
            state = original.copy()
        ghosts = tuple(Element(f"ghost {v.name}", max(v.width, 1), Role.GENERAL) for v in values)
        for ghost in ghosts:
            state.scalars[ghost.name] = 0
        kept: Block = tuple(Write(f"ghost {v.name}", v if v.width else Bit(v)) for v in values)
        engine = ConcreteEngine(replace(isa, elements=(*isa.elements, *ghosts)))
        outcome = engine.run(state, (*block, *kept), frame, counterexample.choices)
        if isinstance(outcome, Trapped):
            return Replayed(
                "the monitor's text on the concrete engine",
                before,
                (("outcome", "retires", _outcome(outcome)),),
            )
        state = outcome.state
        for value in values:
            number = state.scalars.pop(f"ghost {value.name}")
            frame[value.name] = number if value.width else bool(number)
    engine = ConcreteEngine(monitor.virtual)
    failed = [text for text, expr in statement.show if not engine.value(state, expr, frame)]
    if not failed:
        return None
    at = ", ".join(f"{name} = {_text(value)}" for name, value in frame.items() if name != "next")
    return Replayed(
        "the texts on the concrete engine",
        before,
        tuple((text, "holds", f"fails ({at})") for text in failed),
    )


def _with_functions(monitor: Monitor, text: Text, statement: Triple) -> Isa:
    isa = monitor.virtual if text is Text.MONITOR else monitor.real
    own = {f.name: f for f in statement.functions}
    functions = tuple(own.get(f.name, f) for f in isa.functions)
    return replace(isa, elements=(*isa.elements, *statement.ghosts), functions=functions)


def _locals(block: Block) -> list[Local]:
    """What the statements at the top of a block assign."""
    found: dict[str, Local] = {}
    for statement in block:
        match statement:
            case Assign(name, value):
                found[name] = Local(name, value.width)
            case Probe(target):
                found[target] = Local(target, 0)
            case LoadPhysical(target, _, width):
                found[target] = Local(target, width)
            case _:
                pass
    return list(found.values())
