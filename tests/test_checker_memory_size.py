"""How many cells there are (P&G's q) is part of where the virtual machine lies."""

from pathlib import Path

import pytest

from checker.answers import Answer, Classification, OperandSet
from checker.classify import classify
from spec.ir import Isa
from spec.load import load

ROOT = Path(__file__).resolve().parent.parent
TEXT = f"""isa "The 1974 machine that tells its size"
extends "{ROOT / "isas" / "pg74" / "pg74.isa"}"

instruction CELLS (a : bits(10)) = 8'h94 4'd0 10'd0 a
  asm "cells {{a}}"
{{
  store(a, zext(E.size, 32))
}}

instruction LEAP (a : bits(10)) = 8'h95 4'd0 10'd0 a
  asm "leap {{a}}"
{{
  require M >= supervisor
  P = (E.size - 1)[9:0]
}}
"""


@pytest.fixture
def isa(tmp_path: Path) -> Isa:
    path = tmp_path / "cells.isa"
    path.write_text(TEXT, encoding="utf-8")
    loaded = load(str(path))
    assert loaded.isa is not None
    return loaded.isa


def classified(isa: Isa, name: str) -> Classification:
    (instruction,) = [i for i in isa.instructions if i.name == name]
    return classify(isa, isa.configurations[0], instruction, OperandSet(), timeout_ms=60_000)


def test_an_instruction_that_tells_it_depends_on_the_location(isa: Isa) -> None:
    found = classified(isa, "CELLS")

    assert found.behaviour_sensitive.names == ("location",)
    assert found.escape is Answer.YES


def test_translation_that_asks_for_it_makes_no_instruction_sensitive(isa: Isa) -> None:
    found = classified(isa, "MOV")

    assert found.sensitive is Answer.NO
    assert found.escape is Answer.NO


def test_a_privileged_instruction_may_tell_it(isa: Isa) -> None:
    found = classified(isa, "LEAP")

    assert found.privileged is Answer.YES
    assert found.behaviour_sensitive.names == ("location",)
    assert found.escape is Answer.NO


def test_it_is_no_component_of_a_configuration(isa: Isa) -> None:
    (configuration,) = isa.configurations

    assert isa.memory.size == "E.size"
    assert configuration.shadowed == ("R.l", "R.b")
    assert (configuration.passed, configuration.mirrored) == ((), ())
