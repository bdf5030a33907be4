"""From an instruction's name to its explanation."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from checker.check import explain_data
from checker.report import Explanation
from popek.console import Progress, palette_for
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.render_explanation import render_explanations
from popek.render_json import explanations_json
from popek.selection import selection
from popek.solving import cache_of
from spec.diagnostics import Diagnostic
from spec.ir import Isa


def explain(isa: Isa, arguments: argparse.Namespace) -> int:
    """Print the explanation of `arguments.instruction`; the exit status."""
    chosen = selection(isa, [arguments.instruction], arguments.config, arguments.color)
    if chosen is None:
        return ExitStatus.BAD_INPUT
    (instruction,) = chosen.instructions
    with Progress() as progress:
        explanations = explain_data(
            isa,
            instruction,
            configurations=chosen.configurations or None,
            jobs=arguments.jobs,
            timeout=arguments.timeout,
            cache=cache_of(arguments),
            progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
        )
    if arguments.operands is not None:
        restricted = tuple(_on(each, arguments.operands) for each in explanations)
        if not any(each.rows for each in restricted):
            show((_unknown(arguments.operands, explanations),), arguments.color)
            return ExitStatus.BAD_INPUT
        explanations = restricted
    if arguments.format == "json":
        sys.stdout.write(explanations_json(explanations))
    else:
        palette = palette_for(sys.stdout, arguments.color)
        sys.stdout.write(render_explanations(explanations, palette))
    undecided = any(row.undecided for each in explanations for row in each.rows)
    return ExitStatus.UNDECIDED if undecided else ExitStatus.HOLDS


def _on(explanation: Explanation, operands: str) -> Explanation:
    """Only the rows that hold this operand set."""
    wanted = operands.casefold()
    rows = tuple(
        row
        for row in explanation.rows
        if row.operands.casefold() == wanted
        or any(wanted == m.text.casefold() for m in row.members)
    )
    configuration = dataclasses.replace(explanation.configuration, instructions=rows)
    return dataclasses.replace(explanation, configuration=configuration)


def _unknown(operands: str, explanations: Sequence[Explanation]) -> Diagnostic:
    sets = dict.fromkeys(
        member.text for each in explanations for row in each.rows for member in row.members
    )
    shown = ", ".join(f"`{text}`" for text in list(sets)[:20] if text)
    return complaint(
        "E0906",
        f"there is no operand set `{operands}`",
        help=f"there are {shown}" if shown else "the instruction has one operand set",
    )
