"""Print how fast programs run on bare and virtual machine side by side; fails nothing.

    python bench/lockstep.py [--programs N] [ISA...]

For each configuration: programs a second through the comparison by emitted code and by the concrete
engine (making the programs is left out, and shown apart), and the share of the guest's
instructions that the real machine executed itself, for ordinary and for trap-heavy programs.
All times are CPU time.
"""

import argparse
import time
from random import Random

from popek import library
from refvmm.derive import derive
from refvmm.programs import Programs
from refvmm.repertoire import Taste
from refvmm.scenario import Scenario
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from spec.ir import Configuration, Isa
from spec.load import load

TASTES = {
    "ordinary": Taste(8, 12, sensitive=0.0, privileged=False),
    "trap-heavy": Taste(8, 12, sensitive=0.8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("isas", nargs="*", default=["pg74", "rv32"])
    arguments = parser.parse_args()
    for name in arguments.isas:
        isa = load(str(library.locate(name))).isa
        assert isa is not None
        for configuration in isa.configurations:
            for taste in TASTES:
                _measure(name, isa, configuration, taste, arguments.programs)


def _measure(name: str, isa: Isa, configuration: Configuration, taste: str, count: int) -> None:
    placement = trial_placement(isa, configuration)
    programs = Programs(isa, configuration, placement.region_size, TASTES[taste])
    start = time.process_time()
    scenarios = [programs.scenario(Random(number)) for number in range(count)]
    making = count / (time.process_time() - start)
    monitor = derive(isa, configuration)
    emitted = Trial([monitor], [placement], Strategy.TRAP_AND_EMULATE)
    _run(emitted, scenarios[: count // 2])  # compiles the routines
    emitted.count.direct = emitted.count.emulated = emitted.count.steps = 0
    fast = _run(emitted, scenarios)
    concrete = Trial([monitor], [placement], Strategy.TRAP_AND_EMULATE, "concrete")
    slow = _run(concrete, scenarios[: max(10, count // 50)])
    done = emitted.count.direct + emitted.count.emulated
    print(
        f"{name} {configuration.name}, {taste}: {fast:.0f} programs/s of"
        f" {emitted.count.steps / count:.1f} steps; {fast / slow:.0f} times the concrete engine;"
        f" made at {making:.0f}/s; {100 * emitted.count.direct / max(1, done):.0f} % direct"
    )


def _run(trial: Trial, scenarios: list[Scenario]) -> float:
    """Programs a second."""
    start = time.process_time()
    for scenario in scenarios:
        assert trial.run(scenario) is None
    return len(scenarios) / (time.process_time() - start)


if __name__ == "__main__":
    main()
