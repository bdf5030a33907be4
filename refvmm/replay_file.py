"""A scenario as JSON, to be run again, also by who has only the file and the description."""

from collections.abc import Mapping

from checker.report_json import JSON
from refvmm.multiplexing import Joint
from refvmm.scenario import Event, Scenario, Written
from spec.encoding import codec_of
from spec.ir import Isa

FORMAT = 1
MOST_GUESTS = 8


class Unusable(Exception):
    """What is wrong with a replay file, as a phrase that the command line can show."""


def to_json(scenario: Scenario) -> dict[str, JSON]:
    """The scenario; addresses and values are decimal numbers."""
    return {
        "size": scenario.size,
        "steps": scenario.steps,
        "scalars": dict(scenario.scalars),
        "arrays": {name: list(values) for name, values in scenario.arrays.items()},
        "cells": [[address, value] for address, value in scenario.cells.items()],
        "program": [
            {
                "address": written.address,
                "instruction": written.instruction.name,
                "fields": {n: v for n, v in written.fields.items() if v},
            }
            for written in scenario.program
        ],
        "events": [
            {"step": e.step, "element": e.element, "value": e.value, "index": e.index}
            for e in scenario.events
        ],
    }


def from_json(isa: Isa, document: JSON) -> Scenario:
    """The scenario; raises `Unusable` for anything that is not one for this description."""
    whole = _object(document)
    elements = {element.name: element for element in isa.elements}
    scalars: dict[str, int] = {}
    for name, value in _object(whole.get("scalars")).items():
        if name not in elements or elements[name].length is not None:
            raise Unusable(f"there is no register `{name}`")
        scalars[name] = _number(value, elements[name].width)
    arrays: dict[str, tuple[int, ...]] = {}
    for name, values in _object(whole.get("arrays")).items():
        members = _list(values)
        if name not in elements or elements[name].length != len(members):
            raise Unusable(f"there is no array `{name}` of {len(members)} elements")
        arrays[name] = tuple(_number(value, elements[name].width) for value in members)
    width, memory = isa.memory.address_width, isa.memory
    size = _number(whole.get("size"), width + 1)
    steps = _number(whole.get("steps"), 32)
    cells: dict[int, int] = {}
    for pair in _list(whole.get("cells")):
        match pair:
            case [address, value]:
                cells[_number(address, width)] = _number(value, memory.cell_width)
            case _:
                raise Unusable("a cell is not a pair of an address and a value")
    return Scenario(
        size=size,
        steps=steps,
        scalars=scalars,
        arrays=arrays,
        cells=cells,
        program=tuple(_written(isa, item) for item in _list(whole.get("program"))),
        events=tuple(_event(isa, item) for item in _list(whole.get("events"))),
    )


def joint_to_json(tried: Joint) -> dict[str, JSON]:
    """Guests of one machine, and whose each step is."""
    return {
        "scenarios": [to_json(scenario) for scenario in tried.scenarios],
        "schedule": list(tried.schedule),
    }


def joint_from_json(isa: Isa, document: JSON) -> Joint:
    """The guests; raises `Unusable` for anything that is not what `joint_to_json` gives."""
    whole = _object(document)
    scenarios = tuple(from_json(isa, item) for item in _list(whole.get("scenarios")))
    schedule = tuple(_number(item, 8) for item in _list(whole.get("schedule")))
    if not 1 <= len(scenarios) <= MOST_GUESTS or any(n >= len(scenarios) for n in schedule):
        raise Unusable("its schedule names guests that it does not have")
    return Joint(scenarios, schedule)


def _written(isa: Isa, document: JSON) -> Written:
    item = _object(document)
    name = item.get("instruction")
    found = next((i for i in isa.instructions if i.name == name), None)
    if found is None:
        raise Unusable(f"there is no instruction `{name}`")
    widths = {field.name: field.width for field in found.fields}
    fields: dict[str, int] = {}
    for field, value in _object(item.get("fields")).items():
        if field not in widths:
            raise Unusable(f"`{name}` has no field `{field}`")
        fields[field] = _number(value, widths[field])
    try:
        cells = codec_of(isa).encode(found, fields)
    except ValueError as problem:
        raise Unusable(str(problem)) from None
    return Written(_number(item.get("address"), isa.memory.address_width), found, fields, cells)


def _event(isa: Isa, document: JSON) -> Event:
    item = _object(document)
    step, name, index = _number(item.get("step"), 32), item.get("element"), item.get("index")
    if name is None:
        return Event(step)
    found = next((e for e in isa.elements if e.name == name), None)
    if found is None or (index is None) != (found.length is None):
        raise Unusable(f"there is no device `{name}`")
    place = None if index is None else _number(index, 32)
    if place is not None and place >= (found.length or 0):
        raise Unusable(f"`{name}` has no element {place}")
    return Event(step, found.name, _number(item.get("value"), found.width), place)


def _object(document: JSON) -> Mapping[str, JSON]:
    if not isinstance(document, dict):
        raise Unusable("it is not what `popek test` writes")
    return document


def _list(document: JSON) -> list[JSON]:
    if not isinstance(document, list):
        raise Unusable("it is not what `popek test` writes")
    return document


def _number(document: JSON, width: int) -> int:
    if isinstance(document, bool) or not isinstance(document, int):
        raise Unusable("it is not what `popek test` writes")
    if not 0 <= document < 1 << width:
        raise Unusable(f"{document} does not fit {width} bits")
    return document
