"""Many random programs, on the bare machine and under a monitor, until one tells them apart."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from refvmm.lockstep import Divergence
from refvmm.programs import Programs
from refvmm.scenario import Scenario
from refvmm.shrinking import shrink
from refvmm.trial import Trial


@dataclass(frozen=True, slots=True)
class Failure:
    """The first program that told the machines apart: its number from 1 on, shrunk."""

    number: int
    scenario: Scenario
    divergence: Divergence


def campaign(
    trial: Trial,
    programs: Programs,
    examples: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
    shrinking: bool = True,
) -> Failure | None:
    """Try `examples` programs; the same arguments and the same `programs` give the same ones."""
    for number in range(1, examples + 1):
        scenario = programs.scenario(Random(f"{seed} {number}"))
        divergence = trial.run(scenario)
        if divergence is not None:
            if shrinking:
                scenario, divergence = shrink(trial, scenario)
            return Failure(number, scenario, divergence)
        progress(number)
    return None
