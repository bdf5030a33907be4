"""Tables name whole pages; where a machine lets accesses through into the next, none is made."""

from functools import cache
from pathlib import Path

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Discharged
from checker.statements import Simulation, Triple
from refvmm.derive import Monitor, derive
from refvmm.obligations import hosted, obligations
from refvmm.page_ends import crosses
from refvmm.strategy import Strategy
from spec import ir
from spec.load import load

ISAS = Path(__file__).resolve().parent.parent / "isas"

CARELESS = f'''
isa "System/370 with an instruction that does not look where words begin"
extends "{ISAS}/s370/s370.isa"
instruction CARELESS (b2 : bits(4), d2 : bits(12)) = 8'hFE 8'd0 b2 d2
{{ GR[0] = load(based(b2, d2), 32) }}
'''


@cache
def derived(path: Path) -> Monitor:
    isa = load(path).isa
    assert isa is not None
    return derive(isa, isa.configurations[0])


def run_directly(monitor: Monitor, instruction: str) -> list[Discharged]:
    return [
        found
        for statement in obligations(monitor, Strategy.TRAP_AND_EMULATE)
        if isinstance(statement, Simulation)
        and statement.forward
        and statement.instruction == instruction
        for found in discharge(hosted(monitor), statement)
    ]


@pytest.mark.parametrize(("name", "let_through"), [("s370/s370", True), ("riscv/rv64", False)])
def test_it_is_seen_whether_translation_lets_an_access_through_into_the_next_page(
    name: str, let_through: bool
) -> None:
    monitor = derived(ISAS / f"{name}.isa")

    assert monitor.shadow is not None
    page = monitor.shadow.page
    assert crosses(monitor.description, page, ir.Access.READ, 4) is let_through
    assert not crosses(monitor.description, page, ir.Access.READ, 1)


@pytest.mark.parametrize("instruction", ["L", "ST", "LM"])
def test_an_operand_of_system_370_is_read_and_written_within_pages(instruction: str) -> None:
    found = run_directly(derived(ISAS / "s370" / "s370.isa"), instruction)

    assert {d.answer for d in found} == {Answer.YES}


def test_an_access_into_the_next_page_is_refuted(tmp_path: Path) -> None:
    path = tmp_path / "careless.isa"
    path.write_text(CARELESS)

    found = run_directly(derived(path), "CARELESS")

    refuted = [d for d in found if d.answer is Answer.NO]
    assert {d.reason for d in refuted} == {"an access goes beyond the end of a page"}
    assert len(refuted) == 2  # in both virtual modes


def test_section_6_of_system_370_follows_from_the_slots() -> None:
    monitor = derived(ISAS / "s370" / "s370.isa")

    answers = [
        found.answer
        for statement in obligations(monitor, Strategy.TRAP_AND_EMULATE)
        if isinstance(statement, Triple) and statement.name.startswith("section 6 follows")
        for found in discharge(hosted(monitor), statement)
    ]

    assert answers == [Answer.YES] * 9  # fetches of 2 bytes, the others of 1, 2, 4 and 8
