"""The verdicts of many descriptions in one table, as text or as a Markdown page."""

from collections.abc import Iterable, Iterator, Sequence

from checker.answers import Answer
from checker.report import (
    ConfigurationReport,
    Escape,
    LetterCounterexample,
    LiteratureReport,
    Report,
    VerdictKind,
)
from popek.console import PLAIN, Palette
from popek.render_classes import labels
from popek.table import table
from spec.mode_map import mode_map_text

_FEW = 4  # escapes that are named in the table
_HEADS = ("Theorem 1", "Theorem 2", "Theorem 3", "efficient", "escapes", "literature")

_PREFACE = """\
# Verdicts

Written by `popek verdicts --format markdown` from the answers of the checker and the descriptions' own words on the literature.

Theorem 1: a virtual machine monitor can be had; Theorem 2: one that runs under itself; Theorem 3: a hybrid one, that interprets
all of virtual supervisor mode. A verdict is the *configured* one, about the control bits as the monitor keeps them; where the paper's *letter*
or the *semantic* verdict (does direct execution do what the virtual machine would?) is another, that is said. Instructions *escape* when
they are sensitive and do not trap. `popek explain` shows each witness whole; [literature.md](literature.md) says more of the differences.
"""


def as_text(reports: Sequence[Report], palette: Palette = PLAIN) -> str:
    """The table, then what stands against the literature without a reason."""
    if not reports:
        return ""
    rows = [("description", *_HEADS), *_rows(reports)]
    lines = table(rows, (36, 22, 22, 22, 10, 40, 36), indent="")
    for report in reports:
        for said in report.literature:
            if not said.settled:
                line = f"{report.isa}: {said.author} has `{said.claim.claim}`: {_found(said)}"
                lines += ["", palette.paint(line, "red")]
    return "\n".join(lines) + "\n"


def as_markdown(reports: Sequence[Report]) -> str:
    """A page: the table, then each description with its escapes and its literature."""
    lines = [_PREFACE]
    lines += _table(("description", *_HEADS), _rows(reports))
    for report in reports:
        lines += ["", f"## {report.title} (`{report.isa}`)"]
        for configuration in report.configurations:
            lines += ["", *_configuration(configuration)]
        if report.literature:
            lines += ["", "What has been written:", ""]
            lines += _table(
                ("who", "what", "found"),
                ((s.author, f"`{s.claim.claim}`", _found(s)) for s in report.literature),
            )
    return "\n".join(lines) + "\n"


def _rows(reports: Iterable[Report]) -> Iterator[tuple[str, ...]]:
    for report in reports:
        for configuration in report.configurations:
            name = report.isa
            if len(report.configurations) > 1:
                name += f", {configuration.name}"
            verdicts = (_verdict(configuration, number) for number in (1, 2, 3))
            efficient = configuration.efficient.answer.value
            yield name, *verdicts, efficient, _escapes(configuration), _agreement(report)


def _verdict(configuration: ConfigurationReport, theorem: int) -> str:
    """`yes`, or `yes (letter: no)`."""
    configured = configuration.verdict(VerdictKind.CONFIGURED, theorem).answer
    others = [
        f"{kind.value}: {answer.value}"
        for kind in (VerdictKind.LETTER, VerdictKind.SEMANTIC)
        if (answer := configuration.verdict(kind, theorem).answer) is not configured
    ]
    return configured.value + (f" ({', '.join(others)})" if others else "")


def _escapes(configuration: ConfigurationReport) -> str:
    names = labels((escape.instruction, escape.operands) for escape in configuration.escapes)
    more = len(names) - _FEW
    return ", ".join([*names[:_FEW], *([f"{more} more"] if more > 0 else [])]) or "none"


def _agreement(report: Report) -> str:
    settled = [said for said in report.literature if said.settled]
    agreeing = sum(not said.but for said in settled)
    explained = len(settled) - agreeing
    against = len(report.literature) - len(settled)
    counts = ((agreeing, "agree"), (explained, "explained"), (against, "unexplained"))
    return ", ".join(f"{count} {word}" for count, word in counts if count > 0) or "-"


def _found(said: LiteratureReport) -> str:
    if said.claim.holds is Answer.YES:
        return f"agrees, though the description says: {said.but}" if said.but else "agrees"
    reason = said.but or "the description does not say why"
    return f"{said.claim.reason}. {reason[0].upper()}{reason[1:]}"


def _configuration(configuration: ConfigurationReport) -> list[str]:
    head = f"**{configuration.name}**: {mode_map_text(configuration.modes)}"
    if configuration.constraints:
        head += ", where " + ", ".join(f"`{text}`" for text in configuration.constraints)
    lines = [head + "."]
    groups: dict[str, list[Escape | LetterCounterexample]] = {}
    counted = () if configuration.escapes else configuration.letter_counterexamples
    every: tuple[Escape | LetterCounterexample, ...] = (*configuration.escapes, *counted)
    for each in every:
        groups.setdefault(each.reason, []).append(each)
    if groups:
        lines += ["", "Escapes:" if configuration.escapes else "Counted by the letter alone:", ""]
    for reason, group in groups.items():
        names = ", ".join(labels((each.instruction, each.operands) for each in group))
        shown = next((w.assembly for each in group for w in each.witnesses if w.assembly), "")
        lines.append(f"- {names}: {reason}" + (f", as `{shown}` shows" if shown else ""))
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
