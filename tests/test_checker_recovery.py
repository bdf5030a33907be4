"""What real traps leave tells the state before them, where the monitor keeps the right vectors."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Discharged
from checker.statements import Recovered
from refvmm.derive import Monitor, derive
from refvmm.obligations import hosted, obligations
from refvmm.strategy import Strategy
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"


@cache
def derived(name: str) -> Monitor:
    isa = load(ISAS / f"{name}.isa").isa
    assert isa is not None
    return derive(isa, isa.configurations[0])


def deliveries(name: str, cause: str) -> Iterator[Recovered]:
    for statement in obligations(derived(name), Strategy.TRAP_AND_EMULATE):
        if isinstance(statement, Recovered) and statement.name.startswith(cause):
            yield statement


def answers(name: str, cause: str) -> list[Discharged]:
    context = hosted(derived(name))
    return [d for s in deliveries(name, cause) for d in discharge(context, s)]


@pytest.mark.parametrize(
    ("name", "cause", "written"),
    [
        ("s370/s370", "fixed_point_overflow,", "`GR`, `CC`, `PM`"),
        ("m68k/m68010_board", "zero_divide,", "`A`, `USP`, `N`, `Z`, `V`, `C`"),
    ],
)
def test_a_delivery_may_complete_the_instruction_that_trapped(
    name: str, cause: str, written: str
) -> None:
    found = answers(name, cause)

    assert {d.answer for d in found} == {Answer.YES}
    but = f"of two instructions of one length, but for {written}, which the delivery itself writes"
    assert found[0].reason == but


def test_the_word_at_41_may_lose_an_accumulator_or_the_program_counter() -> None:
    """Of the monitors of a KA10: JSP takes an accumulator, JRST tells nothing of where it came from."""
    (found,) = answers("pdp10/ka10_jrst", "muuo, virtual mode user")

    assert found.answer is Answer.UNKNOWN
    assert found.reason.startswith("a delivery may lose what is in place: ")
