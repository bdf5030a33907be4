"""Runs counterexamples of obligations on the concrete machines, before anyone sees them.

A counterexample of an instruction is first sought again with the instruction in memory where the
machine fetches it: then bare and virtual machine are stepped side by side from there. What cannot
be shown so is shown by the two routines themselves, run on integers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from checker.proof import Counterexample
from checker.statements import Anew, Simulation, Statement, Text, Triple
from refvmm.derive import Monitor
from refvmm.replayed import Replayed, combined_state, presented, text_of, values_of, virtual_state
from refvmm.side_by_side import Refine, side_by_side
from refvmm.strategy import Strategy
from spec.concrete import ConcreteEngine
from spec.ir import (
    Assign,
    Bit,
    Block,
    Element,
    Isa,
    LoadPhysical,
    Local,
    Probe,
    Role,
    Write,
)
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState


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
            return side_by_side(monitor, strategy, statement, counterexample, refine) or (
                _routines(monitor, statement, counterexample)
            )
        case Triple():
            return _shown(monitor, statement, counterexample)
        case _:
            return None


def _routines(
    monitor: Monitor, statement: Simulation, counterexample: Counterexample
) -> Replayed | None:
    """Both blocks on the concrete engine, with the operands and choices of the counterexample."""
    state = combined_state(monitor, counterexample)
    bare = presented(monitor, statement, state)
    frame = dict(counterexample.frame)
    isa = monitor.virtual if statement.text is Text.MONITOR else monitor.real
    left = _ran(isa, state, statement, statement.left, frame, counterexample)
    right = _ran(monitor.description, bare, statement, statement.right, frame, counterexample)
    found: list[tuple[str, str, str]] = []
    match left, right:
        case Retired(), Retired():
            after = ConcreteEngine(monitor.virtual).run(left.state, statement.after, {})
            assert isinstance(after, Retired)
            there = virtual_state(monitor, after.state)
            found += [
                (n, text_of(a), text_of(b)) for n, (a, b) in right.state.differences(there).items()
            ]
            if left.waiting != right.waiting:
                found.append(("waiting", text_of(right.waiting), text_of(left.waiting)))
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
    return Replayed(how, values_of(monitor.description, bare), tuple(found))


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
            found.append((f"{name} (the monitor's)", text_of(pairs[0][0]), text_of(pairs[1][0])))
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
            yield f"cell 0x{address:X} outside the region", text_of(mine), text_of(theirs)


def _outcome(outcome: Outcome) -> str:
    match outcome:
        case Retired():
            return "retires"
        case Trapped(cause, _, arguments):
            return f"traps: {cause}{tuple(map(text_of, arguments)) if arguments else ''}"


# --------------------------------------------------------------------------- triples


def _shown(monitor: Monitor, statement: Triple, counterexample: Counterexample) -> Replayed | None:
    """Run the parts one after the other, with the locals handed on in elements made for them."""
    if any(part.anew is Anew.REGION for part in statement.parts):
        return None
    state = combined_state(monitor, counterexample, statement.ghosts)
    before = values_of(monitor.description, virtual_state(monitor, state))
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
    at = ", ".join(f"{name} = {text_of(value)}" for name, value in frame.items() if name != "next")
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
