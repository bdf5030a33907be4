"""The table of classes: operand sets of an instruction that behave alike become one row."""

from collections.abc import Iterable, Sequence
from itertools import product

from checker.answers import Classification, OperandSet
from checker.report import InstructionReport

FEW = 3
"""Up to so many operand sets are listed by name rather than by what they leave out."""


def merge(
    classifications: Sequence[Classification],
    cached: frozenset[tuple[str, OperandSet]] = frozenset(),
) -> tuple[InstructionReport, ...]:
    """Rows in the order given, of the classifications under one configuration.

    Operand sets are merged when every answer is equal; witnesses and costs do not count. `cached`
    names those (instruction, operand set) whose answers were known before.
    """
    instructions: dict[str, dict[object, list[Classification]]] = {}
    for classification in classifications:
        groups = instructions.setdefault(classification.instruction, {})
        groups.setdefault(_answers(classification), []).append(classification)
    rows = []
    for groups in instructions.values():
        every = [c.operands for group in groups.values() for c in group]
        for group in groups.values():
            known = all((c.instruction, c.operands) in cached for c in group)
            rows.append(_row(group, every, known))
    return tuple(rows)


def describe(chosen: Sequence[OperandSet], every: Sequence[OperandSet]) -> str:
    """`chosen` in words, given `every` operand set of the instruction; empty if it is all."""
    if set(chosen) == set(every):
        return ""
    shape = {tuple(field for field, _, _ in operands.members) for operands in every}
    if len(shape) != 1:
        return ", ".join(_bracketed(operands) for operands in chosen)
    fields = shape.pop()
    picked = [_members(chosen, place) for place in range(len(fields))]
    if set(product(*picked)) != {tuple(o.members) for o in chosen}:
        rest = [operands for operands in every if operands not in set(chosen)]
        if len(rest) < len(chosen) and len(chosen) > FEW:
            return "all but " + ", ".join(_bracketed(operands) for operands in rest)
        return ", ".join(_bracketed(operands) for operands in chosen)
    parts = []
    for place, field in enumerate(fields):
        names = _names(field, picked[place], _members(every, place), alone=len(fields) == 1)
        parts += [names] if names else []
    return "; ".join(parts)


def _answers(classification: Classification) -> object:
    """Everything that two operand sets must share to stand in one row."""
    c = classification
    return (
        (c.traps, c.traps_in_top, c.refused, c.privileged),
        (c.control_sensitive, c.behaviour_sensitive, c.result_sensitive, c.trap_sensitive),
        (c.user_sensitive, c.supervisor_sensitive, c.user_mode_noop),
        (c.escape, c.hybrid_escape, c.semantic_violation, c.hybrid_semantic_violation),
    )


def _row(
    group: Sequence[Classification], every: Sequence[OperandSet], cached: bool
) -> InstructionReport:
    first = group[0]
    members = tuple(c.operands for c in group)
    return InstructionReport(
        instruction=first.instruction,
        operands=describe(members, every),
        members=members,
        traps=first.traps,
        traps_in_top=first.traps_in_top,
        refused=first.refused,
        privileged=first.privileged,
        control_sensitive=first.control_sensitive,
        behaviour_sensitive=first.behaviour_sensitive,
        result_sensitive=first.result_sensitive,
        trap_sensitive=first.trap_sensitive,
        user_sensitive=first.user_sensitive,
        supervisor_sensitive=first.supervisor_sensitive,
        user_mode_noop=first.user_mode_noop,
        sensitive=first.sensitive,
        innocuous=first.innocuous,
        escape=first.escape,
        hybrid_escape=first.hybrid_escape,
        semantic_violation=first.semantic_violation,
        hybrid_semantic_violation=first.hybrid_semantic_violation,
        witnesses=first.witnesses,
        undecided=tuple(dict.fromkeys(u for c in group for u in c.undecided)),
        seconds=sum(c.seconds for c in group),
        solver_seconds=sum(c.solver_seconds for c in group),
        solver_calls=sum(c.solver_calls for c in group),
        cached=cached,
    )


def _members(sets: Iterable[OperandSet], place: int) -> list[tuple[str, str, int]]:
    return list(dict.fromkeys(operands.members[place] for operands in sets))


def _names(
    field: str,
    picked: Sequence[tuple[str, str, int]],
    every: Sequence[tuple[str, str, int]],
    *,
    alone: bool,
) -> str:
    """`mstatus, mie` or `all csr but cycle`; empty if `picked` is all; with the field if not alone."""
    rest = [member for member in every if member not in set(picked)]
    if not rest:
        return ""
    if len(rest) < len(picked) and len(picked) > FEW:
        return f"all {field} but " + ", ".join(name for _, name, _ in rest)
    names = ", ".join(name for _, name, _ in picked)
    return names if alone else f"{field} {names}"


def _bracketed(operands: OperandSet) -> str:
    return operands.text if len(operands.members) == 1 else f"({operands.text})"
