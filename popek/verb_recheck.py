"""Ask another SMT solver what a check or a proof rested on.

`popek check ISA --smt DIR` and `popek prove ISA --smt DIR` leave in DIR, as SMT-LIB 2, what each
"no, it cannot happen" rests on: every set of conditions that the solver (Z3) found to be
impossible, and every step by which terms were rewritten before. This verb gives them to a solver
that is independent of it.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from popek.console import Progress
from popek.exit_status import ExitStatus
from popek.messages import complaint, show
from popek.options import add_color, add_format, at_least
from popek.render_json import dumps

EPILOG = """\
exit status: 0 the other solver says the same of every file; 1 it contradicts one; 2 bad input;
3 some file had no answer in its time.

examples:
  popek check m68000 --smt proofs && popek recheck proofs
  popek recheck proofs --solver "bitwuzla" --timeout 60
"""

SOLVERS = ("cvc5", "bitwuzla", "yices-smt2", "mathsat")
"""Commands that are looked for, in this order; each takes a file and prints sat or unsat."""

CONFIRMED, CONTRADICTED, OPEN = "unsat", "sat", "no answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="DIR", type=Path, help="what `--smt DIR` wrote")
    parser.add_argument(
        "--solver",
        metavar="COMMAND",
        help=f"how to run the other solver (default: the first found of {', '.join(SOLVERS)})",
    )
    parser.add_argument("--jobs", metavar="N", type=at_least(int, 1), default=2, help="processes")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=at_least(float, 0.001),
        default=30.0,
        help="for each file (default: 30)",
    )
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    files = sorted(arguments.folder.rglob("*.smt2")) if arguments.folder.is_dir() else []
    if not files:
        what = "no .smt2 file in" if arguments.folder.is_dir() else "there is no folder"
        return _bad(
            arguments,
            "E0919",
            f"{what} `{arguments.folder}`",
            "`popek check ISA --smt DIR` writes what to ask again",
        )
    command = _command(arguments.solver)
    if command is None:
        wanted = f"`{arguments.solver}`" if arguments.solver else "no other SMT solver"
        return _bad(
            arguments,
            "E0920",
            f"{wanted} was found" if not arguments.solver else f"{wanted} cannot be run",
            "install one (Debian: `apt-get install cvc5`), or name it with `--solver`",
        )
    answers: dict[str, str] = {}
    with Progress() as progress:
        for path, answer in _answers(command, files, arguments.timeout, arguments.jobs):
            answers[str(path.relative_to(arguments.folder))] = answer
            progress.show(len(answers), len(files), path.name)
    counted = Counter(_kind(answer) for answer in answers.values())
    if arguments.format == "json":
        sys.stdout.write(dumps({"schema": 1, "solver": list(command), "answers": dict(answers)}))
    else:
        _print(command, answers, counted)
    if counted[CONTRADICTED]:
        return ExitStatus.REFUTED
    return ExitStatus.UNDECIDED if counted[OPEN] else ExitStatus.HOLDS


def _print(command: Sequence[str], answers: dict[str, str], counted: Counter[str]) -> None:
    print(
        f"{command[0]} on {len(answers)} sets of conditions: {counted[CONFIRMED]} impossible as"
        f" found, {counted[CONTRADICTED]} contradicted, {counted[OPEN]} without an answer"
    )
    for name, answer in answers.items():
        if answer != CONFIRMED:
            print(f"  {name}: {answer}")


def _answers(
    command: Sequence[str], files: Sequence[Path], timeout: float, jobs: int
) -> Iterator[tuple[Path, str]]:
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(
            files, pool.map(lambda path: _answer(command, path, timeout), files), strict=True
        )


def _answer(command: Sequence[str], path: Path, timeout: float) -> str:
    """`unsat`, `sat`, or why neither."""
    try:
        ended = subprocess.run(
            [*command, str(path)], capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {timeout:g} s"
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    return lines[0] if lines else f"exit status {ended.returncode}"


def _kind(answer: str) -> str:
    return answer if answer in (CONFIRMED, CONTRADICTED) else OPEN


def _command(given: str | None) -> list[str] | None:
    """The words of the command, if its program can be found."""
    words = shlex.split(given) if given else next(([s] for s in SOLVERS if shutil.which(s)), [])
    return words if words and shutil.which(words[0]) else None


def _bad(arguments: argparse.Namespace, code: str, message: str, help: str) -> ExitStatus:
    show((complaint(code, message, help=help),), arguments.color)
    return ExitStatus.BAD_INPUT
