"""The workers' side of a proof: the only code of it that loads the solver."""

from collections.abc import Callable

from checker.discharge import discharge
from checker.proof import Discharged
from checker.proving import Proving, label
from checker.rewriting_files import exported


def answer(
    context: Proving, place: int, skip: frozenset[str], announce: Callable[[str], None]
) -> tuple[Discharged, ...]:
    """What `checker.schedule` calls for each task."""
    statement = context.statements[place]
    question = f"{context.hosted.bare.name}: {label(statement)}"
    with exported(context.smt, question, context.hosted.real.memory):
        return discharge(
            context.hosted,
            statement,
            timeout_ms=context.timeout_ms,
            skip=skip,
            announce=announce,
        )
