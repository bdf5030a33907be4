"""Renderings of reports, and the exit status they lead to."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from checker.answers import Answer, Components, Value
from checker.report import Explanation, Report
from popek.exit_status import ExitStatus, worst
from popek.judgement import judge
from popek.number import number
from popek.render_classes import LONG, labels, render_classes
from popek.render_explanation import finding, render_explanation, render_explanations
from popek.render_json import explanations_json, render_json
from popek.render_report import render_report
from popek.render_witness import render_witness
from popek.table import table
from spec.ir import VerdictClaim
from tests.golden import agrees
from tests.sample_report import READS_MODE, SAMPLE

SCHEMA = json.loads(
    (Path(__file__).parent.parent / "docs" / "report.schema.json").read_text(encoding="utf-8")
)
VERDICT_CLAIM = VerdictClaim("classic", "configured", True, "virtualizable", "claim ...", 1)


def decided(report: Report) -> Report:
    """The sample with every question answered and every claim kept."""
    (configuration,) = report.configurations
    rows = tuple(row for row in configuration.instructions if not row.undecided)
    configuration = dataclasses.replace(configuration, instructions=rows)
    return dataclasses.replace(report, configurations=(configuration,), claims=report.claims[:1])


def test_a_report_begins_with_verdicts_then_classes_escapes_and_claims(
    update_golden: bool,
) -> None:
    assert agrees("sample_report.txt", render_report(SAMPLE), update_golden)


def explanation() -> Explanation:
    (configuration,) = SAMPLE.configurations
    rows = tuple(r for r in configuration.instructions if r.instruction == "MOVE from SR")
    restricted = dataclasses.replace(configuration, instructions=rows)
    return Explanation("MOVE from SR", "Move from the status register.", "4-123", restricted)


def test_an_explanation_applies_the_definition_to_both_runs(update_golden: bool) -> None:
    text = render_explanation(explanation())

    assert agrees("sample_explanation.txt", text, update_golden)


def test_an_explanation_as_json_holds_the_rows_of_its_instruction() -> None:
    (document,) = json.loads(explanations_json([explanation()]))

    rows = document["configuration"]["instructions"]
    assert (document["schema"], document["page"]) == (1, "4-123")
    assert [row["instruction"] for row in rows] == ["MOVE from SR"]


@pytest.mark.parametrize(
    ("property_", "clause", "outcomes", "sentence"),
    [
        ("control_sensitive", "", ["retire"], "In user it retires, and changes D[0]."),
        (
            "trap_sensitive",
            "",
            ["retire", "trap"],
            "The states differ only in mode. In the first, in user, it retires; "
            "in the second it traps: violation (privilege).",
        ),
        (
            "user_mode_noop",
            "",
            ["retire", "retire"],
            "In user nothing happens; in supervisor it changes D[0].",
        ),
        ("not_privileged", "", ["retire", "retire"], "In user it retires: nothing traps."),
        (
            "escape",
            "control",
            ["retire", "retire"],
            "In user it retires, so the VMM does not see it; "
            "and it changes D[0], which is not the guest's to change.",
        ),
        (
            "escape",
            "trap",
            ["retire", "trap"],
            "In user it retires, so the VMM does not see it; "
            "but in supervisor it traps: violation (privilege).",
        ),
    ],
)
def test_a_finding_is_one_sentence(
    property_: str, clause: str, outcomes: list[str], sentence: str
) -> None:
    runs = tuple(
        dataclasses.replace(
            run,
            outcome=outcome,
            cause="violation" if outcome == "trap" else "",
            trap_class="privilege" if outcome == "trap" else "",
        )
        for run, outcome in zip(READS_MODE.runs, outcomes, strict=False)
    )
    witness = dataclasses.replace(READS_MODE, property=property_, clause=clause, runs=runs)

    assert finding(witness) == sentence


def test_a_report_as_json_follows_the_schema() -> None:
    document = json.loads(render_json([SAMPLE]))

    jsonschema.validate(document, SCHEMA)


def test_several_reports_are_a_list() -> None:
    document = json.loads(render_json([SAMPLE, SAMPLE]))

    jsonschema.validate(document, SCHEMA)
    assert len(document) == 2


def test_the_schema_refuses_an_answer_that_is_not_one_of_three() -> None:
    document = json.loads(render_json([SAMPLE]))
    document["claims"][0]["holds"] = True

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_a_claim_that_does_not_hold_fails_the_check() -> None:
    assert judge(SAMPLE, [VERDICT_CLAIM]) is ExitStatus.REFUTED


def test_a_no_that_the_description_claims_passes() -> None:
    assert judge(decided(SAMPLE), [VERDICT_CLAIM]) is ExitStatus.HOLDS


def test_a_no_that_nobody_claimed_fails_the_check() -> None:
    assert judge(decided(SAMPLE), []) is ExitStatus.REFUTED


def test_an_unknown_class_leaves_the_check_undecided() -> None:
    report = dataclasses.replace(SAMPLE, claims=())

    assert judge(report, [VERDICT_CLAIM]) is ExitStatus.UNDECIDED


def test_an_unknown_claim_leaves_the_check_undecided() -> None:
    report = decided(SAMPLE)
    claim = dataclasses.replace(report.claims[0], holds=Answer.UNKNOWN)

    status = judge(dataclasses.replace(report, claims=(claim,)), [VERDICT_CLAIM])

    assert status is ExitStatus.UNDECIDED


def test_a_defect_is_never_a_success() -> None:
    report = dataclasses.replace(decided(SAMPLE), defects=("a witness did not replay",))

    assert judge(report, [VERDICT_CLAIM]) is ExitStatus.UNDECIDED
    assert "a witness did not replay" in render_report(report)


def test_a_failure_outweighs_what_is_undecided() -> None:
    statuses = [ExitStatus.HOLDS, ExitStatus.UNDECIDED, ExitStatus.REFUTED]

    assert worst(statuses) is ExitStatus.REFUTED
    assert worst([]) is ExitStatus.HOLDS


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (0xFFFF, 16, "0xFFFF (65535, -1)"),
        (0x2000, 16, "0x2000 (8192)"),
        (1, 1, "1"),
        (9, 4, "0x9"),
        (0, 32, "0x00000000"),
        (0b1000, 4, "0x8"),
        (1 << 127, 128, f"0x8{'0' * 31} ({1 << 127}, -{1 << 127})"),
    ],
)
def test_numbers_are_hexadecimal_with_decimal_beside(value: int, width: int, text: str) -> None:
    assert number(value, width) == text


def test_a_witness_marks_what_differs() -> None:
    lines = render_witness(READS_MODE).splitlines()

    assert [line.split()[1] for line in lines if line.lstrip().startswith("*")] == ["D[0]"]


def test_a_wide_witness_gives_up_decimals_before_it_gives_up_columns() -> None:
    wide = tuple(
        dataclasses.replace(
            run,
            values=tuple(
                dataclasses.replace(v, width=128, before=1 << 127, after=(1 << 128) - 1)
                for v in run.values
            ),
        )
        for run in READS_MODE.runs
    )

    text = render_witness(dataclasses.replace(READS_MODE, runs=wide))

    assert "0xFFFF" in text
    assert "(" not in text.splitlines()[2]


def test_instructions_with_the_same_operand_sets_are_listed_together() -> None:
    rows = [("CSRRS", "cycle"), ("CSRRS", "time"), ("CSRRC", "cycle"), ("CSRRC", "time")]

    assert labels([*rows, ("MOVE from SR", ""), ("NOP", "")]) == [
        "CSRRS/CSRRC[cycle, time]",
        '"MOVE from SR"',
        "NOP",
    ]


def test_a_long_table_leaves_out_what_privileged_instructions_are_sensitive_to() -> None:
    (configuration,) = SAMPLE.configurations
    rows = [
        dataclasses.replace(row, instruction=f"I{n}", control_sensitive=Components((f"C{n}",)))
        for n in range(LONG + 1)
        for row in configuration.instructions
        if row.instruction == "MOVE to SR"
    ]

    short, long = render_classes(rows[:LONG], "user"), render_classes(rows, "user")

    assert "control: C0\n" in short
    assert "C0" not in long
    assert len(long.splitlines()) < len(short.splitlines())


def test_a_table_wraps_a_long_cell_within_its_column() -> None:
    assert table([("a", "one two three"), ("bb", "x")], (10, 7), indent="") == [
        "a   one two",
        "    three",
        "bb  x",
    ]


def test_escapes_with_one_reason_are_explained_once() -> None:
    (configuration,) = SAMPLE.configurations
    (escape,) = configuration.escapes
    twin = dataclasses.replace(escape, instruction="MOVE from CCR")
    alike = dataclasses.replace(configuration, escapes=(escape, twin))
    once = render_report(SAMPLE)

    text = render_report(dataclasses.replace(SAMPLE, configurations=(alike,)))

    assert '  "MOVE from SR", "MOVE from CCR"\n' in text
    assert text.count(escape.reason) == once.count(escape.reason)
    assert len(text.splitlines()) == len(once.splitlines())


def test_operand_sets_with_the_same_kinds_of_evidence_are_told_by_the_first() -> None:
    whole = explanation()
    (row,) = whole.rows
    rows = tuple(dataclasses.replace(row, operands=name) for name in ("d0", "d1", "d2"))
    several = dataclasses.replace(
        whole, configuration=dataclasses.replace(whole.configuration, instructions=rows)
    )

    text = " ".join(render_explanation(several).split())

    assert 'likewise, with other values: "MOVE from SR"[d1, d2]' in text
    assert text.count("Definition (") == render_explanation(whole).count("Definition (")


def test_a_second_configuration_with_the_same_evidence_names_the_first() -> None:
    one = explanation()
    other = dataclasses.replace(
        one, configuration=dataclasses.replace(one.configuration, name="other")
    )

    text = render_explanations([one, other])

    assert text.endswith("  as in configuration classic\n")


def test_small_cells_that_follow_one_another_are_shown_together() -> None:
    cells = tuple(Value(f"E[0x{at:x}]", 8, at, at if at < 0x12 else 0) for at in range(0x10, 0x13))
    run = dataclasses.replace(READS_MODE.runs[0], values=cells)
    text = render_witness(dataclasses.replace(READS_MODE, runs=(run,), differs=()))

    assert "E[0x10..0x12]  10 11 12 -> 10 11 00\n" in text
