"""A derived monitor as text and as JSON."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from checker.report_json import JSON
from refvmm.derive import Monitor
from refvmm.monitor_text import Section
from refvmm.strategy import Strategy
from spec.mode_map import mode_map_text

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Derived:
    """A monitor, and why it has its strategy."""

    monitor: Monitor
    strategy: Strategy
    because: str
    left_out: int  # instructions whose routines are not shown


def render_monitor(derived: Derived, sections: Sequence[Section], *, head: bool = True) -> str:
    """The sections with their titles, below a head that says what they are."""
    parts = [_remarks(_head(derived))] if head else []
    for section in sections:
        rule = f"// {'-' * (_WIDTH - len(section.title) - 4)} {section.title}"
        text = [rule, _remarks(section.remarks), *section.lines]
        if section.name == "routines" and derived.left_out:
            rest = f"{derived.left_out} innocuous instructions have theirs too: `--all` shows them."
            text.insert(2, _remarks((rest,)))
        parts.append("\n".join(line.rstrip("\n") for line in text))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def monitor_json(derived: Derived, sections: Sequence[Section]) -> JSON:
    """The same as data: for each section its text."""
    configuration = derived.monitor.configuration
    return {
        "schema": 1,
        "isa": derived.monitor.description.name,
        "configuration": configuration.name,
        "strategy": derived.strategy.value,
        "because": derived.because,
        "real_mode": configuration.real_mode,
        "virtual_modes": list(configuration.virtual_modes),
        "real_modes": [real for _, real in configuration.modes],
        "sections": [
            {"name": s.name, "title": s.title, "remarks": list(s.remarks), "lines": list(s.lines)}
            for s in sections
        ],
    }


def _head(derived: Derived) -> tuple[str, ...]:
    monitor = derived.monitor
    configuration = monitor.configuration
    return (
        f"The virtual machine monitor of {monitor.description.name}, configuration"
        f" {configuration.name}: {mode_map_text(configuration.modes)}.",
        f"Strategy {derived.strategy.value}: {derived.because}.",
        "Derived from the description: P&G's control program <D, A, {v_i}>, all of it.",
    )


def _remarks(remarks: Sequence[str]) -> str:
    lines = [line for remark in remarks for line in textwrap.wrap(remark, _WIDTH - 3)]
    return "".join(f"// {line}\n" for line in lines)
