"""The workers' side of a proof: the only code of it that loads the solver."""

from collections.abc import Callable

from checker.discharge import discharge
from checker.proof import Discharged
from checker.proving import Proving


def answer(
    context: Proving, place: int, skip: frozenset[str], announce: Callable[[str], None]
) -> tuple[Discharged, ...]:
    """What `checker.schedule` calls for each task."""
    return discharge(
        context.hosted,
        context.statements[place],
        timeout_ms=context.timeout_ms,
        skip=skip,
        announce=announce,
    )
