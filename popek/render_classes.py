"""The table of classes: instructions with equal classes share a row."""

from collections.abc import Iterable, Sequence

from checker.answers import Answer, Components
from checker.report import InstructionReport
from popek.table import table

_NO_BREAK = "\N{NO-BREAK SPACE}"
LONG = 20
"""Rows of a table that is still read as a whole."""

_ORDER = ("always", "sometimes", "never", "unknown")


def render_classes(instructions: Sequence[InstructionReport], real_mode: str) -> str:
    """The table; the sensitive come first, then the innocuous, each in order of declaration.

    A table of more than `LONG` rows leaves out the components of privileged instructions.
    """
    rows = _rows(instructions, brief=False)
    note = ""
    if len(rows) > LONG:
        rows = _rows(instructions, brief=True)
        note = "  (to what a privileged instruction is sensitive: `popek explain`, or JSON)\n"
    ordered = sorted(rows, key=lambda key: (key[2].startswith("innocuous"), _ORDER.index(key[0])))
    head = ("instructions", f"traps in {real_mode}", "privileged", "sensitive to")
    body = [(_listed(rows[key]), *key) for key in ordered]
    lines = table([head, *body], (48, 20, 10, 40))
    return "\n".join(lines).replace(_NO_BREAK, " ") + "\n" + note


def _rows(
    instructions: Sequence[InstructionReport], brief: bool
) -> dict[tuple[str, str, str], list[InstructionReport]]:
    """Instructions by what the table says of them."""
    rows: dict[tuple[str, str, str], list[InstructionReport]] = {}
    for each in instructions:
        short = brief and each.privileged is Answer.YES
        key = (each.traps.value, each.privileged.value, sensitivity(each, brief=short))
        rows.setdefault(key, []).append(each)
    return rows


def sensitivity(each: InstructionReport, brief: bool = False) -> str:
    """All kinds of sensitivity with their components; `innocuous` if there are none.

    A result that depends on a component is not repeated where the behaviour does. `brief` names
    the kinds only.
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
    parts = [
        kind if brief and not found.undecided else f"{kind}: {_components(found)}"
        for kind, found in kinds
        if _speaks(found)
    ]
    if each.user_mode_noop is Answer.YES:
        parts.append("user-mode no-op")
    if each.innocuous is Answer.YES:
        parts.insert(0, "innocuous")
    return "; ".join(parts) or "undecided"


def label(instruction: str, operands: str) -> str:
    """`CSRRW[mstatus]`, or the name alone for a whole instruction; names with spaces are quoted."""
    shown = f'"{instruction}"' if " " in instruction else instruction
    return f"{shown}[{operands}]" if operands else shown


def labels(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Instructions with operand sets, shortly: `CSRRS/CSRRC[cycle, time]` for four rows."""
    operands: dict[str, list[str]] = {}
    for instruction, text in rows:
        operands.setdefault(instruction, []).extend([text] if text else [])
    sharing: dict[tuple[str, ...], list[str]] = {}
    for instruction, sets in operands.items():
        sharing.setdefault((*sets,) if sets else ("", instruction), []).append(instruction)
    return [
        label("/".join(names), "" if sets[0] == "" else ", ".join(sets))
        for sets, names in sharing.items()
    ]


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


def _listed(group: Sequence[InstructionReport]) -> str:
    """The instructions of a row; a name with blanks stays on one line."""
    rows = [(e.instruction, e.operands) for e in group]
    return " ".join(text if "[" in text else text.replace(" ", _NO_BREAK) for text in labels(rows))
