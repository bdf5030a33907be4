"""A program that tells a virtual machine from the bare one, both runs side by side."""

from collections.abc import Iterator

from checker.report_json import JSON
from popek.console import Palette
from popek.number import digits, number
from popek.table import table
from popek.trace import trace_line
from refvmm.campaign import Failure
from refvmm.lockstep import Divergence
from refvmm.replay_file import to_json
from refvmm.scenario import Scenario, Written
from refvmm.trial import Trial
from spec.encoding import codec_of
from spec.ir import Isa
from spec.machine import Step
from spec.template import disassemble


def render_start(isa: Isa, scenario: Scenario) -> list[str]:
    """How a scenario starts, and its program."""
    lines = ["", "  start (what is not as after reset):"]
    lines += [f"    {line}" for line in table(list(_start(isa, scenario)), (40, 60))]
    lines += ["", "  program:"]
    lines += [f"    {line}" for line in _program(isa, scenario)] or ["    (none)"]
    return lines


def render_differences(isa: Isa, divergence: Divergence, palette: Palette) -> list[str]:
    """What is different after the last step."""
    rows = [("", "bare machine", "virtual machine")]
    for name, (mine, theirs) in divergence.differences.items():
        rows.append((name, _value(isa, name, mine), _value(isa, name, theirs)))
    shown = table(rows, (40, 40, 40))
    lines = ["", "  then they differ:", f"    {shown[0]}"]
    return [*lines, *(f"    {palette.paint(line, 'red')}" for line in shown[1:])]


def differences_json(isa: Isa, divergence: Divergence) -> JSON:
    """By name: the value on the bare machine, and on the virtual one."""
    return {
        name: [_value(isa, name, mine), _value(isa, name, theirs)]
        for name, (mine, theirs) in divergence.differences.items()
    }


def render_failure(trial: Trial, failure: Failure, palette: Palette) -> str:
    """The start, the program, both traces, and what is different after the last step."""
    isa, scenario = trial.isa, failure.scenario
    lines = [*render_start(isa, scenario), "", "  what happens:"]
    for number_, (bare, virtual, emulated) in enumerate(trial.trace(scenario)):
        lines += render_events(scenario, number_)
        lines += render_step(isa, bare, virtual, emulated)
    lines += render_differences(isa, failure.divergence, palette)
    return "".join(line.rstrip() + "\n" for line in lines)


def failure_json(trial: Trial, failure: Failure) -> JSON:
    """The scenario, both traces as text, and the differences."""
    isa = trial.isa
    traces: list[JSON] = [
        {
            "bare": trace_line(isa, bare),
            "virtual": trace_line(isa, virtual),
            "by": "monitor" if emulated else "hardware",
        }
        for bare, virtual, emulated in trial.trace(failure.scenario)
    ]
    return {
        "program": failure.number,
        "differences": differences_json(isa, failure.divergence),
        "trace": traces,
        "scenario": to_json(failure.scenario),
    }


def _start(isa: Isa, scenario: Scenario) -> Iterator[tuple[str, str]]:
    elements = {element.name: element for element in isa.elements}
    for name, value in scenario.scalars.items():
        members = [m for m, encoding in elements[name].values if encoding == value]
        yield name, members[0] if members else number(value, elements[name].width)
    for name, values in scenario.arrays.items():
        for index, value in enumerate(values):
            if value != elements[name].reset:
                yield f"{name}[{index}]", number(value, elements[name].width)
    memory = isa.memory
    for address, value in sorted(scenario.cells.items()):
        place = f"{memory.name}[{digits(address, memory.address_width)}]"
        yield place, number(value, memory.cell_width)


def _program(isa: Isa, scenario: Scenario) -> Iterator[str]:
    for written in sorted(scenario.program, key=lambda w: w.address):
        yield f"{digits(written.address, isa.memory.address_width)}  {_assembly(isa, written)}"


def _assembly(isa: Isa, written: Written) -> str:
    decoded = codec_of(isa).decode_cells(written.cells)
    return (
        written.instruction.name if decoded is None else disassemble(isa, decoded, written.address)
    )


def render_events(scenario: Scenario, step: int) -> Iterator[str]:
    """What happens from outside before a step."""
    for event in scenario.events:
        if event.step == step and event.element is None:
            yield "    the real machine is interrupted"
        elif event.step == step:
            index = "" if event.index is None else f"[{event.index}]"
            yield f"    {event.element}{index} becomes {event.value}"


def render_step(isa: Isa, bare: Step, virtual: Step, emulated: bool) -> Iterator[str]:
    """A step of both machines."""
    mine, theirs = trace_line(isa, bare), trace_line(isa, virtual)
    by = "the monitor" if emulated else "the real machine, directly"
    yield f"    bare     {mine}"
    yield f"    virtual  {'the same' if mine == theirs else theirs}, by {by}"


def _value(isa: Isa, name: str, value: object) -> str:
    element = next((e for e in isa.elements if e.name == name.partition("[")[0]), None)
    if isinstance(value, int) and not isinstance(value, bool):
        members = () if element is None else element.values
        named = next((member for member, encoding in members if encoding == value), None)
        if named is not None:
            return named
        return number(value, isa.memory.cell_width if element is None else element.width)
    return "-" if value is None else str(value)
