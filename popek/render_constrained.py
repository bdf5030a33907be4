"""What `popek constrain` found, as text and as JSON."""

from collections.abc import Iterable

from checker.answers import Answer, Repairs
from checker.constrain import Constrained
from checker.report import VerdictKind
from checker.report_json import JSON
from checker.verdicts import how, listing
from popek.console import PLAIN, Palette
from popek.render_classes import labels
from popek.render_report import answer
from popek.table import table
from spec.ir import Isa
from spec.mode_map import mode_map_text

SCHEMA = 1


def render_constrained(isa: Isa, found: Constrained, palette: Palette = PLAIN) -> str:
    """The constraints with what each is for, or what nothing stops; ends in a newline."""
    configuration = found.configuration
    head = f"{palette.paint(isa.name, 'bold')}  {isa.title}\n"
    head += f"{palette.paint(f'configuration {configuration.name}', 'bold')}: "
    head += mode_map_text(configuration.modes) + "\n"
    paragraphs = [head.rstrip("\n"), _kept(found)]
    if found.fixed is not None:
        paragraphs += [_fixed(found)] if found.fixed else []
        paragraphs.append(_verdict(found, palette))
    if found.beyond_help:
        rows = [(_named([each]), _why(each)) for each in found.beyond_help]
        paragraphs.append("\n".join(["No choice of control bits stops", *table(rows, (40, 60))]))
    if found.open:
        rows = [(_named([each]), each.undecided[0].reason) for each in found.open]
        paragraphs.append("\n".join(["undecided", *table(rows, (40, 60))]))
    if found.fixed is None and not found.beyond_help and not found.open:
        paragraphs.append("What single instructions need contradicts itself: nothing was found.")
    return "\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def _kept(found: Constrained) -> str:
    texts = [text for text, _ in found.configuration.constraints]
    kept = texts[: len(texts) - len(found.written)]
    given = f"With {', '.join(kept)}" if kept else "With nothing fixed"
    condition = f"Theorem {found.theorem}'s condition"
    if not found.escaping:
        return f"{given}, {condition} holds already."
    fails = [each for each in found.escaping if each.escapes is Answer.YES]
    if not fails:
        return f"{given}, it is open whether {condition} holds."
    return f"{given}, {condition} fails for {_named(fails, 8)}."


def _fixed(found: Constrained) -> str:
    rows = [
        (f"constrain {text}", f"stops {_named(found.for_the_sake_of(one), 6)}")
        for text, one in zip(found.written, found.fixed or (), strict=True)
    ]
    return "\n".join(table(rows, (44, 56)))


def _verdict(found: Constrained, palette: Palette) -> str:
    assert found.report is not None
    (configuration,) = found.report.configurations
    verdict = configuration.verdict(VerdictKind.CONFIGURED, found.theorem).answer
    lines = [
        f"Checked with {'these' if found.fixed else 'that'}: configured, Theorem {found.theorem}: "
        f"{answer(verdict, palette)}; efficient: {answer(configuration.efficient.answer, palette)}"
    ]
    if configuration.efficient.reason:
        lines.append(f"  ({configuration.efficient.reason})")
    return "\n".join(lines)


def _named(rows: Iterable[Repairs], most: int | None = None) -> str:
    names = labels((each.instruction, each.operands.text) for each in rows)
    more = len(names) - most if most is not None and len(names) > most else 0
    return ", ".join(names[: len(names) - more]) + (f", {more} more" if more else "")


def _why(each: Repairs) -> str:
    tried = f" (of {listing(each.partly)} 0 and all ones were tried)" if each.partly else ""
    return how(each.witness) + tried if each.witness else ""


def constrained_json(isa: Isa, found: Constrained) -> JSON:
    """The same; names may be added, none renamed or removed."""
    verdict = efficient = None
    if found.report is not None:
        (configuration,) = found.report.configurations
        verdict = configuration.verdict(VerdictKind.CONFIGURED, found.theorem).answer.value
        efficient = configuration.efficient.answer.value
    return {
        "schema": SCHEMA,
        "isa": isa.name,
        "configuration": found.configuration.name,
        "theorem": found.theorem,
        "escaping": [_row(each) for each in found.escaping],
        "constraints": None if found.fixed is None else list(found.written),
        "beyond_help": [_row(each) for each in found.beyond_help],
        "undecided": [_row(each) for each in found.open],
        "configured": verdict,
        "efficient": efficient,
        "defects": list(found.defects),
    }


def _row(each: Repairs) -> JSON:
    return {
        "instruction": each.instruction,
        "operands": each.operands.text,
        "reason": _why(each),
        "ways": [[f"{name} == {value}" for name, value in way] for way in each.ways],
        "undecided": [f"{u.obligation}: {u.reason}" for u in each.undecided],
    }
