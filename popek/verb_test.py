"""Try to tell the virtual machine from the bare one, by random programs.

Every program starts both machines in related states, runs on both, and is compared after every
step through the VM map: registers, memory, interrupts taken, waiting, and that the monitor's own timer
could still fire. Programs, states and interrupts are made from the description alone, and biased to what breaks
monitors. The first difference is made as small as it gets, shown, and saved to be replayed.

Exit status: 0 no difference was found; 1 one was (or, with --mutants, some mutant survived), or
the theorems do not allow the strategy asked for; 2 bad input.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from checker.report_json import JSON
from checker.version import digest
from popek.console import Progress, palette_for
from popek.description import read
from popek.exit_status import ExitStatus, worst
from popek.messages import complaint, show
from popek.options import add_color, add_format, add_isa, at_least
from popek.render_failure import failure_json, render_failure
from popek.render_json import dumps
from popek.render_witness import render_witness
from popek.selection import selection
from popek.solving import add_solving, cache_of
from popek.strategy_choice import Choice, Refusal, choose
from refvmm.campaign import Failure, campaign
from refvmm.multiplexing import Guests
from refvmm.mutants import mutants
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.replay_file import FORMAT, Unusable, from_json, to_json
from refvmm.scenario import Scenario
from refvmm.strategy import Strategy
from refvmm.trial import Trial, nested_placements, shared_placements, trial_placement
from spec.ir import Configuration, Isa

EPILOG = """\
examples:
  popek test pg74                              200 programs under the strongest strategy
  popek test pg74 --nest 3                     a monitor under a monitor under a monitor
  popek test pg74 --guests 2                   two guests on one machine
  popek test pg74 --mutants --examples 2000    do the tests find faults put into the monitor?
  popek test ia32 --strategy trap-and-emulate --force      see why it was refused
  popek test pg74 --replay popek-failure.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser)
    parser.add_argument(
        "--strategy",
        choices=[strategy.value for strategy in Strategy],
        help="how guests run (default: the strongest that the theorems allow)",
    )
    parser.add_argument(
        "--force", action="store_true", help="take the strategy although the theorems forbid it"
    )
    parser.add_argument(
        "--examples",
        type=at_least(int, 1),
        default=200,
        metavar="N",
        help="programs (default: 200)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="other programs (default: 0)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--nest", type=at_least(int, 1), default=1, metavar="N", help="monitors one in the other"
    )
    how.add_argument("--guests", type=int, choices=(1, 2), default=1, help="on one real machine")
    how.add_argument("--mutants", action="store_true", help="test the tests, by broken monitors")
    how.add_argument("--replay", metavar="FILE", type=Path, help="run what was saved before")
    parser.add_argument(
        "--save",
        metavar="FILE",
        type=Path,
        default=Path("popek-failure.json"),
        help="where a program that finds a difference is saved (default: popek-failure.json)",
    )
    add_solving(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, cache_of(arguments))
    if isa is None:
        return ExitStatus.BAD_INPUT
    chosen = selection(isa, (), arguments.config, arguments.color)
    if chosen is None:
        return ExitStatus.BAD_INPUT
    configurations = [c for c in isa.configurations if c.name in chosen.configurations]
    configurations = configurations or list(isa.configurations)
    replayed = None
    if arguments.replay is not None:
        try:
            replayed = _Saved(isa, arguments.replay)
        except Unusable as problem:
            return _bad(
                arguments, "E0917", f"`{arguments.replay}` cannot be replayed", str(problem)
            )
        configurations = [c for c in isa.configurations if c.name == replayed.configuration]
        arguments.strategy, arguments.force = replayed.strategy.value, True
    if not configurations:
        return _bad(arguments, "E0914", "the description has no configuration")
    tests = [_Testing(isa, c, arguments, replayed) for c in configurations]
    statuses = [test.run() for test in tests]
    if arguments.format == "json":
        document: dict[str, JSON] = {"schema": 1, "isa": isa.name}
        document["configurations"] = [test.document for test in tests]
        sys.stdout.write(dumps(document))
    return worst(statuses)


def meaning(isa: Isa) -> str:
    """A hash of the description; places, claims and titles do not count."""
    return digest(repr(replace(isa, title="", sources=(), notes=(), claims=(), literature=())))


def _bad(arguments: argparse.Namespace, code: str, message: str, note: str = "") -> ExitStatus:
    show((complaint(code, message, note=note),), arguments.color)
    return ExitStatus.BAD_INPUT


class _Saved:
    """What a replay file says; raises `Unusable`."""

    def __init__(self, isa: Isa, path: Path) -> None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise Unusable((problem.strerror or str(problem)).lower()) from None
        except (ValueError, RecursionError):
            raise Unusable("it is no JSON document") from None
        if not isinstance(document, dict) or document.get("popek replay") != FORMAT:
            raise Unusable("it is not what `popek test` writes")
        if document.get("meaning") != meaning(isa):
            raise Unusable(
                f"it was saved for another description than this `{isa.name}`, or for an earlier state of it"
            )
        names = [c.name for c in isa.configurations]
        strategies = {s.value: s for s in Strategy}
        self.configuration = document.get("configuration")
        nest = document.get("nest")
        if self.configuration not in names or document.get("strategy") not in strategies:
            raise Unusable("it names no configuration and strategy of this description")
        if not isinstance(nest, int) or not 1 <= nest <= 8:
            raise Unusable("it does not say how many monitors there were")
        self.strategy: Strategy = strategies[document["strategy"]]
        self.nest: int = nest
        self.scenario = from_json(isa, document.get("scenario"))


class _Testing:
    """Tests one configuration."""

    def __init__(
        self,
        isa: Isa,
        configuration: Configuration,
        arguments: argparse.Namespace,
        replayed: _Saved | None,
    ) -> None:
        self.isa = isa
        self.configuration = configuration
        self.arguments = arguments
        self.replayed = replayed
        self.nest: int = arguments.nest if replayed is None else replayed.nest
        self.document: dict[str, JSON] = {"configuration": configuration.name}
        self.palette = palette_for(sys.stdout, arguments.color)

    def run(self) -> ExitStatus:
        arguments = self.arguments
        placements = [trial_placement(self.isa, self.configuration)]
        if self.nest > 1:
            placements = nested_placements(self.isa, self.configuration, self.nest)
        elif arguments.guests > 1:
            placements = shared_placements(self.isa, self.configuration, arguments.guests)
        if not placements:
            return _bad(
                arguments,
                "E0918",
                f"the memory is too small for `{self.configuration.name}` so many times",
            )
        requested = None if arguments.strategy is None else Strategy(arguments.strategy)
        found = choose(
            self.isa,
            self.configuration,
            requested,
            arguments,
            force=arguments.force,
            placement=placements[0],
        )
        if isinstance(found, Refusal):
            return self._refused(found)
        self.document |= {"strategy": found.strategy.value, "because": found.because}
        self._say(f"{self.configuration.name}: {found.strategy.value}, {found.because}")
        if arguments.guests > 1:
            return self._guests(found, Guests(found.monitor, placements, found.strategy))
        monitors = [found.monitor]
        if self.nest > 1:
            monitors = stack(self.isa, self.configuration, self.nest)
        large = self.nest > 1 and self.configuration.install is not None
        trial = Trial(monitors, placements, found.strategy, "concrete" if large else "emitted")
        if arguments.mutants:
            return self._mutants(trial)
        if self.replayed is not None:
            return self._replay(trial, self.replayed.scenario)
        return self._campaign(trial)

    # -- what is run

    def _campaign(self, trial: Trial) -> ExitStatus:
        with Progress() as progress:
            failure = campaign(
                trial,
                self._programs(trial.size),
                self.arguments.examples,
                self.arguments.seed,
                lambda done: progress.show(done, self.arguments.examples, "programs"),
            )
        count = trial.count
        if failure is not None:
            self._say(f"  program {failure.number} tells the machines apart")
            self._show(trial, failure)
            return ExitStatus.REFUTED
        done = count.direct + count.emulated
        share = 100 * count.direct // max(1, done)
        self.document |= {
            "programs": count.programs,
            "steps": count.steps,
            "direct": count.direct,
            "emulated": count.emulated,
            "failure": None,
        }
        timer = "the monitor's timer could always fire; " if trial.alarm is not None else ""
        self._say(
            f"  {count.programs} programs, {count.steps} steps: no difference; {timer}"
            f"{share} % of the instructions ran directly"
        )
        return ExitStatus.HOLDS

    def _replay(self, trial: Trial, scenario: Scenario) -> ExitStatus:
        divergence = trial.run(scenario)
        if divergence is None:
            self._say("  the machines do not differ any more")
            self.document |= {"failure": None}
            return ExitStatus.HOLDS
        self._say("  the program tells the machines apart")
        self._show(trial, Failure(0, scenario, divergence), save=False)
        return ExitStatus.REFUTED

    def _guests(self, choice: Choice, guests: Guests) -> ExitStatus:
        programs = self._programs(guests.placements[0].region_size)
        examples = self.arguments.examples
        with Progress() as progress:
            for number in range(1, examples + 1):
                random = Random(f"{self.arguments.seed} {number}")
                pair = [programs.scenario(random) for _ in guests.placements]
                divergence = guests.run(pair, random)
                if divergence is not None:
                    differences = {
                        name: [str(v) for v in values]
                        for name, values in divergence.differences.items()
                    }
                    self._say(f"  in pair {number} a guest differs from its bare machine:")
                    for name, (mine, theirs) in differences.items():
                        self._say(f"    {name}: bare {mine}, virtual {theirs}")
                    self.document |= {"failure": {"pair": number}}
                    return ExitStatus.REFUTED
                progress.show(number, examples, "pairs of programs")
        self.document |= {"pairs": examples, "failure": None}
        self._say(f"  {examples} pairs of guests: none differs from its bare machine")
        return ExitStatus.HOLDS

    def _mutants(self, trial: Trial) -> ExitStatus:
        examples, rows = self.arguments.examples, list[JSON]()
        killed = 0
        for mutant in mutants(trial.monitors[0]):
            broken = Trial([mutant.monitor], trial.placements, trial.strategy)
            failure = campaign(
                broken,
                self._programs(trial.size),
                examples,
                self.arguments.seed,
                shrinking=False,
            )
            killed += failure is not None
            by = None if failure is None else failure.number
            verdict = "survives" if by is None else f"program {by}"
            self._say(f"  {verdict:<14}{mutant.name}: {mutant.description}")
            rows.append({"mutant": mutant.name, "description": mutant.description, "killed by": by})
        self.document |= {"mutants": rows, "killed": killed}
        self._say(f"  {killed} of {len(rows)} mutants were found within {examples} programs each")
        return ExitStatus.HOLDS if killed == len(rows) else ExitStatus.REFUTED

    def _programs(self, size: int) -> Programs:
        return Programs(self.isa, self.configuration, size)

    # -- what is shown

    def _show(self, trial: Trial, failure: Failure, save: bool = True) -> None:
        self.document |= {"failure": failure_json(trial, failure)}
        if self.arguments.format == "text":
            sys.stdout.write(render_failure(trial, failure, self.palette))
        if save:
            self._save(trial, failure)

    def _save(self, trial: Trial, failure: Failure) -> None:
        path: Path = self.arguments.save
        document = {
            "popek replay": FORMAT,
            "isa": self.isa.name,
            "meaning": meaning(self.isa),
            "configuration": self.configuration.name,
            "strategy": trial.strategy.value,
            "nest": len(trial.monitors),
            "scenario": to_json(failure.scenario),
        }
        try:
            path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            show((complaint("E0908", f"cannot write `{path}`: {reason}"),), self.arguments.color)
            return
        self._say(f"\n  saved: `popek test {self.arguments.isa} --replay {path}` runs it again")

    def _refused(self, refusal: Refusal) -> ExitStatus:
        asked = self.arguments.strategy or "any strategy"
        problem = complaint(
            "E0915",
            f"`{self.configuration.name}` cannot run guests by {asked}",
            note=refusal.because,
            help=""
            if refusal.escape is None
            else "`--strategy interpret` needs no theorem; `--force` runs it, to see it fail",
        )
        show((problem,), self.arguments.color)
        self.document |= {"refused": refusal.because}
        if refusal.escape is None:
            return ExitStatus.BAD_INPUT
        palette = palette_for(sys.stderr, self.arguments.color)
        for witness in refusal.escape.witnesses[:1]:
            sys.stderr.write(render_witness(witness, palette))
        return ExitStatus.REFUTED

    def _say(self, line: str) -> None:
        if self.arguments.format == "text":
            print(line)
