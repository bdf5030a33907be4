"""What the designer believes, held against what was found.

An instruction claim is about the whole instruction, all operands included: `privileged` and
`innocuous` must hold for every operand set, the other properties for some; `not` negates that
(`claim CSRRW not privileged`: for some operand set it is not). `on a, b` asks for each of the
components. A claim that names no configuration must hold in all. A claim about what was not
found out (left out by the user, or a name that does not exist) is unknown, never a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from checker.answers import Answer, Classification, Components
from checker.report import (
    ClaimReport,
    ConfigurationReport,
    LiteratureReport,
    VerdictKind,
    conjunction,
)
from checker.verdicts import listing
from spec.ir import Claim, EscapesClaim, InstructionClaim, Isa, Role, VerdictClaim

THEOREM_OF = {"virtualizable": 1, "recursive": 2, "hybrid": 3}

Finding = tuple[Answer, str]  # whether the claim holds, and a sentence

_UNIVERSAL: Mapping[str, Callable[[Classification], Answer]] = {
    "privileged": lambda c: c.privileged,
    "innocuous": lambda c: c.innocuous,
}
_EXISTENTIAL: Mapping[str, Callable[[Classification], Answer]] = {
    "sensitive": lambda c: c.sensitive,
    "user_sensitive": lambda c: c.user_sensitive,
    "supervisor_sensitive": lambda c: c.supervisor_sensitive,
    "user_mode_noop": lambda c: c.user_mode_noop,
    "escape": lambda c: c.escape,
}
_ON_COMPONENTS: Mapping[str, Callable[[Classification], Components]] = {
    "control_sensitive": lambda c: c.control_sensitive,
    "behaviour_sensitive": lambda c: c.behaviour_sensitive,
    "result_sensitive": lambda c: c.result_sensitive,
    "trap_sensitive": lambda c: c.trap_sensitive,
}
PROPERTIES = (*_UNIVERSAL, *_EXISTENTIAL, *_ON_COMPONENTS)


def evaluate(
    isa: Isa,
    configurations: Sequence[ConfigurationReport],
    classifications: Mapping[str, Sequence[Classification]],
) -> tuple[ClaimReport, ...]:
    """Every claim of the description, in its order; `classifications` by configuration."""
    reports = {c.name: c for c in configurations}
    return tuple(
        ClaimReport(claim.text, *_finding(isa, claim, reports, classifications))
        for claim in isa.claims
    )


def compare(
    isa: Isa,
    configurations: Sequence[ConfigurationReport],
    classifications: Mapping[str, Sequence[Classification]],
) -> tuple[LiteratureReport, ...]:
    """What others have written, held against what was found, in the description's order."""
    claims = replace(isa, claims=tuple(said.claim for said in isa.literature))
    found = evaluate(claims, configurations, classifications)
    return tuple(
        LiteratureReport(said.author, claim, said.but)
        for said, claim in zip(isa.literature, found, strict=True)
    )


def _finding(
    isa: Isa,
    claim: Claim,
    reports: Mapping[str, ConfigurationReport],
    classifications: Mapping[str, Sequence[Classification]],
) -> tuple[Answer, int, str]:
    match claim:
        case InstructionClaim():
            answer, reason = _instruction_claim(isa, claim, classifications)
        case VerdictClaim():
            answer, reason = _verdict_claim(claim, reports)
        case EscapesClaim():
            answer, reason = _escapes_claim(claim, reports)
        case _:
            assert_never(claim)
    return answer, claim.line, reason


# --------------------------------------------------------------------------- instructions


def _instruction_claim(
    isa: Isa, claim: InstructionClaim, classifications: Mapping[str, Sequence[Classification]]
) -> Finding:
    if claim.property not in PROPERTIES:
        return Answer.UNKNOWN, f"there is no property `{claim.property}`"
    names = list(classifications) if claim.configuration is None else [claim.configuration]
    answers = []
    sentences: dict[Answer, list[str]] = {answer: [] for answer in Answer}
    for name in names:
        matching = [c for c in classifications.get(name, ()) if _is_about(claim, c)]
        if not matching:
            continue
        answer, sentence = _in_configuration(isa, claim, matching)
        answers.append(answer)
        sentences[answer].append(f"in {name}, {sentence}" if len(names) > 1 else sentence)
    if not answers:
        return Answer.UNKNOWN, f"`{_subject(claim)}` was not checked"
    answer = conjunction(answers)
    return answer, "; ".join(dict.fromkeys(sentences[answer]))


def _subject(claim: InstructionClaim) -> str:
    where = f" in {claim.configuration}" if claim.configuration else ""
    operands = f"[{claim.operands}]" if claim.operands else ""
    return f"{claim.instruction}{operands}{where}"


def _is_about(claim: InstructionClaim, classification: Classification) -> bool:
    members = [name for _, name, _ in classification.operands.members]
    named = claim.operands is None or claim.operands in (*members, classification.operands.text)
    return classification.instruction == claim.instruction and named


def _in_configuration(
    isa: Isa, claim: InstructionClaim, matching: Sequence[Classification]
) -> Finding:
    """Whether the claim holds in one configuration, and what was found there."""
    if claim.property in _ON_COMPONENTS:
        lists = [_ON_COMPONENTS[claim.property](c) for c in matching]
        return _on_components(isa, claim, lists)
    if claim.property in _UNIVERSAL:
        answers = [_UNIVERSAL[claim.property](c) for c in matching]
        holds = conjunction(answers)
    else:
        answers = [_EXISTENTIAL[claim.property](c) for c in matching]
        holds = ~conjunction(~answer for answer in answers)
    found = _spelled(claim.property, holds)
    decisive = [c.operands.text for c, a in zip(matching, answers, strict=True) if a is holds]
    if len(decisive) < len(matching) and decisive[0]:
        found += f" on {decisive[0]}" if len(decisive) == 1 else f" on {len(decisive)} operand sets"
    return (~holds if claim.negated else holds), found


def _spelled(name: str, answer: Answer) -> str:
    if name == "escape":
        verbs = ("it escapes", "it does not escape", "whether it escapes is undecided")
    else:
        words = "a user-mode no-op" if name == "user_mode_noop" else _hyphened(name)
        verbs = (f"it is {words}", f"it is not {words}", f"whether it is {words} is undecided")
    return dict(zip((Answer.YES, Answer.NO, Answer.UNKNOWN), verbs, strict=True))[answer]


def _on_components(isa: Isa, claim: InstructionClaim, lists: Sequence[Components]) -> Finding:
    """`on a, b`: each of them; negated: none of them. Without `on`: some component."""
    names = tuple(dict.fromkeys(name for components in lists for name in components.names))
    undecided = dict.fromkeys(name for components in lists for name in components.undecided)
    union = Components(names, tuple(name for name in undecided if name not in names))
    found = f"it is {_hyphened(claim.property)} on {listing(names)}"
    if union.undecided:
        found += f", undecided on {listing(union.undecided)}"
    if not claim.components:
        return (~union.answer if claim.negated else union.answer), found
    asked = [_sensitive_on(isa, union, name, claim.components) for name in claim.components]
    if claim.negated:
        return conjunction(~answer for answer in asked), found
    return conjunction(asked), found


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


def _sensitive_on(isa: Isa, found: Components, name: str, together: Sequence[str]) -> Answer:
    """Whether the component is among those found, alone or in a set of which all are claimed."""
    wanted = _meant(isa, name)
    claimed = frozenset().union(*(_meant(isa, other) for other in together))
    if any(_explains(joint, wanted, claimed) for joint in found.names):
        return Answer.YES
    if any(_explains(joint, wanted, claimed) for joint in found.undecided):
        return Answer.UNKNOWN
    return Answer.NO


def _explains(joint: str, wanted: frozenset[str], claimed: frozenset[str]) -> bool:
    parts = frozenset(joint.split("+"))
    return bool(parts & wanted) and parts <= claimed


def _meant(isa: Isa, name: str) -> frozenset[str]:
    """The components a claim's name stands for: itself, a struct's fields, all that tells time."""
    fields = {e.name for e in isa.elements if e.name.startswith(f"{name}.")}
    if name == "time":
        fields |= {e.name for e in isa.elements if e.role is Role.TIME}
    return frozenset(fields | {name})


# --------------------------------------------------------------------------- configurations


def _verdict_claim(claim: VerdictClaim, reports: Mapping[str, ConfigurationReport]) -> Finding:
    report = reports.get(claim.configuration)
    if report is None:
        return Answer.UNKNOWN, f"configuration `{claim.configuration}` was not checked"
    if claim.property == "efficient":
        answer = report.efficient.answer
        reason = report.efficient.reason or f"efficient: {answer.value}"
    else:
        theorem = THEOREM_OF.get(claim.property)
        kind = next((k for k in VerdictKind if k.value == claim.verdict), None)
        if theorem is None or kind is None:
            return Answer.UNKNOWN, f"there is no verdict `{claim.verdict} {claim.property}`"
        verdict = report.verdict(kind, theorem)
        answer = verdict.answer
        reason = f"the {kind.value} verdict on Theorem {theorem} is {answer.value}"
        if verdict.reasons:
            first, more = verdict.reasons[0], len(verdict.reasons) - 1
            subject = f"{first.instruction} " if first.instruction else ""
            reason += f": {subject}{first.sentence}" + (f" (and {more} more)" if more else "")
    return (~answer if claim.negated else answer), reason


def _escapes_claim(claim: EscapesClaim, reports: Mapping[str, ConfigurationReport]) -> Finding:
    report = reports.get(claim.configuration)
    if report is None:
        return Answer.UNKNOWN, f"configuration `{claim.configuration}` was not checked"
    answers: dict[str, Answer] = {}
    for row in report.instructions:
        answers[row.instruction] = answers.get(row.instruction, Answer.NO) | row.escape
    missing = [name for name in claim.instructions if answers.get(name) is Answer.NO]
    extra = [
        name
        for name, answer in answers.items()
        if answer is Answer.YES and name not in claim.instructions
    ]
    if missing:
        return Answer.NO, f"what does not escape: {listing(missing)}"
    if claim.exactly and extra:
        return Answer.NO, f"what escapes besides: {listing(extra)}"
    open_ = [name for name in claim.instructions if answers.get(name) is not Answer.YES]
    if claim.exactly:
        open_ += [name for name, answer in answers.items() if answer is Answer.UNKNOWN]
    if open_:
        return Answer.UNKNOWN, f"undecided: {listing(dict.fromkeys(open_))}"
    if claim.exactly and report.partial:
        return Answer.UNKNOWN, "only some instructions were checked"
    escaping = [name for name, answer in answers.items() if answer is Answer.YES]
    return Answer.YES, f"what escapes: {listing(escaping)}"
