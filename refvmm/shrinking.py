"""Makes a scenario on which machines differ as small as it gets: the shortest program first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from refvmm.lockstep import Divergence
from refvmm.multiplexing import Guests, Joint
from refvmm.scenario import Event, Scenario
from refvmm.trial import Trial
from spec.state import MachineState

T = TypeVar("T")

_MOST_RUNS = 3000


def shrink(
    trial: Trial, scenario: Scenario, accept: Callable[[Divergence], bool] = lambda found: True
) -> tuple[Scenario, Divergence]:
    """The smallest scenario found on which the machines still differ, and how they do.

    Only what `accept` says of how they differ counts.
    """
    return _Shrinking(trial, scenario, accept).shrunk()


def shrink_joint(guests: Guests, tried: Joint) -> tuple[Joint, Divergence]:
    """The smallest guests and schedule found with which some guest still differs, and how."""
    return _ShrinkingJoint(guests, tried).shrunk()


_Get: TypeAlias = Callable[[Scenario], Sequence[Any]]
_Put: TypeAlias = Callable[[Scenario, list[Any]], Scenario]
_PARTS: tuple[tuple[_Get, _Put], ...] = (
    (lambda s: s.program, lambda s, kept: replace(s, program=tuple(kept))),
    (lambda s: s.events, lambda s, kept: replace(s, events=tuple(kept))),
    (lambda s: tuple(s.cells.items()), lambda s, kept: replace(s, cells=dict(kept))),
    (lambda s: tuple(s.arrays.items()), lambda s, kept: replace(s, arrays=dict(kept))),
    (lambda s: tuple(s.scalars.items()), lambda s, kept: replace(s, scalars=dict(kept))),
)
"""What a scenario may have less of."""


def _thin(items: Callable[[], Sequence[T]], keep: Callable[[list[T]], bool]) -> None:
    """Leave out slices of the items, long ones first; `keep` says whether what is kept will do."""
    size = len(items())
    while size:
        start = 0
        while start < len(items()):
            kept = list(items())
            del kept[start : start + size]
            if not keep(kept):
                start += size
        size //= 2


class _Shrinking:
    def __init__(
        self, trial: Trial, scenario: Scenario, accept: Callable[[Divergence], bool]
    ) -> None:
        self.trial = trial
        self.accept = accept
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
        if found is None or not self.accept(found):
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
        for get, put in _PARTS:
            self._thin(get, put)
        return self.scenario != before and self.left > 0

    def _thin(self, get: _Get, put: _Put) -> None:
        _thin(lambda: get(self.scenario), lambda kept: self._try(put(self.scenario, kept)))


class _ShrinkingJoint:
    def __init__(self, guests: Guests, tried: Joint) -> None:
        self.guests = guests
        self.left = _MOST_RUNS
        found = guests.run(tried)
        assert found is not None, "no guest differs"
        self.tried = _cut(tried, found)
        self.found = found

    def shrunk(self) -> tuple[Joint, Divergence]:
        before = None
        while self.tried != before and self.left > 0:
            before = self.tried
            for guest in range(len(self.tried.scenarios)):
                self._try_schedule([each for each in self.tried.schedule if each != guest])
            _thin(lambda: self.tried.schedule, self._try_schedule)
            for guest in range(len(self.tried.scenarios)):
                for get, put in _PARTS:
                    self._thin(guest, get, put)
        return self.tried, self.found

    def _thin(self, guest: int, get: _Get, put: _Put) -> None:
        def keep(kept: list[Any]) -> bool:
            scenarios = list(self.tried.scenarios)
            scenarios[guest] = put(scenarios[guest], kept)
            return self._try(replace(self.tried, scenarios=tuple(scenarios)))

        _thin(lambda: get(self.tried.scenarios[guest]), keep)

    def _try_schedule(self, schedule: list[int]) -> bool:
        return self._try(replace(self.tried, schedule=tuple(schedule)))

    def _try(self, candidate: Joint) -> bool:
        if self.left <= 0 or candidate == self.tried:
            return False
        self.left -= 1
        found = self.guests.run(candidate)
        if found is None:
            return False
        self.tried, self.found = _cut(candidate, found), found
        return True


def _cut(tried: Joint, found: Divergence) -> Joint:
    """Without what comes after the step that differs."""
    schedule = tried.schedule[: found.step + 1]
    scenarios = tuple(
        replace(scenario, steps=schedule.count(guest))
        for guest, scenario in enumerate(tried.scenarios)
    )
    return Joint(scenarios, schedule)


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
