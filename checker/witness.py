"""Witnesses: made least, then told as plain data."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from checker.answers import Run, Value, Witness
from checker.assignment import Assignment
from checker.components import Machine
from checker.replay import Side, differing
from checker.sides import PRIME
from checker.states import Case
from spec.ir import Instruction
from spec.outcome import Retired, Trapped
from spec.state import MachineState

_Place: TypeAlias = tuple[str, int | None]
"""A scalar element, or an array with an index."""

MOST_TRIES = 60
FEW_TRIES = 3


def lessen(
    values: Assignment,
    base: Assignment,
    shows: Callable[[Assignment], bool],
    tries: int = MOST_TRIES,
) -> None:
    """Make values fewer and smaller as long as they show the same; greedy."""
    for less in islice(_simpler(values, base), tries):
        if shows(less):
            values.symbols, values.arrays = less.symbols, less.arrays


def _simpler(values: Assignment, base: Assignment) -> Iterator[Assignment]:
    """Forget all values but those that set the second state apart; then one change at a time:
    forget a value (then the base or the other state gives it), or make it 0 or 1."""
    apart = {name: value for name, value in values.symbols.items() if name.endswith(PRIME)}
    if len(values.symbols) > len(apart) or values.arrays:
        yield Assignment(apart)
    for name in sorted(values.symbols, key=lambda n: (not n.endswith("'"), n)):
        if name in values.symbols and values.symbols[name] != base.symbols.get(name, 0):
            less = values.copy()
            del less.symbols[name]
            yield less
        if values.symbols.get(name, 0) > 1:
            for smaller in (0, 1):
                less = values.copy()
                less.symbols[name] = smaller
                yield less
    for array in sorted(values.arrays):
        for index in sorted(values.arrays[array]):
            if values.arrays[array].get(index):
                less = values.copy()
                del less.arrays[array][index]
                yield less


def describe(
    machine: Machine,
    instruction: Instruction,
    case: Case,
    property_: str,
    clause: str,
    components: Sequence[str],
    differs: Sequence[str],
) -> Witness:
    """The case as plain data: each run with what it touches and what differs between runs."""
    places = _places_of_interest(machine, case)
    cells = _cells_of_interest(case)
    first = case.runs[0].before
    return Witness(
        property=property_,
        clause=clause,
        components=tuple(components),
        fields=tuple(case.fields.items()),
        address=first.scalars[machine.isa.pc],
        runs=tuple(_run(machine, run, places, cells) for run in case.runs),
        differs=tuple(differs),
    )


def _places_of_interest(machine: Machine, case: Case) -> set[_Place]:
    """What a run changes or differs between the runs, and what the instruction reads where it is
    not as at reset.

    The mode is one only if a run changes it, as every run names the mode it starts in; the pc
    only if it does not just go on to the next instruction.
    """
    first = case.runs[0].before
    found = set(_reads_of_interest(machine, case))
    for run in case.runs:
        found |= {*_unlike(first, run.before), *_unlike(first, run.after)}
    mode, pc = machine.isa.mode.element, machine.isa.pc
    if not any(mode in differing(run.before, run.after) for run in case.runs):
        found.discard((mode, None))
    following = first.scalars[pc] + case.length
    ends = {run.after.scalars[pc] for run in case.runs if run.retires}
    if ends <= {following} and all(r.before.scalars[pc] == first.scalars[pc] for r in case.runs):
        found.discard((pc, None))
    return found


def _unlike(first: MachineState, second: MachineState) -> Iterator[_Place]:
    for name in differing(first, second):
        if name in first.scalars:
            yield name, None
            continue
        pairs = zip(first.arrays[name], second.arrays[name], strict=True)
        yield from ((name, index) for index, (one, other) in enumerate(pairs) if one != other)


def _reads_of_interest(machine: Machine, case: Case) -> Iterator[_Place]:
    """What the instruction reads, where it does not hold its reset value."""
    resets = {element.name: element.reset for element in machine.isa.elements}
    for run in case.runs:
        for name, index in run.reads:
            if index is None:
                if run.before.scalars[name] != resets[name]:
                    yield name, None
            elif index < len(values := run.before.arrays[name]) and values[index] != resets[name]:
                yield name, index


def _cells_of_interest(case: Case) -> list[int]:
    """Cells that the instruction itself reaches, and those of a walk that hold something."""
    found: set[int] = set()
    walked: set[int] = set()
    for run in case.runs:
        for virtual in run.outcome.accesses.virtual:
            if virtual.physical is not None:
                found |= {virtual.physical + i for i in range(virtual.size)}
        for physical in run.outcome.accesses.physical:
            cells = {physical.address + i for i in range(physical.size)}
            (walked if physical.walk else found).update(cells)
    states = [state for run in case.runs for state in (run.before, run.after)]
    found |= {cell for cell in walked if any(state.cells[cell] for state in states)}
    return sorted(found)


def _run(machine: Machine, run: Side, places: set[_Place], cells: Sequence[int]) -> Run:
    isa = machine.isa
    values: list[Value] = []
    for element in isa.elements:
        name = element.name
        if (name, None) in places:
            before, after = run.before.scalars[name], run.after.scalars[name]
            shown = "mode" if name == isa.mode.element else name
            values.append(Value(shown, element.width, before, after))
        for index in range(element.length or 0):
            if (name, index) in places:
                before, after = run.before.arrays[name][index], run.after.arrays[name][index]
                values.append(Value(f"{name}[{index}]", element.width, before, after))
    for address in cells:
        name = f"{isa.memory.name}[0x{address:x}]"
        old, new = run.before.cells[address], run.after.cells[address]
        values.append(Value(name, isa.memory.cell_width, old, new))
    modes = {encoding: name for name, encoding in isa.mode.members}
    outcome = run.outcome
    return Run(
        mode=modes[run.before.scalars[isa.mode.element]],
        outcome=_ending(run),
        cause=outcome.cause if isinstance(outcome, Trapped) else "",
        trap_class=outcome.trap_class.value if isinstance(outcome, Trapped) else "",
        values=tuple(values),
        choices=run.choices,
    )


def _ending(run: Side) -> str:
    if isinstance(run.outcome, Retired):
        return "wait" if run.outcome.waiting else "retire"
    return "trap"


def explaining(
    machine: Machine, first: MachineState, second: MachineState, differ: frozenset[str]
) -> list[str]:
    """The components in which two states differ, of those that may."""
    names = [machine.isa.mode.element, *machine.control, *machine.outside, *machine.members]
    unlike = differing(first, second)
    different = [name for name in names if name in unlike]
    found = ["mode" if name == machine.isa.mode.element else name for name in different]
    return [name for name in found if name in differ] or sorted(differ & {"location", "memory"})
