"""Tasks in parallel worker processes that can be stopped at any moment.

A worker announces every question before it works on it, so the parent knows where each worker is. A
solver that ignores its time limit is killed with its process; the question is recorded as out of
time and the task starts again without it. A worker that dies (out of memory, a crash in native
code) is treated likewise. `run` hands over results as they come: whoever keeps them loses nothing
when the run is interrupted.

The parent never loads the solver: what a worker does is named as `module:function` and imported
only there. That function is called as `function(context, payload, skip, announce)`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

TIME_OUT = "time-out"
"""How the reason begins when a question ran out of time."""


@dataclass(frozen=True, slots=True)
class Task:
    """`payload` is what the work function gets; `name` is what progress shows.

    Neighbours of one group go to one worker, which may keep what they share.
    """

    name: str
    payload: object
    group: object = None


@dataclass(frozen=True, slots=True)
class Done:
    """A task's result; `stopped` pairs questions with why they were given up, in order."""

    index: int  # of the task
    result: Any
    stopped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A task without a result: it died outside any question, or raised (`detail`: where)."""

    index: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `current` names the tasks being worked on."""

    done: int
    total: int
    current: tuple[str, ...] = ()


class WorkerError(Exception):
    """Workers cannot start: the work function cannot be imported."""


def run(
    work: str,
    context: object,
    tasks: Sequence[Task],
    *,
    jobs: int,
    limit: float,
    memory: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Generator[Done | Failed, None, None]:
    """Results as they come, in any order; every task gives exactly one.

    `limit` is the hard limit of one question in seconds, to be set well above what the solver is
    told, as it counts all that is done until the next question; `memory` is that of one process in bytes
    (where the system has such limits). Closing the iterator, or an exception such as
    KeyboardInterrupt while it waits, kills the workers. Raises WorkerError.
    """
    report = progress or (lambda _: None)
    report(Progress(0, len(tasks)))
    if not tasks:
        return
    workers = import_module("checker.workers")  # lazily: often everything is in the cache
    crew = workers.Crew(work, context, tasks, max(1, min(jobs, len(tasks))), limit, memory)
    try:
        crew.staff()
        done = 0
        while done < len(tasks):
            for result in crew.step():
                done += 1
                yield result
            report(Progress(done, len(tasks), crew.current()))
    finally:
        crew.stop()
