"""Which pairs of states a witness may consist of."""

from checker.components import MEMORY, machine_of
from checker.replay import Replay, Side
from popek.library import locate
from spec.concrete import ConcreteEngine
from spec.ir import Access
from spec.load import load
from spec.outcome import Accesses, Retired, Touch, Trapped, VirtualAccess
from spec.state import MachineState


def test_states_are_related_if_all_that_a_run_touches_is_the_same() -> None:
    isa = load(str(locate("lc3/lc3"))).isa
    assert isa is not None
    replay = Replay(machine_of(isa))

    def side(cells: dict[int, int]) -> Side:
        """A run that reads two cells, from a state that holds these."""
        state = MachineState(isa)
        for address, value in cells.items():
            state.cells[address] = value
        reads = tuple(
            VirtualAccess(Touch.LOAD, at, at, 1, Access.READ, None, state.cells[at])
            for at in (0x3000, 0x3001)
        )
        return Side(state, Retired(state, False, Accesses(reads)), ())

    def related(cells: dict[int, int]) -> bool:
        return replay.related(side({}), side(cells), frozenset({MEMORY}))

    assert related({})
    assert related({0x3002: 1})
    assert not related({0x3000: 1})
    assert not related({0x3001: 1})


def test_what_may_be_read_is_not_therefore_written() -> None:
    isa = load(str(locate("x86/ia32"))).isa
    assert isa is not None
    engine, state = ConcreteEngine(isa), MachineState(isa)
    side = Side(state, Retired(state, False, Accesses()), ())

    # offset 16 of the code segment, which is readable
    assert side.place(engine, 16, 4, Access.READ) == 16
    assert isinstance(side.place(engine, 16, 4, Access.WRITE), Trapped)
    assert side.place(engine, 16, 4, Access.READ) == 16
