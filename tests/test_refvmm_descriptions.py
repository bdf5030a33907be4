"""Every bundled description: random programs cannot tell its monitors from the bare machine."""

import pytest

from popek import library
from refvmm.campaign import campaign
from refvmm.derive import Monitor, derive
from refvmm.hosting import obstacles
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from spec.ir import VerdictClaim
from tests.test_refvmm_derive import described

CLAIMED = {"virtualizable": Strategy.TRAP_AND_EMULATE, "hybrid": Strategy.HYBRID}


def strongest(monitor: Monitor) -> Strategy:
    """By the description's claims, which are held against the checker's verdicts elsewhere."""
    isa, configuration = monitor.description, monitor.configuration
    claimed = {
        claim.property
        for claim in isa.claims
        if isinstance(claim, VerdictClaim)
        and claim.configuration == configuration.name
        and claim.verdict != "letter"
        and not claim.negated
    }
    placement = trial_placement(isa, configuration)
    for word, strategy in CLAIMED.items():
        if word in claimed and not obstacles(monitor, placement, strategy):
            return strategy
    return Strategy.INTERPRET


def tried(
    monitor: Monitor, programs: Programs, strategy: Strategy, examples: int, seed: int
) -> None:
    placement = trial_placement(monitor.description, monitor.configuration)
    trial = Trial([monitor], [placement], strategy)

    failure = campaign(trial, programs, examples, seed)

    assert failure is None, (monitor.configuration.name, strategy)
    assert trial.count.programs == examples


def programs_for(monitor: Monitor) -> Programs:
    isa, configuration = monitor.description, monitor.configuration
    return Programs(isa, configuration, trial_placement(isa, configuration).region_size)


@pytest.mark.parametrize("name", library.names())
def test_random_programs_under_interpretation_and_under_the_strongest_strategy(name: str) -> None:
    isa = described(name)
    for configuration in isa.configurations:  # what is emitted for one serves the others too
        monitor = derive(isa, configuration)
        programs = programs_for(monitor)

        tried(monitor, programs, Strategy.INTERPRET, 6, 1)
        tried(monitor, programs, strongest(monitor), 12, 2)


@pytest.mark.deep
@pytest.mark.parametrize("strategy", [None, Strategy.INTERPRET], ids=["strongest", "interpret"])
@pytest.mark.parametrize("name", library.names())
def test_a_hundred_thousand_random_programs(name: str, strategy: Strategy | None) -> None:
    isa = described(name)
    for configuration in isa.configurations:
        monitor = derive(isa, configuration)

        tried(monitor, programs_for(monitor), strategy or strongest(monitor), 100_000, 3)
