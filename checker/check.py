"""`popek check` and `popek explain`, as functions from a description to plain data.

Importing this loads no solver; with a full cache, calling it does not either.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from checker import verdicts
from checker.answers import Answer, Classification, Fact, OperandSet, Traps
from checker.claims import compare, evaluate
from checker.inquiry import Answered, Answers, Inquiry, inquire
from checker.operand_sets import operand_sets
from checker.questions import ClassesOf, FactsOf, InvariantsOf, Question
from checker.report import (
    ConfigurationReport,
    Explanation,
    InstructionReport,
    Report,
    Timing,
    Tool,
    VerdictKind,
    conjunction,
)
from checker.rows import merge
from checker.schedule import Progress
from checker.translation import StoresInView, translation
from checker.version import installed_version
from checker.written import with_writing
from spec.ir import Claim, Configuration, Instruction, InstructionClaim, Isa

JOBS = 2
TIMEOUT = 10.0  # seconds, for one obligation

EVERY_KIND = frozenset(VerdictKind)
CONSTRAINED = frozenset({VerdictKind.CONFIGURED, VerdictKind.SEMANTIC})


def check(
    isa: Isa,
    *,
    source: str = "",
    configurations: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    jobs: int = JOBS,
    timeout: float = TIMEOUT,
    cache: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Classes, verdicts and claims of a description.

    `configurations` and `only` (names of instructions) restrict what is asked: claims about the
    rest are left out, and a verdict cannot be yes if an instruction is missing. `cache` is a
    directory; None keeps nothing. On KeyboardInterrupt the workers are stopped, what was found is
    kept, and it is raised again.
    """
    asked = Asked(isa, source, configurations, only)
    (report,) = check_all([asked], jobs=jobs, timeout=timeout, cache=cache, progress=progress)
    return report


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one description; see `check`."""

    isa: Isa
    source: str = ""
    configurations: Sequence[str] | None = None
    only: Sequence[str] | None = None

    @property
    def chosen(self) -> list[Configuration]:
        names = self.configurations
        return [c for c in self.isa.configurations if names is None or c.name in names]

    @property
    def instructions(self) -> list[Instruction]:
        return [i for i in self.isa.instructions if self.only is None or i.name in self.only]

    @property
    def partial(self) -> bool:
        return len(self.instructions) < len(self.isa.instructions)


def check_all(
    everything: Sequence[Asked],
    *,
    jobs: int = JOBS,
    timeout: float = TIMEOUT,
    cache: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    smt: Path | None = None,
) -> tuple[Report, ...]:
    """`check` of several descriptions at once: no worker is idle while any has a question left.

    In the folder `smt` is left what the solver proved; what a cache knows is not proved again.
    """
    started = time.perf_counter()
    inquiries = [Inquiry(asked.isa, _questions(asked)) for asked in everything]
    found = inquire(inquiries, jobs=jobs, timeout=timeout, cache=cache, progress=progress, smt=smt)
    seconds = time.perf_counter() - started
    return tuple(
        _report(asked, inquiry.questions, answers, seconds)
        for asked, inquiry, answers in zip(everything, inquiries, found, strict=True)
    )


def _report(
    asked: Asked, questions: Sequence[Question], answers: Answers, seconds: float
) -> Report:
    isa, partial = asked.isa, asked.partial
    invariants = _invariants(questions, answers.results)
    classified = {c.name: _classifications(answers.results, c.name) for c in asked.chosen}
    known = {c.name: _cached(questions, answers, c.name) for c in asked.chosen}
    reports = tuple(
        _configuration(
            isa,
            configuration,
            classified[configuration.name],
            known[configuration.name],
            _facts(questions, answers.results, configuration.name),
            invariants,
            partial,
        )
        for configuration in asked.chosen
    )
    claims = tuple(claim for claim in isa.claims if _is_about(asked, claim))
    literature = tuple(said for said in isa.literature if _is_about(asked, said.claim))
    every = [c for group in classified.values() for c in group]
    return Report(
        isa=isa.name,
        title=isa.title,
        source=asked.source,
        sources=isa.sources,
        tool=Tool(
            popek=installed_version("popek"),
            z3=installed_version("z3_solver"),
            python=".".join(str(part) for part in sys.version_info[:3]),
        ),
        configurations=reports,
        claims=evaluate(replace(isa, claims=claims), reports, classified),
        literature=compare(replace(isa, literature=literature), reports, classified),
        facts=invariants,
        defects=tuple(answers.defects),
        notes=(*answers.notes, *_left_out(isa, claims)),
        description_notes=isa.notes,
        timing=Timing(
            seconds=seconds,
            solver_seconds=sum(c.solver_seconds for c in every),
            solver_calls=sum(c.solver_calls for c in every),
            classified=len(every),
            cached=sum(len(group) for group in known.values()),
        ),
    )


def explain_data(
    isa: Isa,
    instruction: str,
    *,
    configurations: Sequence[str] | None = None,
    jobs: int = JOBS,
    timeout: float = TIMEOUT,
    cache: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Explanation, ...]:
    """All that is known of one instruction, for each configuration; nothing for other names."""
    report = check(
        isa,
        configurations=configurations,
        only=[instruction],
        jobs=jobs,
        timeout=timeout,
        cache=cache,
        progress=progress,
    )
    return tuple(
        Explanation(found.name, found.doc, found.page, configuration)
        for found in isa.instructions
        if found.name == instruction
        for configuration in report.configurations
    )


# --------------------------------------------------------------------------- questions


def _questions(asked: Asked) -> list[Question]:
    questions: list[Question] = []
    if not asked.partial:
        questions += [FactsOf(configuration) for configuration in asked.chosen]
        questions.append(InvariantsOf(None))
        questions += [InvariantsOf(instruction) for instruction in asked.instructions]
    questions += [
        ClassesOf(configuration, instruction, operands)
        for instruction in asked.instructions
        for operands in operand_sets(asked.isa, instruction)
        for configuration in asked.chosen
    ]
    return questions


def _classifications(results: Sequence[Answered], configuration: str) -> list[Classification]:
    return [
        result
        for result in results
        if isinstance(result, Classification) and result.configuration == configuration
    ]


def _facts(
    questions: Sequence[Question], results: Sequence[Answered], configuration: str
) -> tuple[Fact, ...]:
    return tuple(
        fact
        for question, result in zip(questions, results, strict=True)
        if isinstance(question, FactsOf) and question.configuration.name == configuration
        if isinstance(result, tuple)
        for fact in result
    )


def _invariants(questions: Sequence[Question], results: Sequence[Answered]) -> tuple[Fact, ...]:
    """One fact for each invariant: whether reset and everything that runs keep it."""
    found: dict[str, list[Fact]] = {}
    for question, result in zip(questions, results, strict=True):
        if isinstance(question, InvariantsOf) and isinstance(result, tuple):
            for fact in result:
                found.setdefault(fact.question, []).append(fact)
    return tuple(_together(text, facts) for text, facts in found.items())


def _together(question: str, facts: Sequence[Fact]) -> Fact:
    answer = conjunction(fact.answer for fact in facts)
    reasons = dict.fromkeys(f.reason for f in facts if f.answer is answer and f.reason)
    return Fact(question, answer, "; ".join(reasons))


def _cached(
    questions: Sequence[Question], answers: Answers, configuration: str
) -> frozenset[tuple[str, OperandSet]]:
    return frozenset(
        (question.instruction.name, question.operands)
        for place in answers.cached
        if isinstance(question := questions[place], ClassesOf)
        and question.configuration.name == configuration
    )


# --------------------------------------------------------------------------- configurations


def _configuration(
    isa: Isa,
    configuration: Configuration,
    classifications: Sequence[Classification],
    cached: frozenset[tuple[str, OperandSet]],
    facts: Sequence[Fact],
    invariants: Sequence[Fact],
    partial: bool,
) -> ConfigurationReport:
    rows = _documented(isa, merge(classifications, cached))
    unsatisfied = [f for f in facts if f.question != "efficient" and f.answer is not Answer.YES]
    vacuity = tuple(f"{f.question}: {f.answer.value}" for f in unsatisfied)
    open_questions = [(CONSTRAINED, text) for text in vacuity]
    open_questions += [
        (EVERY_KIND, f"{f.question} does not hold in every reachable state")
        for f in invariants
        if f.answer is Answer.NO
    ]
    if partial:
        open_questions.append((EVERY_KIND, "not all instructions were checked"))
    found = verdicts.verdicts(rows, open_questions)
    defects = tuple(f"{_label(c)}: {text}" for c in classifications for text in c.defects)
    return ConfigurationReport(
        name=configuration.name,
        modes=configuration.modes,
        constraints=tuple(text for text, _ in configuration.constraints),
        shadowed=configuration.shadowed,
        mirrored=configuration.mirrored,
        passed=configuration.passed,
        assumptions=_assumptions(isa, configuration, invariants),
        verdicts=found,
        efficient=_efficient(facts, rows, partial),
        instructions=rows,
        escapes=verdicts.escapes(rows),
        letter_counterexamples=verdicts.letter_counterexamples(rows),
        letter_misses=verdicts.letter_misses(rows, found),
        facts=tuple(f for f in facts if f.question != "efficient"),
        vacuity=vacuity,
        defects=(*defects, *verdicts.inconsistencies(rows, found)),
        notes=_notes(rows),
        partial=partial,
    )


def _documented(isa: Isa, rows: Sequence[InstructionReport]) -> tuple[InstructionReport, ...]:
    """With what the description says of each instruction, and witnesses as one writes them."""
    instructions = {i.name: i for i in isa.instructions}
    documented = []
    for row in rows:
        found = instructions[row.instruction]
        documented.append(replace(with_writing(isa, found, row), doc=found.doc, page=found.page))
    return tuple(documented)


def _label(classification: Classification) -> str:
    operands = classification.operands.text
    return f"{classification.instruction}[{operands}]" if operands else classification.instruction


def _efficient(facts: Sequence[Fact], rows: Sequence[InstructionReport], partial: bool) -> Fact:
    """Whether what is innocuous can run directly (formal model, section 4).

    PG74 gives every privileged instruction an interpreter routine, so those do not count; nor do
    those that the constraints make so.
    """
    stuck = [
        row.label
        for row in _always_trapping(rows)
        if row.privileged is Answer.NO and not row.refused
    ]
    if stuck:
        names = verdicts.listing(stuck)
        return Fact("efficient", Answer.NO, f"innocuous, but always a trap: {names}")
    for fact in facts:
        if fact.question == "efficient":
            return fact
    reason = "not all instructions were checked" if partial else "it was not asked"
    return Fact("efficient", Answer.UNKNOWN, reason)


def _always_trapping(rows: Sequence[InstructionReport]) -> list[InstructionReport]:
    """Innocuous rows that run in the top mode and never do in the real one."""
    return [
        row
        for row in rows
        if row.innocuous is Answer.YES
        and row.traps is Traps.ALWAYS
        and row.traps_in_top is Traps.NEVER
    ]


def _notes(rows: Sequence[InstructionReport]) -> tuple[str, ...]:
    names = [
        row.label for row in _always_trapping(rows) if row.privileged is Answer.YES or row.refused
    ]
    if not names:
        return ()
    return (f"privileged although innocuous, so interpreted: {verdicts.listing(names)}",)


def _assumptions(
    isa: Isa, configuration: Configuration, invariants: Sequence[Fact]
) -> tuple[str, ...]:
    """What the verdicts rest on and do not prove themselves."""
    proved = {Answer.YES: "proved", Answer.NO: "refuted", Answer.UNKNOWN: "not proved"}
    lines = [f"{f.question}: in every reachable state ({proved[f.answer]})" for f in invariants]
    if not invariants:
        lines += [
            f"invariant {text}: in every reachable state (not asked)" for text, _ in isa.invariants
        ]
    lines += [f"the VMM keeps {text} on the real machine" for text, _ in configuration.constraints]
    if configuration.linked is not None:
        text, _ = configuration.linked
        lines.append(f"efficiency: the guest is linked to addresses where {text}")
    lines += [
        *_apart(isa),
        "the VMM keeps the guest's view mapped as its virtual machine sees it",
        "Theorem 2: the VMM consults no clock",
    ]
    return tuple(lines)


def _apart(isa: Isa) -> Iterator[str]:
    stores = StoresInView(isa)
    if translation(isa).reads_memory and any(stores.goes_on(i.body) for i in isa.instructions):
        yield (
            "no instruction stores into a table that translates what it reaches afterwards"
            " (translations may be buffered)"
        )


# --------------------------------------------------------------------------- claims


def _is_about(asked: Asked, claim: Claim) -> bool:
    """Whether the user asked for what the claim is about; names that do not exist are kept."""
    name, only = claim.configuration, asked.only
    if asked.configurations is not None and name is not None and name not in asked.configurations:
        return False
    if isinstance(claim, InstructionClaim):
        return only is None or claim.instruction in only
    return not asked.partial


def _left_out(isa: Isa, claims: Sequence[Claim]) -> tuple[str, ...]:
    missing = len(isa.claims) - len(claims)
    return (f"{missing} claims are about what was not asked for",) if missing else ()
