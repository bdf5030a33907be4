"""What is emitted of a text serves all machines that have it, and no other."""

from dataclasses import replace

from spec.emitted import emit_instruction
from spec.ir import Element, If, Isa, Role
from spec.runtime import Runtime
from tests.test_refvmm_derive import described


def run_set(isa: Isa) -> tuple[str, int]:
    """The code of SET, and what a machine holds in cell 20 after `set 20, 7`."""
    (found,) = [i for i in isa.instructions if i.name == "SET"]
    runtime = Runtime(isa)
    state = runtime.state
    code = emit_instruction(isa, runtime.names(), found)
    fields = [{"a": 20, "n": 7}[field.name] for field in found.fields]
    state.scalars["R.b"] = 1024
    code.run(state.scalars, state.arrays, state.cells.pages, runtime.writable, 1, *fields, 1)
    return code.source, state.cells[20]


def test_machines_that_share_code_have_states_of_their_own() -> None:
    isa = described("pg74/pg74")

    first, second = run_set(isa), run_set(isa)

    assert first[0] is second[0]
    assert first[1] == second[1] == 7


def test_elements_at_the_end_change_no_code_and_others_do() -> None:
    isa = described("pg74/pg74")
    added = Element("spare", 8, Role.CONTROL)

    source, _ = run_set(isa)

    assert run_set(replace(isa, elements=(*isa.elements, added)))[0] is source
    assert run_set(replace(isa, elements=(added, *isa.elements)))[0] is not source


def test_another_text_of_a_function_is_other_code() -> None:
    isa = described("pg74/pg74")
    (translate,) = [f for f in isa.functions if f.name == isa.translate]
    others = tuple(f for f in isa.functions if f is not translate)
    unchecked = tuple(s for s in translate.body if not isinstance(s, If))

    source, _ = run_set(isa)

    assert (
        run_set(replace(isa, functions=(*others, replace(translate, body=unchecked))))[0]
        is not source
    )
