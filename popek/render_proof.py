"""Reports of `popek prove` as text and JSON."""

import textwrap
from collections.abc import Iterable

from checker.answers import Answer
from checker.proof import Discharged
from checker.report_json import JSON
from popek.console import PLAIN, Palette
from popek.proof_report import ABOUT, ProofReport, counted
from popek.table import table
from refvmm.replayed import Replayed

_WIDTH = 100
_SHOWN = 24


def render_proof(report: ProofReport, palette: Palette = PLAIN) -> str:
    """The summary first, then what fails with a run that shows it, what is open, what is assumed."""
    head = palette.paint(f"{report.isa}, configuration {report.configuration}", "bold")
    parts = [f"{head}: {report.strategy}\n  {report.because}\n"]
    rows: list[tuple[str, ...]] = [("", "proved", "refuted", "open", "")]
    for group, answers in counted(report.obligations).items():
        numbers = (answers[a] for a in (Answer.YES, Answer.NO, Answer.UNKNOWN))
        rows.append((group.value, *(str(n) if n else "-" for n in numbers), ABOUT[group]))
    parts.append("".join(line.rstrip() + "\n" for line in table(rows, (12, 7, 7, 5, 80))))
    if report.efficiency:
        parts.append(_section("instructions that run directly", _efficiency(report)))
    for discharged, replayed in report.witnesses[:_SHOWN]:
        parts.append(_refuted(discharged, replayed, palette))
    if len(report.witnesses) > _SHOWN:
        parts.append(f"and {len(report.witnesses) - _SHOWN} more are refuted\n")
    without = [d for d in report.of(Answer.NO) if d not in {w for w, _ in report.witnesses}]
    if without:
        parts.append(_section("refuted", (f"{_name(d)}: {d.reason}" for d in without)))
    unknown = report.of(Answer.UNKNOWN)
    if unknown:
        parts.append(_section("open", (f"{_name(d)}: {d.reason}" for d in unknown)))
    parts.append(_section("assumptions", report.assumptions))
    if report.defects:
        parts.append(_section("defects (do not rely on this report)", report.defects))
    if report.notes:
        parts.append(_section("notes", report.notes))
    parts.append(_conclusion(report, palette))
    return "\n".join(parts)


def _name(discharged: Discharged) -> str:
    return f"{discharged.group.value} {discharged.name}"


def _efficiency(report: ProofReport) -> Iterable[str]:
    for mode, direct, interpreted in report.efficiency:
        names = f"; always interpreted: {', '.join(interpreted)}" if interpreted else ""
        yield f"virtual mode {mode}: {direct} of {direct + len(interpreted)}{names}"


def _refuted(discharged: Discharged, replayed: Replayed, palette: Palette) -> str:
    head = palette.paint(f"refuted: {_name(discharged)}", "red")
    lines = [f"{head} ({discharged.reason})", f"  {replayed.how}"]
    if replayed.assembly:
        lines.append(f"  instruction: {replayed.assembly}")
    values = ", ".join(f"{name} = {value}" for name, value in replayed.state)
    lines += textwrap.wrap(f"from: {values}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
    rows = [("", "bare machine", "virtual machine"), *replayed.differences[:12]]
    return "".join(line.rstrip() + "\n" for line in (*lines, *table(rows, (40, 40, 40))))


def _conclusion(report: ProofReport, palette: Palette) -> str:
    if report.proved:
        slow = [d for d in report.obligations if d.answer is not Answer.YES]
        count = len(report.obligations) - len(slow)
        line = f"proved for all programs: {count} obligations, none open\n"
        if slow:
            line = f"proved for all programs: {count} obligations; not VC-X: {len(slow)}\n"
        return palette.paint(line, "yellow" if slow else "green")
    refuted, unknown = len(report.of(Answer.NO)), len(report.of(Answer.UNKNOWN))
    if refuted:
        return palette.paint(f"refuted: {refuted} obligations fail\n", "red")
    if unknown or report.defects:
        return palette.paint(f"not proved: {unknown} obligations are open\n", "yellow")
    return f"what was asked for is proved: {len(report.obligations)} obligations\n"


def _section(title: str, lines: Iterable[str]) -> str:
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    ]
    return "\n".join([f"{title}:", *wrapped]) + "\n"


def proof_json(report: ProofReport) -> JSON:
    """The report with every obligation."""
    runs = {id(discharged): replayed for discharged, replayed in report.witnesses}
    obligations: list[JSON] = []
    for discharged in report.obligations:
        entry: dict[str, JSON] = {
            "group": discharged.group.value,
            "name": discharged.name,
            "answer": _ANSWERS[discharged.answer],
            "reason": discharged.reason,
            "solver": discharged.solved,
        }
        replayed = runs.get(id(discharged))
        if replayed is not None:
            entry["witness"] = _witness(replayed)
        obligations.append(entry)
    return {
        "schema": 1,
        "isa": report.isa,
        "configuration": report.configuration,
        "strategy": report.strategy,
        "because": report.because,
        "proved_for_all_programs": report.proved,
        "partial": report.partial,
        "assumptions": list(report.assumptions),
        "efficiency": [
            {"mode": mode, "direct": direct, "always_interpreted": list(names)}
            for mode, direct, names in report.efficiency
        ],
        "obligations": obligations,
        "defects": list(report.defects),
        "notes": list(report.notes),
    }


def _witness(replayed: Replayed) -> JSON:
    return {
        "how": replayed.how,
        "assembly": replayed.assembly,
        "state": dict(replayed.state),
        "differences": [
            {"what": what, "bare": bare, "virtual": virtual}
            for what, bare, virtual in replayed.differences
        ],
    }


_ANSWERS = {Answer.YES: "proved", Answer.NO: "refuted", Answer.UNKNOWN: "open"}
