import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker import inquiry
from checker.answers import Answer, Classification, Fact, OperandSet, Traps
from checker.check import Asked, check, check_all, explain_data
from checker.questions import ClassesOf, FactsOf, InvariantsOf, Posed, Setting
from checker.report import Report, Timing, VerdictKind
from checker.report_json import explanation_to_json, to_json
from checker.schedule import Done, Progress
from spec.ir import Configuration, EscapesClaim, InstructionClaim, Isa, Literal, VerdictClaim
from tests.classified import NO, UNKNOWN, YES, classified, on, privileged, witness
from tests.small_machine import SMALL, instruction

ROOT = Path(__file__).resolve().parent.parent
WORK = "tests.test_checker_check:work"

CLASSIC = Configuration(
    "classic", (("supervisor", "user"), ("user", "user")), (("I == 0", Literal(1, 1)),),
    ("R", "B", "I", "T"), (), (),
)  # fmt: skip
ISA = replace(
    SMALL,
    instructions=(*SMALL.instructions, instruction("SLOW"), instruction("BROKEN")),
    configurations=(CLASSIC, replace(CLASSIC, name="other", constraints=())),
    invariants=(("R != 0", Literal(1, 1)),),
)
SOUND = replace(ISA, instructions=SMALL.instructions)

EFFICIENT = Fact("efficient", YES)
SATISFIABLE = Fact("constraints are satisfiable", YES)
ESCAPE = witness("escape", "control", ("mode",))


def work(
    setting: Setting, posed: Posed, skip: frozenset[str], announce: Callable[[str], None]
) -> Classification | tuple[Fact, ...]:
    """Answers made up for the small machine: JUMP escapes, SLOW never ends, BROKEN raises."""
    announce(posed.question.name)
    match posed.question:
        case FactsOf():
            return (EFFICIENT, SATISFIABLE)
        case InvariantsOf():
            return (Fact("invariant R != 0", YES),)
        case ClassesOf(configuration, subject, _):
            different = {"configuration": configuration.name}
            match subject.name:
                case "JUMP":
                    return classified(
                        "JUMP",
                        control_sensitive=on("mode"),
                        escape=YES,
                        semantic_violation=YES,
                        witnesses=(ESCAPE,),
                        **different,
                    )
                case "SLOW":
                    if posed.question.name not in skip:
                        time.sleep(60)
                    return classified("SLOW", escape=UNKNOWN, **different)
                case "BROKEN":
                    raise ValueError("our own mistake")
                case "RELOCATE" | "USER" | "ENABLE":
                    return privileged(subject.name, **different)
                case _:
                    return classified(subject.name, **different)


@pytest.fixture(autouse=True)
def _made_up_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry, "WORK", WORK)


def _without(isa: Isa, *names: str) -> Isa:
    return replace(isa, instructions=tuple(i for i in isa.instructions if i.name not in names))


def test_a_check_reports_every_instruction_under_every_configuration() -> None:
    report = check(SOUND, source="small.isa")

    assert [c.name for c in report.configurations] == ["classic", "other"]
    for configuration in report.configurations:
        assert [r.instruction for r in configuration.instructions] == [
            i.name for i in SOUND.instructions
        ]
        assert [e.instruction for e in configuration.escapes] == ["JUMP"]
        assert configuration.verdict(VerdictKind.CONFIGURED, 1).answer is NO
        assert configuration.verdict(VerdictKind.CONFIGURED, 3).answer is YES
    assert report.source == "small.isa"
    assert report.facts == (Fact("invariant R != 0", YES),)
    assert report.all_defects == ()
    assert report.timing.classified == 2 * len(SOUND.instructions)


def test_without_its_bad_instruction_the_machine_is_virtualizable() -> None:
    report = check(_without(SOUND, "JUMP"))

    verdicts = [v.answer for c in report.configurations for v in c.verdicts]
    assert verdicts == [YES] * 18


def test_a_question_out_of_time_makes_the_verdict_unknown_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry, "SLACK", 0.1)
    isa = replace(_without(ISA, "JUMP", "BROKEN"), configurations=(CLASSIC,))

    first = check(isa, timeout=0.1, cache=tmp_path)
    second = check(isa, timeout=0.1, cache=tmp_path)

    for report in (first, second):
        verdict = report.configurations[0].verdict(VerdictKind.CONFIGURED, 1)
        assert verdict.answer is UNKNOWN
        assert [r.instruction for r in verdict.reasons] == ["SLOW"]
        assert report.all_defects == ()
    assert second.timing.cached == second.timing.classified - 1


def test_an_exception_of_ours_is_a_defect_and_its_answers_are_unknown() -> None:
    report = check(_without(ISA, "JUMP", "SLOW"))

    verdict = report.configurations[0].verdict(VerdictKind.LETTER, 1)
    assert verdict.answer is UNKNOWN
    assert "our own mistake" in verdict.reasons[0].sentence
    assert [d.split(":")[0] for d in report.defects] == ["classic/BROKEN", "other/BROKEN"]


def test_components_stand_in_the_order_of_their_declarations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("I", "R+I", "B", "memory", "mode", "R", "location")
    found = classified("SET", control_sensitive=on(*names, undecided=("T", "R")))
    monkeypatch.setattr("checker.inquiry.run", lambda *_, **__: _as_generator(Done(0, found)))

    question = ClassesOf(CLASSIC, SOUND.instructions[0], OperandSet())
    (answers,) = inquiry.inquire(
        [inquiry.Inquiry(SOUND, [question])],
        jobs=1,
        timeout=1.0,
        cache=None,
    )

    (result,) = answers.results
    assert isinstance(result, Classification)
    assert result.control_sensitive == on(
        "mode", "location", "memory", "R", "B", "I", "R+I", undecided=("R", "T")
    )


def _as_generator(*results: Done) -> Generator[Done, None, None]:
    yield from results


def test_a_second_check_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    first = check(SOUND, cache=tmp_path)
    seen: list[Progress] = []

    second = check(SOUND, cache=tmp_path, progress=seen.append)

    assert seen == [Progress(0, 0)]
    assert second.timing.cached == second.timing.classified
    assert all(r.cached for c in second.configurations for r in c.instructions)
    first_rows, second_rows = (
        [replace(r, cached=False) for c in report.configurations for r in c.instructions]
        for report in (first, second)
    )
    assert first_rows == second_rows
    assert [c.verdicts for c in first.configurations] == [c.verdicts for c in second.configurations]


def test_an_edit_asks_only_about_what_it_touched(tmp_path: Path) -> None:
    check(SOUND, cache=tmp_path)
    edited = tuple(replace(i, body=()) if i.name == "SET" else i for i in SOUND.instructions)

    report = check(replace(SOUND, instructions=edited), cache=tmp_path)

    fresh = [
        (c.name, r.instruction)
        for c in report.configurations
        for r in c.instructions
        if not r.cached
    ]
    assert fresh == [("classic", "SET"), ("other", "SET")]


def test_a_configuration_renamed_is_answered_under_its_new_name(tmp_path: Path) -> None:
    one = replace(SOUND, configurations=(CLASSIC,))
    check(one, cache=tmp_path)

    renamed = check(replace(one, configurations=(replace(CLASSIC, name="modern"),)), cache=tmp_path)

    assert renamed.configurations[0].name == "modern"
    assert len(renamed.configurations[0].instructions) == len(one.instructions)
    assert renamed.timing.cached == renamed.timing.classified


def test_an_unusable_cache_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    report = check(SOUND, cache=tmp_path / "file")

    assert len(report.notes) == 1
    assert len(report.configurations) == 2


def test_asking_for_some_instructions_can_refute_but_never_prove() -> None:
    moves = check(SOUND, only=["SET", "GET"])
    jumps = check(SOUND, only=["JUMP"])

    assert [r.instruction for r in moves.configurations[0].instructions] == ["SET", "GET"]
    assert moves.configurations[0].verdict(VerdictKind.CONFIGURED, 1).answer is UNKNOWN
    assert moves.configurations[0].partial
    assert moves.configurations[0].assumptions[0].endswith("(not asked)")
    assert jumps.configurations[0].verdict(VerdictKind.CONFIGURED, 1).answer is NO


def test_asking_for_some_leaves_out_the_claims_about_the_rest() -> None:
    claims = (
        InstructionClaim("SET", None, None, False, "innocuous", (), "claim SET innocuous", 1),
        InstructionClaim("GET", None, "other", False, "innocuous", (), "claim GET innocuous", 2),
        InstructionClaim("NONE", None, None, False, "innocuous", (), "claim NONE innocuous", 3),
        VerdictClaim("other", "letter", True, "virtualizable", "claim other not ...", 4),
        EscapesClaim("classic", ("JUMP",), True, "claim classic escapes JUMP", 5),
    )
    isa = replace(SOUND, claims=claims)

    everything = check(isa)
    some = check(isa, only=["SET"])
    classic = check(isa, configurations=["classic"])

    assert [(c.line, c.holds) for c in everything.claims] == [
        (1, YES),
        (2, YES),
        (3, UNKNOWN),
        (4, YES),
        (5, YES),
    ]
    assert everything.notes == ()
    assert [c.line for c in some.claims] == [1]
    assert [c.line for c in classic.claims] == [1, 3, 5]
    assert some.notes == ("4 claims are about what was not asked for",)
    assert everything.claims_hold is UNKNOWN
    assert some.claims_hold is YES


@pytest.mark.parametrize(
    ("facts", "invariant", "expected"),
    [
        ((EFFICIENT, SATISFIABLE), YES, [YES, YES, YES]),
        ((EFFICIENT, replace(SATISFIABLE, answer=NO)), YES, [YES, UNKNOWN, UNKNOWN]),
        ((EFFICIENT, replace(SATISFIABLE, answer=UNKNOWN)), YES, [YES, UNKNOWN, UNKNOWN]),
        ((EFFICIENT, SATISFIABLE), NO, [UNKNOWN, UNKNOWN, UNKNOWN]),
        ((EFFICIENT, SATISFIABLE), UNKNOWN, [YES, YES, YES]),
    ],
)
def test_vacuous_or_refuted_assumptions_prove_nothing(
    monkeypatch: pytest.MonkeyPatch,
    facts: tuple[Fact, ...],
    invariant: Answer,
    expected: list[Answer],
) -> None:
    def made_up(inquiries: list[inquiry.Inquiry], **_: object) -> list[inquiry.Answers]:
        results: list[inquiry.Answered] = []
        for question in inquiries[0].questions:
            match question:
                case FactsOf():
                    results.append(facts)
                case InvariantsOf():
                    results.append((Fact("invariant R != 0", invariant),))
                case ClassesOf(configuration, subject, _):
                    results.append(classified(subject.name, configuration=configuration.name))
        return [inquiry.Answers(results)]

    monkeypatch.setattr("checker.check.inquire", made_up)

    (configuration, _) = check(SOUND).configurations

    assert [configuration.verdict(k, 1).answer for k in VerdictKind] == expected
    assert bool(configuration.vacuity) == (facts[1].answer is not YES)
    proof = {YES: "(proved)", NO: "(refuted)", UNKNOWN: "(not proved)"}[invariant]
    assert configuration.assumptions[0].endswith(proof)


def test_an_innocuous_instruction_that_always_traps_makes_it_inefficient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = classified("ADD", traps=Traps.ALWAYS)

    def made_up(inquiries: list[inquiry.Inquiry], **_: object) -> list[inquiry.Answers]:
        questions = inquiries[0].questions
        return [inquiry.Answers([stuck if isinstance(q, ClassesOf) else () for q in questions])]

    monkeypatch.setattr("checker.check.inquire", made_up)
    isa = replace(_without(SOUND), configurations=(CLASSIC,), instructions=(instruction("ADD"),))

    efficient = check(isa).configurations[0].efficient

    assert (efficient.answer, efficient.reason) == (NO, "innocuous, but always a trap: ADD")


@pytest.mark.parametrize("because", [{"privileged": YES}, {"refused": True}])
def test_a_privileged_instruction_is_interpreted_and_costs_no_efficiency(
    because: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = classified("WAIT", traps=Traps.ALWAYS, **because)

    def made_up(inquiries: list[inquiry.Inquiry], **_: object) -> list[inquiry.Answers]:
        facts = (EFFICIENT, SATISFIABLE)
        questions = inquiries[0].questions
        return [inquiry.Answers([stuck if isinstance(q, ClassesOf) else facts for q in questions])]

    monkeypatch.setattr("checker.check.inquire", made_up)
    isa = replace(
        SOUND, configurations=(CLASSIC,), instructions=(instruction("WAIT"),), invariants=()
    )

    configuration = check(isa).configurations[0]

    assert configuration.efficient.answer is YES
    assert configuration.notes == ("privileged although innocuous, so interpreted: WAIT",)


def test_several_descriptions_are_checked_together_as_each_is_alone(tmp_path: Path) -> None:
    named = [replace(SOUND, name="one"), replace(_without(ISA, "SLOW"), name="two")]

    together = check_all([Asked(isa) for isa in named], cache=tmp_path)

    alone = [check(isa) for isa in named]
    assert [_comparable(r) for r in together] == [_comparable(r) for r in alone]


def _comparable(report: Report) -> Report:
    """Without what a check cost."""
    configurations = tuple(
        replace(
            c, instructions=tuple(replace(r, seconds=0, solver_seconds=0) for r in c.instructions)
        )
        for c in report.configurations
    )
    return replace(report, timing=Timing(), configurations=configurations)


def test_explaining_an_instruction_gives_it_under_each_configuration() -> None:
    found = explain_data(SOUND, "JUMP")

    assert [(e.instruction, e.configuration.name) for e in found] == [
        ("JUMP", "classic"),
        ("JUMP", "other"),
    ]
    assert [w.runs for w in found[0].rows[0].witnesses] == [ESCAPE.runs]
    assert json.loads(json.dumps(explanation_to_json(found[0])))["instruction"] == "JUMP"
    assert explain_data(SOUND, "NONE") == ()


def test_the_json_form_has_the_names_of_the_schema() -> None:
    form = json.loads(json.dumps(to_json(check(SOUND))))

    assert form["schema"] == 1
    assert {"tool", "isa", "source", "configurations", "claims"} <= set(form)
    configuration = form["configurations"][0]
    assert configuration["verdicts"]["configured"] == {
        "theorem1": "no",
        "theorem2": "no",
        "theorem3": "yes",
    }
    assert configuration["efficient"] == "yes"
    (escape,) = configuration["escapes"]
    assert {"instruction", "operands", "reason", "witness", "replayed"} <= set(escape)
    assert escape["replayed"] is True
    assert escape["witness"]["runs"][0]["values"][0]["before"] == "0x1"
    assert {
        "instruction", "operands", "traps", "privileged", "control_sensitive",
        "behaviour_sensitive", "result_sensitive", "trap_sensitive", "user_sensitive",
        "user_mode_noop", "innocuous", "seconds",
    } <= set(configuration["instructions"][0])  # fmt: skip


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from checker import inquiry
from checker.check import check
from tests.test_checker_check import ISA, WORK, _without
inquiry.WORK = WORK
def report(progress):
    print(progress.done, progress.total, flush=True)
check(_without(ISA, "BROKEN"), timeout=50.0, cache=Path(sys.argv[1]), progress=report)
"""


def test_an_interrupt_leaves_a_cache_with_all_that_was_found(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    done, total = 0, 3
    while done < total - 2:  # all but the two questions about SLOW
        done, total = map(int, process.stdout.readline().split())

    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    report = check(SOUND, cache=tmp_path)

    assert process.returncode == -signal.SIGINT
    assert report.timing.cached == report.timing.classified
    assert report.notes == ()


def test_checking_with_a_full_cache_loads_no_solver(tmp_path: Path) -> None:
    check(SOUND, cache=tmp_path)
    script = (
        "import sys; from pathlib import Path; from checker.check import check;"
        "from tests.test_checker_check import SOUND;"
        "r = check(SOUND, cache=Path(sys.argv[1]));"
        "print(r.timing.cached == r.timing.classified, 'z3' in sys.modules)"
    )

    output = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert output.split() == ["True", "False"]
