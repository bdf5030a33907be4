"""Which mutants of a monitor the obligations refute: only what a fault touches is asked."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from time import monotonic

from checker.answers import Answer
from checker.proof import Discharged, Group
from checker.proving import meanings, prove
from checker.schedule import Progress
from checker.statements import Settled, Simulation, Statement
from refvmm.derive import Monitor
from refvmm.mutants import Mutant, mutants
from refvmm.obligations import hosted, obligations
from refvmm.replayed import Replayed
from refvmm.replaying import replay
from refvmm.strategy import Strategy


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What became of a mutant.

    `by`: an obligation that is refuted of it and proved of the right monitor; its counterexample was
    replayed (`run`), unless it was decided by looking. `touched`: so many statements mean
    something else than of the right monitor; `missing`: how many of these have no answer.
    """

    mutant: Mutant
    by: Discharged | None
    run: Replayed | None
    touched: int
    missing: int


@dataclass(frozen=True, slots=True)
class Means:
    """How to ask: see `prove`; `bound` is in seconds of one mutant."""

    jobs: int
    timeout: float
    cache: Path | None
    bound: float


def proofs_of_mutants(
    monitor: Monitor,
    strategy: Strategy,
    means: Means,
    most: int = 3,
    progress: Callable[[Mutant, Progress], None] = lambda mutant, at: None,
) -> Iterator[Tried]:
    """For each mutant of the catalogue (`most` of a fault), in its order."""
    right = _Right(monitor, strategy, means)
    for mutant in mutants(monitor, most, slow=True):
        yield right.tried(mutant, progress)


class _Right:
    """The monitor without a fault."""

    def __init__(self, monitor: Monitor, strategy: Strategy, means: Means) -> None:
        self.strategy, self.means = strategy, means
        self.hosted = hosted(monitor)
        stated = list(obligations(monitor, strategy))
        self.known = dict(zip(meanings(self.hosted, stated), stated, strict=True))
        self.named = {(s.group, s.name): s for s in stated}
        self._holds: dict[tuple[Group, str], frozenset[Group]] = {}

    def tried(self, mutant: Mutant, progress: Callable[[Mutant, Progress], None]) -> Tried:
        context = hosted(mutant.monitor)
        stated = list(obligations(mutant.monitor, self.strategy))
        keys = meanings(context, stated)
        changed = [s for s, key in zip(stated, keys, strict=True) if key not in self.known]
        killing: list[tuple[Discharged, Replayed | None]] = []
        until = monotonic() + self.means.bound

        def enough(statement: Statement, answers: tuple[Discharged, ...]) -> bool:
            for answer in answers:
                if answer.answer is Answer.NO and answer.group in self._proved(statement):
                    run = self._replayed(mutant, statement, answer)
                    if run is not None or isinstance(statement, Settled):
                        killing.append((answer, run))
                        return True
            return monotonic() > until

        found = prove(
            context,
            self._ordered(changed),
            jobs=self.means.jobs,
            timeout=self.means.timeout,
            cache=self.means.cache,
            progress=lambda at: progress(mutant, at),
            enough=enough,
        )
        missing = sum(
            not answers or any(a.answer is not Answer.YES for a in answers)
            for answers in found.results
        )
        by, run = killing[0] if killing else (None, None)
        return Tried(mutant, by, run, len(changed), missing)

    def _replayed(
        self, mutant: Mutant, statement: Statement, answer: Discharged
    ) -> Replayed | None:
        if answer.counterexample is None:
            return None
        own = answer.counterexample
        return replay(mutant.monitor, self.strategy, statement, own, lambda again: None)

    def _proved(self, statement: Statement) -> frozenset[Group]:
        """The obligations of a statement that hold of the right monitor."""
        place = statement.group, statement.name
        if place not in self._holds:
            asked = [self.named[place]] if place in self.named else []
            means = self.means
            found = prove(
                self.hosted, asked, jobs=1, timeout=means.timeout, cache=means.cache
            ).results
            self._holds[place] = frozenset(a.group for a in chain(*found) if a.answer is Answer.YES)
        return self._holds[place]

    def _ordered(self, changed: Sequence[Statement]) -> list[Statement]:
        """What the fault itself stands in first, then short ones of each class in turn.

        What is decided by looking comes last, for it has no run to show.
        """
        own, others = list[Statement](), defaultdict[Group, list[Statement]](list)
        for statement in changed:
            right = self.named.get((statement.group, statement.name))
            if right is None or _bodies(right) != _bodies(statement):
                own.append(statement)
            else:
                others[statement.group].append(statement)
        for group in others.values():
            group.sort(key=lambda s: len(repr(s)))
        in_turn = chain.from_iterable(zip_longest(*others.values()))
        found = [*own, *(s for s in in_turn if s is not None)]
        return sorted(found, key=lambda s: isinstance(s, Settled))


def _bodies(statement: Statement) -> object:
    """What a statement itself says, as far as it can be compared."""
    if isinstance(statement, Simulation):
        return statement.left, statement.right, statement.before, statement.after
    return repr(statement)
