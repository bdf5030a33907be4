"""From the classes of all instructions to the verdicts on a configuration (formal model, section 4).

Pure functions of rows. A theorem's condition is a "for all": one definite violation makes it no,
else one undecided row makes it unknown, else it is yes. The theorems are sufficient conditions.
"""

from collections.abc import Callable, Iterable, Sequence

from checker.answers import Answer, Witness
from checker.report import (
    Escape,
    InstructionReport,
    LetterCounterexample,
    Reason,
    Verdict,
    VerdictKind,
)

THEOREMS = (1, 2, 3)

Row = InstructionReport


def violation(row: Row, kind: VerdictKind, theorem: int) -> Answer:
    """Whether the row breaks the theorem's condition. Theorem 2's is Theorem 1's.

    PG74, Theorem 2 asks besides for a VMM without timing dependency: an assumption of the report.
    """
    hybrid = theorem == 3
    match kind:
        case VerdictKind.LETTER:
            return (row.user_sensitive if hybrid else row.sensitive) & ~row.privileged
        case VerdictKind.CONFIGURED:
            return row.hybrid_escape if hybrid else row.escape
        case VerdictKind.SEMANTIC:
            return row.hybrid_semantic_violation if hybrid else row.semantic_violation


def verdicts(
    rows: Sequence[Row], open_questions: Sequence[tuple[frozenset[VerdictKind], str]] = ()
) -> tuple[Verdict, ...]:
    """Every kind with every theorem.

    `open_questions` are sentences that forbid a yes of some kinds (instructions left out, a
    constraint that no state satisfies): without a violation the answer is then unknown.
    """
    return tuple(
        _verdict(rows, kind, theorem, [text for kinds, text in open_questions if kind in kinds])
        for kind in VerdictKind
        for theorem in THEOREMS
    )


def _verdict(rows: Sequence[Row], kind: VerdictKind, theorem: int, open_: list[str]) -> Verdict:
    answers = [(row, violation(row, kind, theorem)) for row in rows]
    violated = [row for row, answer in answers if answer is Answer.YES]
    if violated:
        reasons = tuple(_reason(row, why_violated(row, kind, theorem)) for row in violated)
        return Verdict(kind, theorem, Answer.NO, reasons)
    undecided = tuple(
        _reason(row, _why_undecided(row)) for row, answer in answers if answer is Answer.UNKNOWN
    )
    undecided += tuple(Reason("", "", text) for text in open_)
    if undecided:
        return Verdict(kind, theorem, Answer.UNKNOWN, undecided)
    return Verdict(kind, theorem, Answer.YES)


def escapes(rows: Sequence[Row]) -> tuple[Escape, ...]:
    """The rows with an escape, in order."""
    return tuple(
        Escape(
            instruction=row.instruction,
            operands=row.operands,
            reason=why_violated(row, VerdictKind.CONFIGURED, 1),
            witnesses=_witnesses(row, "escape", "hybrid_escape", "semantic_violation"),
            semantic=row.semantic_violation,
            hybrid=row.hybrid_escape,
        )
        for row in rows
        if row.escape is Answer.YES
    )


def letter_counterexamples(rows: Sequence[Row]) -> tuple[LetterCounterexample, ...]:
    """The sensitive rows that are not privileged, in order."""
    return tuple(
        LetterCounterexample(
            instruction=row.instruction,
            operands=row.operands,
            reason=why_violated(row, VerdictKind.LETTER, 1),
            witnesses=_witnesses(row, "control_sensitive", "behaviour_sensitive", "not_privileged"),
            theorem3=violation(row, VerdictKind.LETTER, 3),
        )
        for row in rows
        if violation(row, VerdictKind.LETTER, 1) is Answer.YES
    )


def letter_misses(rows: Sequence[Row], found: Sequence[Verdict]) -> tuple[Reason, ...]:
    """What escapes although PG74's condition holds: where letter is yes and configured is no."""
    answer = {(v.kind, v.theorem): v.answer for v in found}
    theorems = [
        theorem
        for theorem in (1, 3)
        if answer[VerdictKind.LETTER, theorem] is Answer.YES
        and answer[VerdictKind.CONFIGURED, theorem] is Answer.NO
    ]
    return tuple(
        _reason(row, _why_missed(row))
        for row in rows
        if any(violation(row, VerdictKind.CONFIGURED, t) is Answer.YES for t in theorems)
    )


def inconsistencies(rows: Sequence[Row], found: Sequence[Verdict]) -> tuple[str, ...]:
    """Answers that contradict a theorem about the definitions: each is a defect of the checker."""
    broken = []
    for row in rows:
        for stronger, weaker, text in _IMPLICATIONS:
            if stronger(row) is Answer.YES and weaker(row) is Answer.NO:
                broken.append(f"{row.label}: {text}")
    answer = {(v.kind, v.theorem): v.answer for v in found}
    insensitive = all(row.trap_sensitive.answer is Answer.NO for row in rows)
    if answer[VerdictKind.LETTER, 1] is Answer.YES and insensitive:
        broken += [
            f"{row.label}: the letter verdict is yes and nothing is trap-sensitive, "
            "but direct execution is no homomorphism"
            for row in rows
            if row.semantic_violation is Answer.YES and not _needs_memory_trap(row)
        ]
    return tuple(broken)


_IMPLICATIONS: tuple[tuple[Callable[[Row], Answer], Callable[[Row], Answer], str], ...] = (
    (
        lambda row: row.semantic_violation,
        lambda row: row.escape,
        "a semantic violation that is no escape",
    ),
    (
        lambda row: row.hybrid_semantic_violation,
        lambda row: row.hybrid_escape,
        "a hybrid semantic violation that is no hybrid escape",
    ),
    (
        lambda row: row.hybrid_escape & ~_changes_mode(row),
        lambda row: row.escape,
        "a hybrid escape that is no escape",
    ),
    (
        lambda row: row.hybrid_semantic_violation & ~_changes_mode(row),
        lambda row: row.semantic_violation,
        "a hybrid semantic violation that is no semantic violation",
    ),
    (
        lambda row: row.user_sensitive | row.supervisor_sensitive,
        lambda row: row.sensitive,
        "user or supervisor sensitive but not sensitive",
    ),
    (
        lambda row: row.behaviour_sensitive.answer,
        lambda row: row.result_sensitive.answer,
        "behaviour sensitive but not result sensitive",
    ),
)


def _changes_mode(row: Row) -> Answer:
    """Where a mode map tells the virtual mode, a change of mode escapes a hybrid monitor alone."""
    return Answer.of("mode" in row.control_sensitive.names)


def _needs_memory_trap(row: Row) -> bool:
    """Whether the violation is that the virtual machine takes a memory trap.

    PG74 leaves memory traps out of the definitions, so the letter verdict cannot exclude it.
    """
    shown = _witnesses(row, "semantic_violation")
    return any(run.trap_class == "memory" for w in shown for run in w.runs[1:])


# --------------------------------------------------------------------------- sentences


def why_violated(row: Row, kind: VerdictKind, theorem: int) -> str:
    """One sentence, without the instruction's name: why the row breaks the theorem's condition."""
    if kind is VerdictKind.LETTER:
        return f"{_sensitivity(row, theorem)}, but not privileged"
    hybrid = "hybrid_" if theorem == 3 else ""
    name = "escape" if kind is VerdictKind.CONFIGURED else "semantic_violation"
    shown = _witnesses(row, hybrid + name) or _witnesses(row, name)
    return how(shown[0]) if shown else "retires where the virtual machine would not do the same"


def _sensitivity(row: Row, theorem: int) -> str:
    parts = []
    if row.control_sensitive.names:
        parts.append(f"control-sensitive on {listing(row.control_sensitive.names)}")
    if row.behaviour_sensitive.names:
        parts.append(f"behaviour-sensitive on {listing(row.behaviour_sensitive.names)}")
    return ("user-sensitive: " if theorem == 3 else "") + " and ".join(parts)


def how(witness: Witness) -> str:
    """What the witness of an escape or violation shows, without the instruction's name."""
    real, *others = witness.runs
    there = others[0] if others else real
    changed = listing(witness.differs or witness.components)
    match witness.clause:
        case "control":
            return f"retires in {real.mode} and changes {changed}"
        case "virtual control":
            return f"retires in {real.mode}, but in {there.mode} it changes {changed}"
        case "behaviour":
            causes = listing(witness.components)
            return f"retires in {real.mode} with a result that depends on {causes}"
        case "trap":
            return (
                f"retires in {real.mode}, where the virtual machine in {there.mode} traps: "
                f"{there.cause or there.trap_class}"
            )
        case _:
            return f"retires in {real.mode}, unlike the virtual machine in {there.mode}"


def _why_missed(row: Row) -> str:
    shown = _witnesses(row, "escape", "hybrid_escape")
    if any(run.trap_class == "memory" for w in shown for run in w.runs):
        why = "PG74's definitions leave memory traps out of account"
    elif row.trap_sensitive.names:
        names = listing(row.trap_sensitive.names)
        why = f"trap-sensitive on {names}, which PG74 does not ask for"
    elif row.privileged is Answer.YES:
        why = "privileged, but the configuration lets it retire"
    else:
        why = "innocuous by the letter"
    return f"{why_violated(row, VerdictKind.CONFIGURED, 1)} ({why})"


def _why_undecided(row: Row) -> str:
    texts = dict.fromkeys(f"{u.obligation}: {u.reason}" for u in row.undecided)
    return "undecided" + (f" ({'; '.join(texts)})" if texts else "")


def _witnesses(row: Row, *properties: str) -> tuple[Witness, ...]:
    """Those of the row with one of the properties, in the properties' order."""
    return tuple(w for name in properties for w in row.witnesses if w.property == name)


def _reason(row: Row, sentence: str) -> Reason:
    return Reason(row.instruction, row.operands, sentence)


def listing(names: Iterable[str]) -> str:
    """`mode`, `mode and R.l`, `mode, R.l and R.b`."""
    *most, last = dict.fromkeys(names) or ("nothing",)
    return f"{', '.join(most)} and {last}" if most else last
