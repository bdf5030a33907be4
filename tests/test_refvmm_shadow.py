"""Shadow tables stand for the guest's own, also while the guest changes these."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from refvmm.derive import Monitor, derive
from refvmm.lockstep import Divergence, lockstep
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.encoding import Codec
from spec.ir import If, Isa
from spec.load import load
from spec.machine import Machine
from spec.state import MachineState

ISAS = Path(__file__).resolve().parent.parent / "isas"
PAGES = 13  # of the guest, 16 words each
PLACEMENT = Placement(region_base=48, region_size=16 * PAGES, monitor_base=16)


@cache
def paged() -> Isa:
    isa = load(ISAS / "tiny/sptbr.isa").isa
    assert isa is not None
    return isa


@st.composite
def states(draw: st.DrawFn) -> MachineState:
    """Instructions all over memory, and two tables with entries that share pages."""
    page = st.integers(0, PAGES - 1)
    address = st.builds(lambda p, offset: p * 16 + offset, page, st.integers(0, 15))
    entry = st.builds(
        lambda valid, p: valid << 15 | p, st.sampled_from([1, 1, 0]), st.integers(0, 15)
    )
    code = st.one_of(
        st.builds(lambda a, d: 0x4000 | a << 4 | d, address, st.integers(0, 3)),
        st.builds(
            lambda op, d: op << 12 | d, st.sampled_from([1, 5, 6, 6, 8, 9]), st.integers(0, 15)
        ),
    )
    state = bare_state(paged(), 16 * PAGES)
    words = draw(st.lists(code, min_size=24, max_size=24))
    for number in range(16 * PAGES):
        state.cells[number] = words[number % len(words)]
    roots = draw(page), draw(page)
    for root in roots:
        for number, word in enumerate(draw(st.lists(entry, min_size=16, max_size=16))):
            state.cells[16 * root + number] = word
    state.scalars["sptbr"] = roots[0]
    state.scalars["M"] = draw(st.integers(0, 1))
    state.scalars["PC"] = draw(address)
    first = st.one_of(address, entry)
    state.arrays["r"] = draw(st.lists(first, min_size=4, max_size=4))
    return state


def run(monitor: Monitor, state: MachineState, steps: int) -> Divergence | None:
    decode = Codec(paged()).decode
    virtual = VirtualMachine([monitor], place(monitor, state, PLACEMENT), decode)
    return lockstep(Machine(paged(), state.copy(), decode), virtual, steps)


@settings(max_examples=30)
@given(states(), st.integers(1, 3))
def test_a_guest_with_page_tables_cannot_tell(state: MachineState, slots: int) -> None:
    monitor = derive(paged(), paged().configurations[0], slots)

    assert run(monitor, state, 16) is None


def test_pages_that_the_walk_reads_are_not_writable() -> None:
    """The guest maps its own table, turns an entry off through the map, and uses it."""
    state = bare_state(paged(), 16 * PAGES)
    for number, word in enumerate(
        [0x8000, 0x8001, 0x8002]
    ):  # pages 0, 1, 2 as they are; table in 2
        state.cells[32 + number] = word
    state.scalars.update({"sptbr": 2, "PC": 16})
    state.arrays["r"] = [0, 33, 5, 0]
    for number, word in enumerate([0x500A, 0x6001, 0x1000, 0x1000]):  # ld, st to entry 1, add
        state.cells[16 + number] = word
    monitor = derive(paged(), paged().configurations[0], 4)

    assert run(monitor, state, 4) is None

    upkeep = tuple(s for s in monitor.resume if not (isinstance(s, If) and "stale" in repr(s)[:99]))
    assert len(upkeep) == len(monitor.resume) - 1
    assert run(replace(monitor, resume=upkeep), state, 4) is not None
