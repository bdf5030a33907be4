"""Which strategy a monitor may use: what the checker's verdicts allow."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from checker.answers import Answer
from checker.check import check
from checker.report import ConfigurationReport, Escape, VerdictKind
from popek.console import Progress
from popek.solving import cache_of
from refvmm.derive import Monitor, derive
from refvmm.hosting import obstacles
from refvmm.strategy import Strategy
from refvmm.vm_map import Placement, default_placement
from spec.ir import Configuration, Isa

_THEOREM = {Strategy.TRAP_AND_EMULATE: 1, Strategy.HYBRID: 3}

_MORE = 4
"""So many times more instructions are asked about while no escape was found."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A monitor that may run, and why this one. `forced`: although the theorems do not allow it."""

    monitor: Monitor
    strategy: Strategy
    placement: Placement
    because: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: the escape that rules the strategy out, or what stands in the way of any."""

    because: str
    escape: Escape | None = None


def choose(
    isa: Isa,
    configuration: Configuration,
    requested: Strategy | None,
    arguments: argparse.Namespace,
    *,
    force: bool = False,
    placement: Placement | None = None,
) -> Choice | Refusal:
    """The requested strategy if it is allowed, else (if none is) the strongest that is.

    Asks the checker with `arguments.jobs`, `timeout` and `cache` where verdicts are needed.
    `force` takes the requested one without asking.
    """
    monitor = derive(isa, configuration)
    place = placement or default_placement(isa, configuration)

    def hosted(strategy: Strategy, because: str, forced: bool = False) -> Choice | Refusal:
        problems = obstacles(monitor, place, strategy)
        if problems:
            return Refusal("; ".join(problems))
        return Choice(monitor, strategy, place, because, forced)

    if requested is Strategy.INTERPRET:
        return hosted(requested, "interpretation needs no theorem")
    if force and requested is not None:
        return hosted(requested, "it was forced", forced=True)
    if requested is not None:
        refused = _refusal(isa, configuration, requested, arguments)
        return refused or hosted(requested, _allowed(requested))
    reasons = []
    for strategy in _THEOREM:
        refused = _refusal(isa, configuration, strategy, arguments)
        found = refused or hosted(strategy, _allowed(strategy))
        if isinstance(found, Choice):
            return found
        reasons.append(f"{strategy.value}: {found.because}")
    return hosted(Strategy.INTERPRET, "; ".join(reasons))


def _refusal(
    isa: Isa, configuration: Configuration, strategy: Strategy, arguments: argparse.Namespace
) -> Refusal | None:
    """What rules a strategy out, if anything does."""
    return _first_escape(isa, configuration, strategy, arguments) or _ruled_out(
        verdicts_of(isa, configuration, arguments), strategy
    )


def _first_escape(
    isa: Isa, configuration: Configuration, strategy: Strategy, arguments: argparse.Namespace
) -> Refusal | None:
    """The first escape that rules a strategy out, found by asking ever more instructions.

    What is asked is kept for the next question, so without a cache nothing is asked.
    """
    if cache_of(arguments) is None:
        return None
    names = [instruction.name for instruction in isa.instructions]
    first, many = 0, 1
    while first < len(names):
        report = verdicts_of(isa, configuration, arguments, names[first : first + many])
        if report.verdict(VerdictKind.SEMANTIC, _THEOREM[strategy]).answer is Answer.NO:
            return _ruled_out(report, strategy)
        first, many = first + many, many * _MORE
    return None


def verdicts_of(
    isa: Isa,
    configuration: Configuration,
    arguments: argparse.Namespace,
    only: Sequence[str] | None = None,
) -> ConfigurationReport:
    """What the checker says of a configuration; progress is shown on a terminal."""
    cache: Path | None = cache_of(arguments)
    with Progress() as progress:
        report = check(
            isa,
            configurations=[configuration.name],
            only=only,
            jobs=arguments.jobs,
            timeout=arguments.timeout,
            cache=cache,
            progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
        )
    return report.configurations[0]


def _allowed(strategy: Strategy) -> str:
    return f"Theorem {_THEOREM[strategy]} holds for the configuration"


def _ruled_out(report: ConfigurationReport, strategy: Strategy) -> Refusal | None:
    """The semantic verdict decides: it is exact, and configured-yes implies it."""
    theorem = _THEOREM[strategy]
    verdict = report.verdict(VerdictKind.SEMANTIC, theorem)
    if verdict.answer is Answer.YES:
        return None
    reason = verdict.reasons[0]
    said = f"{reason.instruction} {reason.sentence}" if reason.instruction else reason.sentence
    if verdict.answer is Answer.UNKNOWN:
        return Refusal(f"whether Theorem {theorem}'s condition holds is unknown: {said}")
    escape = next((e for e in report.escapes if e.instruction == reason.instruction), None)
    return Refusal(f"Theorem {theorem}'s condition does not hold: {said}", escape)
