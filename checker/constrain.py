"""Which control elements a VMM must fix so that nothing escapes (formal model, section 5).

Searching for the constraints k of a configuration: there is a k under which, for all states, no
instruction escapes. What is found is then checked like a configuration that someone wrote.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from checker.answers import Answer, Fixed, Repairs
from checker.check import Asked, check_all
from checker.components import constraint
from checker.inquiry import Inquiry, inquire
from checker.operand_sets import operand_sets
from checker.questions import RepairsOf
from checker.report import Report
from checker.schedule import Progress
from spec.ir import Configuration, Isa

MOST_CHOICES = 100_000
"""Ways looked at to combine what single instructions need."""


@dataclass(frozen=True, slots=True)
class Constrained:
    """What the search found. `fixed` is None if nothing was found that stops all escapes."""

    configuration: Configuration  # with the constraints found, if any
    theorem: int
    escaping: tuple[Repairs, ...]  # what escapes with nothing fixed, or may
    fixed: tuple[Fixed, ...] | None
    report: Report | None  # of the configuration, where something was found
    defects: tuple[str, ...] = ()

    @property
    def beyond_help(self) -> tuple[Repairs, ...]:
        """Instructions that escape whatever of the tried elements is fixed."""
        return tuple(r for r in self.escaping if not r.ways and not r.undecided)

    @property
    def open(self) -> tuple[Repairs, ...]:
        """Instructions for which a question stayed without an answer."""
        return tuple(r for r in self.escaping if not r.ways and r.undecided)

    @property
    def written(self) -> tuple[str, ...]:
        """The constraints found, as the language has them."""
        known = len(self.configuration.constraints) - len(self.fixed or ())
        return tuple(text for text, _ in self.configuration.constraints[known:])

    def for_the_sake_of(self, one: Fixed) -> tuple[Repairs, ...]:
        """What would escape if this were not fixed, the others given."""
        others = set(self.fixed or ()) - {one}
        return tuple(r for r in self.escaping if r.ways and not _settled(r, others))


def constrain(
    isa: Isa,
    configuration: Configuration,
    *,
    theorem: int = 1,
    keep: bool = False,
    jobs: int,
    timeout: float,
    cache: Path | None,
    progress: Callable[[Progress], None] | None = None,
) -> Constrained:
    """Look for the fewest elements to fix.

    `theorem` is 1 or 3 (only what escapes from the least privileged virtual mode counts). With
    `keep`, the configuration's own constraints hold already; else they are left out. Other
    arguments as of `checker.check.check`.
    """
    bare = configuration if keep else replace(configuration, constraints=())
    questions = [
        RepairsOf(bare, instruction, operands, theorem == 3)
        for instruction in isa.instructions
        for operands in operand_sets(isa, instruction)
    ]
    (answers,) = inquire(
        [Inquiry(isa, questions)], jobs=jobs, timeout=timeout, cache=cache, progress=progress
    )
    rows = [answer for answer in answers.results if isinstance(answer, Repairs)]
    escaping = tuple(row for row in rows if row.escapes is not Answer.NO)
    fixed = cheapest(escaping)
    if fixed is None:
        return Constrained(bare, theorem, escaping, None, None, tuple(answers.defects))
    elements = {e.name: e for e in isa.elements}
    found = tuple(constraint(elements[name], value) for name, value in fixed)
    chosen = replace(bare, constraints=(*bare.constraints, *found))
    asked = Asked(replace(isa, configurations=(chosen,), claims=(), literature=()))
    (report,) = check_all([asked], jobs=jobs, timeout=timeout, cache=cache, progress=progress)
    return Constrained(chosen, theorem, escaping, fixed, report, tuple(answers.defects))


def cheapest(rows: Sequence[Repairs]) -> tuple[Fixed, ...] | None:
    """The fewest elements, each fixed to one value, among which each row finds one of its ways."""
    waiting = sorted((row for row in rows), key=lambda row: len(row.ways))
    if any(not row.ways for row in waiting):
        return None
    best: set[Fixed] | None = None
    looked = 0

    def go(place: int, chosen: set[Fixed]) -> None:
        nonlocal best, looked
        looked += 1
        if looked > MOST_CHOICES or (best is not None and len(chosen) >= len(best)):
            return
        while place < len(waiting) and _settled(waiting[place], chosen):
            place += 1
        if place == len(waiting):
            best = chosen
            return
        for way in waiting[place].ways:
            together = chosen | set(way)
            if len({name for name, _ in together}) == len(together):
                go(place + 1, together)

    go(0, set())
    return None if best is None else tuple(sorted(best))


def _settled(row: Repairs, chosen: set[Fixed]) -> bool:
    return any(set(way) <= chosen for way in row.ways)
