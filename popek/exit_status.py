"""What the exit status of `popek` says."""

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
