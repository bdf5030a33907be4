"""`popek test`: random programs against the derived monitor, on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from popek.main import main

Popek = Callable[..., tuple[int, str, str]]


@pytest.fixture
def popek(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Popek:
    """Runs the command in an empty folder; status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_the_machine_of_the_paper_passes_by_the_strongest_strategy(popek: Popek) -> None:
    status, out, _ = popek("test", "pg74", "--examples", "40")

    assert status == 0
    assert "classic: trap-and-emulate, Theorem 1 holds" in out
    assert "40 programs" in out and "no difference" in out


def test_the_machine_with_jrst_1_passes_by_hybrid(popek: Popek) -> None:
    status, out, _ = popek("test", "pg74_jrst1", "--examples", "40", "--format", "json")

    (result,) = json.loads(out)["configurations"]
    assert status == 0
    assert result["strategy"] == "hybrid"
    assert result["programs"] == 40
    assert result["failure"] is None
    assert result["direct"] > 0


def test_a_strategy_that_the_theorems_rule_out_is_refused_with_a_witness(popek: Popek) -> None:
    status, out, err = popek("test", "pg74_jrst1", "--strategy", "trap-and-emulate")

    assert status == 1
    assert "E0915" in err and "JRST 1" in err
    assert out == ""


def test_a_forced_strategy_fails_and_the_saved_program_fails_again(popek: Popek) -> None:
    forced = ("--strategy", "trap-and-emulate", "--force", "--save", "found.json")
    status, out, _ = popek("test", "pg74_jrst1", *forced)

    again, replayed, _ = popek("test", "pg74_jrst1", "--replay", "found.json")

    assert (status, again) == (1, 1)
    for text in (out, replayed):
        assert "jrst1" in text
        assert "the same, by the real machine, directly" in text
        assert "M  user          supervisor" in text


REFUSED = [
    ("pg74/pg74_jrst1", "trap-and-emulate"),
    ("x86/ia32", "trap-and-emulate"),
    pytest.param("x86/ia32", "hybrid", marks=pytest.mark.deep),
]


@pytest.mark.parametrize(("name", "strategy"), REFUSED)
def test_the_witness_of_a_refusal_replays_as_a_divergence(
    popek: Popek, name: str, strategy: str
) -> None:
    refused = ("test", name, "--strategy", strategy, "--save", "witness.json")
    status, out, err = popek(*refused, "--format", "json")

    again, replayed, _ = popek("test", name, "--replay", "witness.json")

    (told,) = json.loads(out)["configurations"]
    program = told["failure"]["scenario"]["program"]
    assert (status, again) == (1, 1)
    assert f"does not hold: {program[-1]['instruction']} " in told["refused"]
    assert "E0915" in err
    assert told["failure"]["trace"][-1]["by"] == "hardware"
    assert "tells the machines apart" in replayed
    assert "the same, by the real machine, directly" in replayed


def test_a_refusal_shows_its_witness_on_both_machines(popek: Popek) -> None:
    _, out, err = popek("test", "pg74_jrst1", "--strategy", "trap-and-emulate")

    assert out == ""
    assert "virtual machine, in supervisor" in err
    assert "on both machines, begun in the virtual machine's state" in err
    assert "M  user          supervisor" in err
    assert not Path("popek-failure.json").exists()


def test_a_refused_strategy_without_a_relocation_shows_its_witness_only(popek: Popek) -> None:
    status, out, err = popek("test", "m68k/m68000", "--strategy", "trap-and-emulate")

    assert (status, out) == (1, "")
    assert "MOVE from SR" in err and "on both machines" not in err


@pytest.mark.parametrize(
    "strategy", ["trap-and-emulate", pytest.param("hybrid", marks=pytest.mark.deep)]
)
def test_ia32_tells_a_forced_monitor_from_the_bare_machine(popek: Popek, strategy: str) -> None:
    forced = ("--strategy", strategy, "--force", "--save", "found.json")

    status, out, _ = popek("test", "x86/ia32", *forced)

    assert status == 1
    assert "tells the machines apart" in out
    assert "the same, by the real machine, directly" in out


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: text[:40], "no JSON"),
        (lambda text: "[]", "not what `popek test` writes"),
        (lambda text: text.replace('"JRST 1"', '"JRST 9"'), "no instruction `JRST 9`"),
        (lambda text: text.replace('"classic"', '"other"'), "no configuration"),
        (lambda text: text.replace('"meaning": "', '"meaning": "0'), "another description"),
        (lambda text: text.replace('"nest": 1', '"nest": 99'), "how many monitors"),
    ],
)
def test_a_corrupt_replay_file_is_bad_input(
    popek: Popek, damage: Callable[[str], str], complaint: str
) -> None:
    popek("test", "pg74_jrst1", "--strategy", "trap-and-emulate", "--force")
    saved = Path("popek-failure.json")
    saved.write_text(damage(saved.read_text()))

    status, _, err = popek("test", "pg74_jrst1", "--replay", "popek-failure.json")

    assert status == 2
    assert "E0917" in err and complaint in err


def test_a_replay_file_of_another_description_or_none_is_bad_input(popek: Popek) -> None:
    popek("test", "pg74_jrst1", "--strategy", "trap-and-emulate", "--force")

    for isa, path in (("pg74", "popek-failure.json"), ("pg74_jrst1", "nowhere.json")):
        status, _, err = popek("test", isa, "--replay", path)

        assert status == 2
        assert "E0917" in err


def test_three_monitors_and_two_guests_pass(popek: Popek) -> None:
    nested, out, _ = popek("test", "pg74", "--nest", "3", "--examples", "40")
    shared, more, _ = popek("test", "pg74", "--guests", "2", "--examples", "40")

    assert (nested, shared) == (0, 0)
    assert "40 programs" in out
    assert "40 pairs of guests" in more


def test_more_monitors_than_fit_the_memory_are_bad_input(popek: Popek) -> None:
    status, _, err = popek("test", "pg74", "--nest", "7", "--examples", "1")

    assert status == 2
    assert "E0918" in err


def test_mutants_are_listed_with_the_program_that_found_them(popek: Popek) -> None:
    status, out, _ = popek("test", "pg74", "--mutants", "--examples", "150", "--format", "json")

    (result,) = json.loads(out)["configurations"]
    found = {row["mutant"]: row["killed by"] for row in result["mutants"]}
    assert status == 1  # some faults of the catalogue change nothing on this machine
    assert found["offset dropped@resume"] <= 150
    assert found["bound off by one@function vmm.load32"] is None
    assert result["killed"] == sum(by is not None for by in found.values()) >= 18


def test_hypothesis_draws_programs_and_what_it_finds_is_saved(popek: Popek) -> None:
    status, out, _ = popek("test", "pg74", "--hypothesis", "--examples", "30")

    assert status == 0
    assert "30 programs" in out and "no difference" in out

    forced = ("--strategy", "trap-and-emulate", "--force", "--save", "found.json")
    status, out, _ = popek(
        "test", "pg74_jrst1", "--hypothesis", "--examples", "400", "--seed", "1", *forced
    )
    again, replayed, _ = popek("test", "pg74_jrst1", "--replay", "found.json")

    assert (status, again) == (1, 1)
    assert "jrst1" in out and "jrst1" in replayed
