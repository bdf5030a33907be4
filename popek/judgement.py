"""Whether what was asked for holds: from a report to an exit status (docs/command-line.md)."""

from collections.abc import Iterable

from checker.answers import Answer
from checker.report import ConfigurationReport, Report, VerdictKind
from popek.exit_status import ExitStatus
from spec.ir import Claim, EscapesClaim, VerdictClaim


def judge(report: Report, claims: Iterable[Claim]) -> ExitStatus:
    """The exit status of a check, given the description's claims."""
    claimed = {c.configuration for c in claims if isinstance(c, VerdictClaim | EscapesClaim)}
    asked = [report.claims_hold]
    for configuration in report.configurations:
        if not configuration.partial and configuration.name not in claimed:
            asked.append(configuration.verdict(VerdictKind.CONFIGURED, 1).answer)
    if Answer.NO in asked:
        return ExitStatus.REFUTED
    undecided = Answer.UNKNOWN in asked or any(map(_is_undecided, report.configurations))
    if undecided or report.all_defects or any(f.answer is not Answer.YES for f in report.facts):
        return ExitStatus.UNDECIDED
    return ExitStatus.HOLDS


def _is_undecided(configuration: ConfigurationReport) -> bool:
    verdicts = () if configuration.partial else configuration.verdicts
    return (
        any(row.undecided for row in configuration.instructions)
        or any(verdict.answer is Answer.UNKNOWN for verdict in verdicts)
        or any(fact.answer is Answer.UNKNOWN for fact in configuration.facts)
    )
