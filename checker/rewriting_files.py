"""The steps of rewriting as files for another solver, beside what the solver proved."""

from collections.abc import Iterator
from contextlib import contextmanager

from checker import exporting, rewriting
from checker.rewriting import Steps
from checker.solve import Proved, Solver
from checker.terms import Op, Term
from spec.ir import Memory

TOGETHER = 40
"""Steps in one file."""

SOON_MS = 1000
"""For the solver to see that a step is right; else more of its terms is shown."""


class _Files:
    """Of the machines with one memory, for as long as the process asks about them."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.steps = Steps(memory, self._impossible)
        self._solver = Solver(self.steps.shapes, memory, SOON_MS, exports=False)

    def _impossible(self, denied: Term) -> bool:
        return isinstance(self._solver.solve(denied), Proved)

    def write(self) -> None:
        new = self.steps.take()
        for first in range(0, len(new), TOGETHER):
            wrong, *more = new[first : first + TOGETHER]
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
