"""A SIMH driven by scripts: what the harnesses of its machines share.

A case is one instruction and the state before it. The description and the simulator each run it; what
they have different is shrunk to a plain state and told.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import pytest

C = TypeVar("C")
S = TypeVar("S")
K = TypeVar("K", bound=Hashable)


class Expected(Protocol):
    """What came of a case as described."""

    @property
    def name(self) -> str:
        """The instruction's name."""
        ...


E = TypeVar("E", bound=Expected)


def records(command: Sequence[str], lines: Sequence[str], count: int) -> list[str]:
    """What a script prints, from the value of each of `count` shown PCs to the next."""
    ran = subprocess.run(
        command,
        input="\n".join([*lines, "exit", ""]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    text = ran.stdout.replace("sim> ", "")
    found = text.split("PC:\t")[1:]
    assert len(found) == count, text[-2000:]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Bench(Generic[C, E, S]):
    """One machine, twice. `lacks` says what does not count, None where the simulator has no say."""

    run: Callable[[C], E]
    lacks: Callable[[C, E], Mapping[str, int] | None]
    simulate: Callable[[Sequence[tuple[C, E]]], Iterator[S]]
    differences: Callable[[C, E, S, Mapping[str, int]], dict[str, str]]
    simpler: Callable[[C], list[C]]
    story: Callable[[C, E, dict[str, str]], str]

    def compare(self, cases: Sequence[C]) -> list[tuple[C, E, dict[str, str]]]:
        """The cases in which the simulator has a say, with the differences."""
        asked: list[tuple[C, E]] = []
        ignored: list[Mapping[str, int]] = []
        for case in cases:
            expected = self.run(case)
            free = self.lacks(case, expected)
            if free is not None:
                asked.append((case, expected))
                ignored.append(free)
        seen = self.simulate(asked) if asked else iter(())
        return [
            (case, expected, self.differences(case, expected, after, free))
            for (case, expected), after, free in zip(asked, seen, ignored, strict=True)
        ]

    def shrunk(self, case: C) -> C:
        """A plainer state in which the same instruction still differs."""
        for _ in range(60):
            for candidate, _, found in self.compare(self.simpler(case)):
                if found:
                    case = candidate
                    break
            else:
                break
        return case

    def campaign(self, cases: Sequence[C], batch: int, key: Callable[[C, E], K]) -> Counter[K]:
        """Compare all; how many were, by `key`. A failure is what differs when it runs alone too:
        what one case leaves behind in the simulator may disturb the next."""
        compared: Counter[K] = Counter()
        failures: dict[str, str] = {}
        for start in range(0, len(cases), batch):
            for case, expected, found in self.compare(cases[start : start + batch]):
                compared[key(case, expected)] += 1
                if not found or expected.name in failures:
                    continue
                ((_, _, alone),) = self.compare([case])
                if alone:
                    ((least, mine, left),) = self.compare([self.shrunk(case)])
                    failures[expected.name] = self.story(least, mine, left)
        if failures:
            text = "\n\n".join(failures.values())
            pytest.fail(f"{len(failures)} instructions differ\n\n{text}", pytrace=False)
        return compared
