"""The table of classes: instructions with equal classes share a row."""

from collections.abc import Iterable, Sequence

from checker.answers import Answer, Components
from checker.report import InstructionReport
from popek.table import table

_NO_BREAK = "\N{NO-BREAK SPACE}"
_ORDER = ("always", "sometimes", "never", "unknown")


def render_classes(instructions: Sequence[InstructionReport], real_mode: str) -> str:
    """The table; the sensitive come first, then the innocuous, each in order of declaration."""
    rows: dict[tuple[str, str, str], list[InstructionReport]] = {}
    for each in instructions:
        key = (each.traps.value, each.privileged.value, sensitivity(each))
        rows.setdefault(key, []).append(each)
    ordered = sorted(rows, key=lambda key: (key[2].startswith("innocuous"), _ORDER.index(key[0])))
    head = ("instructions", f"traps in {real_mode}", "privileged", "sensitive to")
    body = [(" ".join(_names(rows[key])), *key) for key in ordered]
    lines = table([head, *body], (48, 20, 10, 40))
    return "\n".join(lines).replace(_NO_BREAK, " ") + "\n"


def sensitivity(each: InstructionReport) -> str:
    """All kinds of sensitivity with their components; `innocuous` if there are none.

    A result that depends on a component is not repeated where the behaviour does.
    """
    behaviour = each.behaviour_sensitive
    result = Components(
        tuple(n for n in each.result_sensitive.names if n not in behaviour.names),
        tuple(n for n in each.result_sensitive.undecided if n not in behaviour.undecided),
    )
    kinds = (
        ("control", each.control_sensitive),
        ("behaviour", behaviour),
        ("result", result),
        ("trap", each.trap_sensitive),
    )
    parts = [f"{kind}: {_components(found)}" for kind, found in kinds if _speaks(found)]
    if each.user_mode_noop is Answer.YES:
        parts.append("user-mode no-op")
    if each.innocuous is Answer.YES:
        parts.insert(0, "innocuous")
    return "; ".join(parts) or "undecided"


def label(instruction: str, operands: str) -> str:
    """`CSRRW[mstatus]`, or the name alone for a whole instruction; names with spaces are quoted."""
    shown = f'"{instruction}"' if " " in instruction else instruction
    return f"{shown}[{operands}]" if operands else shown


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


def _names(group: Sequence[InstructionReport]) -> list[str]:
    return [label(e.instruction, e.operands).replace(" ", _NO_BREAK) for e in group]
