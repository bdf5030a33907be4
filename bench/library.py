"""Print what checking each description costs, and how that grows with its size; fails nothing.

    python bench/library.py [ISA...]

Processor seconds of cold checks in one process, smallest description first: of all processes of a
check, reading the description included. A question is an instruction with one operand set under
one configuration. Last, the whole library at once with two processes, as `popek verdicts` does it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from popek import library

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("isas", nargs="*", help="descriptions (default: all that are bundled)")
    names = parser.parse_args().isas or list(library.names())

    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'description':<22}{'instructions':>13}{'questions':>11}{'CPU s':>8}{'ms each':>9}  exit"
    )
    for name, seconds, status, report in sorted(map(_checked, names), key=_size):
        print(f"{name:<22}", end="")
        if report is None:
            print(f"{'no report':>24}{seconds:>8.2f}{'':>9}{status:>6}")
            continue
        configurations = report["configurations"]
        instructions = len({row["instruction"] for row in configurations[0]["instructions"]})
        questions = report["timing"]["classified"]
        each = 1000 * seconds / max(questions, 1)
        print(f"{instructions:>13}{questions:>11}{seconds:>8.2f}{each:>9.1f}{status:>6}")
    start = time.perf_counter()
    seconds, status, _ = _popek(["verdicts", *names, "--format", "json", "--jobs", "2"])
    wall = time.perf_counter() - start
    print(
        f"all at once            {seconds:.1f} CPU s, {wall:.1f} s with two processes, exit {status}"
    )


def _checked(name: str) -> tuple[str, float, int, dict | None]:
    seconds, status, output = _popek(["check", name, "--format", "json", "--jobs", "1"])
    return name, seconds, status, json.loads(output) if output else None


def _size(found: tuple[str, float, int, dict | None]) -> int:
    return found[3]["timing"]["classified"] if found[3] else 0


def _popek(arguments: list[str]) -> tuple[float, int, str]:
    """Processor seconds of all its processes, exit status and stdout; with an empty cache."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as cache:
        result = subprocess.run(
            [sys.executable, "-m", "popek", *arguments, "--cache", cache],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, result.returncode, result.stdout


if __name__ == "__main__":
    main()
