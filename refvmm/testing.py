"""For a designer's own test suite: the virtual machine against the bare one, in one call.

from refvmm.testing import check_virtual_machine

def test_my_machine_can_be_virtualized() -> None:
    check_virtual_machine("my.isa")
"""

from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from refvmm.campaign import Failure, campaign
from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.programs import Programs
from refvmm.scenario import Scenario
from refvmm.shrinking import shrink
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from spec.ir import Configuration, Isa
from spec.load import load


def check_virtual_machine(
    description: str | Path | Isa,
    configuration: str | None = None,
    strategy: Strategy = Strategy.TRAP_AND_EMULATE,
    examples: int = 200,
    seed: int = 0,
) -> None:
    """Raise AssertionError with the shortest program that tells the machines apart, if any does.

    `configuration` is the first one unless it is named. No theorem is asked for: a strategy that
    they do not allow is run, and fails. ValueError: the description, or what it cannot host.
    """
    isa = _described(description)
    trial = _trial(isa, _configured(isa, configuration), strategy)
    programs = Programs(isa, trial.monitors[0].configuration, trial.size)
    failure = campaign(trial, programs, examples, seed)
    assert failure is None, _told(failure)


def scenarios(isa: Isa, configuration: Configuration) -> st.SearchStrategy[Scenario]:
    """Guests for tests by Hypothesis; run them with a `Trial` from `trial_of`."""
    placement = trial_placement(isa, configuration)
    return _scenarios(Programs(isa, configuration, placement.region_size))


def _scenarios(programs: Programs) -> st.SearchStrategy[Scenario]:
    programs.settle()
    return st.randoms(use_true_random=False).map(programs.scenario)


def hypothesis_campaign(
    trial: Trial,
    programs: Programs,
    examples: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Failure | None:
    """As `refvmm.campaign.campaign`, but Hypothesis draws all that is random. It tries small and
    repeated draws more often, and varies what it drew before; it is several times as slow."""
    tried = first = 0  # Hypothesis runs once more what failed

    @seeded(seed)
    @settings(
        max_examples=examples,
        phases=[Phase.generate],  # a shorter program is found by `shrink`, which knows programs
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_scenarios(programs))
    def run(scenario: Scenario) -> None:
        nonlocal tried, first
        tried += 1
        if trial.run(scenario) is not None:
            first = first or tried
            raise _ToldApart(scenario)
        progress(tried)

    try:
        run()
    except _ToldApart as found:
        return Failure(first, *shrink(trial, found.scenario))
    return None


class _ToldApart(Exception):
    def __init__(self, scenario: Scenario) -> None:
        super().__init__("the machines differ")
        self.scenario = scenario


def trial_of(isa: Isa, configuration: Configuration, strategy: Strategy) -> Trial:
    """A bare and a virtual machine that scenarios are run on; ValueError if it cannot be hosted."""
    return _trial(isa, configuration, strategy)


def _described(description: str | Path | Isa) -> Isa:
    if isinstance(description, Isa):
        return description
    loaded = load(str(description))
    if loaded.isa is None:
        problems = "; ".join(diagnostic.message for diagnostic in loaded.diagnostics)
        raise ValueError(f"{description}: {problems}")
    return loaded.isa


def _configured(isa: Isa, name: str | None) -> Configuration:
    for configuration in isa.configurations:
        if name in (None, configuration.name):
            return configuration
    raise ValueError(f"{isa.name} has no configuration {name or ''}".rstrip())


def _trial(isa: Isa, configuration: Configuration, strategy: Strategy) -> Trial:
    monitor, placement = derive(isa, configuration), trial_placement(isa, configuration)
    problems = obstacles(monitor, placement, strategy)
    if problems:
        raise ValueError("; ".join(problems))
    return Trial([monitor], [placement], strategy)


def _told(failure: Failure) -> str:
    scenario, divergence = failure.scenario, failure.divergence
    lines = [f"program {failure.number} tells the virtual machine from the bare one"]
    for name, value in (*scenario.scalars.items(), *scenario.arrays.items()):
        lines.append(f"  {name} = {value}")
    for written in scenario.program:
        fields = ", ".join(f"{name}={value}" for name, value in written.fields.items())
        lines.append(f"  at {written.address:#x}: {written.instruction.name}({fields})")
    lines.append(f"after {divergence.step + 1} steps, bare and virtual:")
    lines += [
        f"  {name}: {mine}, {theirs}" for name, (mine, theirs) in divergence.differences.items()
    ]
    return "\n".join(lines)
