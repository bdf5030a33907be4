"""Witnesses: made least, then told as plain data."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from checker.answers import Run, Value, Witness
from checker.assignment import Assignment
from checker.components import Machine
from checker.replay import Side, differing, held
from checker.sides import PRIME
from checker.states import Case
from spec.ir import Instruction
from spec.outcome import Retired, Trapped
from spec.state import MachineState

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
    names = _names_of_interest(machine, case)
    cells = _cells_of_interest(case)
    first = case.runs[0].before
    return Witness(
        property=property_,
        clause=clause,
        components=tuple(components),
        fields=tuple(case.fields.items()),
        address=first.scalars[machine.isa.pc],
        runs=tuple(_run(machine, run, names, cells) for run in case.runs),
        differs=tuple(differs),
    )


def _names_of_interest(machine: Machine, case: Case) -> list[str]:
    """Elements that a run changes, that differ between the runs, or that are not 0.

    The mode is one only if a run changes it: every run names the mode it starts in.
    """
    first = case.runs[0].before
    interesting: set[str] = set()
    for run in case.runs:
        interesting |= differing(first, run.before) | differing(first, run.after)
    mode = machine.isa.mode.element
    if not any(mode in differing(run.before, run.after) for run in case.runs):
        interesting.discard(mode)
    scalars = first.scalars
    return [
        e.name
        for e in machine.isa.elements
        if e.name in interesting
        or (e.length is None and e.name != mode and scalars[e.name] != e.reset)
    ]


def _cells_of_interest(case: Case) -> list[int]:
    found: set[int] = set()
    for run in case.runs:
        for virtual in run.outcome.accesses.virtual:
            if virtual.physical is not None:
                found |= {virtual.physical + i for i in range(virtual.size)}
        for physical in run.outcome.accesses.physical:
            found |= {physical.address + i for i in range(physical.size)}
    return sorted(found)


def _run(machine: Machine, run: Side, names: Sequence[str], cells: Sequence[int]) -> Run:
    isa = machine.isa
    values: list[Value] = []
    for element in isa.elements:
        if element.name not in names:
            continue
        before, after = held(run.before, element.name), held(run.after, element.name)
        if isinstance(before, int) and isinstance(after, int):
            shown = "mode" if element.name == isa.mode.element else element.name
            values.append(Value(shown, element.width, before, after))
        elif isinstance(before, list) and isinstance(after, list):
            for index, (old, new) in enumerate(zip(before, after, strict=True)):
                if old or new:
                    values.append(Value(f"{element.name}[{index}]", element.width, old, new))
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
