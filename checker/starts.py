"""Symbolic states to start from, one per mode, and the operands of instructions as terms.

Symbols are named by state element. A bank is named by the bank where the mode sees it, so the
visible register has one name in all modes, and by its own element where it is hidden.
"""

from collections.abc import Mapping

from checker.components import assumptions
from checker.storage import shape_of
from checker.symbolic import Symbolic
from checker.terms import Term, Terms, Truth, Value
from spec.ir import Element, Isa


def start(isa: Isa, terms: Terms, mode: int) -> dict[str, Value]:
    """Every element as a symbol, the mode as the given constant."""
    visible = visible_members(isa, mode)
    state: dict[str, Value] = {}
    for element in isa.elements:
        name = visible.get(element.name, element.name)
        if element.name == isa.mode.element:
            state[element.name] = mode
        elif element.length is None:
            state[element.name] = terms.symbol(name, element.width)
        else:
            shape = shape_of(element)
            state[element.name] = terms.array(name, shape.index_width, shape.value_width)
    return state


def memory(isa: Isa, terms: Terms) -> Term:
    """Physical memory before the run."""
    return terms.array(f"memory {isa.memory.name}", isa.memory.address_width, isa.memory.cell_width)


def visible_members(isa: Isa, mode: int) -> dict[str, str]:
    """The bank elements that a mode sees, with the names of their symbols."""
    return {
        element: f"bank {bank.name}"
        for bank in isa.banks
        for encoding, element in bank.members
        if encoding == mode
    }


def well_formed(isa: Isa, engine: Symbolic, state: Mapping[str, Value]) -> list[Truth]:
    """Conditions of a well-formed state: enumerations hold members, the assumptions hold."""
    conditions: list[Truth] = []
    for element in isa.elements:
        value = state[element.name]
        if element.values and element.length is None and isinstance(value, Term):
            conditions.append(_member(engine, element, value))
    conditions += [_truth(engine.expression(state, expr, {})) for expr in assumptions(isa)]
    return [condition for condition in conditions if condition is not True]


def _member(engine: Symbolic, element: Element, value: Value) -> Truth:
    encodings = {encoding for _, encoding in element.values}
    if len(encodings) == 1 << element.width:
        return True
    return engine.any(*(engine.equal(value, e, element.width) for e in sorted(encodings)))


def _truth(value: Value | Truth) -> Truth:
    assert isinstance(value, bool | Term)
    return value
