import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.answers import Answer, Classification, Undecided
from checker.report import InstructionReport, VerdictKind
from checker.rows import describe, merge
from checker.verdicts import (
    escapes,
    inconsistencies,
    letter_counterexamples,
    letter_misses,
    verdicts,
    violation,
    why_violated,
)
from tests.classified import (
    NO,
    UNKNOWN,
    YES,
    classified,
    csr,
    members,
    on,
    privileged,
    witness,
)

LETTER, CONFIGURED, SEMANTIC = VerdictKind
EVERY_KIND = frozenset(VerdictKind)

answers = st.sampled_from(Answer)


def _answers(*classifications: Classification) -> dict[tuple[VerdictKind, int], Answer]:
    return {(v.kind, v.theorem): v.answer for v in verdicts(merge(classifications))}


def _row(classification: Classification) -> InstructionReport:
    (row,) = merge([classification])
    return row


# --------------------------------------------------------------------------- verdicts


def test_innocuous_and_privileged_instructions_alone_make_every_verdict_yes() -> None:
    found = _answers(classified("MOV"), privileged("LPSW"))

    assert set(found.values()) == {YES}
    assert len(found) == 9


def test_a_sensitive_instruction_that_is_not_privileged_makes_the_letter_no() -> None:
    found = verdicts(merge([classified("MOV"), classified("RET", control_sensitive=on("mode"))]))

    letter = next(v for v in found if v.kind is LETTER and v.theorem == 1)
    assert letter.answer is NO
    assert [(r.instruction, r.sentence) for r in letter.reasons] == [
        ("RET", "control-sensitive on mode, but not privileged")
    ]


def test_theorem_3_asks_only_for_user_sensitive_instructions() -> None:
    jrst = classified("JRST1", control_sensitive=on("mode"), supervisor_sensitive=YES, escape=YES)

    found = _answers(jrst)

    assert [found[kind, 1] for kind in VerdictKind] == [NO, NO, YES]
    assert [found[kind, 3] for kind in VerdictKind] == [YES, YES, YES]


def test_theorem_2_has_the_answer_of_theorem_1() -> None:
    found = _answers(classified("X", behaviour_sensitive=on("I"), escape=UNKNOWN))

    assert all(found[kind, 2] is found[kind, 1] for kind in VerdictKind)
    assert found[CONFIGURED, 2] is UNKNOWN


def test_one_definite_escape_outweighs_what_is_undecided() -> None:
    found = _answers(classified("A", escape=UNKNOWN), classified("B", escape=YES))

    assert found[CONFIGURED, 1] is NO


def test_an_undecided_row_makes_the_verdict_unknown_and_is_named() -> None:
    open_ = classified(
        "A", semantic_violation=UNKNOWN, undecided=(Undecided("toy/A/semantic", "time-out"),)
    )

    found = verdicts(merge([open_, classified("B")]))

    semantic = next(v for v in found if v.kind is SEMANTIC and v.theorem == 1)
    assert semantic.answer is UNKNOWN
    assert [(r.instruction, r.sentence) for r in semantic.reasons] == [
        ("A", "undecided (toy/A/semantic: time-out)")
    ]


def test_an_open_question_forbids_a_yes_of_its_kinds_but_no_no() -> None:
    rows = merge([classified("A", escape=YES)])

    found = verdicts(rows, [(frozenset({CONFIGURED, SEMANTIC}), "no state satisfies it")])

    first = {v.kind: v.answer for v in found if v.theorem == 1}
    assert first == {LETTER: YES, CONFIGURED: NO, SEMANTIC: UNKNOWN}


@given(sensitive=answers, privilege=answers, user=answers)
def test_the_letter_is_violated_as_three_valued_logic_says(
    sensitive: Answer, privilege: Answer, user: Answer
) -> None:
    components = {YES: on("mode"), NO: on(), UNKNOWN: on(undecided=("mode",))}
    row = _row(
        classified(
            "X",
            control_sensitive=components[sensitive],
            privileged=privilege,
            user_sensitive=user,
        )
    )

    first, third = (violation(row, LETTER, theorem) for theorem in (1, 3))

    for result, premise in ((first, sensitive), (third, user)):
        expected = UNKNOWN
        if NO is premise or YES is privilege:
            expected = NO
        elif YES is premise and NO is privilege:
            expected = YES
        assert result is expected


@given(st.lists(answers, min_size=1, max_size=6))
def test_a_verdict_is_yes_exactly_if_nothing_violates_it(found: Sequence[Answer]) -> None:
    rows = merge([classified(f"I{n}", escape=answer) for n, answer in enumerate(found)])

    answer = next(v for v in verdicts(rows) if v.kind is CONFIGURED and v.theorem == 1)

    expected = NO if YES in found else UNKNOWN if UNKNOWN in found else YES
    assert answer.answer is expected
    assert bool(answer.reasons) == (expected is not YES)


# --------------------------------------------------------------------------- reasons


@pytest.mark.parametrize(
    ("clause", "trap_class", "sentence"),
    [
        ("control", "", "retires in user and changes A"),
        ("virtual control", "", "retires in user, but in supervisor it changes A"),
        ("behaviour", "", "retires in user with a result that depends on R.l and R.b"),
        (
            "trap",
            "call",
            "retires in user, where the virtual machine in supervisor traps: call_trap",
        ),
    ],
)
def test_an_escape_says_how_it_escapes(clause: str, trap_class: str, sentence: str) -> None:
    shown = witness("escape", clause, ("R.l", "R.b"), trap_class)

    (escape,) = escapes(merge([classified("X", escape=YES, witnesses=(shown,))]))

    assert escape.reason == sentence
    assert escape.witnesses == (shown,)
    assert escape.replayed


def test_an_escape_without_a_witness_is_not_called_replayed() -> None:
    (escape,) = escapes(merge([classified("X", escape=YES)]))

    assert not escape.replayed


def test_a_letter_counterexample_shows_sensitivity_and_lack_of_privilege() -> None:
    shown = (witness("not_privileged"), witness("traps"), witness("behaviour_sensitive"))
    rows = merge([classified("X", behaviour_sensitive=on("mode"), witnesses=shown)])

    (found,) = letter_counterexamples(rows)

    assert [w.property for w in found.witnesses] == ["behaviour_sensitive", "not_privileged"]
    assert found.reason == "behaviour-sensitive on mode, but not privileged"
    assert found.theorem3 is NO


def test_what_the_letter_misses_is_told_where_it_says_yes_and_the_configuration_no() -> None:
    shown = (witness("escape", "trap", ("CR8",), "fault"),)
    rows = merge([classified("MC", escape=YES, trap_sensitive=on("CR8"), witnesses=shown)])

    (missed,) = letter_misses(rows, verdicts(rows))

    assert missed.instruction == "MC"
    assert missed.sentence.endswith("(trap-sensitive on CR8, which PG74 does not ask for)")


def test_the_letter_misses_nothing_where_both_say_no() -> None:
    rows = merge([classified("X", control_sensitive=on("mode"), escape=YES)])

    assert letter_misses(rows, verdicts(rows)) == ()


# --------------------------------------------------------------------------- guards


@pytest.mark.parametrize(
    "impossible",
    [
        {"semantic_violation": YES},
        {"hybrid_escape": YES},
        {"escape": YES, "semantic_violation": YES, "hybrid_semantic_violation": YES},
        {"escape": YES, "hybrid_escape": YES, "hybrid_semantic_violation": YES},
        {"user_sensitive": YES},
        {"control_sensitive": on(), "supervisor_sensitive": YES},
        {"behaviour_sensitive": on("R")},
    ],
)
def test_answers_that_contradict_each_other_are_a_defect(impossible: dict[str, object]) -> None:
    rows = merge([classified("X", **impossible)])

    assert [text for text in inconsistencies(rows, verdicts(rows)) if text.startswith("X: ")]


def test_configured_yes_with_semantic_no_is_a_defect() -> None:
    rows = merge([classified("X", semantic_violation=YES)])

    assert inconsistencies(rows, verdicts(rows))[0] == "X: a semantic violation that is no escape"


def test_letter_yes_without_trap_sensitivity_and_semantic_no_is_a_defect() -> None:
    shown = (witness("semantic_violation", "behaviour", ("R",)),)
    rows = merge([classified("X", escape=YES, semantic_violation=YES, witnesses=shown)])

    (defect,) = inconsistencies(rows, verdicts(rows))

    assert "letter verdict is yes" in defect


@pytest.mark.parametrize(
    "explained",
    [
        {"trap_sensitive": on("CR8")},
        {"witnesses": (witness("semantic_violation", "trap", ("R",), "memory"),)},
    ],
)
def test_what_the_paper_leaves_out_of_account_is_no_defect(explained: dict[str, object]) -> None:
    rows = merge([classified("X", escape=YES, semantic_violation=YES, **explained)])

    assert inconsistencies(rows, verdicts(rows)) == ()


def test_consistent_answers_show_no_defect() -> None:
    rows = merge([classified("MOV"), privileged("LPSW")])

    assert inconsistencies(rows, verdicts(rows)) == ()


# --------------------------------------------------------------------------- rows


def test_operand_sets_that_behave_alike_share_a_row() -> None:
    names = ["mstatus", "sstatus", "cycle", "time", "mie", "mip"]
    group = [
        classified("CSRRW", operands=csr(name), escape=YES if name in ("cycle", "time") else NO)
        for name in names
    ]

    rows = merge([classified("ADD"), *group])

    assert [(row.instruction, row.operands) for row in rows] == [
        ("ADD", ""),
        ("CSRRW", "all csr but cycle, time"),
        ("CSRRW", "cycle, time"),
    ]
    assert [len(row.members) for row in rows] == [1, 4, 2]


def test_an_instruction_alike_on_all_operand_sets_is_one_row_without_operands() -> None:
    (row,) = merge([classified("CSRRW", operands=csr(name)) for name in ("a", "b")])

    assert row.operands == ""
    assert row.label == "CSRRW"


def test_rows_add_up_what_their_members_cost() -> None:
    (row,) = merge(
        [
            classified("X", operands=csr("a"), seconds=0.25, solver_calls=2),
            classified("X", operands=csr("b"), seconds=0.5, solver_calls=3),
        ]
    )

    assert (row.seconds, row.solver_calls) == (0.75, 5)


def test_a_row_is_cached_if_all_its_members_were() -> None:
    group = [classified("X", operands=csr("a")), classified("X", operands=csr("b"))]
    both = frozenset((c.instruction, c.operands) for c in group)

    assert merge(group, both)[0].cached
    assert not merge(group, frozenset(list(both)[:1]))[0].cached


def test_several_fields_are_described_one_by_one_where_they_are_independent() -> None:
    every = [
        members(sreg=register, size=size)
        for register in (("DS", 3), ("CS", 1))
        for size in (("w", 0), ("l", 1))
    ]

    assert describe(every[:2], every) == "sreg DS"
    assert describe([every[0]], every) == "sreg DS; size w"
    assert describe([every[0], every[3]], every) == "(DS, w), (CS, l)"
    assert describe(every, every) == ""


@given(st.sets(st.integers(0, 11), min_size=1), st.integers(1, 4))
def test_different_operand_sets_have_different_descriptions(picked: set[int], columns: int) -> None:
    every = [members(a=(f"a{n // columns}", n), b=(f"b{n % columns}", n)) for n in range(12)]
    chosen = [every[n] for n in sorted(picked)]
    rest = [every[n] for n in range(12) if n not in picked]

    described = describe(chosen, every)

    assert (described == "") == (not rest)
    assert not rest or described != describe(rest, every)


def test_why_a_row_violates_the_letter_names_user_sensitivity_for_theorem_3() -> None:
    row = _row(classified("X", control_sensitive=on("R"), user_sensitive=YES))

    sentence = why_violated(row, LETTER, 3)

    assert sentence == "user-sensitive: control-sensitive on R, but not privileged"


def test_rows_and_escapes_are_json() -> None:
    row = _row(classified("X", operands=csr("a"), escape=YES, witnesses=(witness("escape"),)))

    assert json.dumps([row.label, escapes([row])[0].reason])
