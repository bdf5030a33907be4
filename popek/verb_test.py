"""Try to tell the virtual machine from the bare one, by random programs.

Every program starts both machines in related states, runs on both, and is compared after every
step through the VM map: registers, memory, interrupts taken, waiting, and that the monitor's own timer
could still fire. Programs, states and interrupts are made from the description alone, and biased to what breaks
monitors. The first difference is made as small as it gets, shown, and saved to be replayed.

Exit status: 0 no difference was found; 1 one was (or, with --mutants, some mutant survived), or
the theorems do not allow the strategy asked for; 2 bad input.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from checker.report_json import JSON
from popek.console import Progress, palette_for
from popek.description import read
from popek.exit_status import ExitStatus, worst
from popek.messages import complaint, show
from popek.options import add_color, add_format, add_isa, at_least
from popek.render_failure import failure_json, render_failure
from popek.render_joint import joint_failure_json, render_joint
from popek.render_json import dumps
from popek.render_witness import render_witness
from popek.saved_run import SavedRun, save_run, saved_run
from popek.selection import selection
from popek.solving import add_solving, cache_of
from popek.strategy_choice import Refusal, choose
from refvmm.campaign import Failure, campaign
from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.lockstep import Divergence
from refvmm.multiplexing import Guests, Joint, joint
from refvmm.mutants import mutants
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.replay_file import MOST_GUESTS, Unusable
from refvmm.scenario import Scenario
from refvmm.shrinking import shrink_joint
from refvmm.strategy import Strategy
from refvmm.trial import Trial, nested_placements, shared_placements, trial_placement
from refvmm.vm_map import Placement
from refvmm.witnessing import witnessed
from spec.ir import Configuration, Isa

EPILOG = """\
examples:
  popek test pg74                              200 programs under the strongest strategy
  popek test pg74 --nest 3                     a monitor under a monitor under a monitor
  popek test pg74 --guests 2                   two guests on one machine
  popek test pg74 --hypothesis                 programs drawn by Hypothesis
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
    how.add_argument(
        "--guests",
        type=int,
        choices=range(1, MOST_GUESTS + 1),
        default=1,
        metavar="N",
        help="on one real machine",
    )
    how.add_argument(
        "--hypothesis",
        action="store_true",
        help="let Hypothesis draw the programs (slower, and drawn in other ways)",
    )
    how.add_argument("--mutants", action="store_true", help="test the tests, by broken monitors")
    how.add_argument("--replay", metavar="FILE", type=Path, help="run what was saved before")
    parser.add_argument(
        "--save",
        metavar="FILE",
        type=Path,
        help="where a program that finds a difference is saved (default: popek-failure.json);"
        " also the one that shows why a strategy is refused",
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
            replayed = saved_run(isa, arguments.replay)
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


def _bad(arguments: argparse.Namespace, code: str, message: str, note: str = "") -> ExitStatus:
    show((complaint(code, message, note=note),), arguments.color)
    return ExitStatus.BAD_INPUT


class _Testing:
    """Tests one configuration."""

    def __init__(
        self,
        isa: Isa,
        configuration: Configuration,
        arguments: argparse.Namespace,
        replayed: SavedRun | None,
    ) -> None:
        self.isa = isa
        self.configuration = configuration
        self.arguments = arguments
        self.replayed = replayed
        self.nest: int = arguments.nest if replayed is None else replayed.nest
        self.guests: int = arguments.guests
        if replayed is not None and isinstance(replayed.tried, Joint):
            self.guests = len(replayed.tried.scenarios)
        self.document: dict[str, JSON] = {"configuration": configuration.name}
        self.palette = palette_for(sys.stdout, arguments.color)

    def run(self) -> ExitStatus:
        arguments = self.arguments
        placements = self._placements()
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
            return self._refused(found, placements[0])
        self.document |= {"strategy": found.strategy.value, "because": found.because}
        self._say(f"{self.configuration.name}: {found.strategy.value}, {found.because}")
        if self.guests > 1:
            return self._guests(Guests(found.monitor, placements, found.strategy))
        monitors = [found.monitor]
        if self.nest > 1:
            monitors = stack(self.isa, self.configuration, self.nest)
        large = self.nest > 1 and self.configuration.install is not None
        trial = Trial(monitors, placements, found.strategy, "concrete" if large else "emitted")
        if arguments.mutants:
            return self._mutants(trial)
        if self.replayed is not None:
            assert isinstance(self.replayed.tried, Scenario)
            return self._replay(trial, self.replayed.tried)
        return self._campaign(trial)

    def _placements(self) -> Sequence[Placement]:
        """Where guests lie; empty if there is no room."""
        if self.nest > 1:
            return nested_placements(self.isa, self.configuration, self.nest)
        if self.guests > 1:
            return shared_placements(self.isa, self.configuration, self.guests)
        return [trial_placement(self.isa, self.configuration)]

    # -- what is run

    def _campaign(self, trial: Trial) -> ExitStatus:
        arguments = self.arguments
        examples: int = arguments.examples
        programs = self._programs(trial.size)
        with Progress() as progress:

            def tell(number: int) -> None:
                progress.show(number, examples, "programs")

            if arguments.hypothesis:
                from refvmm.testing import hypothesis_campaign  # takes 0.2 s to import

                failure = hypothesis_campaign(trial, programs, examples, arguments.seed, tell)
            else:
                failure = campaign(trial, programs, examples, arguments.seed, tell)
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

    def _guests(self, guests: Guests) -> ExitStatus:
        if self.replayed is not None:
            assert isinstance(self.replayed.tried, Joint)
            return self._replay_guests(guests, self.replayed.tried)
        programs = self._programs(guests.placements[0].region_size)
        examples = self.arguments.examples
        with Progress() as progress:
            for number in range(1, examples + 1):
                random = Random(f"{self.arguments.seed} {number}")
                tried = joint([programs.scenario(random) for _ in guests.placements], random)
                if guests.run(tried) is not None:
                    tried, found = shrink_joint(guests, tried)
                    self._say(f"  in pair {number} a guest differs from its bare machine")
                    self._show_guests(guests, tried, found, {"pair": number})
                    self._save(SavedRun(self.configuration.name, guests.strategy, 1, tried))
                    return ExitStatus.REFUTED
                progress.show(number, examples, "pairs of programs")
        self.document |= {"pairs": examples, "failure": None}
        several = "pairs of" if self.guests == 2 else f"times {self.guests}"
        timer = "" if guests.alarm is None else "; the monitor's timer could always fire"
        self._say(f"  {examples} {several} guests: none differs from its bare machine{timer}")
        return ExitStatus.HOLDS

    def _replay_guests(self, guests: Guests, tried: Joint) -> ExitStatus:
        found = guests.run(tried)
        if found is None:
            self._say("  the machines do not differ any more")
            self.document |= {"failure": None}
            return ExitStatus.HOLDS
        self._say("  a guest differs from its bare machine")
        self._show_guests(guests, tried, found, {})
        return ExitStatus.REFUTED

    def _show_guests(
        self, guests: Guests, tried: Joint, found: Divergence, more: dict[str, JSON]
    ) -> None:
        self.document |= {"failure": more | joint_failure_json(guests, tried, found)}
        if self.arguments.format == "text":
            sys.stdout.write(render_joint(guests, tried, found, self.palette))

    def _mutants(self, trial: Trial) -> ExitStatus:
        examples, rows = self.arguments.examples, list[JSON]()
        programs, made = self._programs(trial.size), list[Scenario]()
        killed = 0
        for mutant in mutants(trial.monitors[0]):
            broken = Trial([mutant.monitor], trial.placements, trial.strategy)
            by = None
            for number in range(1, examples + 1):
                if len(made) < number:
                    made.append(programs.scenario(Random(f"{self.arguments.seed} {number}")))
                if broken.run(made[number - 1]) is not None:
                    by = number
                    break
            killed += by is not None
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
            self._save_scenario(trial, failure.scenario)

    def _save_scenario(self, trial: Trial, scenario: Scenario) -> None:
        run = SavedRun(self.configuration.name, trial.strategy, len(trial.monitors), scenario)
        self._save(run)

    def _save(self, run: SavedRun) -> None:
        path: Path = self.arguments.save or Path("popek-failure.json")
        try:
            save_run(self.isa, run, path)
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            show((complaint("E0908", f"cannot write `{path}`: {reason}"),), self.arguments.color)
            return
        self._say(f"\n  saved: `popek test {self.arguments.isa} --replay {path}` runs it again")

    def _refused(self, refusal: Refusal, placement: Placement) -> ExitStatus:
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
        self._demonstrate(refusal, placement)
        return ExitStatus.REFUTED

    def _demonstrate(self, refusal: Refusal, placement: Placement) -> None:
        """Show the witness of a refusal on both machines, if they can run at all."""
        escape = refusal.escape
        assert escape is not None and self.arguments.strategy is not None
        strategy, monitor = Strategy(self.arguments.strategy), derive(self.isa, self.configuration)
        if obstacles(monitor, placement, strategy):
            return
        trial = Trial([monitor], [placement], strategy)
        programs = self._programs(trial.size)
        for witness in escape.witnesses:
            found = witnessed(trial, programs, escape.instruction, witness)
            if found is None:
                continue
            failure = Failure(0, *found)
            self.document |= {"failure": failure_json(trial, failure)}
            if self.arguments.format == "text":
                palette = palette_for(sys.stderr, self.arguments.color)
                sys.stderr.write("\n  on both machines, begun in the virtual machine's state:\n")
                sys.stderr.write(render_failure(trial, failure, palette))
            if self.arguments.save is not None:
                self._save_scenario(trial, failure.scenario)
            return

    def _say(self, line: str) -> None:
        if self.arguments.format == "text":
            print(line)
