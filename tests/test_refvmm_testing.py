"""What designers use in their own suites."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refvmm.programs import Programs
from refvmm.replay_file import Unusable, from_json, to_json
from refvmm.scenario import Scenario
from refvmm.strategy import Strategy
from refvmm.testing import check_virtual_machine, scenarios, trial_of
from spec.concrete import ConcreteEngine
from spec.ir import Role
from tests.test_refvmm_derive import ISAS, described

PG74 = described("pg74/pg74")
TRIAL = trial_of(PG74, PG74.configurations[0], Strategy.TRAP_AND_EMULATE)
SCENARIOS = scenarios(PG74, PG74.configurations[0])


def test_one_call_checks_a_description() -> None:
    check_virtual_machine(ISAS / "pg74/pg74.isa", examples=30)


def test_one_call_shows_the_program_that_a_monitor_fails_on() -> None:
    with pytest.raises(AssertionError, match=r"JRST 1.*\n(.*\n)*  M: 0, 1"):
        check_virtual_machine(ISAS / "pg74/pg74_jrst1.isa", examples=500)


def test_what_cannot_be_hosted_is_said() -> None:
    with pytest.raises(ValueError, match="no configuration other"):
        check_virtual_machine(PG74, "other")
    with pytest.raises(ValueError, match="nowhere"):
        check_virtual_machine("nowhere.isa")


@settings(max_examples=40)
@given(SCENARIOS)
def test_scenarios_of_hypothesis_cannot_tell_the_machines_apart(scenario: Scenario) -> None:
    assert TRIAL.run(scenario) is None


@settings(max_examples=40)
@given(SCENARIOS)
def test_a_scenario_is_the_same_after_it_was_saved(scenario: Scenario) -> None:
    read = from_json(PG74, to_json(scenario))

    assert read.state(PG74) == scenario.state(PG74)
    assert (read.steps, read.size, read.events) == (scenario.steps, scenario.size, scenario.events)


@settings(max_examples=100)
@given(SCENARIOS, st.data())
def test_a_damaged_scenario_is_refused_or_runs(scenario: Scenario, data: st.DataObject) -> None:
    document = to_json(scenario)
    key = data.draw(st.sampled_from(sorted(document)))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers(-3, 1 << 40) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    document[key] = data.draw(junk)

    try:
        read = from_json(PG74, document)
    except Unusable:
        return
    assert read.state(PG74).scalars["P"] < 1024


def test_programs_start_in_states_in_which_the_invariants_hold() -> None:
    isa = described("riscv/rv32")
    programs = Programs(isa, isa.configurations[0], 3 << 30)
    engine = ConcreteEngine(isa)
    modes = set()
    for seed in range(60):
        state = programs.scenario(Random(seed)).state(isa)
        modes.add(state.scalars[isa.mode.element])
        for text, invariant in isa.invariants:
            assert engine.value(state, invariant), text
        for element in isa.elements:
            if element.role is not Role.MODE and element.values:
                assert state.scalars[element.name] in dict(element.values).values()
    assert modes == {0, 1, 3}
