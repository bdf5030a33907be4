"""What `popek explain` shows: the classes, then each witness under the definition it satisfies."""

import textwrap
from collections.abc import Sequence

from checker.answers import Answer, Run, Traps, Witness
from checker.report import Explanation, InstructionReport
from popek.console import PLAIN, Palette
from popek.definitions import DEFINITIONS, Definition
from popek.render_classes import label, labels, sensitivity
from popek.render_witness import WIDTH, decisive, outcome, render_witness
from spec.mode_map import mode_map_text

_NEGATED = "not_"


def render_explanations(explanations: Sequence[Explanation], palette: Palette = PLAIN) -> str:
    """One instruction under each configuration; what two configurations share is told once."""
    shown: dict[str, str] = {}  # what was said, with the first configuration of which
    parts = []
    for explanation in explanations:
        name = explanation.configuration.name
        body = _body(explanation, palette)
        first = shown.setdefault(body, name)
        parts.append(_head(explanation, palette))
        parts.append(body if first == name else f"  as in configuration {first}\n")
    return "\n".join(parts)


def render_explanation(explanation: Explanation, palette: Palette = PLAIN) -> str:
    """One instruction under one configuration: classes, definitions, witnesses side by side."""
    return render_explanations([explanation], palette)


def _head(explanation: Explanation, palette: Palette) -> str:
    configuration = explanation.configuration
    modes = mode_map_text(configuration.modes)
    name = palette.paint(label(explanation.instruction, ""), "bold")
    where = f"  in configuration {configuration.name} ({modes})\n"
    return name + where + _manual(explanation)


def _body(explanation: Explanation, palette: Palette) -> str:
    """Operand sets of which the same kinds of evidence are known are told by the first one."""
    groups: dict[object, list[InstructionReport]] = {}
    for row in explanation.rows:
        kinds = tuple((w.property, w.clause) for w in row.witnesses if _tells(w, row))
        groups.setdefault((row.traps, row.privileged, row.undecided, kinds), []).append(row)
    told: set[str] = set()  # definitions
    parts = []
    for first, *others in groups.values():
        parts.append(_classes(first, explanation.configuration.real_mode, palette))
        parts += [_evidence(w, palette, told) for w in first.witnesses if _tells(w, first)]
        if not first.witnesses and first.innocuous is Answer.YES:
            parts.append(_definition(DEFINITIONS["innocuous"], "", palette, told))
        parts += [_paragraph(f"undecided: {u.obligation}: {u.reason}") for u in first.undecided]
        if others:
            names = ", ".join(labels((row.instruction, row.operands) for row in others))
            hint = "name an operand set to see its own witnesses"
            parts.append(_paragraph(f"likewise, with other values: {names} ({hint})"))
    return "\n".join(parts)


def finding(witness: Witness) -> str:
    """What the witness shows, in one sentence."""
    first, last = witness.runs[0], witness.runs[-1]
    names = ", ".join(decisive(witness) or dict.fromkeys(witness.differs))
    only = " and ".join(witness.components)
    match witness.property, witness.clause:
        case "control_sensitive", _:
            return f"In {first.mode} it {outcome(first)}, and changes {names or only}."
        case "trap_sensitive", _:
            return (
                f"The states differ only in {only}. In the first, in {first.mode}, it "
                f"{outcome(first)}; in the second it {outcome(last)}."
            )
        case (("behaviour_sensitive" | "result_sensitive"), _):
            return (
                f"The states differ only in {only}. In both it {outcome(first)}, "
                f"and it leaves {names} different."
            )
        case "user_mode_noop", _:
            return f"In {first.mode} nothing happens; in {last.mode} it changes {names or only}."
        case "not_privileged", _:
            return _not_privileged(first, last)
        case (
            ("escape" | "semantic_violation" | "hybrid_escape" | "hybrid_semantic_violation"),
            clause,
        ):
            return _escape(clause, first, last, names or only)
        case _:
            return f"In {first.mode} it {outcome(first)}."


def _escape(clause: str, first: Run, last: Run, names: str) -> str:
    start = f"In {first.mode} it {outcome(first)}, so the VMM does not see it"
    match clause:
        case "control":
            return f"{start}; and it changes {names}, which is not the guest's to change."
        case "virtual control":
            return f"{start}; but in {last.mode} it would have changed {names}."
        case "trap":
            return f"{start}; but in {last.mode} it {outcome(last)}."
        case _:
            return f"{start}; but in {last.mode} the result is another: {names}."


def _not_privileged(first: Run, last: Run) -> str:
    if first.outcome != "trap":
        return f"In {first.mode} it {outcome(first)}: nothing traps."
    if first.trap_class != "privilege":
        return f"In {first.mode} it {outcome(first)}: not because of the mode."
    return f"It {outcome(first)} in {first.mode}, and {outcome(last)} in {last.mode} as well."


def _manual(explanation: Explanation) -> str:
    lines = [_paragraph(f'"{explanation.doc}"', "  ")] if explanation.doc else []
    return "".join(lines + ([f"  manual: {explanation.page}\n"] if explanation.page else []))


def _classes(row: InstructionReport, real_mode: str, palette: Palette) -> str:
    name = palette.paint(label(row.instruction, row.operands), "bold")
    facts = [
        ("traps in " + real_mode, row.traps.value),
        ("privileged", row.privileged.value),
        ("sensitive to", sensitivity(row)),
        ("user-sensitive", row.user_sensitive.value),
        ("supervisor-sensitive", row.supervisor_sensitive.value),
        ("escape", row.escape.value),
    ]
    width = max(len(title) for title, _ in facts)
    lines = [
        line
        for title, value in facts
        for line in textwrap.wrap(
            f"{title:<{width}}  {value}",
            WIDTH,
            initial_indent="  ",
            subsequent_indent=" " * (width + 4),
            break_long_words=False,
            drop_whitespace=True,
        )
    ]
    return "\n".join([name, *lines]) + "\n"


def _tells(witness: Witness, row: InstructionReport) -> bool:
    """A run that just retires or traps is told only where both can happen."""
    return witness.property not in ("retires", "traps") or row.traps is Traps.SOMETIMES


def _evidence(witness: Witness, palette: Palette, told: set[str]) -> str:
    negated = witness.property.startswith(_NEGATED)
    definition = DEFINITIONS.get(witness.property.removeprefix(_NEGATED))
    text = palette.paint(f"it {witness.property}", "bold") + "\n"
    if definition is not None:
        on = "" if negated else " and ".join(witness.components)
        title = f"not {definition.title}" if negated else definition.title
        text = _definition(Definition(title, definition.text, definition.source), on, palette, told)
    replayed = "" if witness.replayed else "  This witness did not replay; do not rely on it.\n"
    return text + _paragraph(finding(witness)) + replayed + render_witness(witness, palette, "    ")


def _definition(definition: Definition, on: str, palette: Palette, told: set[str]) -> str:
    """Its title, and its text if that was not told before."""
    title = palette.paint(definition.title + (f" on {on}" if on else ""), "bold") + "\n"
    if definition.text in told:
        return title
    told.add(definition.text)
    return title + _paragraph(f"Definition ({definition.source}): {definition.text}")


def _paragraph(text: str, indent: str = "  ") -> str:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )
    return "\n".join(lines) + "\n"
