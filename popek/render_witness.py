"""Witnesses as text: the instruction, and its runs side by side."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from checker.answers import Run, Value, Witness
from popek.console import PLAIN, Palette
from popek.number import digits, number
from popek.table import table

Show: TypeAlias = Callable[[int, int], str]
"""A value and its width, as text."""

_CELL = re.compile(r"(\w+)\[0x([0-9a-f]+)\]\Z")
_IN_A_ROW = 4  # cells that are shown together

WIDTH = 100
"""Characters of a line of text output."""


def render_witness(witness: Witness, palette: Palette = PLAIN, indent: str = "    ") -> str:
    """The runs of a witness in columns; rows that make it a witness are marked with `*`.

    A cell shows `before -> after` where the run changes the value, and the value where not.
    """
    head = witness.assembly or _fields(witness)
    word = f"  ({witness.word})" if witness.word else ""
    lines = [indent + palette.paint(head, "bold") + word]
    rows = _rows(witness, number)
    if any(len(line) > WIDTH for line in table(rows, _limits(witness), indent)):
        rows = _rows(witness, digits)
    for line in table(rows, _limits(witness), indent):
        marked = line.startswith(indent + "*")
        lines.append(palette.paint(line, "yellow") if marked else line)
    return "\n".join(lines) + "\n"


def outcome(run: Run) -> str:
    """What a run ends in: `retires`, `traps: page_fault (memory)` or `waits`."""
    if run.outcome == "trap":
        return f"traps: {run.cause} ({run.trap_class})"
    return {"retire": "retires", "wait": "waits"}[run.outcome]


def decisive(witness: Witness) -> tuple[str, ...]:
    """The values that make it a witness; of an array that differs, the elements that do."""
    names = []
    for name in dict.fromkeys(value.name for run in witness.runs for value in run.values):
        if name in witness.differs or (
            name.partition("[")[0] in witness.differs and _varies(witness, name)
        ):
            names.append(name)
    return tuple(names)


def _varies(witness: Witness, name: str) -> bool:
    """Whether a run changes the value, or two runs leave it different."""
    found = [value for run in witness.runs for value in run.values if value.name == name]
    if len(witness.runs) == 1 or "control" in witness.clause:
        return any(value.before != value.after for value in found)
    return len(found) < len(witness.runs) or len({value.after for value in found}) > 1


def _limits(witness: Witness) -> tuple[int, ...]:
    return (1, 24, *(60 for _ in witness.runs))


def _rows(witness: Witness, show: Show) -> list[tuple[str, ...]]:
    runs = witness.runs
    marked = frozenset(decisive(witness))
    rows = [("", "", *_heads(witness))]
    values = [{value.name: value for value in run.values} for run in runs]
    names = dict.fromkeys(name for run in values for name in run)
    for group in _grouped(list(names), values):
        mark = "*" if marked.intersection(group) else ""
        cells = (_together([run.get(name) for name in group], show) for run in values)
        rows.append((mark, _title(group), *cells))
    if any(run.choices for run in runs):
        chosen = ("; ".join(f"0x{choice:X}" for choice in run.choices) for run in runs)
        rows.append(("", "(left open)", *chosen))
    mark = "*" if len({(run.outcome, run.trap_class) for run in runs}) > 1 else ""
    rows.append((mark, "outcome", *(outcome(run) for run in runs)))
    return rows


def _heads(witness: Witness) -> list[str]:
    """What each run is: of an escape, the first is the real machine's, the second the virtual."""
    modes = [f"in {run.mode}" for run in witness.runs]
    if len(modes) == 2 and witness.property.endswith(("escape", "violation")):
        return [f"real machine, {modes[0]}", f"virtual machine, {modes[1]}"]
    return modes


def _grouped(
    names: Sequence[str], runs: Sequence[Mapping[str, Value]]
) -> Iterator[tuple[str, ...]]:
    """Each name alone, but cells of at most 8 bits that follow one another together."""
    group: list[str] = []
    for name in names:
        here = _CELL.match(name)
        last = _CELL.match(group[-1]) if group else None
        small = all(name in run and run[name].width <= 8 for run in runs)
        follows = (
            here is not None
            and last is not None
            and here[1] == last[1]
            and int(here[2], 16) == int(last[2], 16) + 1
            and len(group) < _IN_A_ROW
        )
        if group and not (small and follows):
            yield tuple(group)
            group = []
        group.append(name)
    if group:
        yield tuple(group)


def _title(group: Sequence[str]) -> str:
    """`E[0x10]`, or `E[0x10..0x13]`."""
    if len(group) == 1:
        return group[0]
    last = group[-1].partition("[")[2]
    return f"{group[0].removesuffix(']')}..{last}"


def _together(values: Sequence[Value | None], show: Show) -> str:
    """One value, or the contents of several cells in the order of their addresses."""
    if len(values) == 1 or None in values:
        return _cell(values[0], show)
    found = [value for value in values if value is not None]
    before, after = (
        " ".join(f"{value:02X}" for value in side)
        for side in ([v.before for v in found], [v.after for v in found])
    )
    return before if before == after else f"{before} -> {after}"


def _cell(value: Value | None, show: Show) -> str:
    if value is None:
        return "unchanged"
    before = show(value.before, value.width)
    if value.before == value.after:
        return before
    return f"{digits(value.before, value.width)} -> {show(value.after, value.width)}"


def _fields(witness: Witness) -> str:
    return ", ".join(f"{name} = 0x{value:X}" for name, value in witness.fields) or "(no operands)"
