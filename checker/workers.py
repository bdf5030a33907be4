"""Worker processes: the parent's side, which may kill them, and their own.

`checker.schedule` says what they are for.
"""

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeAlias

from checker.schedule import TIME_OUT, Done, Failed, Task, WorkerError

PREPARATION = 30.0
"""Seconds a task may take without announcing any question, beyond a question's limit."""

PATIENCE = 5
"""How many times its limit a question may take while its worker is kept from the processor."""

RESTARTS = 32
"""How often a task is started again before it is given up."""

Work: TypeAlias = Callable[[Any, Any, frozenset[str], Callable[[str], None]], Any]


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, what it was given, and where it is."""

    process: BaseProcess
    connection: Connection
    queue: deque[int] = field(default_factory=deque)  # tasks given and not finished, in order
    question: str | None = None
    since: float = 0.0  # when the task or the question began
    spent: float | None = None  # processor seconds of the worker when it began
    extended: float = 0.0  # more time, as it did not get the processor

    def begin(self, question: str | None) -> None:
        self.question = question
        self.since = time.monotonic()
        self.spent = _processor_seconds(self.process)
        self.extended = 0.0


class Crew:
    """The parent's side: which task waits, which worker does what, and since when."""

    def __init__(
        self,
        work: str,
        context: object,
        tasks: Sequence[Task],
        jobs: int,
        limit: float,
        memory: int | None,
    ) -> None:
        self.work = work
        self.context = context
        self.tasks = tasks
        self.jobs = jobs
        self.limit = limit
        self.memory = memory
        self.waiting = deque(range(len(tasks)))
        self.stopped: dict[int, list[tuple[str, str]]] = {}
        self.restarts: dict[int, int] = {}
        self.workers: list[_Worker] = []

    def staff(self) -> None:
        """See to it that no task waits while a worker is idle or could be hired."""
        for worker in self.workers:
            if not worker.queue:
                self._give(worker)
        while self.waiting and len(self.workers) < self.jobs:
            self._give(self._hire())

    def stop(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.connection.close()
        self.workers.clear()

    def current(self) -> tuple[str, ...]:
        return tuple(self.tasks[w.queue[0]].name for w in self.workers if w.queue)

    def step(self) -> Iterator[Done | Failed]:
        """Wait for news or for a time limit, and deal with it."""
        busy = [worker for worker in self.workers if worker.queue]
        remaining = min(self._deadline(worker) for worker in busy) - time.monotonic()
        ready = wait([worker.connection for worker in busy], max(0.0, remaining))
        for worker in busy:
            if worker.connection in ready:
                yield from self._listen(worker)
        now = time.monotonic()
        for worker in busy:
            late = worker in self.workers and worker.queue and now > self._deadline(worker)
            if late and not self._extend(worker, now):
                yield from self._replace(worker, f"{TIME_OUT} after {self.limit:g} s")

    def _deadline(self, worker: _Worker) -> float:
        slack = PREPARATION if worker.question is None else 0.0
        return worker.since + self.limit + slack + worker.extended

    def _extend(self, worker: _Worker, now: float) -> bool:
        """Give a worker that a busy machine kept waiting the processor time that it has left."""
        spent = _processor_seconds(worker.process)
        if worker.spent is None or spent is None or now - worker.since > PATIENCE * self.limit:
            return False
        left = self.limit - (spent - worker.spent)
        worker.extended += max(left, 0.0)
        return left > 0.01

    def _hire(self) -> _Worker:
        parents = [worker.connection for worker in self.workers]
        method = _start_method()
        system = get_context("fork") if method == "fork" else get_context("spawn")
        ours, theirs = system.Pipe()
        inherited = [*parents, ours] if method == "fork" else []
        process = system.Process(
            target=_serve,
            args=(theirs, inherited, self.work, self.context, self.tasks, self.memory),
            daemon=True,
        )
        with _interrupts_held():  # a worker must never see one, not even while it starts
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _give(self, worker: _Worker) -> None:
        """Hand the next group of tasks to a worker that has none, or only one to do."""
        batch: list[int] = []
        while self.waiting and (not batch or self._continues(batch[-1])):
            batch.append(self.waiting.popleft())
        if not batch:
            return
        if not worker.queue:
            worker.begin(None)
        worker.queue.extend(batch)
        skips = [frozenset(name for name, _ in self.stopped.get(index, ())) for index in batch]
        with suppress(OSError):  # a worker that died is noticed when we listen
            worker.connection.send(list(zip(batch, skips, strict=True)))

    def _continues(self, index: int) -> bool:
        """Whether the next waiting task shares the group of this one."""
        group = self.tasks[index].group
        return group is not None and self.tasks[self.waiting[0]].group == group

    def _listen(self, worker: _Worker) -> Iterator[Done | Failed]:
        """Take all the news a worker has sent."""
        try:
            while worker.queue and worker.connection.poll():
                kind, *news = worker.connection.recv()
                if kind == "question":
                    worker.begin(news[0])
                elif kind == "broken":
                    raise WorkerError(news[0])
                else:
                    index = worker.queue.popleft()
                    worker.begin(None)
                    yield self._finished(index, kind, news)
        except (EOFError, OSError):
            worker.process.join()
            yield from self._replace(worker, f"the worker died ({_exit(worker.process)})")
        if worker in self.workers and len(worker.queue) <= self._ahead():
            self._give(worker)

    def _ahead(self) -> int:
        """How many tasks a worker may hold and still get more: none is idle while much waits,
        and at the end none holds what another could begin."""
        return 1 if len(self.waiting) > 4 * self.jobs else 0

    def _finished(self, index: int, kind: str, news: list[Any]) -> Done | Failed:
        if kind == "raised":
            return Failed(index, news[0], news[1])
        return Done(index, news[0], tuple(self.stopped.pop(index, ())))

    def _replace(self, worker: _Worker, reason: str) -> Iterator[Done | Failed]:
        """Kill a worker and see to it that the rest of its batch, and the task at hand, go on."""
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self.workers.remove(worker)
        index, *rest = worker.queue
        self.waiting.extendleft(reversed(rest))
        self.restarts[index] = self.restarts.get(index, 0) + 1
        known = [name for name, _ in self.stopped.get(index, ())]
        hopeless = worker.question in known or self.restarts[index] > RESTARTS
        if worker.question is None or hopeless:
            yield Failed(index, reason)
        else:
            self.stopped.setdefault(index, []).append((worker.question, reason))
            self.waiting.appendleft(index)
        self.staff()


def _start_method() -> Literal["fork", "spawn"]:
    """Fork is quickest, and safe only where no other thread may hold a lock."""
    forkable = hasattr(os, "fork") and sys.platform != "darwin"
    alone = threading.active_count() == 1 and "z3" not in sys.modules
    return "fork" if forkable and alone else "spawn"


def _processor_seconds(process: BaseProcess) -> float | None:
    """Processor time used by another process so far, where the system tells (Linux)."""
    if process.pid is None or not sys.platform.startswith("linux"):
        return None
    with suppress(OSError):
        # the clock of a process: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of linux/posix-timers.h
        return time.clock_gettime((~process.pid << 3) | 2)
    return None


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT, for this thread and the processes it starts, where the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


# --------------------------------------------------------------------------- in the worker


def _serve(
    connection: Connection,
    inherited: Sequence[Connection],
    work: str,
    context: object,
    tasks: Sequence[Task],
    memory: int | None,
) -> None:
    """Do batches until the parent closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in inherited:  # or this process would keep its siblings' pipes open
        other.close()
    try:
        function = _load(work, memory)
    except Exception:
        connection.send(("broken", traceback.format_exc()))
        return
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            for index, skip in connection.recv():
                connection.send(_perform(function, context, tasks[index], skip, connection))


def _load(work: str, memory: int | None) -> Work:
    if memory is not None:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    module, name = work.split(":")
    function: Work = getattr(importlib.import_module(module), name)
    return function


def _perform(
    function: Work, context: object, task: Task, skip: frozenset[str], connection: Connection
) -> tuple[object, ...]:
    def announce(question: str) -> None:
        connection.send(("question", question))

    try:
        return ("done", function(context, task.payload, skip, announce))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return ("raised", f"{type(error).__name__}: {error}", traceback.format_exc())
