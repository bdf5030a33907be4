"""States that are tried on integers before the solver is asked."""

from pathlib import Path

from checker.answers import Answer, Classification, OperandSet
from checker.assignment import Assignment, Evaluation
from checker.classify import classify
from checker.folding import Folding
from checker.terms import Terms, Truth
from checker.variations import samples, swapped
from spec.ir import CompareOp, Memory
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"


def test_samples_keep_the_conditions_and_the_ranges() -> None:
    terms = Terms()
    folding = Folding(terms)
    form, register = terms.symbol("field form", 4), terms.symbol("field register", 4)
    memory = Memory("E", 8, 8, True)
    conditions: list[Truth] = [
        folding.compare(CompareOp.ULT, form, 3, 4),
        folding.negate(folding.equal(register, 15, 4)),
    ]

    found = list(
        samples(
            {"field form": 15, "field register": 15}, conditions, terms, Assignment(), memory, 20
        )
    )

    assert len(found) == 20
    assert {values.symbols["field form"] for values in found} == {0, 1, 2}
    for values in found:
        evaluation = Evaluation(values, memory)
        assert all(evaluation.truth(condition) for condition in conditions)


def test_swapped_a_seed_begins_where_its_second_state_was() -> None:
    seed = Assignment({"R": 1, "R'": 2, "Q": 3}, {"memory E": {0: 4}, "memory E'": {0: 5}})

    other = swapped(seed)

    assert other.symbols == {"R": 2, "Q": 3}
    assert other.arrays == {"memory E": {0: 5}}


MAPPING = frozenset({"MAPEN", "P0BR", "P0LR", "P1BR", "P1LR", "SBR", "SLR"})


def vax(instruction: str) -> Classification:
    isa = load(str(ISAS / "vax" / "vax.isa")).isa
    assert isa is not None
    (configuration,) = isa.configurations
    (chosen,) = [i for i in isa.instructions if i.name == instruction]
    return classify(isa, configuration, chosen, OperandSet(), timeout_ms=10_000)


def test_all_that_probes_of_the_vax_depend_on_is_found_though_operands_have_hundreds_of_forms() -> (
    None
):
    found = vax("PROBER")

    assert found.undecided == ()
    assert found.escape is Answer.YES
    assert {"PRV", *MAPPING} <= set(found.behaviour_sensitive.names)


def test_what_operands_in_registers_show_is_found_though_others_touch_much_memory() -> None:
    found = vax("MFPR computed")

    assert found.undecided == ()
    assert {"mode", "location", *MAPPING} <= set(found.behaviour_sensitive.names)


def test_the_solver_is_not_asked_whether_the_mode_matters_where_both_runs_are_the_same() -> None:
    found = vax("ADDL3")

    assert not found.result_sensitive.names
    assert found.solver_calls <= 5
