"""What a configuration says about hosting a guest: composed state, pages, shadow tables."""

from pathlib import Path

import pytest

from refvmm.control_block import composed
from spec import ir
from spec.concrete import ConcreteEngine
from spec.lint import warnings
from spec.load import load
from spec.outcome import Retired
from spec.state import MachineState
from tests.description_text import MACHINE, codes, write

TABLE = """
control T : bits(16)[16]
fn enter(slot : bits(8), v : bits(16)) { T[slot[3:0]] = v }
fn place(base : bits(16), va : bits(16)) -> bits(16) { return base + (va >> 8 << 1) }
"""
ROUTINES = """
  page 256  monitor 512
  install(va, pa, rights, slot) {
    enter(slot, zext(rights, 16))
    pstore(paddr(place(monitor.base, bits(va))), bits(pa))
  }
  remove(page, number) {
    enter(number, 0)
    pstore(paddr(place(monitor.base, bits(page))), region.size[15:0])
  }
"""


def hosting(items: str) -> str:
    return f"{TABLE}virtualize c {{\n  supervisor, user as user\n  shadow rest\n{items}\n}}\n"


def configured(folder: Path, items: str) -> tuple[ir.Isa, ir.Configuration]:
    loaded = load(write(folder, MACHINE + hosting(items)))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa, loaded.isa.configurations[0]


def run(
    isa: ir.Isa, routine: ir.Function, values: dict[str, int], arguments: tuple[int, ...]
) -> MachineState:
    """The state after a routine of the configuration; `values` are those of its free names."""
    given = dict(zip((p.name for p in routine.parameters), arguments, strict=True))
    ended = ConcreteEngine(isa).run(MachineState(isa), routine.body, {**given, **values})
    assert isinstance(ended, Retired)
    return ended.state


def test_install_and_remove_change_real_tables(tmp_path: Path) -> None:
    isa, configuration = configured(tmp_path, ROUTINES)
    values = {"monitor.base": 0x4000, "region.size": 0x1234}
    assert configuration.install is not None
    assert configuration.remove is not None

    installed = run(isa, configuration.install, values, (0x0300, 0x7700, 5, 0x12))
    removed = run(isa, configuration.remove, values, (0x0300, 0x13))

    assert installed.arrays["T"][2] == 5
    assert (installed.cells[0x4006], installed.cells[0x4007]) == (0x77, 0x00)
    assert removed.arrays["T"][3] == 0
    assert (removed.cells[0x4006], removed.cells[0x4007]) == (0x12, 0x34)


def test_routines_have_the_widths_of_addresses_and_the_names_that_are_written(
    tmp_path: Path,
) -> None:
    _, configuration = configured(tmp_path, ROUTINES)

    assert (configuration.page, configuration.monitor_size) == (256, 512)
    assert configuration.install is not None
    assert configuration.install.parameters == (
        ir.Local("va", 16), ir.Local("pa", 16), ir.Local("rights", 3), ir.Local("slot", 8),
    )  # fmt: skip
    assert configuration.remove is not None
    assert configuration.remove.parameters == (ir.Local("page", 16), ir.Local("number", 8))


def test_the_monitors_memory_is_filled_as_the_configuration_says(tmp_path: Path) -> None:
    _, plain = configured(tmp_path, ROUTINES)
    _, filled = configured(tmp_path, ROUTINES.replace("monitor 512", "monitor 512 filled 0xFE"))

    assert plain.monitor_fill == 0
    assert (filled.monitor_size, filled.monitor_fill) == (512, 0xFE)


def test_a_cell_is_not_filled_with_more_than_it_holds(tmp_path: Path) -> None:
    assert codes(tmp_path, "", hosting("monitor 512 filled 256")) == ["E0408"]


def test_a_configuration_without_tables_has_none(tmp_path: Path) -> None:
    _, configuration = configured(tmp_path, "")

    assert (configuration.page, configuration.monitor_size) == (None, 0)
    assert (configuration.install, configuration.remove) == (None, None)


def test_what_only_install_calls_is_called(tmp_path: Path) -> None:
    isa, _ = configured(tmp_path, ROUTINES)

    assert "nothing calls `enter`" not in [w.message for w in warnings(isa)]


def test_composed_state_follows_the_virtual_mode_the_region_and_the_monitor(
    tmp_path: Path,
) -> None:
    _, configuration = configured(
        tmp_path,
        "  compose K = if M == user then K + region.base else monitor.base\n"
        "  compose W = Word(high = region.size[16:13], mid = 0, bit = 1)",
    )

    (name, value), *fields = configuration.compose
    assert name == "K"
    assert value == ir.Select(
        ir.Compare(ir.CompareOp.EQ, ir.Read("M", 1), ir.Literal(0, 1)),
        ir.Binary(ir.BinaryOp.ADD, ir.Read("K", 16), ir.Local("region.base", 16), 16),
        ir.Local("monitor.base", 16),
        16,
    )
    assert [n for n, _ in fields] == ["W.high", "W.mid", "W.bit"]
    assert fields[0][1] == ir.Extract(ir.Local("region.size", 17), 16, 13)


def test_an_array_is_composed_member_by_member(tmp_path: Path) -> None:
    isa, configuration = configured(tmp_path, "  compose T[i] = if i == 2 then K else T[i] + i")

    ((name, value),) = configuration.compose
    members = list(composed(isa, configuration))

    assert name == "T"
    assert value.width == 16 * len(members)
    assert [(n, index.value) for n, index, _ in members if index] == [("T", i) for i in range(16)]
    assert members[2][2] == ir.Read("K", 16)
    assert members[3][2] == ir.Binary(
        ir.BinaryOp.ADD, ir.Read("T", 16, ir.Literal(3, 4)), ir.Literal(3, 16), 16
    )


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ("install(va, pa, rights, slot) { }  remove(va, slot) { }", "E0407"),
        ("page 16  install(va, pa, rights, slot) { }", "E0407"),
        ("page 16  remove(va, slot) { }", "E0407"),
        ("page 24", "E0408"),
        ("page 0", "E0408"),
        ("page 2^17", "E0408"),
        ("monitor 2^17", "E0408"),
        ("page 16  monitor 24", "E0408"),
        ("page K", "E0209"),
        ("page 16  page 16", "E0301"),
        ("monitor 16  monitor 16", "E0301"),
        ("page 16  remove(va, slot) { }  remove(va, slot) { }", "E0301"),
        ("page 16  remove(va) { }", "E0206"),
        ("page 16  install(a : paddr, pa, rights, slot) { }  remove(va, slot) { }", "E0414"),
        ("page 16  remove(va : bits(16), slot) { }", "E0414"),
        ("page 16  remove(va, slot : bits(7)) { }", "E0414"),
        ("compose K = K + 1  compose K = K", "E0410"),
        ("compose A = region.base", "E0410"),
        ("compose USP = region.base", "E0410"),
        ("compose M = region.base[0:0]", "E0410"),
        ("compose T = K", "E0410"),
        ("compose K[i] = K", "E0410"),
        ("compose T[i] = A", "E0411"),
        ("compose K = A", "E0411"),
        ("compose K = SP", "E0411"),
        ("compose K = load(region.base, 16)", "E0218"),
        ("compose K = region.limit", "E0201"),
        ("compose nothing = 1", "E0201"),
    ],
)
def test_what_cannot_host_a_guest_is_refused(tmp_path: Path, items: str, code: str) -> None:
    assert codes(tmp_path, "", hosting(items)) == [code]


@pytest.mark.parametrize(
    "statement",
    [
        "A = 0",
        "M = user",
        "USP = 0",
        "put_A()",
        "T[0] = A",
        "store(va, 8'd0)",
        "T[0] = load(va, 16)",
        "let p = translate(va, read, 1)",
        "trap privileged",
        "T[0] = unknown(16)",
    ],
)
@pytest.mark.parametrize("routine", ["install(va, pa, rights, slot)", "remove(va, slot)"])
def test_the_routines_stay_within_the_monitor(tmp_path: Path, routine: str, statement: str) -> None:
    other = {"i": "remove(va, slot) { }", "r": "install(va, pa, rights, slot) { }"}[routine[0]]
    items = f"page 16  {other}  {routine} {{ {statement} }}"

    found = codes(tmp_path, "", "fn put_A() { A = 0 }" + hosting(items))

    assert found == ["E0409"]


@pytest.mark.parametrize("kept", ["pass K", "mirror K"])
def test_only_shadowed_state_is_composed(tmp_path: Path, kept: str) -> None:
    items = f"  {kept}\n  compose K = region.base"

    assert codes(tmp_path, "", hosting(items)) == ["E0410"]


def test_passed_state_is_not_composed_from_and_mirrored_state_is(tmp_path: Path) -> None:
    passed = hosting("  pass W.bit\n  compose K = zext(W.bit, 16)")
    mirrored = hosting("  mirror W.bit\n  compose K = zext(W.bit, 16)")

    assert codes(tmp_path, "", passed) == ["E0411"]
    assert codes(tmp_path, "", mirrored) == []
