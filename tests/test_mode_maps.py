"""Configurations in which each virtual mode has a real mode of its own, and state another home."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.check import check
from checker.proof import Group
from refvmm.campaign import campaign
from refvmm.derive import Monitor, derive
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from refvmm.vm_map import Placement
from spec import ir
from spec.lint import warnings
from spec.load import load
from spec.mode_map import evident, mode_map_text
from spec.told_modes import told_modes
from tests.description_text import MACHINE, codes, write
from tests.test_refvmm_obligations import proved, refutations

HERE = Path(__file__).resolve().parent / "three_modes.isa"
DIRECT = Strategy.TRAP_AND_EMULATE


@cache
def three_modes() -> ir.Isa:
    isa = load(HERE).isa
    assert isa is not None
    return isa


def variant(folder: Path, parameters: str, text: str) -> ir.Isa:
    path = folder / "variant.isa"
    path.write_text(f'isa "variant"\nextends "{HERE}" with {parameters}\n{text}', encoding="utf-8")
    loaded = load(path)
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def disco() -> Monitor:
    isa = three_modes()
    return derive(isa, isa.configurations[0])


def found_by_programs(monitor: Monitor, examples: int) -> bool:
    isa, configuration = monitor.description, monitor.configuration
    placement = trial_placement(isa, configuration)
    programs = Programs(isa, configuration, placement.region_size)
    trial = Trial([monitor], [placement], DIRECT)
    return campaign(trial, programs, examples, 1) is not None


# --------------------------------------------------------------------------- what is written


def test_each_clause_gives_virtual_modes_their_real_one() -> None:
    disco, shared = three_modes().configurations

    assert disco.modes == (("kernel", "supervisor"), ("user", "user"))
    assert disco.virtual_modes == ("kernel", "user")
    assert disco.real_modes == ("supervisor", "user")
    assert disco.real_mode == "supervisor"
    assert disco.homes == (("epc", "sepc"),)
    assert mode_map_text(disco.modes) == "kernel as supervisor; user as user"
    assert mode_map_text(shared.modes) == "kernel, supervisor, user as user"


def test_a_mode_is_evident_if_no_other_shares_its_real_mode() -> None:
    assert evident((("a", "x"), ("b", "x"), ("c", "y"))) == (("c", "y"),)
    assert evident((("a", "x"), ("b", "y"))) == (("a", "x"), ("b", "y"))


def test_a_mode_is_not_told_where_the_real_machine_is_made_ready_for_it() -> None:
    disco, shared = three_modes().configurations
    of_the_mode = (("base", ir.Extend(ir.Read("M", 2), False, 8)),)
    nothing = ir.Function("install", (), (), None)

    assert told_modes(disco, "M") == disco.modes
    assert told_modes(shared, "M") == ()
    assert told_modes(replace(disco, compose=of_the_mode), "M") == ()
    assert told_modes(replace(disco, install=nothing), "M") == ()


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ("supervisor, user as user\n user as supervisor\n shadow rest", "E0412"),
        ("supervisor, supervisor as user\n shadow rest", "E0412"),
        ("supervisor, user as user\n shadow Q in S\n shadow rest", "E0413"),
        ("supervisor, user as user\n pass Q in S\n pass rest", "E0413"),
        ("supervisor, user as user\n pass Q in V\n shadow rest", "E0413"),
        ("supervisor, user as user\n pass Q in S, T in S\n shadow rest", "E0413"),
        ("supervisor, user as user\n pass Q in Q\n shadow rest", "E0413"),
        ("supervisor, user as user\n pass Q in W\n shadow rest", "E0413"),
        ("supervisor, user as user\n mirror Q in S\n shadow rest\n compose S = Q", "E0410"),
    ],
)
def test_what_a_configuration_cannot_mean_is_refused(items: str, code: str, tmp_path: Path) -> None:
    state = "control Q, S, T : bits(8)\ncontrol V : bits(3)\n"

    assert codes(tmp_path, "", f"{state}virtualize again {{\n {items}\n}}\n") == [code]


def test_a_map_upside_down_is_warned_of(tmp_path: Path) -> None:
    text = "virtualize again {\n supervisor as user\n user as supervisor\n shadow rest\n}\n"
    loaded = load(write(tmp_path, MACHINE + text))

    assert loaded.isa is not None
    assert "W0610" in {d.code for d in warnings(loaded.isa)}
    assert "W0610" not in {d.code for d in warnings(three_modes())}


# --------------------------------------------------------------------------- what escapes


def test_a_change_of_mode_that_the_real_mode_tells_is_no_escape(library_cache: Path) -> None:
    report = check(three_modes(), timeout=30.0, cache=library_cache)

    disco, shared = report.configurations
    assert report.claims_hold is Answer.YES
    assert report.all_defects == ()
    assert [e.instruction for e in disco.escapes] == []
    assert [e.instruction for e in shared.escapes] == ["DROP"]


def test_it_is_one_where_the_modes_see_other_stack_pointers(tmp_path: Path) -> None:
    isa = variant(tmp_path, "STACKS = true", "claim disco escapes DROP\n")

    report = check(isa, timeout=30.0, cache=tmp_path)

    assert report.claims_hold is Answer.YES


def test_what_has_no_home_of_its_own_escapes(tmp_path: Path) -> None:
    text = "virtualize without {\n kernel as supervisor\n user as user\n shadow rest\n}\n"
    isa = variant(tmp_path, "STACKS = false", text + "claim without escapes GEPC, PEPC\n")

    report = check(isa, timeout=30.0, cache=tmp_path)

    assert report.claims_hold is Answer.YES


# --------------------------------------------------------------------------- the monitor


def test_all_obligations_of_a_mode_map_are_proved() -> None:
    answers = [found for _, found in proved(disco(), DIRECT)]

    assert {found.answer for found in answers} == {Answer.YES}
    assert len(answers) > 150
    assert "save, kernel goes on as user, virtual mode kernel" in {f.name for f in answers}


def test_random_programs_see_no_difference() -> None:
    assert not found_by_programs(disco(), 300)


def test_random_programs_see_no_difference_under_two_monitors() -> None:
    isa = three_modes()
    monitors = stack(isa, isa.configurations[0], 2)
    programs = Programs(isa, isa.configurations[0], 64)
    trial = Trial(monitors, [Placement(128, 128, 0), Placement(64, 64, 0)], DIRECT)

    assert campaign(trial, programs, 100, 1) is None


def without_the_mode(monitor: Monitor) -> Monitor:
    """`save` does not look at the real mode."""
    return replace(monitor, save=monitor.save[len(monitor.told) :])


def in_one_mode(monitor: Monitor) -> Monitor:
    """`resume` always chooses supervisor mode."""
    mode = monitor.description.mode.element
    resume = tuple(
        replace(s, value=ir.Literal(1, 2)) if isinstance(s, ir.Write) and s.element == mode else s
        for s in monitor.resume
    )
    return replace(monitor, resume=resume)


def test_a_monitor_that_does_not_hear_of_the_mode_is_found_out() -> None:
    broken = without_the_mode(disco())

    found = refutations(broken, DIRECT, lambda s: s.group is Group.MAP)

    assert (Group.MAP, "save, kernel goes on as user, virtual mode kernel") in found
    assert found_by_programs(broken, 300)


def test_a_monitor_that_resumes_in_the_wrong_mode_is_found_out() -> None:
    broken = in_one_mode(disco())

    found = refutations(broken, DIRECT, lambda s: s.group is Group.MAP)

    assert (Group.MAP, "resume establishes the relation, virtual mode user") in found
    assert found_by_programs(broken, 300)
