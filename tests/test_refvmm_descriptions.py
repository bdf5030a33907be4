"""Every bundled description: random programs cannot tell its monitors from the bare machine."""

from functools import cache

import pytest

from popek import library
from refvmm.campaign import campaign
from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from spec.ir import Configuration, Isa, VerdictClaim
from tests.test_refvmm_derive import described

CLAIMED = {"virtualizable": Strategy.TRAP_AND_EMULATE, "hybrid": Strategy.HYBRID}


@cache
def guests() -> list[tuple[str, int]]:
    return [
        (name, number)
        for name in library.names()
        for number in range(len(described(name).configurations))
    ]


def strongest(isa: Isa, configuration: Configuration) -> Strategy:
    """By the description's claims, which are held against the checker's verdicts elsewhere."""
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
        monitor = derive(isa, configuration)
        if word in claimed and not obstacles(monitor, placement, strategy):
            return strategy
    return Strategy.INTERPRET


def tried(name: str, number: int, strategy: Strategy, examples: int, seed: int) -> None:
    isa = described(name)
    configuration = isa.configurations[number]
    placement = trial_placement(isa, configuration)
    trial = Trial([derive(isa, configuration)], [placement], strategy)
    programs = Programs(isa, configuration, placement.region_size)

    failure = campaign(trial, programs, examples, seed)

    assert failure is None
    assert trial.count.programs == examples


@pytest.mark.parametrize(("name", "number"), guests())
def test_random_programs_under_interpretation(name: str, number: int) -> None:
    tried(name, number, Strategy.INTERPRET, 6, 1)


@pytest.mark.parametrize(("name", "number"), guests())
def test_random_programs_under_the_strongest_strategy(name: str, number: int) -> None:
    isa = described(name)

    tried(name, number, strongest(isa, isa.configurations[number]), 12, 2)


@pytest.mark.deep
@pytest.mark.parametrize("strategy", [None, Strategy.INTERPRET], ids=["strongest", "interpret"])
@pytest.mark.parametrize(("name", "number"), guests())
def test_a_hundred_thousand_random_programs(
    name: str, number: int, strategy: Strategy | None
) -> None:
    isa = described(name)

    tried(name, number, strategy or strongest(isa, isa.configurations[number]), 100_000, 3)
