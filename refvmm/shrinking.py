"""Makes a scenario on which machines differ as small as it gets: the shortest program first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from refvmm.lockstep import Divergence
from refvmm.scenario import Event, Scenario
from refvmm.trial import Trial
from spec.state import MachineState

T = TypeVar("T")

_MOST_RUNS = 3000


def shrink(trial: Trial, scenario: Scenario) -> tuple[Scenario, Divergence]:
    """The smallest scenario found on which the machines still differ, and how they do."""
    return _Shrinking(trial, scenario).shrunk()


class _Shrinking:
    def __init__(self, trial: Trial, scenario: Scenario) -> None:
        self.trial = trial
        self.left = _MOST_RUNS
        found = trial.run(scenario)
        assert found is not None, "the machines do not differ"
        self.scenario = replace(scenario, steps=found.step + 1)
        self.found = found

    def shrunk(self) -> tuple[Scenario, Divergence]:
        for later in self._later():
            if self._try(later):
                break
        while self._pass():
            pass
        return self.scenario, self.found

    def _try(self, candidate: Scenario) -> bool:
        """Take the candidate if the machines differ on it, too."""
        if self.left <= 0:
            return False
        self.left -= 1
        found = self.trial.run(candidate)
        if found is None:
            return False
        self.scenario, self.found = replace(candidate, steps=found.step + 1), found
        return True

    def _later(self) -> Iterator[Scenario]:
        """The same run begun later, the latest first."""
        scenario, trial = self.scenario, self.trial
        states: list[tuple[int, MachineState]] = []
        trial.begin(scenario)
        for number in range(scenario.steps - 1):
            for event in scenario.events:
                if event.step == number:
                    event.happen(trial.bare.state, event.element)
            trial.bare.step()
            if not trial.bare.waiting:
                states.append((number + 1, trial.bare.state.copy()))
                trial.bare.restart(states[-1][1].copy())
        for start, state in reversed(states):
            yield _begun(scenario, trial, start, state)

    def _pass(self) -> bool:
        """Leave out one thing after the other; whether anything could be."""
        before = self.scenario
        self._thin(lambda s: s.program, lambda s, kept: replace(s, program=tuple(kept)))
        self._thin(lambda s: s.events, lambda s, kept: replace(s, events=tuple(kept)))
        self._thin(lambda s: tuple(s.cells.items()), lambda s, k: replace(s, cells=dict(k)))
        self._thin(lambda s: tuple(s.arrays.items()), lambda s, k: replace(s, arrays=dict(k)))
        self._thin(lambda s: tuple(s.scalars.items()), lambda s, k: replace(s, scalars=dict(k)))
        return self.scenario != before and self.left > 0

    def _thin(
        self,
        items: Callable[[Scenario], Sequence[T]],
        put: Callable[[Scenario, list[T]], Scenario],
    ) -> None:
        size = len(items(self.scenario))
        while size:
            start = 0
            while start < len(items(self.scenario)):
                kept = list(items(self.scenario))
                del kept[start : start + size]
                if not self._try(put(self.scenario, kept)):
                    start += size
            size //= 2


def _begun(scenario: Scenario, trial: Trial, start: int, state: MachineState) -> Scenario:
    """The rest of a scenario, from the state before step `start` on."""
    reset = MachineState(trial.isa)
    cells = dict(state.cells.written())
    program = []
    for written in scenario.program:
        places = range(written.address, written.address + len(written.cells))
        if all(cells.get(p, 0) == c for p, c in zip(places, written.cells, strict=True)):
            program.append(written)
            for place in places:
                cells.pop(place, None)
    return Scenario(
        size=scenario.size,
        steps=scenario.steps - start,
        scalars={n: v for n, v in state.scalars.items() if v != reset.scalars[n]},
        arrays={n: tuple(v) for n, v in state.arrays.items() if v != reset.arrays[n]},
        cells=cells,
        program=tuple(program),
        events=tuple(
            Event(e.step - start, e.element, e.value, e.index)
            for e in scenario.events
            if e.step >= start
        ),
    )
