"""What a configuration installs, and nothing else, is what the real machine then finds."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refvmm.derive import derive
from refvmm.hosting import obstacles
from refvmm.strategy import Strategy
from refvmm.vm_map import Placement, default_placement, fill_tables
from spec.concrete import ConcreteEngine
from spec.ir import Access, Configuration, Function, Isa, TrapClass
from spec.load import load
from spec.outcome import Retired, Trapped
from spec.state import MachineState

ISAS = Path(__file__).resolve().parent.parent / "isas"
RISC_V = [(name, mode) for name in ("riscv/rv32", "riscv/rv64") for mode in ("msu", "su")]
ARM = [("arm/armv7a", "classic"), ("aarch64/aarch64", "classic")]
IN_MEMORY = [*RISC_V, ("tiny/sptbr", "classic"), *ARM, ("s370/s370", "classic")]
HOSTS = [*IN_MEMORY, ("tiny/invlpg", "classic")]
EXPRESSED = {
    "riscv/rv64": 39,
    "aarch64/aarch64": 31,
}  # bits of a virtual address, the highest of which is its sign
RIGHTS = {Access.FETCH: 1, Access.READ: 2, Access.WRITE: 4}


@cache
def described(name: str) -> Isa:
    isa = load(str(ISAS / f"{name}.isa")).isa
    assert isa is not None
    return isa


def routine(found: Function | None) -> Function:
    assert found is not None
    return found


@dataclass
class Host:
    """The real machine in the real mode, with composed and constrained state, and its tables."""

    isa: Isa
    configuration: Configuration
    state: MachineState = field(init=False)
    places: dict[str, int] = field(init=False)
    installed: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        isa, configuration = self.isa, self.configuration
        half = 1 << (isa.memory.address_width - 1)
        page = self.page
        self.places = {"region.base": half, "region.size": half, "monitor.base": page}
        self.state = MachineState(isa)
        self.state.scalars[isa.mode.element] = dict(isa.mode.members)[configuration.real_mode]
        composed = {
            name: self.engine.value(self.state, value, self.places)
            for name, value in configuration.compose
        }
        monitor = derive(isa, configuration)
        self.state.update({**dict(monitor.fixed), **composed})
        fill_tables(monitor, self.state, Placement(half, half, page))

    @property
    def engine(self) -> ConcreteEngine:
        return ConcreteEngine(self.isa)

    @property
    def page(self) -> int:
        assert self.configuration.page is not None
        return self.configuration.page

    @property
    def address_width(self) -> int:
        return routine(self.configuration.install).parameters[0].width

    def expressed(self, number: int) -> int:
        """The virtual page of that number, of those that its tables express."""
        bits = EXPRESSED.get(self.isa.name, self.address_width)
        pages = (1 << bits) // self.page
        extension = (1 << self.address_width) // self.page - pages
        number %= pages
        return number + extension if bits < self.address_width and number >= pages // 2 else number

    def run(self, wanted: Function, *arguments: int) -> None:
        names = [p.name for p in wanted.parameters]
        given = {**dict(zip(names, arguments, strict=True)), **self.places}
        ended = self.engine.run(self.state, wanted.body, given)
        assert isinstance(ended, Retired)
        self.state = ended.state

    def install(self, virtual: int, physical: int, rights: int) -> None:
        arguments = (virtual * self.page, physical * self.page, rights, 0)
        self.run(routine(self.configuration.install), *arguments)
        self.installed[virtual] = physical, rights

    def remove(self, virtual: int) -> None:
        self.run(routine(self.configuration.remove), virtual * self.page, 0)
        self.installed.pop(virtual, None)

    def found(self, address: int, access: Access) -> int | None:
        """Where the real mode finds one cell; None if it takes a memory trap."""
        result = self.engine.look_up(self.state, address, 1, access)
        if isinstance(result, Trapped):
            assert result.trap_class is TrapClass.MEMORY
            return None
        return result


def host(name: str, configuration: str) -> Host:
    isa = described(name)
    (chosen,) = [c for c in isa.configurations if c.name == configuration]
    return Host(isa, chosen)


@pytest.mark.parametrize(("name", "configuration"), HOSTS)
@given(data=st.data())
@settings(max_examples=60)
def test_the_real_mode_reaches_what_is_installed_and_no_more(
    name: str, configuration: str, data: st.DataObject
) -> None:
    real = host(name, configuration)
    pages = (1 << real.address_width) // real.page
    numbers = st.integers(0, pages - 1).map(real.expressed)
    some = data.draw(st.lists(numbers, min_size=2, max_size=4, unique=True))
    targets = st.integers(0, (1 << real.isa.memory.address_width) // real.page - 1)
    for virtual in data.draw(st.lists(st.sampled_from(some), min_size=1, max_size=8)):
        if virtual in real.installed:
            real.remove(virtual)
        else:
            real.install(virtual, data.draw(targets), data.draw(st.integers(0, 7)))
    neighbours = [(v + d) % pages for v in some for d in (-1, 0, 1)]
    virtual = data.draw(st.sampled_from(neighbours))
    offset = data.draw(st.integers(0, real.page - 1))
    access = data.draw(st.sampled_from(Access))
    if access is Access.FETCH:
        unit = real.isa.fetch.unit_width // real.isa.memory.cell_width
        offset -= offset % unit

    found = real.found(virtual * real.page + offset, access)

    physical, rights = real.installed.get(virtual, (0, 0))
    assert found in (None, physical * real.page + offset)
    assert found is None or rights & RIGHTS[access]
    assert found is not None or rights != 7


@pytest.mark.parametrize(("name", "configuration"), RISC_V)
@pytest.mark.parametrize("rights", range(8))
def test_risc_v_grants_every_combination_but_writing_without_reading(
    name: str, configuration: str, rights: int
) -> None:
    real = host(name, configuration)
    real.install(0x12345, 0x3ABCDE, rights)

    granted = sum(r for a, r in RIGHTS.items() if real.found(0x12345678, a) is not None)

    assert granted == (rights if rights & 2 else rights & 1)


@pytest.mark.parametrize(("name", "configuration"), IN_MEMORY)
def test_the_tables_lie_in_the_monitors_memory(name: str, configuration: str) -> None:
    real = host(name, configuration)
    pages = (1 << real.address_width) // real.page
    for number in (0, 1, pages // 2, pages - 1):
        real.install(real.expressed(number), 1, 7)

    written = [address for address, _ in real.state.cells.written()]

    base = real.places["monitor.base"]
    assert written
    assert base <= min(written)
    assert max(written) < base + real.configuration.monitor_size


def test_the_timer_of_the_real_machine_interrupts_user_mode_whatever_the_guest_wants() -> None:
    for name, configuration in RISC_V:
        real = host(name, configuration)
        real.state.scalars["mtip"] = 1

        (taken, *_) = [i for i in real.isa.interrupts if real.engine.value(real.state, i.condition)]

        assert taken.name == "machine_level"


def test_sv39_installs_nothing_at_an_address_it_cannot_express() -> None:
    real = host("riscv/rv64", "msu")
    real.install(0x12345, 7, 7)
    real.install(0x8012345, 9, 7)  # the same 39 bits but for the sign

    assert real.found(0x12345678, Access.READ) == 0x7678
    assert real.found(0x8012345678, Access.READ) is None
    real.remove(0x8012345)
    assert real.found(0x12345678, Access.READ) == 0x7678


@pytest.mark.parametrize(("name", "configuration"), HOSTS)
def test_a_monitor_can_meet_every_constraint(name: str, configuration: str) -> None:
    real = host(name, configuration)
    monitor = derive(real.isa, real.configuration)
    placement = default_placement(real.isa, real.configuration)

    assert obstacles(monitor, placement, Strategy.TRAP_AND_EMULATE) == ()
    assert all(real.engine.value(real.state, e) for _, e in real.configuration.constraints)


def test_a_constraint_that_always_holds_is_none() -> None:
    texts = {
        name: [text for text, _ in described(name).configurations[0].constraints]
        for name in ("riscv/rv32", "riscv/rv64")
    }

    assert "memory_open()" in texts["riscv/rv64"]
    assert "memory_open()" not in texts["riscv/rv32"]
