"""What the exit status of `popek` says."""

from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """The same for every verb; `docs/command-line.md` says what each verb asks."""

    HOLDS = 0  # everything asked for holds
    REFUTED = 1  # something asked for does not hold
    BAD_INPUT = 2  # the description, the program or the command line is at fault
    UNDECIDED = 3  # a question has no answer (time-out, solver gave up, step bound reached)
    INTERNAL_ERROR = 70  # popek itself is at fault
    INTERRUPTED = 130  # Ctrl-C
    CLOSED_PIPE = 141  # who read the output stopped reading


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """One status for several descriptions: a failure outweighs what is undecided."""
    found = set(statuses)
    return next((status for status in _WORST_FIRST if status in found), ExitStatus.HOLDS)


_WORST_FIRST = (
    ExitStatus.INTERRUPTED,
    ExitStatus.INTERNAL_ERROR,
    ExitStatus.BAD_INPUT,
    ExitStatus.REFUTED,
    ExitStatus.UNDECIDED,
    ExitStatus.HOLDS,
)
