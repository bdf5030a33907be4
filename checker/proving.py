"""All obligations of a monitor: from the cache where the answer is known, else from the workers."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from checker import answers, proof
from checker.answers import Answer
from checker.cache import Cache
from checker.exporting import WRITING
from checker.meaning import Meanings
from checker.proof import Discharged, Group
from checker.schedule import TIME_OUT, Done, Failed, Progress, Task, run
from checker.statements import Hosted, Kept, Settled, Simulation, Statement
from checker.version import digest, version
from spec.ir import Isa, Operand

WORK = "checker.proving_work:answer"
SLACK = 5.0

_FUNCTION = re.compile(r"function='([^']+)'")


@dataclass(frozen=True, slots=True, eq=False)
class Proving:
    """What all workers know; tasks are the places of statements."""

    hosted: Hosted
    statements: tuple[Statement, ...]
    timeout_ms: int
    smt: str | None = None  # a folder for what the answers rest on; see `checker.exporting`


@dataclass(slots=True)
class Proofs:
    """For each statement what was found, in their order."""

    results: list[tuple[Discharged, ...]]
    cached: int = 0
    defects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prove(
    hosted: Hosted,
    statements: Sequence[Statement],
    *,
    jobs: int,
    timeout: float,
    cache: Path | None,
    progress: Callable[[Progress], None] | None = None,
    enough: Callable[[Statement, tuple[Discharged, ...]], bool] = lambda statement, answers: False,
    smt: Path | None = None,
) -> Proofs:
    """Discharge all statements; `timeout` is in seconds, for each question to the solver.
    In the folder `smt` is left what the answers rest on (`checker.exporting`).

    Every answer is kept as soon as it is found: whoever interrupts this loses only what is under
    way. After an answer that is `enough` no more are sought; what was not answered is empty.
    """
    found = Proofs([() for _ in statements])
    store = Cache(cache, (answers, proof))
    try:
        keys = meanings(hosted, statements)
        known = store.get(keys)
        unknown = []
        for place, key in enumerate(keys):
            if key in known:
                found.results[place] = known[key]
                found.cached += 1
                if enough(statements[place], known[key]):
                    return found
            else:
                unknown.append(place)
        kept = None if smt is None else str(smt.absolute())
        context = Proving(hosted, tuple(statements), round(timeout * 1000), kept)
        tasks = [Task(label(statements[place]), place) for place in unknown]
        limit = (2 * timeout + SLACK) * (1 if smt is None else WRITING)
        with closing(
            run(WORK, context, tasks, jobs=jobs, limit=limit, progress=progress)
        ) as results:
            for result in results:
                place = unknown[result.index]
                found.results[place] = _answered(statements[place], result, found.defects)
                if isinstance(result, Done) and _lasting(result, found.results[place]):
                    store.put(keys[place], found.results[place])
                if enough(statements[place], found.results[place]):
                    return found
    finally:
        store.close()
        found.notes += store.notes
    return found


def meanings(hosted: Hosted, statements: Iterable[Statement]) -> list[str]:
    """For each statement a hash of all that its answer depends on: where alike, so is the answer."""
    return list(_Keys(hosted).of(statements))


def label(statement: Statement) -> str:
    return f"{statement.group.value}/{statement.name}"


def _answered(
    statement: Statement, result: Done | Failed, defects: list[str]
) -> tuple[Discharged, ...]:
    if isinstance(result, Done):
        answered: tuple[Discharged, ...] = result.result
        reasons = dict(result.stopped)
        return tuple(
            replace(d, reason=reasons.get(d.name, d.reason)) if d.answer is Answer.UNKNOWN else d
            for d in answered
        )
    defects.append(f"{label(statement)}: {result.reason} {result.detail[-300:]}".strip())
    return tuple(
        Discharged(group, statement.name, Answer.UNKNOWN, result.reason)
        for group in groups(statement)
    )


def groups(statement: Statement) -> tuple[Group, ...]:
    """The obligations that a statement carries."""
    if isinstance(statement, Simulation) and statement.owner is not None:
        return statement.group, statement.owner
    return (statement.group,)


def _lasting(result: Done, answered: tuple[Discharged, ...]) -> bool:
    """Whether the answer would be the same with more time."""
    return not result.stopped and not any(
        d.answer is Answer.UNKNOWN and d.reason.startswith((TIME_OUT, "canceled", "timeout"))
        for d in answered
    )


class _Keys:
    """Hashes of everything that an answer depends on, and of little else."""

    def __init__(self, hosted: Hosted) -> None:
        self._hosted = hosted
        self._functions = [
            {f.name: repr(f) for f in isa.functions}
            for isa in (hosted.bare, hosted.real, hosted.monitor)
        ]
        self._instructions = {i.name: i for i in hosted.bare.instructions}
        operands = repr([_plain(operand) for operand in hosted.bare.operands])
        self._machine = digest(version(), operands, *map(_machine, _isas(hosted)))
        self._common = digest(
            repr(sorted(hosted.homes.items())),
            repr((hosted.real_modes, hosted.tables, hosted.fill, hosted.page)),
        )
        self._invariants = Meanings(hosted.bare)

    def of(self, statements: Iterable[Statement]) -> Iterable[str]:
        for statement in statements:
            match statement:
                case Settled():
                    yield digest(version(), repr(statement))
                case Kept(_, name):
                    found = self._instructions[name] if name is not None else None
                    yield digest("kept", statement.name, self._invariants.invariants(found))
                case _:
                    yield self._key(statement)

    def _key(self, statement: Statement) -> str:
        text = repr({f.name: getattr(statement, f.name) for f in fields(statement)})
        encoded = ""
        if isinstance(statement, Simulation) and statement.instruction is not None:
            found = self._instructions[statement.instruction]
            encoded = repr((found.parameters, found.encoding, found.fields, found.constraint))
        kind = type(statement).__name__
        return digest(self._machine, self._common, kind, text, encoded, self._called(text))

    def _called(self, text: str) -> str:
        """The texts of the functions that are called, directly or by others."""
        starts = [isa.translate for isa in _isas(self._hosted)]
        parts = []
        for functions, start in zip(self._functions, starts, strict=True):
            reached: set[str] = set()
            waiting = [start, *_FUNCTION.findall(text)]
            while waiting:
                name = waiting.pop()
                if name not in reached and name in functions:
                    reached.add(name)
                    waiting += _FUNCTION.findall(functions[name])
            parts.append(digest(*(functions[name] for name in sorted(reached))))
        return digest(*parts)


def _isas(hosted: Hosted) -> tuple[Isa, Isa, Isa]:
    return hosted.bare, hosted.real, hosted.monitor


def _machine(isa: Isa) -> str:
    elements = [replace(e, doc="", reset=0) for e in isa.elements]
    invariants = [expr for _, expr in isa.invariants]
    return repr(
        (elements, isa.banks, isa.mode, isa.pc, isa.memory, isa.fetch, isa.translate, invariants)
    )


def _plain(operand: Operand) -> Operand:
    forms = tuple(replace(form, assembly="") for form in operand.alternatives)
    return replace(operand, alternatives=forms)
