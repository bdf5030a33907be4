from dataclasses import replace
from pathlib import Path

from checker.rows import merge
from checker.written import with_writing
from spec.ir import Isa
from spec.load import load
from tests.classified import YES, classified, witness

PG74 = Path(__file__).resolve().parent.parent / "isas" / "pg74" / "pg74.isa"


def _pg74() -> Isa:
    isa = load(str(PG74)).isa
    assert isa is not None
    return isa


def test_a_witness_says_the_word_and_the_assembly() -> None:
    isa = _pg74()
    shown = replace(witness("escape"), fields=(("a", 5), ("n", 7)), address=3)
    (row,) = merge([classified("SET", escape=YES, witnesses=(shown,))])
    subject = next(i for i in isa.instructions if i.name == "SET")

    (written,) = with_writing(isa, subject, row).witnesses

    assert (written.word, written.assembly) == ("0x09001407", "set 5, 7")


def test_a_witness_whose_fields_cannot_be_encoded_is_left_as_it_is() -> None:
    isa = _pg74()
    subject = next(i for i in isa.instructions if i.name == "SET")
    shown = replace(witness("escape"), fields=(("a", 1 << 40),))
    (row,) = merge([classified("SET", witnesses=(shown,))])

    assert with_writing(isa, subject, row) == row
