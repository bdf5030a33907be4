"""What a VMM must fix so that nothing escapes: on machines small enough to enumerate, and named."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from checker.answers import Answer, Fixed, OperandSet, Repairs
from checker.components import constraint, fixable, machine_of
from checker.constrain import cheapest, constrain
from checker.repairs import MOST_FIXED, repairs
from checker.report import VerdictKind
from spec.ir import Configuration, Element, Isa, TrapClass
from spec.load import load
from tests.brute_force import Definitions, Machine
from tests.description_text import write
from tests.strategies import IN_CI
from tests.tiny_machines import tiny_machines


def all_ways(elements: Iterable[Element], size: int) -> Iterator[tuple[Fixed, ...]]:
    for chosen in combinations(sorted(elements, key=lambda e: e.name), size):
        names = [e.name for e in chosen]
        for values in product(*(range(1 << e.width) for e in chosen)):
            yield tuple(zip(names, values, strict=True))


def with_fixed(isa: Isa, configuration: Configuration, way: tuple[Fixed, ...]) -> Configuration:
    elements = {e.name: e for e in isa.elements}
    written = tuple(constraint(elements[name], value) for name, value in way)
    return replace(configuration, constraints=written)


@given(tiny_machines())
@settings(max_examples=80 if IN_CI else 20, suppress_health_check=list(HealthCheck))
def test_the_ways_are_the_smallest_fixings_without_an_escape(machine: tuple[Isa, int]) -> None:
    isa, choices = machine
    (configuration,), (instruction,) = isa.configurations, isa.instructions
    bare = replace(configuration, constraints=())
    states = Machine(isa)

    def definitions(way: tuple[Fixed, ...]) -> Definitions:
        return Definitions(states, with_fixed(isa, bare, way), instruction, choices)

    def escapes(way: tuple[Fixed, ...]) -> bool:
        return definitions(way).found().escape

    def starves(way: tuple[Fixed, ...]) -> bool:
        found = definitions(way)
        ends = [e for s in found.constrained if s[states.mode] == found.user for e in found.ends[s]]
        return any(end.trap is TrapClass.MEMORY for end in ends)

    found = repairs(isa, bare, instruction, OperandSet(), timeout_ms=60_000)

    assert found.escapes is Answer.of(escapes(()))
    assert not found.undecided
    assert not any(escapes(way) for way in found.ways)
    elements = fixable(machine_of(isa), bare)
    size = min((len(way) for way in found.ways), default=MOST_FIXED)
    for smaller in range(size + 1 if found.escapes is Answer.YES else 0):
        for way in all_ways(elements, smaller):
            if way not in found.ways and not escapes(way):
                assert starves(way), way


TWO_LOCKS = """isa "A clock behind two locks"
mode M : bits(1) { user, supervisor } reset supervisor
pc P : bits(8)
register A : bits(8)
control open, ajar : bits(1)
control wide : bits(16)
time T : bits(8)
memory E : bits(8)[2^8] big
cause denied : privilege { P = 0 }
cause wrong : fault { P = 0 }
undecodable trap wrong
translate(va, access, size, mode) { return paddr(bits(va)) }
instruction READ = 8'h01 {
  if M == user && (open | ajar) == 0 { trap denied }
  A = T
}
instruction OPEN = 8'h02 {
  if open == 0 { trap denied }
  A = T
}
instruction SHUT = 8'h03 {
  if open == 1 { trap denied }
  A = T
}
instruction TELL = 8'h04 { A = wide[7:0] }
virtualize v { supervisor, user as user  shadow rest }
"""


def of_two_locks(tmp_path: Path) -> Isa:
    isa = load(write(tmp_path, TWO_LOCKS)).isa
    assert isa is not None
    return isa


def asked(isa: Isa, name: str) -> Repairs:
    (instruction,) = [i for i in isa.instructions if i.name == name]
    return repairs(isa, isa.configurations[0], instruction, OperandSet(), timeout_ms=10_000)


def test_two_elements_are_fixed_where_one_is_not_enough(tmp_path: Path) -> None:
    found = asked(of_two_locks(tmp_path), "READ")

    assert found.ways == ((("ajar", 0), ("open", 0)),)


def test_where_nothing_helps_the_witness_and_what_was_not_tried_in_full_are_given(
    tmp_path: Path,
) -> None:
    found = asked(of_two_locks(tmp_path), "TELL")

    assert found.escapes is Answer.YES
    assert found.ways == ()
    assert found.partly == ("wide",)
    assert found.witness is not None
    assert found.witness.components == ("wide",)


def test_what_contradicts_itself_is_not_chosen(tmp_path: Path) -> None:
    isa = of_two_locks(tmp_path)

    assert cheapest([asked(isa, "OPEN"), asked(isa, "READ")]) == (("ajar", 0), ("open", 0))
    assert cheapest([asked(isa, "OPEN"), asked(isa, "SHUT")]) is None


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("x86/v8086", ["IOPL == 0", "ports_open == 0"]),
        ("riscv/rv32", ["mcounteren.CY == 0", "mcounteren.IR == 0", "mcounteren.TM == 0"]),
        (
            "s370/s370",
            [
                "CR0.extraction == 0",
                "CR0.secondary == 0",
                "CR3.key_mask == 0",
                "CR8.monitor_masks == 65535",
            ],
        ),
    ],
)
def test_what_the_descriptions_constrain_for_their_verdicts_is_found_again(
    name: str, written: list[str]
) -> None:
    """`python -m pytest -m deep tests/test_checker_repairs.py`: about a minute."""
    isa = load(f"isas/{name}.isa").isa
    assert isa is not None

    found = constrain(isa, isa.configurations[0], jobs=1, timeout=10.0, cache=None)

    assert list(found.written) == written
    assert found.report is not None
    verdict = found.report.configurations[0].verdict(VerdictKind.CONFIGURED, 1)
    assert verdict.answer is Answer.YES
