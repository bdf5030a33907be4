"""What is printed of the IR says what the IR says."""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popek import library
from refvmm.derive import derive
from spec.ir import Isa
from spec.load import load
from spec.raise_declarations import Declarations
from tests.reprinted import outcome, reloaded, same_state, undotted, writable
from tests.strategies import IN_CI, descriptions, states
from tests.test_isa_engines import random_state

BUNDLED = ("pg74/pg74", "riscv/rv32", "m68k/m68010", "x86/ia32", "tiny/sptbr")
MONITORS = ("pg74/pg74", "tiny/sptbr", "m68k/m68010")
RUNS = 4


@cache
def description(name: str) -> Isa:
    loaded = load(str(library.root() / f"{name}.isa"))
    assert loaded.isa is not None
    return loaded.isa


def printed(name: str, instruction: str) -> list[str]:
    isa = description(name)
    (found,) = [i for i in isa.instructions if i.name == instruction]
    return Declarations(isa).instruction(found)


def printed_function(name: str, function: str) -> list[str]:
    isa = description(name)
    (found,) = [f for f in isa.functions if f.name == function]
    return Declarations(isa).function(found)


def differences(isa: Isa, random: Random) -> list[str]:
    """The instructions that do something else when they are printed and read again."""
    plain = writable(isa)
    again = reloaded(plain)
    different = []
    for number, instruction in enumerate(plain.instructions):
        for _ in range(RUNS):
            state = same_state(plain, random_state(isa, random))
            fields = {
                f.name: random.choice(f.values)[1]
                if f.values
                else random.choice((0, 1, random.getrandbits(f.width))) & ((1 << f.width) - 1)
                for f in instruction.fields
            }
            run = (fields, 1, [random.getrandbits(64) for _ in range(3)])
            expected = outcome(plain, number, state, *run)
            if outcome(again, number, same_state(again, state), *run) != expected:
                different.append(isa.instructions[number].name)
    return different


@settings(max_examples=300 if IN_CI else 40)
@given(st.data())
def test_printed_bodies_mean_the_same_when_read_again(data: st.DataObject) -> None:
    isa = writable(data.draw(descriptions()))
    state = data.draw(states(isa))
    fields = {"n": data.draw(st.integers(0, 127))}
    choices = data.draw(st.lists(st.integers(0, 2**130), max_size=3))

    again = reloaded(isa)

    expected = outcome(isa, 0, state, fields, 3, choices)
    assert outcome(again, 0, same_state(again, state), fields, 3, choices) == expected


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_description_means_the_same_when_printed_and_read_again(name: str) -> None:
    assert differences(description(name), Random(name)) == []


@pytest.mark.parametrize("name", MONITORS)
def test_a_derived_monitor_means_the_same_when_printed_and_read_again(name: str) -> None:
    isa = description(name)

    monitor = derive(isa, isa.configurations[0])

    assert differences(undotted(monitor.virtual), Random(name)) == []


def test_a_privileged_instruction_reads_as_it_was_written() -> None:
    assert printed("pg74/pg74", "LRB") == [
        "instruction LRB (a : bits(10)) {",
        "  require M >= supervisor",
        "  let value = word_at(a)",
        "  R.l = value[20:11]",
        "  R.b = value[10:0]",
        "}",
    ]


def test_effects_are_written_where_their_values_are_used() -> None:
    assert printed("pg74/pg74", "PUT") == [
        "instruction PUT (a, b : bits(10)) {",
        "  let pointer = word_at(a)",
        "  store(pointer[9:0], word_at(b))",
        "}",
    ]


def test_registers_with_a_zero_are_written_plainly() -> None:
    assert "  x[rd] = x[rs1] + x[rs2]" in "\n".join(printed("riscv/rv32", "ADD")) or (
        "  x[rd] = a + b" in printed("riscv/rv32", "ADD")
    )


def test_chains_of_comparisons_are_matches_with_the_names_of_values() -> None:
    lines = printed_function("riscv/rv32", "csr_read")

    assert lines[0] == "fn csr_read(csr : Csr) -> bits(32) {"
    assert lines[1] == "  return match csr {"
    assert "    sip => pending() & bits(mideleg)," in lines


def test_operands_are_named_by_their_forms() -> None:
    lines = printed_function("m68k/m68010", "get<n=16>")

    assert lines[:3] == [
        "fn get_16(e : ea, at : bits(32)) -> bits(16) {",
        "  match e.tag {",
        "    dn => { return D[e.dn.n][15:0] }",
    ]


def test_banked_registers_are_written_by_the_name_of_the_bank() -> None:
    assert any("A7" in line for line in printed("m68k/m68010", "RTE"))
