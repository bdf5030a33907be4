"""The steps of rewriting as files for another solver, beside what the solver proved."""

from collections.abc import Iterator
from contextlib import contextmanager

from checker import exporting, rewriting
from checker.rewriting import Steps
from checker.solve import Solver
from checker.terms import Op, Term, Terms
from spec.ir import Memory

TOGETHER = 40
"""Steps in one file; those over arrays are harder, and each has its own."""

SOON_MS = 100
"""For the solver to see that a step is right; else more of its terms is shown."""


class _Files:
    """Of the machines with one memory, for as long as the process asks about them."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        shapes = Terms()
        self._solver = Solver(shapes, memory, SOON_MS)
        self.steps = Steps(memory, shapes, self._solver.denies)

    def write(self) -> None:
        new = self.steps.take()
        over_arrays = [step for step in new if step.support & self.steps.shapes.indirect]
        others = [step for step in new if not step.support & self.steps.shapes.indirect]
        for step in over_arrays:
            self._write(step)
        for first in range(0, len(others), TOGETHER):
            self._write(*others[first : first + TOGETHER])

    def _write(self, wrong: Term, *more: Term) -> None:
        for denied in more:
            wrong = self.steps.shapes.make(Op.OR, 0, wrong, denied)
        exporting.write(self._solver.benchmark(wrong), exporting.STEPS)


_files: list[_Files] = []
"""Of this process."""


@contextmanager
def exported(folder: str | None, question: str, memory: Memory) -> Iterator[None]:
    """Within, what a question rests on is written to a folder, which exists (None: nowhere)."""
    exporting.export_to(folder, question)
    if folder is None:
        rewriting.record(None)
        yield
        return
    if not _files or _files[0].memory != memory:
        _files[:] = [_Files(memory)]
    rewriting.record(_files[0].steps)
    try:
        yield
    finally:
        _files[0].write()
