"""Compares a virtual machine with a bare one through the VM map, cheaply, after every step.

Both must run emitted code: then they note which pages they wrote. What it finds different is told
in full by `refvmm.lockstep.differences`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from refvmm.bare_machine import BareMachine
from refvmm.virtual_machine import VirtualMachine
from spec.effects import statements
from spec.ir import Write

_Getter = Callable[[Mapping[str, Any]], Any]


class Comparison:
    """Of two machines that were in related states at the last `restart`.

    Regions must begin and end at pages of `Cells`.
    """

    def __init__(self, bare: BareMachine, virtual: VirtualMachine) -> None:
        self._bare = bare
        self._virtual = virtual
        chain = virtual.processor.chain()
        self._saves = [piece for processor in chain for piece in processor.save]
        written = (s for processor in chain for s in statements(processor.text.save))
        self._lists = sorted(
            {s.element for s in written if isinstance(s, Write) and s.index is not None}
        )
        home = virtual.processor.text.home
        self._scalars = _getters(bare.state.scalars, home)
        self._arrays = _getters(bare.state.arrays, home)
        self._levels: list[_Level] = []

    def restart(self) -> None:
        """Both machines are in related states now."""
        self._bare.hardware.runtime.writable.clear()
        self._virtual.hardware.runtime.writable.clear()
        scalars, shift = self._virtual.state.scalars, self._bare.state.cells.page_shift
        self._levels = []
        for processor, monitor in zip(
            self._virtual.processor.chain(), self._virtual.monitors, strict=True
        ):
            base, size, own = (
                scalars[processor.text.own(name)]
                for name in ("region.base", "region.size", "monitor.base")
            )
            assert not (base | size) & ((1 << shift) - 1), "regions are whole pages"
            end = own + monitor.configuration.monitor_size - 1
            self._levels.append(
                _Level(base >> shift, size >> shift, range(own >> shift, (end >> shift) + 1))
            )

    def related(self) -> bool:
        """Whether the machines are in related states, as far as was written since last asked."""
        bare, virtual = self._bare, self._virtual
        if bare.hardware.waiting is not virtual.hardware.waiting:
            return False
        return self._same_elements() and self._same_memory()

    def _same_elements(self) -> bool:
        state, bare = self._virtual.state, self._bare.state
        scalars = state.scalars.copy()
        arrays = state.arrays
        if self._lists:
            arrays = {**arrays, **{name: arrays[name][:] for name in self._lists}}
        for condition, save in self._saves:
            if condition is None or condition(scalars, arrays, {}, {}, 1):
                save(scalars, arrays, {}, {}, 1)
        for (mine, theirs), values, others in (
            (self._scalars, bare.scalars, scalars),
            (self._arrays, bare.arrays, arrays),
        ):
            if mine(values) != theirs(others):
                return False
        return True

    def _same_memory(self) -> bool:
        """Whether the pages are the same that either machine wrote; forgets that they did."""
        bare, virtual = self._bare.hardware, self._virtual.hardware
        mine, theirs = bare.runtime.writable, virtual.runtime.writable
        start = sum(level.base for level in self._levels)
        for number in mine:
            present = number < self._levels[-1].size
            if present and not bare.state.cells.same_page(
                virtual.state.cells, number, number + start
            ):
                return False
        for place in theirs:
            number = place
            for level in self._levels:
                number -= level.base
                if not 0 <= number < level.size:
                    if number + level.base not in level.own:
                        return False
                    break
            else:
                if not bare.state.cells.same_page(virtual.state.cells, number, place):
                    return False
        mine.clear()
        theirs.clear()
        return True


@dataclass(frozen=True, slots=True)
class _Level:
    """Where a monitor keeps its guest's memory and its own, in pages of its machine."""

    base: int
    size: int
    own: range


def _getters(names: Iterable[str], home: Callable[[str], str]) -> tuple[_Getter, _Getter]:
    known = tuple(names)
    if not known:
        return (lambda values: None), (lambda values: None)
    return itemgetter(*known), itemgetter(*(home(name) for name in known))
