from collections.abc import Sequence
from dataclasses import replace

import pytest

from checker.answers import Answer, Classification, Fact
from checker.claims import compare, evaluate
from checker.report import ClaimReport, ConfigurationReport
from checker.rows import merge
from checker.verdicts import verdicts
from spec.ir import Claim, Element, EscapesClaim, InstructionClaim, Literature, Role, VerdictClaim
from tests.classified import NO, UNKNOWN, YES, classified, csr, on, privileged
from tests.small_machine import SMALL

ISA = replace(
    SMALL,
    elements=(
        *SMALL.elements,
        Element("SR.I", 3, Role.CONTROL),
        Element("SR.T", 1, Role.CONTROL),
        Element("cycle", 64, Role.TIME),
    ),
)


def _report(
    name: str, classifications: Sequence[Classification], efficient: Answer = YES
) -> ConfigurationReport:
    rows = merge(classifications)
    return ConfigurationReport(
        name=name,
        modes=(("supervisor", "user"), ("user", "user")),
        constraints=(),
        shadowed=(),
        mirrored=(),
        passed=(),
        assumptions=(),
        verdicts=verdicts(rows),
        efficient=Fact("efficient", efficient, "KSEG0 is out of reach"),
        instructions=rows,
    )


def _evaluate(claim: Claim, *classifications: Classification) -> ClaimReport:
    names = list(dict.fromkeys(c.configuration for c in classifications))
    found = {n: [c for c in classifications if c.configuration == n] for n in names}
    reports = [_report(name, group, NO) for name, group in found.items()]
    (result,) = evaluate(replace(ISA, claims=(claim,)), reports, found)
    return result


def about(
    instruction: str,
    property: str,
    *components: str,
    negated: bool = False,
    operands: str | None = None,
    configuration: str | None = None,
) -> InstructionClaim:
    text = f"claim {instruction} {property}"
    return InstructionClaim(
        instruction, operands, configuration, negated, property, components, text, 7
    )


@pytest.mark.parametrize(
    ("negated", "but", "settled"),
    [(False, "", True), (True, "", False), (True, "why", True), (False, "why", False)],
)
def test_what_was_written_is_settled_if_it_agrees_or_the_difference_is_explained(
    negated: bool, but: str, settled: bool
) -> None:
    said = Literature("Goldberg 1973", about("LPSW", "privileged", negated=negated), but)

    (found,) = compare(replace(ISA, literature=(said,)), [], {"classic": [privileged("LPSW")]})

    assert (found.author, found.but) == ("Goldberg 1973", but)
    assert found.claim.holds is (NO if negated else YES)
    assert found.settled is settled


def test_what_was_written_of_something_undecided_is_not_settled() -> None:
    said = Literature("Goldberg 1973", about("LPSW", "privileged"), "")
    undecided = classified("LPSW", privileged=UNKNOWN)

    for but in ("", "why"):
        isa = replace(ISA, literature=(replace(said, but=but),))
        (found,) = compare(isa, [], {"classic": [undecided]})
        assert not found.settled


def test_a_claim_is_reported_with_its_text_and_line() -> None:
    result = _evaluate(about("LPSW", "privileged"), privileged("LPSW"))

    assert result == ClaimReport("claim LPSW privileged", YES, 7, "it is privileged")


@pytest.mark.parametrize("name", ["privileged", "user_mode_noop", "user_sensitive", "escape"])
@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize("negated", [False, True])
def test_a_property_with_three_answers_is_claimed_or_denied(
    name: str, answer: Answer, negated: bool
) -> None:
    result = _evaluate(about("X", name, negated=negated), classified("X", **{name: answer}))

    assert result.holds is (~answer if negated else answer)


def test_sensitive_and_innocuous_are_opposites() -> None:
    movfr = classified("MOVE", behaviour_sensitive=on("SR.I"))

    assert _evaluate(about("MOVE", "sensitive"), movfr).holds is YES
    assert _evaluate(about("MOVE", "innocuous"), movfr).holds is NO
    assert _evaluate(about("MOVE", "innocuous", negated=True), movfr).holds is YES


def test_privileged_is_about_every_operand_set_and_sensitive_about_some() -> None:
    group = (
        privileged("CSRRW", operands=csr("mstatus")),
        classified("CSRRW", operands=csr("fflags")),
    )

    assert _evaluate(about("CSRRW", "privileged"), *group).holds is NO
    assert _evaluate(about("CSRRW", "privileged", negated=True), *group).holds is YES
    assert _evaluate(about("CSRRW", "sensitive"), *group).holds is YES
    assert _evaluate(about("CSRRW", "innocuous"), *group).holds is NO
    assert _evaluate(about("CSRRW", "control_sensitive", "mode"), *group).holds is YES
    found = _evaluate(about("CSRRW", "privileged"), *group).reason
    assert found == "it is not privileged on fflags"


def test_a_claim_may_be_about_one_operand_set() -> None:
    group = (
        privileged("CSRRW", operands=csr("mstatus")),
        classified("CSRRW", operands=csr("fflags")),
    )

    assert _evaluate(about("CSRRW", "privileged", operands="mstatus"), *group).holds is YES
    assert _evaluate(about("CSRRW", "innocuous", operands="fflags"), *group).holds is YES


def test_a_claim_without_a_configuration_must_hold_in_all() -> None:
    group = (classified("X", escape=NO), classified("X", escape=YES, configuration="other"))

    both = _evaluate(about("X", "escape"), *group)
    one = _evaluate(about("X", "escape", configuration="other"), *group)
    denied = _evaluate(about("X", "escape", negated=True), *group)

    assert (both.holds, one.holds, denied.holds) == (NO, YES, NO)
    assert both.reason == "in classic, it does not escape"


@pytest.mark.parametrize(
    ("found", "claimed", "holds"),
    [
        (on("mode", "SR.I"), ("mode",), YES),
        (on("mode", "SR.I"), ("mode", "SR.I"), YES),
        (on("mode"), ("mode", "SR.I"), NO),
        (on("mode"), (), YES),
        (on(), (), NO),
        (on(), ("mode",), NO),
        (on("mode", undecided=("SR.I",)), ("SR.I",), UNKNOWN),
        (on(undecided=("SR.I",)), (), UNKNOWN),
        (on("SR.T"), ("SR",), YES),
        (on("cycle"), ("time",), YES),
        (on("SR.I"), ("time",), NO),
        (on("SR.I+SR.T"), ("SR.I", "SR.T"), YES),
        (on("SR.I+SR.T"), ("SR.I",), NO),
        (on("SR.I+SR.T"), ("SR",), YES),
        (on("mode"), ("no such component",), NO),
    ],
)
def test_components_are_claimed_each(
    found: object, claimed: tuple[str, ...], holds: Answer
) -> None:
    subject = classified("X", behaviour_sensitive=found)

    assert _evaluate(about("X", "behaviour_sensitive", *claimed), subject).holds is holds


def test_a_denied_claim_on_components_denies_each() -> None:
    subject = classified("X", trap_sensitive=on("mode"))

    none = _evaluate(about("X", "trap_sensitive", "SR.I", "SR.T", negated=True), subject)
    one = _evaluate(about("X", "trap_sensitive", "SR.I", "mode", negated=True), subject)
    any_ = _evaluate(about("X", "trap_sensitive", negated=True), subject)

    assert (none.holds, one.holds, any_.holds) == (YES, NO, NO)
    assert one.reason == "it is trap-sensitive on mode"


@pytest.mark.parametrize(
    "claim",
    [
        about("NOSUCH", "privileged"),
        about("X", "privileged", operands="nosuch"),
        about("X", "privileged", configuration="nosuch"),
        about("X", "no_such_property"),
        VerdictClaim("nosuch", "letter", False, "virtualizable", "", 1),
        VerdictClaim("classic", "nosuch", False, "virtualizable", "", 1),
        VerdictClaim("classic", "letter", False, "nosuch", "", 1),
        EscapesClaim("nosuch", (), True, "", 1),
        EscapesClaim("classic", ("NOSUCH",), False, "", 1),
        EscapesClaim("classic", ("NOSUCH",), True, "", 1),
    ],
)
def test_a_claim_about_what_does_not_exist_is_unknown(claim: Claim) -> None:
    result = _evaluate(claim, classified("X"))

    assert result.holds is UNKNOWN
    assert result.reason


@pytest.mark.parametrize(
    ("verdict", "property", "holds"),
    [
        ("letter", "virtualizable", YES),
        ("configured", "virtualizable", NO),
        ("configured", "recursive", NO),
        ("configured", "hybrid", YES),
        ("semantic", "virtualizable", UNKNOWN),
        ("configured", "efficient", NO),
    ],
)
def test_a_verdict_is_claimed_or_denied(verdict: str, property: str, holds: Answer) -> None:
    subject = classified("X", escape=YES, semantic_violation=UNKNOWN)
    claim = VerdictClaim("classic", verdict, False, property, "", 1)

    assert _evaluate(claim, subject).holds is holds
    assert _evaluate(replace(claim, negated=True), subject).holds is ~holds


def test_a_refuted_verdict_claim_says_through_what() -> None:
    claim = VerdictClaim("classic", "letter", False, "virtualizable", "", 1)
    group = [classified(name, control_sensitive=on("mode")) for name in ("A", "B")]

    assert _evaluate(claim, *group).reason == (
        "the letter verdict on Theorem 1 is no: A control-sensitive on mode, but not privileged"
        " (and 1 more)"
    )


@pytest.mark.parametrize(
    ("exactly", "claimed", "holds", "reason"),
    [
        (True, ("A",), YES, "what escapes: A"),
        (True, (), NO, "what escapes besides: A"),
        (True, ("A", "B"), NO, "what does not escape: B"),
        (False, ("A",), YES, "what escapes: A"),
        (False, (), YES, "what escapes: A"),
        (False, ("B",), NO, "what does not escape: B"),
    ],
)
def test_escapes_are_claimed_exactly_or_at_least(
    exactly: bool, claimed: tuple[str, ...], holds: Answer, reason: str
) -> None:
    claim = EscapesClaim("classic", claimed, exactly, "", 1)

    result = _evaluate(claim, classified("A", escape=YES), classified("B"))

    assert (result.holds, result.reason) == (holds, reason)


@pytest.mark.parametrize(
    ("exactly", "claimed", "holds"),
    [
        (True, ("A", "C"), UNKNOWN),
        (True, ("A",), UNKNOWN),
        (False, ("A",), YES),
        (False, ("C",), UNKNOWN),
        (True, ("C",), NO),
    ],
)
def test_an_undecided_escape_leaves_the_claim_open_unless_another_refutes_it(
    exactly: bool, claimed: tuple[str, ...], holds: Answer
) -> None:
    claim = EscapesClaim("classic", claimed, exactly, "", 1)
    group = (classified("A", escape=YES), classified("B"), classified("C", escape=UNKNOWN))

    assert _evaluate(claim, *group).holds is holds


def test_an_instruction_escapes_if_one_of_its_operand_sets_does() -> None:
    claim = EscapesClaim("classic", ("CSRRS",), True, "", 1)
    group = (
        classified("CSRRS", operands=csr("cycle"), escape=YES),
        classified("CSRRS", operands=csr("fflags")),
    )

    assert _evaluate(claim, *group).holds is YES
