"""What is found out about a monitor's obligations, as plain data."""

from dataclasses import dataclass
from enum import Enum

from checker.answers import Answer


class Group(Enum):
    """The obligations of the formal model's section 7, and two that they rest on."""

    EMULATE = "VC-E"
    REFLECT = "VC-R"
    ASYNC = "VC-A"
    DIRECT = "VC-D"
    OWN = "VC-O"
    MAP = "VC-M"
    CONTROL = "VC-L"
    INFORMATION = "VC-T"
    DECODE = "VC-DEC"
    EFFICIENCY = "VC-X"  # what the guest may reach is reached without the monitor's help
    START = "VC-INIT"
    INVARIANT = "INV"  # the description's own invariants hold in every reachable state
    POSSIBLE = "SAT"  # the assumptions can hold: nothing is proved of nothing


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A combined state in which a statement fails, and what fails there."""

    scalars: tuple[tuple[str, int], ...]
    arrays: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    cells: tuple[tuple[int, int], ...]
    frame: tuple[tuple[str, int], ...]  # parameters and fields
    length: int  # of the instruction, in cells
    choices: tuple[int, ...]
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discharged:
    """An obligation with its answer: YES proved, NO refuted, UNKNOWN open."""

    group: Group
    name: str
    answer: Answer
    reason: str = ""
    counterexample: Counterexample | None = None
    solved: bool = False  # the solver was asked; otherwise both sides were one term
    seconds: float = 0.0  # of processor time
    direct: bool | None = None  # of a direct run: whether it can retire
