"""Time and memory of proofs, per class of obligations: `python bench/prove.py [ISA [STRATEGY]]`."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from checker.discharge import discharge
from checker.proof import Group
from popek.library import locate
from refvmm.derive import Monitor, derive
from refvmm.obligations import hosted, obligations
from refvmm.strategy import Strategy
from spec.load import load


def measured(monitor: Monitor, strategy: Strategy, group: Group, results: Connection) -> None:
    """Discharge one class; send how many obligations, how many not proved, seconds, megabytes."""
    started = time.process_time()
    answers = [
        found.answer.value
        for statement in obligations(monitor, strategy)
        if statement.group is group
        for found in discharge(hosted(monitor), statement)
    ]
    spent = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.send((len(answers), sum(a != "yes" for a in answers), spent, peak))


def rows(monitor: Monitor, strategy: Strategy) -> Iterator[tuple[str, int, int, float, float]]:
    context = multiprocessing.get_context("fork")
    for group in Group:
        ours, theirs = context.Pipe()
        process = context.Process(target=measured, args=(monitor, strategy, group, theirs))
        process.start()
        count, missing, seconds, peak = ours.recv()
        process.join()
        if count:
            yield group.value, count, missing, seconds, peak


def main(name: str = "pg74", strategy: str = Strategy.TRAP_AND_EMULATE.value) -> None:
    path = locate(name)
    isa = load(Path(path)).isa if path is not None else None
    if isa is None:
        sys.exit(f"no description `{name}`")
    for configuration in isa.configurations:
        monitor = derive(isa, configuration)
        print(f"{isa.name} {configuration.name} {strategy}")
        total = 0.0
        for group, count, missing, seconds, peak in rows(monitor, Strategy(strategy)):
            total += seconds
            print(f"  {group:8} {count:5} ({missing} not proved) {seconds:7.1f} s {peak:6.0f} MB")
        print(f"  together {total:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
