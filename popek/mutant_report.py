"""What `popek prove --mutants` prints: for each broken monitor the obligation that fails of it."""

import argparse
import sys
from collections.abc import Collection

from checker.report_json import JSON
from popek.console import Progress
from popek.exit_status import ExitStatus, worst
from popek.messages import complaint, show
from popek.render_json import dumps
from popek.solving import cache_of
from popek.strategy_choice import Choice, choose
from refvmm.mutant_proofs import Means, Tried, proofs_of_mutants
from refvmm.strategy import Strategy
from spec.ir import Configuration, Isa


def run_mutants(isa: Isa, names: Collection[str], arguments: argparse.Namespace) -> int:
    """Try the mutants of all configurations, or of those that are named."""
    chosen = [c for c in isa.configurations if not names or c.name in names]
    reports = [_Mutants(isa, configuration, arguments) for configuration in chosen]
    statuses = [report.run() for report in reports]
    if arguments.format == "json":
        documents: list[JSON] = [report.document for report in reports]
        sys.stdout.write(dumps({"schema": 1, "isa": isa.name, "configurations": documents}))
    return worst(statuses)


class _Mutants:
    """The mutants of one configuration's monitor."""

    def __init__(
        self, isa: Isa, configuration: Configuration, arguments: argparse.Namespace
    ) -> None:
        self.isa = isa
        self.configuration = configuration
        self.arguments = arguments
        self.document: dict[str, JSON] = {"configuration": configuration.name}

    def run(self) -> ExitStatus:
        arguments = self.arguments
        requested = Strategy(arguments.strategy) if arguments.strategy else None
        choice = choose(
            self.isa, self.configuration, requested, arguments, force=requested is not None
        )
        if not isinstance(choice, Choice):
            message = f"`{self.configuration.name}` cannot run guests by "
            message += arguments.strategy or "any strategy"
            show((complaint("E0915", message, note=choice.because),), arguments.color)
            return ExitStatus.BAD_INPUT
        self._say(
            f"{self.isa.name}, configuration {self.configuration.name}: {choice.strategy.value}"
        )
        means = Means(arguments.jobs, arguments.timeout, cache_of(arguments), arguments.bound)
        rows, statuses, killed = list[JSON](), [ExitStatus.HOLDS], 0
        with Progress() as progress:
            for tried in proofs_of_mutants(
                choice.monitor,
                choice.strategy,
                means,
                progress=lambda mutant, at: progress.show(at.done, at.total, mutant.name),
            ):
                killed += tried.by is not None
                statuses.append(_status(tried))
                rows.append(self._row(tried))
        self.document |= {"strategy": choice.strategy.value, "mutants": rows, "killed": killed}
        self._say(f"  {killed} of {len(rows)} mutants are refuted")
        return worst(statuses)

    def _row(self, tried: Tried) -> dict[str, JSON]:
        mutant, by = tried.mutant, tried.by
        if by is not None:
            how = f" ({tried.run.how})" if tried.run is not None else ""
            verdict = f"refuted: {by.group.value} {by.name}{how}"
        elif tried.missing:
            verdict = f"open: {tried.missing} of {tried.touched} obligations have no answer"
        else:
            verdict = f"survives: {tried.touched} obligations are touched, and proved"
        self._say(f"  {mutant.name}: {mutant.description}\n    {verdict}")
        killer: JSON = None
        if by is not None:
            killer = {"group": by.group.value, "name": by.name, "reason": by.reason}
        return {
            "mutant": mutant.name,
            "description": mutant.description,
            "killed by": killer,
            "touched": tried.touched,
            "without an answer": 0 if by is not None else tried.missing,
        }

    def _say(self, line: str) -> None:
        if self.arguments.format == "text":
            print(line, flush=True)


def _status(tried: Tried) -> ExitStatus:
    if tried.by is not None:
        return ExitStatus.HOLDS
    return ExitStatus.UNDECIDED if tried.missing else ExitStatus.REFUTED
