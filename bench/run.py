"""Print how fast popek is here; fails nothing.

    python bench/run.py [--quick] [ISA...]

Every time is wall time of a fresh process unless it says otherwise; the best of the runs is shown.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from popek import library

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("isas", nargs="*", help="descriptions (default: all that are bundled)")
    arguments = parser.parse_args()
    names = arguments.isas or list(library.names())
    runs = 1 if arguments.quick else 3

    print(f"python {platform.python_version()}, {os.cpu_count()} processors")
    print(", ".join(f"{name} {_version(name)}" for name in ("z3-solver", "lark", "tinyrv")))
    print(f"popek --help              {_best(['--help'], runs):8.3f} s   (aim 0.15)")
    largest = max(names, key=lambda name: (library.root() / f"{name}.isa").stat().st_size)
    for name in names:
        seconds = _python(_LOAD, name)
        aim = "   (aim 0.3)" if name == largest else ""
        print(f"load {name:<20} {seconds:8.3f} s{aim}")
    for name in names:
        _check(name, runs)
    _riscv_loop()


_LOAD = """
import sys, time
from popek.library import locate
import spec.load
start = time.perf_counter()
spec.load.load(locate(sys.argv[1]))
print(time.perf_counter() - start)
"""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _popek(arguments: list[str]) -> tuple[float, int, str]:
    """Seconds, exit status and stdout."""
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-m", "popek", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return time.perf_counter() - start, result.returncode, result.stdout


def _best(arguments: list[str], runs: int) -> float:
    return min(_popek(arguments)[0] for _ in range(runs))


def _python(program: str, *arguments: str) -> float:
    """What a Python program prints; infinity if it fails."""
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return float(result.stdout) if result.returncode == 0 else float("inf")


def _check(name: str, runs: int) -> None:
    """Cold with two processes, then warm; solving time per instruction; peak memory."""
    with tempfile.TemporaryDirectory() as cache:
        arguments = ["check", name, "--format", "json", "--jobs", "2", "--cache", cache]
        cold, status, output = _popek(arguments)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        warm = _best(arguments, runs)
    print(f"check {name:<19} {cold:8.3f} s cold, {warm:.3f} s warm, exit status {status}", end="")
    try:
        report = json.loads(output)
    except ValueError:
        print("; no report")
        return
    rows = [row for c in report["configurations"] for row in c["instructions"]]
    solving = [1000 * row["solver_seconds"] for row in rows] or [0.0]
    print(
        f"; {len(rows)} rows, solving {statistics.median(solving):.1f} ms median, "
        f"{max(solving):.0f} ms longest; largest process so far {peak:.0f} MB"
    )


def _riscv_loop() -> None:
    """The machine in emitted Python against tinyrv, on one loop, one after the other."""
    script = Path(__file__).with_name("riscv_loop.py")
    if not script.exists():
        return
    subprocess.run([sys.executable, str(script)], cwd=ROOT, check=False)


if __name__ == "__main__":
    main()
