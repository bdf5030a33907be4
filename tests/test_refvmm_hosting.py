"""What cannot host a guest is said in words; the theorems choose among what can."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from popek.strategy_choice import Choice, Refusal, choose
from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.strategy import Strategy
from refvmm.vm_map import Placement, default_placement
from spec.ir import Boolean, Isa
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"


def described(name: str) -> Isa:
    isa = load(ISAS / f"{name}.isa").isa
    assert isa is not None
    return isa


def arguments(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(jobs=1, timeout=10.0, no_cache=False, cache=folder)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement(64, 0, 16), "has no cells"),
        (Placement(64, 200, 16), "is not in the memory of 0x100 cells"),
        (Placement(72, 128, 16), "does not begin and end at a page of 16 cells"),
        (Placement(64, 128, 3), "tables do not begin at a page"),
        (Placement(64, 128, 64), "overlap"),
    ],
)
def test_a_placement_that_cannot_be_is_refused(placement: Placement, said: str) -> None:
    isa = described("tiny/sptbr")
    monitor = derive(isa, isa.configurations[0])

    (found, *_) = obstacles(monitor, placement, Strategy.TRAP_AND_EMULATE)

    assert said in found
    assert not obstacles(monitor, Placement(64, 128, 16), Strategy.TRAP_AND_EMULATE)


def test_without_composed_relocation_only_interpretation_is_possible() -> None:
    isa = described("m68k/m68010")
    monitor = derive(isa, isa.configurations[0])
    placement = default_placement(isa, isa.configurations[0])

    assert "compose" in obstacles(monitor, placement, Strategy.TRAP_AND_EMULATE)[0]
    assert not obstacles(monitor, placement, Strategy.INTERPRET)


def test_a_constraint_that_the_monitor_does_not_meet_is_named() -> None:
    isa = described("pg74/pg74")
    impossible = replace(isa.configurations[0], constraints=(("M == 2", Boolean(False)),))
    monitor = derive(isa, impossible)

    (found,) = obstacles(monitor, Placement(512, 512, 0), Strategy.TRAP_AND_EMULATE)

    assert "`constrain M == 2` does not hold" in found


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("pg74/pg74", Strategy.TRAP_AND_EMULATE),
        ("pg74/pg74_jrst1", Strategy.HYBRID),
        ("pg74/pg74_lra", Strategy.INTERPRET),
    ],
)
def test_the_strongest_strategy_that_the_theorems_allow_is_chosen(
    name: str, strategy: Strategy, tmp_path: Path
) -> None:
    isa = described(name)

    choice = choose(isa, isa.configurations[0], None, arguments(tmp_path))

    assert isinstance(choice, Choice)
    assert choice.strategy is strategy


def test_what_the_theorems_forbid_is_refused_with_the_escape_unless_forced(tmp_path: Path) -> None:
    isa = described("pg74/pg74_jrst1")
    requested = Strategy.TRAP_AND_EMULATE

    refusal = choose(isa, isa.configurations[0], requested, arguments(tmp_path))
    forced = choose(isa, isa.configurations[0], requested, arguments(tmp_path), force=True)

    assert isinstance(refusal, Refusal)
    assert refusal.escape is not None
    assert refusal.escape.replayed
    assert isinstance(forced, Choice)
    assert forced.forced
