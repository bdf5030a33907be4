"""Two guests on one real machine do not influence each other; the monitor's timer cannot be masked."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from refvmm.campaign import campaign
from refvmm.multiplexing import Guests, Joint, WorldSwitch, joint
from refvmm.mutants import mutants
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.replay_file import joint_from_json, joint_to_json
from refvmm.scenario import Event, Scenario
from refvmm.shrinking import shrink_joint
from refvmm.strategy import Strategy
from refvmm.trial import Trial, nested_placements, shared_placements, trial_placement
from tests.test_refvmm_derive import described


@pytest.mark.parametrize(("name", "pairs"), [("pg74/pg74", 60), ("riscv/rv32", 12)])
def test_guests_on_one_machine_do_what_each_does_alone(name: str, pairs: int) -> None:
    isa = described(name)
    configuration = isa.configurations[0]
    placements = shared_placements(isa, configuration, 2)
    guests = Guests(stack(isa, configuration, 1)[0], placements, Strategy.TRAP_AND_EMULATE)
    programs = Programs(isa, configuration, placements[0].region_size)

    for seed in range(pairs):
        random = Random(seed)
        tried = joint([programs.scenario(random) for _ in placements], random)
        assert guests.run(tried) is None, seed


def test_a_world_switch_that_forgets_a_register_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = WorldSwitch.leave_world

    def forgetful(self: WorldSwitch) -> None:
        original(self)
        self.worlds[self.running].scalars.pop("vm.R.l", None)

    monkeypatch.setattr(WorldSwitch, "leave_world", forgetful)

    isa = described("pg74/pg74")
    configuration = isa.configurations[0]
    placements = shared_placements(isa, configuration, 2)
    guests = Guests(stack(isa, configuration, 1)[0], placements, Strategy.TRAP_AND_EMULATE)
    programs = Programs(isa, configuration, placements[0].region_size)
    differing = [tried for tried in joints(programs, 60) if guests.run(tried) is not None]
    assert differing

    tried, found = shrink_joint(guests, differing[0])

    assert guests.run(tried) == found
    assert len(tried.schedule) <= 6
    assert sum(len(scenario.program) for scenario in tried.scenarios) <= 4
    assert all(s.steps == tried.schedule.count(n) for n, s in enumerate(tried.scenarios))
    assert joint_from_json(isa, joint_to_json(tried)).schedule == tried.schedule


def joints(programs: Programs, count: int) -> Iterator[Joint]:
    for seed in range(count):
        random = Random(seed)
        yield joint([programs.scenario(random) for _ in range(2)], random)


def test_an_event_is_that_of_the_guest_whose_step_it_precedes() -> None:
    isa = described("riscv/rv32")
    configuration = isa.configurations[0]
    placements = shared_placements(isa, configuration, 2)
    guests = Guests(stack(isa, configuration, 1)[0], placements, Strategy.TRAP_AND_EMULATE)
    size = placements[0].region_size
    quiet = Scenario(size, 2, {"PC": 0x1000}, {}, {})
    woken = replace(quiet, events=(Event(1, "meip", 1), Event(1)))
    alarmed = Joint((quiet, woken), (0, 1, 0, 1))

    assert guests.run(alarmed) is None

    assert guests.running == 1
    assert [bare.state.scalars["meip"] for bare in guests.bare] == [0, 1]
    assert guests.virtual.state.scalars["vm.meip"] == 1
    guests.switch(0)
    assert guests.virtual.state.scalars["vm.meip"] == 0


def test_a_guest_that_could_mask_the_timer_is_found_among_several() -> None:
    isa = described("riscv/rv32")
    configuration = isa.configurations[0]
    placements = shared_placements(isa, configuration, 2)
    guests = Guests(stack(isa, configuration, 1)[0], placements, Strategy.TRAP_AND_EMULATE)
    assert guests.alarm is not None and guests.alarm.device == "mtip"
    quiet = Scenario(placements[0].region_size, 1, {"PC": 0x1000}, {}, {})
    guests.begin([quiet.state(isa), quiet.state(isa)])

    guests.virtual.state.scalars["mie.MTIE"] = 0  # as if the guest owned the real enable bit
    _, found = guests.step(0)

    assert "the monitor's timer" in found


def test_a_guest_that_could_mask_the_timer_is_found() -> None:
    isa = described("riscv/rv32")
    configuration = isa.configurations[0]
    (monitor,) = stack(isa, configuration, 1)
    placement = trial_placement(isa, configuration)
    nothing = Scenario(placement.region_size, 1, {"PC": 0x1000}, {}, {})
    trial = Trial([monitor], [placement], Strategy.TRAP_AND_EMULATE)
    assert trial.alarm is not None and trial.alarm.device == "mtip"
    assert trial.run(nothing) is None

    trial.begin(nothing)
    trial.virtual.state.scalars["mie.MTIE"] = 0  # as if the guest owned the real enable bit
    found = trial.step(0, ())

    assert found is not None and "the monitor's timer" in found.differences


def test_the_innermost_of_nested_machines_is_the_bare_machine() -> None:
    isa = described("pg74/pg74")
    configuration = isa.configurations[0]
    placements = nested_placements(isa, configuration, 3)
    programs = Programs(isa, configuration, placements[-1].region_size)
    monitors = stack(isa, configuration, 3)
    trial = Trial(monitors, placements, Strategy.TRAP_AND_EMULATE)

    assert campaign(trial, programs, 60, seed=2) is None

    outer = next(m for m in mutants(monitors[0]) if m.name == "offset dropped@resume")
    broken = Trial([outer.monitor, *monitors[1:]], placements, Strategy.TRAP_AND_EMULATE)
    assert campaign(broken, programs, 60, seed=2, shrinking=False) is not None
