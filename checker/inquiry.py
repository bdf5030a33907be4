"""Asking questions: from the cache where the answer is known, else from the workers."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, TypeVar, assert_never

from checker.answers import (
    Answer,
    Classification,
    Components,
    Fact,
    Repairs,
    Traps,
    Undecided,
)
from checker.cache import Cache
from checker.exporting import WRITING
from checker.meaning import Meanings
from checker.questions import ClassesOf, FactsOf, InvariantsOf, Posed, Question, RepairsOf, Setting
from checker.schedule import TIME_OUT, Done, Failed, Progress, Task, run
from spec.ir import Isa, Role

WORK = "checker.work:answer"

SLACK = 5.0
"""Seconds that a worker has beside twice the solver's limit until it is killed.

It also folds, replays and lessens witnesses, perhaps on a busy machine.
"""

Answered: TypeAlias = Classification | Repairs | tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Questions about one description."""

    isa: Isa
    questions: Sequence[Question]


@dataclass(slots=True)
class Answers:
    """One answer for each question, in their order, and how they were come by."""

    results: list[Answered]
    cached: set[int] = field(default_factory=set)  # places of answers that were known
    defects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inquire(
    inquiries: Sequence[Inquiry],
    *,
    jobs: int,
    timeout: float,
    cache: Path | None,
    progress: Callable[[Progress], None] | None = None,
    smt: Path | None = None,
) -> list[Answers]:
    """Answers to all questions of each inquiry; `timeout` is in seconds and for one obligation.
    In the folder `smt` is left what the solver proved on the way (`checker.exporting`).

    The same workers serve all inquiries. What is found is kept at once, so an interrupted run
    has lost nothing but what was under way.
    """
    found = [Answers([() for _ in inquiry.questions]) for inquiry in inquiries]
    store = Cache(cache)
    try:
        keys = [_keys(inquiry.isa, inquiry.questions) for inquiry in inquiries]
        known = store.get([key for group in keys for key in group])
        unknown: list[tuple[int, int]] = []  # places of an inquiry, and of a question in it
        tasks = []
        for number, inquiry in enumerate(inquiries):
            for place, question in enumerate(inquiry.questions):
                key = keys[number][place]
                if key in known:
                    found[number].results[place] = _named(question, known[key])
                    found[number].cached.add(place)
                else:
                    unknown.append((number, place))
                    tasks.append(_task(number, question))
        kept = None if smt is None else str(smt.absolute())
        setting = Setting(tuple(i.isa for i in inquiries), round(timeout * 1000), kept)
        limit = (2 * timeout + SLACK) * (1 if smt is None else WRITING)
        with closing(
            run(WORK, setting, tasks, jobs=jobs, limit=limit, progress=progress)
        ) as results:
            for result in results:
                number, place = unknown[result.index]
                question = inquiries[number].questions[place]
                answer, defect = _answer(inquiries[number].isa, question, result)
                found[number].results[place] = answer
                found[number].defects += defect
                if not defect and _lasting(result, answer):
                    store.put(keys[number][place], answer)
    finally:
        store.close()
        for answers in found:
            answers.notes += store.notes
    for inquiry, answers in zip(inquiries, found, strict=True):
        answers.results = _in_order(inquiry.isa, answers.results)
    return found


def _keys(isa: Isa, questions: Sequence[Question]) -> list[str]:
    meanings = Meanings(isa)
    keys = []
    for question in questions:
        match question:
            case ClassesOf(configuration, instruction, operands):
                keys.append(meanings.classification(configuration, instruction, operands))
            case RepairsOf(configuration, instruction, operands, hybrid):
                keys.append(meanings.repairs(configuration, instruction, operands, hybrid))
            case FactsOf(configuration):
                keys.append(meanings.facts(configuration))
            case InvariantsOf(instruction):
                keys.append(meanings.invariants(instruction))
            case _:
                assert_never(question)
    return keys


def _task(isa: int, question: Question) -> Task:
    posed = Posed(isa, question)
    match question:
        case ClassesOf(_, instruction, operands) | RepairsOf(_, instruction, operands):
            return Task(question.name, posed, (isa, instruction.name, operands))
        case FactsOf() | InvariantsOf():
            return Task(question.name, posed)
        case _:
            assert_never(question)


def _named(question: Question, answer: Answered) -> Answered:
    """The answer as one under this question's configuration, whatever that was called before."""
    if isinstance(question, ClassesOf) and isinstance(answer, Classification):
        return replace(answer, configuration=question.configuration.name)
    return answer


def _answer(isa: Isa, question: Question, result: Done | Failed) -> tuple[Answered, list[str]]:
    """What a worker's result says, and the defects that it shows."""
    match result:
        case Done(_, answer, stopped):
            if isinstance(answer, Classification):
                return _with_reasons(answer, dict(stopped)), []
            if isinstance(answer, Repairs):
                return _with_reasons(answer, dict(stopped)), []
            return answer, []
        case Failed(_, reason, detail):
            where = detail.strip().splitlines()[-3:-1] if detail else []
            place = " ".join(line.strip() for line in where)
            return _unanswered(isa, question, reason), [
                f"{question.name}: {reason} {place}".strip()
            ]
        case _:
            assert_never(result)


_Open = TypeVar("_Open", Classification, Repairs)


def _with_reasons(answer: _Open, stopped: dict[str, str]) -> _Open:
    """With the parent's reasons for the questions that it stopped."""
    undecided = tuple(
        replace(u, reason=stopped.get(u.obligation, u.reason)) for u in answer.undecided
    )
    return replace(answer, undecided=undecided)


def _lasting(result: Done | Failed, answer: Answered) -> bool:
    """Whether the answer would be the same with more time."""
    if isinstance(result, Failed) or result.stopped:
        return False
    if isinstance(answer, Classification | Repairs):
        return not any(u.reason.startswith(TIME_OUT) for u in answer.undecided)
    return all(f.answer is not Answer.UNKNOWN for f in answer)


def _unanswered(isa: Isa, question: Question, reason: str) -> Answered:
    match question:
        case ClassesOf(configuration, instruction, operands):
            anything = Components(undecided=_components(isa))
            unknown = Answer.UNKNOWN
            return Classification(
                instruction=instruction.name,
                operands=operands,
                configuration=configuration.name,
                traps=Traps.UNKNOWN,
                privileged=unknown,
                control_sensitive=anything,
                behaviour_sensitive=anything,
                result_sensitive=anything,
                trap_sensitive=anything,
                user_sensitive=unknown,
                supervisor_sensitive=unknown,
                user_mode_noop=unknown,
                escape=unknown,
                hybrid_escape=unknown,
                semantic_violation=unknown,
                hybrid_semantic_violation=unknown,
                undecided=(Undecided(question.name, reason),),
            )
        case RepairsOf(_, instruction, operands):
            open_ = Undecided(question.name, reason)
            return Repairs(instruction.name, operands, Answer.UNKNOWN, undecided=(open_,))
        case FactsOf():
            return (
                Fact("efficient", Answer.UNKNOWN, reason),
                Fact("constraints are satisfiable", Answer.UNKNOWN, reason),
            )
        case InvariantsOf():
            return (Fact("invariants", Answer.UNKNOWN, reason),)
        case _:
            assert_never(question)


def _in_order(isa: Isa, results: Sequence[Answered]) -> list[Answered]:
    """With components as they are declared: the order in which they were found means nothing."""
    place = {name: number for number, name in enumerate(_components(isa))}

    def rank(joint: str) -> tuple[int, list[int]]:
        parts = joint.split("+")
        return len(parts), [place.get(part, len(place)) for part in parts]

    def ordered(found: Components) -> Components:
        if len(found.names) + len(found.undecided) < 2:
            return found
        names, undecided = (sorted(s, key=rank) for s in (found.names, found.undecided))
        return Components(tuple(names), tuple(undecided))

    return [
        replace(
            result,
            control_sensitive=ordered(result.control_sensitive),
            behaviour_sensitive=ordered(result.behaviour_sensitive),
            result_sensitive=ordered(result.result_sensitive),
            trap_sensitive=ordered(result.trap_sensitive),
        )
        if isinstance(result, Classification)
        else result
        for result in results
    ]


def _components(isa: Isa) -> tuple[str, ...]:
    roles = (Role.CONTROL, Role.TIME, Role.DEVICE)
    return ("mode", "location", "memory", *(e.name for e in isa.elements if e.role in roles))
