"""The report of `popek check` as text: verdicts, table of classes, escapes, claims, in that order."""

import textwrap
from collections.abc import Iterable, Sequence

from checker.answers import Answer, Fact
from checker.report import (
    ClaimReport,
    ConfigurationReport,
    Escape,
    LetterCounterexample,
    LiteratureReport,
    Reason,
    Report,
    VerdictKind,
)
from popek.console import PLAIN, Palette
from popek.render_classes import label, labels, render_classes
from popek.render_witness import WIDTH, render_witness
from popek.table import table
from spec.mode_map import mode_map_text

_THEOREMS = ((1, "VMM"), (2, "recursive VMM"), (3, "hybrid VMM"))
_QUESTIONS = 3  # of one instruction that are shown if they are undecided
_STYLES = {Answer.YES: "green", Answer.NO: "red", Answer.UNKNOWN: "yellow"}


def render_report(report: Report, palette: Palette = PLAIN) -> str:
    """Everything a designer asked for, the shortest useful form; ends in a newline."""
    parts = [f"{palette.paint(report.isa, 'bold')}  {report.title}\n"]
    shown: dict[str, str] = {}  # tables of classes, with the first configuration that has each
    parts += [_configuration(c, palette, shown) for c in report.configurations]
    if report.facts:
        parts.append(_facts("invariants", report.facts, palette))
    if report.claims:
        parts.append(_claims(report.claims, palette))
    if report.literature:
        parts.append(_literature(report.literature, palette))
    if report.notes:
        parts.append(_section("notes", report.notes, palette))
    if report.defects:
        parts.append(_section("defects (do not rely on this report)", report.defects, palette))
    return "\n".join(parts)


def answer(value: Answer, palette: Palette) -> str:
    """Yes, no or unknown in its color."""
    return palette.paint(value.value, _STYLES[value])


def _configuration(
    configuration: ConfigurationReport, palette: Palette, shown: dict[str, str]
) -> str:
    head = palette.paint(f"configuration {configuration.name}", "bold")
    parts = [f"{head}: {mode_map_text(configuration.modes)}\n"]
    if not configuration.partial:
        parts[0] += _verdicts(configuration, palette) + _why(configuration)
    classes = render_classes(configuration.instructions, configuration.real_mode)
    first = shown.setdefault(classes, configuration.name)
    same = first != configuration.name
    parts.append(
        palette.paint("classes", "bold") + (f": as in {first}\n" if same else f"\n{classes}")
    )
    parts += [_undecided(configuration)] if _undecided(configuration) else []
    if configuration.escapes:
        parts.append(palette.paint("escapes", "bold") + "\n" + _escapes(configuration, palette))
    if configuration.letter_counterexamples and not configuration.escapes:
        counted = _letter(configuration.letter_counterexamples)
        parts.append(palette.paint("what the letter counts", "bold") + "\n" + counted)
    sections = (
        ("what the letter misses", [_sentence(r) for r in configuration.letter_misses]),
        ("assumptions", configuration.assumptions),
        ("notes", configuration.notes),
        ("defects (do not rely on these verdicts)", configuration.defects),
    )
    parts += [_section(title, lines, palette) for title, lines in sections if lines]
    if any(fact.answer is not Answer.YES for fact in configuration.facts):
        parts.append(_facts("facts", configuration.facts, palette))
    return "\n".join(parts)


def _verdicts(configuration: ConfigurationReport, palette: Palette) -> str:
    titles = [f"Theorem {number} ({name})" for number, name in _THEOREMS]
    lines = ["  " + " " * 12 + "  ".join(titles)]
    for kind in VerdictKind:
        cells = []
        for (number, _), title in zip(_THEOREMS, titles, strict=True):
            verdict = configuration.verdict(kind, number).answer
            cells.append(answer(verdict, palette) + " " * (len(title) - len(verdict.value)))
        lines.append(f"  {kind.value:<12}" + "  ".join(cells).rstrip())
    efficient = configuration.efficient
    reason = f"  ({efficient.reason})" if efficient.reason else ""
    lines.append(f"  {'efficient':<12}{answer(efficient.answer, palette)}")
    if reason and efficient.answer is not Answer.YES:
        lines += _wrapped(reason.strip(), "    ")
    if configuration.constraints:
        lines += _wrapped("configured with " + ", ".join(configuration.constraints), "  ")
    return "\n".join(lines) + "\n"


def _why(configuration: ConfigurationReport) -> str:
    """One line per verdict that is not yes, verdicts with the same causes together."""
    found: dict[tuple[tuple[str, ...], Answer, str], list[str]] = {}
    for kind in VerdictKind:
        groups: dict[tuple[Answer, str], list[str]] = {}
        for number, _ in _THEOREMS:
            verdict = configuration.verdict(kind, number)
            if verdict.answer is not Answer.YES:
                causes = "; ".join(_causes(verdict.reasons)) or "what is undecided"
                groups.setdefault((verdict.answer, causes), []).append(str(number))
        for (value, causes), numbers in groups.items():
            found.setdefault((tuple(numbers), value, causes), []).append(kind.value)
    lines: list[str] = []
    for (theorems, value, causes), kinds in found.items():
        title = "Theorem" + "s" * (len(theorems) > 1) + " " + _enumerated(theorems)
        lines += _wrapped(
            f"{_enumerated(kinds)}, {title}: {value.value}, because of {causes}", "  "
        )
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _enumerated(words: Sequence[str]) -> str:
    """`1`, `1 and 2`, `1, 2 and 3`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _causes(reasons: Sequence[Reason]) -> list[str]:
    rows = dict.fromkeys((r.instruction, r.operands) for r in reasons if r.instruction)
    instructions = labels(rows)
    whole = dict.fromkeys(r.sentence for r in reasons if not r.instruction)
    return ([", ".join(instructions)] if instructions else []) + list(whole)


def _escapes(configuration: ConfigurationReport, palette: Palette) -> str:
    """One paragraph for each reason, with a witness of the first instruction that has it."""
    groups: dict[object, list[Escape]] = {}
    for escape in configuration.escapes:
        groups.setdefault(_explained(escape), []).append(escape)
    return "\n".join(_escape(group, palette) for group in groups.values())


def _explained(escape: Escape) -> object:
    """What two escapes share if one explanation will do for both."""
    shapes = [
        (witness.clause, tuple((run.mode, run.outcome, run.cause) for run in witness.runs))
        for witness in escape.witnesses[:1]
    ]
    return escape.reason, tuple(shapes), escape.replayed


def _escape(group: Sequence[Escape], palette: Palette) -> str:
    first = group[0]
    names = ", ".join(labels((escape.instruction, escape.operands) for escape in group))
    lines = [palette.paint(line, "red") for line in _wrapped(names, "  ")]
    lines += _wrapped(first.reason, "    ")
    text = "\n".join(lines) + "\n"
    if not first.witnesses:
        return text + "    (no witness: see `defects`)\n"
    if not first.replayed:
        text += "    (a witness did not replay on the concrete machine)\n"
    return text + render_witness(first.witnesses[0], palette, "      ")


def _letter(counterexamples: Sequence[LetterCounterexample]) -> str:
    lines: list[str] = []
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in counterexamples:
        groups.setdefault(each.reason, []).append((each.instruction, each.operands))
    for reason, rows in groups.items():
        lines += _wrapped(f"{', '.join(labels(rows))}: {reason}", "  ")
    return "\n".join(lines) + "\n"


def _undecided(configuration: ConfigurationReport) -> str:
    """For each instruction and reason, the first questions and how many there are."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in configuration.instructions:
        name = label(row.instruction, row.operands)
        for question in row.undecided:
            asked = question.obligation.partition(f"/{configuration.name}/")[2]
            groups.setdefault((name, question.reason), []).append(asked or question.obligation)
    if not groups:
        return ""
    lines = ["undecided"]
    for (name, reason), questions in groups.items():
        rest = len(questions) - _QUESTIONS
        more = [f"and {rest} more"] if rest > 0 else []
        listed = ", ".join([*questions[:_QUESTIONS], *more])
        lines += _wrapped(f"{name}: {listed}: {reason}", "  ")
    return "\n".join(lines) + "\n"


def _facts(title: str, facts: Sequence[Fact], palette: Palette) -> str:
    lines = [palette.paint(title, "bold")]
    for fact in facts:
        reason = f": {fact.reason}" if fact.reason and fact.answer is not Answer.YES else ""
        lines += _wrapped(f"{fact.answer.value:<8}{fact.question}{reason}", "  ", hang=8)
    return "\n".join(lines) + "\n"


def _claims(claims: Sequence[ClaimReport], palette: Palette) -> str:
    kept = sum(claim.holds is Answer.YES for claim in claims)
    lines = [palette.paint("claims", "bold") + f": {kept} of {len(claims)} hold"]
    rows = [
        ("does not hold" if c.holds is Answer.NO else "undecided", f"line {c.line}", c.claim)
        for c in claims
        if c.holds is not Answer.YES
    ]
    reasons = [c.reason for c in claims if c.holds is not Answer.YES]
    for line, reason in zip(table(rows, (20, 12, 200)), reasons, strict=True):
        lines.append(palette.paint(line, "red"))
        lines += _wrapped(reason, "    ") if reason else []
    return "\n".join(lines) + "\n"


def _literature(literature: Sequence[LiteratureReport], palette: Palette) -> str:
    """What agrees is counted; what does not is shown, with the description's word on it."""
    agreeing = sum(said.claim.holds is Answer.YES for said in literature)
    head = palette.paint("literature", "bold")
    lines = [head + f": {agreeing} of {len(literature)} statements agree"]
    for said in literature:
        if said.settled and said.claim.holds is Answer.YES:
            continue
        line = f"{said.author}: {said.claim.claim}"
        lines += _wrapped(line if said.settled else palette.paint(line, "red"), "  ")
        if said.claim.holds is not Answer.YES:
            lines += _wrapped(f"found: {said.claim.reason}", "    ")
        lines += _wrapped(_why_not(said), "    ")
    return "\n".join(lines) + "\n"


def _why_not(said: LiteratureReport) -> str:
    if said.claim.holds is Answer.YES:
        return f"it agrees, though the description says `but`: {said.but}"
    return f"because {said.but}" if said.but else "the description does not say why"


def _section(title: str, texts: Iterable[str], palette: Palette) -> str:
    lines = [palette.paint(title, "bold")]
    for text in texts:
        lines += _wrapped(text, "  ", hang=2)
    return "\n".join(lines) + "\n"


def _sentence(reason: Reason) -> str:
    if not reason.instruction:
        return reason.sentence
    return f"{label(reason.instruction, reason.operands)}: {reason.sentence}"


def _wrapped(text: str, indent: str, hang: int = 2) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
