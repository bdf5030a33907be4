"""State on the command line: what `--set` gives, and what is shown at the end of a run."""

import difflib
import re
from collections.abc import Sequence

from checker.report_json import JSON
from popek.messages import complaint
from popek.number import digits, number
from popek.table import table
from spec.diagnostics import Diagnostic
from spec.ir import Element, Isa
from spec.machine import Run
from spec.state import MachineState

_SETTING = re.compile(r"\s*([\w.]+)(?:\[(\w+)\])?\s*=\s*(-?\w+)\s*")


def settings(isa: Isa, texts: Sequence[str]) -> dict[str, int] | list[Diagnostic]:
    """Values by element name, as `MachineState.update` takes them, or all that is wrong."""
    elements = {element.name: element for element in isa.elements}
    values: dict[str, int] = {}
    problems = []
    for text in texts:
        result = _setting(elements, text)
        if isinstance(result, Diagnostic):
            problems.append(result)
        else:
            values[result[0]] = result[1]
    return problems or values


def _setting(elements: dict[str, Element], text: str) -> tuple[str, int] | Diagnostic:
    found = _SETTING.fullmatch(text)
    if found is None:
        return _wrong(text, "write `REGISTER=VALUE` or `REGISTER[INDEX]=VALUE`")
    name, index, written = found.groups()
    element = elements.get(name)
    if element is None:
        near = difflib.get_close_matches(name, elements, n=3)
        meant = ", ".join(f"`{n}`" for n in near or list(elements)[:12])
        return _wrong(text, f"did you mean {meant}?" if near else f"there are {meant}")
    if (index is None) != (element.length is None):
        shape = "is one register" if element.length is None else f"has {element.length} elements"
        return _wrong(text, f"`{name}` {shape}")
    members = dict(element.values)
    try:
        value = members[written] if written in members else int(written, 0)
        at = 0 if index is None else int(index, 0)
    except ValueError:
        return _wrong(text, "the value is a number" + (" or a name" if members else ""))
    if element.length is not None and not 0 <= at < element.length:
        return _wrong(text, f"`{name}` has elements 0 to {element.length - 1}")
    if not -(1 << (element.width - 1)) <= value < 1 << element.width:
        return _wrong(text, f"`{name}` has {element.width} bits")
    value &= (1 << element.width) - 1
    return (name if index is None else f"{name}[{at}]"), value


def final_state(isa: Isa, state: MachineState) -> str:
    """Every register, array elements only if they are not 0, and the memory that is not 0."""
    rows = []
    for element in isa.elements:
        if element.length is None:
            value = state.scalars[element.name]
            names = [name for name, encoding in element.values if encoding == value]
            rows.append((element.name, names[0] if names else number(value, element.width)))
            continue
        rows += [
            (f"{element.name}[{index}]", number(value, element.width))
            for index, value in enumerate(state.arrays[element.name])
            if value
        ]
    lines = table(rows, (40, 60))
    width = isa.memory.cell_width
    cells: dict[int, dict[int, int]] = {}
    for address, value in state.cells.written():
        if value:
            cells.setdefault(address & ~7, {})[address & 7] = value
    for start, row in sorted(cells.items()):
        values = " ".join(digits(row.get(i, 0), width).removeprefix("0x") for i in range(8))
        lines.append(f"  {isa.memory.name}[{digits(start, isa.memory.address_width)}]  {values}")
    return "".join(line + "\n" for line in lines)


def state_json(isa: Isa, state: MachineState, ended: Run) -> JSON:
    """How the run ended, and the state; values are hexadecimal strings."""
    scalars: dict[str, JSON] = {name: hex(value) for name, value in state.scalars.items()}
    arrays: dict[str, JSON] = {
        name: [hex(value) for value in values] for name, values in state.arrays.items()
    }
    memory: dict[str, JSON] = {
        hex(address): hex(value) for address, value in state.cells.written() if value
    }
    return {
        "schema": 1,
        "isa": isa.name,
        "stop": ended.stop.name.lower(),
        "steps": ended.steps,
        "trap": None if ended.trap is None else ended.trap.cause,
        "state": scalars | arrays,
        "memory": memory,
    }


def _wrong(text: str, help: str) -> Diagnostic:
    return complaint("E0910", f"`--set {text}` cannot be done", help=help)
