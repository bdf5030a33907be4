"""On machines small enough to enumerate, the checker finds what the definitions say."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from checker.answers import Answer, Classification, Components, OperandSet
from checker.classify import classify
from checker.solve import Solver, Unknown, Verdict
from checker.terms import Truth
from spec.ir import Isa
from tests.brute_force import Definitions, Found, Machine
from tests.strategies import IN_CI
from tests.tiny_machines import tiny_machines

PLAIN = (
    "privileged",
    "sensitive",
    "user_sensitive",
    "supervisor_sensitive",
    "user_mode_noop",
    "escape",
    "hybrid_escape",
    "semantic_violation",
    "hybrid_semantic_violation",
)
VACUOUS = "vacuous"


def read(isa: Isa, choices: int) -> tuple[Definitions, Found, Classification]:
    (configuration,), (instruction,) = isa.configurations, isa.instructions
    definitions = Definitions(Machine(isa), configuration, instruction, choices)
    found = classify(isa, configuration, instruction, OperandSet(), timeout_ms=60_000)
    return definitions, definitions.found(), found


def disagreements(
    definitions: Definitions, expected: Found, found: Classification
) -> Iterator[tuple[str, object, object]]:
    """Questions on which the checker differs: name, what it should say, what it says."""
    pairs: list[tuple[str, object, object]] = [
        (name, Answer.of(getattr(expected, name)), getattr(found, name)) for name in PLAIN
    ]
    pairs += [
        ("control_sensitive", expected.control, frozenset(found.control_sensitive.names)),
        ("trap_sensitive", expected.trap, frozenset(found.trap_sensitive.names)),
        ("undecided", (), found.undecided),
    ]
    for name, here, there in (
        ("traps", expected.traps, found.traps),
        ("traps_in_top", expected.traps_in_top, found.traps_in_top),
    ):
        if here != VACUOUS:
            pairs.append((name, here, there.value))
    yield from (pair for pair in pairs if pair[1] != pair[2])
    yield from _dependences(
        definitions,
        ("behaviour_sensitive", expected.behaviour, expected.joint_behaviour, True),
        found.behaviour_sensitive,
    )
    yield from _dependences(
        definitions,
        ("result_sensitive", expected.result, expected.joint_result, False),
        found.result_sensitive,
    )


def _dependences(
    definitions: Definitions,
    expected: tuple[str, frozenset[str], bool, bool],
    found: Components,
) -> Iterator[tuple[str, object, object]]:
    name, single, joint, kept = expected
    alone = frozenset(n for n in found.names if "+" not in n)
    if alone != single:
        yield name, single, alone
    if joint != bool(found.names):
        yield f"{name} on several", joint, found.names
    for names in found.names:
        if "+" in names and not definitions.is_minimal(names, kept):
            yield f"{name} on several, least", None, names


def hold_to_the_definitions(machine: tuple[Isa, int]) -> None:
    isa, choices = machine
    definitions, expected, found = read(isa, choices)

    assert list(disagreements(definitions, expected, found)) == []
    assert expected.escape or not expected.semantic_violation
    assert expected.hybrid_escape or not expected.hybrid_semantic_violation
    assert not (found.hybrid_escape is Answer.YES and found.escape is Answer.NO) or (
        "mode" in found.control_sensitive.names
    )
    vacuous = VACUOUS in (expected.traps, expected.traps_in_top) or expected.privileged_vacuous
    assert bool(found.defects) == vacuous


@given(tiny_machines())
@settings(max_examples=300 if IN_CI else 40, suppress_health_check=list(HealthCheck))
def test_classes_and_escapes_are_those_of_the_definitions(machine: tuple[Isa, int]) -> None:
    hold_to_the_definitions(machine)


@given(tiny_machines())
@settings(max_examples=120 if IN_CI else 20, suppress_health_check=list(HealthCheck))
def test_they_are_found_without_the_solvers_arrays(machine: tuple[Isa, int]) -> None:
    with_arrays = Solver._with_arrays

    def given_up(self: Solver, conditions: Sequence[Truth], seconds: float) -> Verdict:
        hard = self._uses_arrays(conditions)
        return Unknown("not tried") if hard else with_arrays(self, conditions, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Solver, "_with_arrays", given_up)
        hold_to_the_definitions(machine)


@pytest.mark.deep
@given(tiny_machines())
@settings(max_examples=3000, suppress_health_check=list(HealthCheck))
def test_thousands_of_machines_are_classified_as_the_definitions_say(
    machine: tuple[Isa, int],
) -> None:
    hold_to_the_definitions(machine)
