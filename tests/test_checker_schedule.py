import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from checker.schedule import Done, Failed, Progress, Task, WorkerError, run

ROOT = Path(__file__).resolve().parent.parent
WORK = "tests.test_checker_schedule:work"

Announce = Callable[[str], None]


def work(context: int, payload: object, skip: frozenset[str], announce: Announce) -> object:
    """What the workers of these tests do: `payload` says how they misbehave."""
    match payload:
        case int():
            announce("easy")
            return context * payload
        case ("stubborn", *questions):
            answers = []
            for question in questions:
                if question in skip:
                    answers.append("skipped")
                    continue
                announce(str(question))
                if str(question).startswith("hard"):
                    time.sleep(60)
                if str(question) == "hold":
                    time.sleep(0.6)  # twice the limit, without using the processor
                if str(question).startswith("busy"):
                    while True:
                        pass
                answers.append("answered")
            return answers
        case "crash":
            announce("fatal")
            if "fatal" not in skip:
                os.kill(os.getpid(), signal.SIGKILL)
            return "survived"
        case "crash early":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("no such thing")
        case "greedy":
            return len(bytearray(1 << 30))
        case _:
            raise AssertionError(payload)
    return None


def _run(*payloads: object, jobs: int = 2, limit: float = 5.0) -> dict[int, Done | Failed]:
    tasks = [Task(str(payload), payload) for payload in payloads]
    with closing(run(WORK, 10, tasks, jobs=jobs, limit=limit)) as results:
        return {result.index: result for result in results}


def test_every_task_gives_its_result() -> None:
    results = _run(*range(50))

    assert results == {index: Done(index, 10 * index) for index in range(50)}


def test_a_parent_with_threads_gets_the_same_results() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()

    results = _run(1, ("stubborn", "hard"), "crash", limit=0.1)

    stop.set()
    thread.join()
    stopped = (("hard", "time-out after 0.1 s"),)
    assert results[0] == Done(0, 10)
    assert results[1] == Done(1, ["skipped"], stopped)
    assert results[2] == Done(2, "survived", (("fatal", "the worker died (SIGKILL)"),))


def test_no_tasks_start_no_worker() -> None:
    assert _run() == {}


def test_a_question_that_ignores_its_limit_is_killed_and_the_rest_goes_on() -> None:
    started = time.monotonic()

    results = _run(("stubborn", "a", "hard", "b"), *range(1, 20), limit=0.2)

    assert results[0] == Done(
        0, ["answered", "skipped", "answered"], (("hard", "time-out after 0.2 s"),)
    )
    assert [results[index] for index in range(1, 20)] == [Done(i, 10 * i) for i in range(1, 20)]
    assert time.monotonic() - started < 20


def test_a_question_that_keeps_the_processor_busy_is_killed_too() -> None:
    results = _run(("stubborn", "busy", "b"), limit=0.2)

    stopped = (("busy", "time-out after 0.2 s"),)
    assert results[0] == Done(0, ["skipped", "answered"], stopped)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells the time of other processes"
)
def test_a_worker_that_was_kept_waiting_gets_the_time_that_it_has_left() -> None:
    tasks = [Task("slow", ("stubborn", "hold"))]

    with closing(run(WORK, 10, tasks, jobs=1, limit=0.3)) as results:
        (done,) = results

    assert done == Done(0, ["answered"])


def test_several_stubborn_questions_of_one_task_are_each_given_up() -> None:
    results = _run(("stubborn", "hard 1", "hard 2"), limit=0.1)

    done = results[0]
    assert isinstance(done, Done)
    assert done.result == ["skipped", "skipped"]
    assert [name for name, _ in done.stopped] == ["hard 1", "hard 2"]


def test_a_worker_that_dies_in_a_question_costs_only_that_question() -> None:
    results = _run("crash", 1, 2)

    assert results[0] == Done(0, "survived", (("fatal", "the worker died (SIGKILL)"),))
    assert results[2] == Done(2, 20)


def test_a_worker_that_dies_outside_any_question_costs_the_task() -> None:
    results = _run("crash early", 1, jobs=1)

    assert results[0] == Failed(0, "the worker died (SIGKILL)")
    assert results[1] == Done(1, 10)


def test_an_exception_costs_only_its_task_and_says_where() -> None:
    results = _run("raise", 1)

    failed = results[0]
    assert isinstance(failed, Failed)
    assert failed.reason == "ValueError: no such thing"
    assert "test_checker_schedule" in failed.detail
    assert results[1] == Done(1, 10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS is enforced on Linux")
def test_a_worker_over_its_memory_limit_fails_only_its_task() -> None:
    tasks = [Task("greedy", "greedy"), Task("easy", 1)]

    with closing(run(WORK, 10, tasks, jobs=1, limit=5.0, memory=1 << 29)) as results:
        by_index = {result.index: result for result in results}

    failed = by_index[0]
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("MemoryError")
    assert by_index[1] == Done(1, 10)


def test_workers_that_cannot_import_their_work_stop_the_run() -> None:
    with (
        pytest.raises(WorkerError, match="no_such_module"),
        closing(run("no_such_module:work", 0, [Task("x", 1)], jobs=1, limit=1.0)) as results,
    ):
        list(results)


def test_progress_ends_with_everything_done() -> None:
    seen: list[Progress] = []
    tasks = [Task(f"task {n}", n) for n in range(5)]

    with closing(run(WORK, 1, tasks, jobs=2, limit=5.0, progress=seen.append)) as results:
        list(results)

    assert seen[0] == Progress(0, 5)
    assert (seen[-1].done, seen[-1].total) == (5, 5)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert {name for p in seen for name in p.current} <= {task.name for task in tasks}


def test_closing_the_run_kills_the_workers() -> None:
    tasks = [Task("pid", 1), Task("stuck", ("stubborn", "hard"))]
    started = time.monotonic()
    with closing(run(WORK, 10, tasks, jobs=2, limit=60.0)) as results:
        first = next(results)

    assert first == Done(0, 10)
    assert time.monotonic() - started < 10


SCRIPT = """
import sys
from contextlib import closing
from checker.schedule import Task, run
tasks = [Task("a", 1), Task("b", 2), Task("stuck", ("stubborn", "hard"))]
with closing(run("tests.test_checker_schedule:work", 10, tasks, jobs=2, limit=60.0)) as results:
    for result in results:
        print(result.result, flush=True)
"""


def test_an_interrupt_stops_parent_and_workers_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = sorted(process.stdout.readline() for _ in range(2))

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group gets it
    output, errors = process.communicate(timeout=20)

    assert lines == ["10\n", "20\n"]
    assert output == ""
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1  # the parent's own KeyboardInterrupt; no worker's
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
