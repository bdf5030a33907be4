"""The table of classes: instructions with equal classes share a row."""

from collections.abc import Iterable, Sequence

from checker.answers import Answer, Classification, Components
from popek.table import table

_ORDER = ("always", "sometimes", "never", "unknown")


def render_classes(instructions: Sequence[Classification], real_mode: str) -> str:
    """The table; the sensitive come first, then the innocuous, each in order of declaration."""
    rows: dict[tuple[str, str, str], list[Classification]] = {}
    for each in instructions:
        key = (each.traps.value, _privileged(each), sensitivity(each))
        rows.setdefault(key, []).append(each)
    ordered = sorted(rows, key=lambda key: (key[2] == "innocuous", _ORDER.index(key[0])))
    head = ("instructions", f"traps in {real_mode}", "privileged", "sensitive to")
    body = [(" ".join(_names(rows[key])), *key) for key in ordered]
    return "\n".join(table([head, *body], (44, 20, 10, 40))) + "\n"


def sensitivity(each: Classification) -> str:
    """All kinds of sensitivity with their components; `innocuous` if there are none."""
    kinds = (
        ("control", each.control_sensitive),
        ("behaviour", each.behaviour_sensitive),
        ("result", each.result_sensitive),
        ("trap", each.trap_sensitive),
    )
    parts = [f"{kind}: {_components(found)}" for kind, found in kinds if _speaks(found)]
    if each.user_mode_noop is Answer.YES:
        parts.append("user-mode no-op")
    return "; ".join(parts) or "innocuous"


def label(each: Classification) -> str:
    """`CSRRW[mstatus]`, or the name alone for a whole instruction."""
    return _label(each.instruction, [each.operands.text] if each.operands.text else [])


def _privileged(each: Classification) -> str:
    return each.privileged.value


def _speaks(components: Components) -> bool:
    return components.answer is not Answer.NO


def _components(components: Components) -> str:
    undecided = [f"{name} (undecided)" for name in components.undecided]
    return ", ".join([*_abbreviated(components.names), *undecided])


def _abbreviated(names: Iterable[str]) -> list[str]:
    """Names of one register's fields together: `mstatus.{MIE MPIE}`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        register, dot, field = name.partition(".")
        plain = "+" in name or not dot
        groups.setdefault(name if plain else register, []).extend([] if plain else [field])
    return [
        register
        if not fields
        else f"{register}.{fields[0]}"
        if len(fields) == 1
        else f"{register}.{{{' '.join(fields)}}}"
        for register, fields in groups.items()
    ]


def _names(group: Sequence[Classification]) -> list[str]:
    """The instructions of a row; operand sets of one instruction together."""
    operands: dict[str, list[str]] = {}
    for each in group:
        sets = operands.setdefault(each.instruction, [])
        if each.operands.text:
            sets.append(each.operands.text)
    return [_label(name, sets) for name, sets in operands.items()]


def _label(name: str, operands: Sequence[str]) -> str:
    shown = f'"{name}"' if " " in name else name
    return f"{shown}[{' '.join(operands)}]" if operands else shown
