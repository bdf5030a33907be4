"""Several guests on one real machine: the monitor switches between their worlds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from refvmm.bare_machine import BareMachine
from refvmm.comparison import Comparison
from refvmm.control_block import MARK
from refvmm.derive import Monitor
from refvmm.lockstep import Divergence, differences
from refvmm.scenario import Scenario
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, saved
from spec.encoding import Codec
from spec.outcome import Trapped
from spec.state import MachineState


@dataclass(slots=True)
class World:
    """What is one guest's of the real machine's state, besides memory, while it does not run."""

    scalars: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, list[int]] = field(default_factory=dict)
    waiting: bool = False
    double_trap: Trapped | None = None


class WorldSwitch:
    """Exchanges the control block, and what the guest has in place, for another guest's.

    Virtual time stands still while another guest runs. Every guest has a region and tables of its
    own in real memory, so nothing is moved there.
    """

    def __init__(self, machine: VirtualMachine, guests: int) -> None:
        (self._monitor,) = machine.monitors
        self._machine = machine
        apart = {
            name for name in self._monitor.block.homes if name in self._real_names(self._monitor)
        } - set(self._monitor.block.homes.values())
        elements = [e for e in self._monitor.real.elements if e.name not in apart]
        self._scalars = [e.name for e in elements if e.length is None]
        self._arrays = [e.name for e in elements if e.length is not None]
        self.worlds = [World() for _ in range(guests)]
        self.running = 0

    @staticmethod
    def _real_names(monitor: Monitor) -> set[str]:
        return {element.name for element in monitor.description.elements}

    def switch(self, guest: int) -> None:
        """Let another guest run, from the monitor's point of view at the end of a trap."""
        self._machine.processor.enter()
        self.leave_world()
        self.enter_world(guest)
        self._machine.processor.leave()

    def leave_world(self) -> None:
        """Keep the world of the guest that runs; it has been saved."""
        machine, state = self._machine, self._machine.state
        world = self.worlds[self.running]
        world.scalars = {name: state.scalars[name] for name in self._scalars}
        world.arrays = {name: state.arrays[name][:] for name in self._arrays}
        world.waiting, world.double_trap = machine.hardware.waiting, machine.double_trap

    def enter_world(self, guest: int) -> None:
        """Make another guest's world that of the machine; it has still to be resumed."""
        machine, state = self._machine, self._machine.state
        self.running = guest
        world = self.worlds[guest]
        state.scalars.update(world.scalars)
        for name, values in world.arrays.items():
            state.own_array(name)[:] = values
        for clock in self._monitor.block.clocks:
            if clock.length is None:
                state.scalars[MARK + clock.name] = state.scalars[clock.name]
            else:
                state.own_array(MARK + clock.name)[:] = state.arrays[clock.name]
        machine.hardware.waiting, machine.double_trap = world.waiting, world.double_trap


class Guests:
    """Guests on one real machine, each beside a bare machine of its own."""

    def __init__(
        self, monitor: Monitor, placements: Sequence[Placement], strategy: Strategy
    ) -> None:
        self.isa = monitor.description
        self.monitor = monitor
        self.placements = tuple(placements)
        decode = Codec(self.isa).decode
        start = MachineState(monitor.real)
        self.virtual = VirtualMachine([monitor], start, decode, strategy, "emitted")
        self.bare = [BareMachine(self.isa, MachineState(self.isa), decode) for _ in placements]
        self._comparisons = [Comparison(bare, self.virtual) for bare in self.bare]
        self._blank = MachineState(monitor.real)

    def run(self, scenarios: Sequence[Scenario], random: Random) -> Divergence | None:
        """Switch at random; the first step after which a guest differs from its bare machine.

        The events of the scenarios are left out.
        """
        switch = WorldSwitch(self.virtual, len(scenarios))
        real = self._blank.copy()
        self.virtual.restart(real)
        for guest, (scenario, placement) in enumerate(zip(scenarios, self.placements, strict=True)):
            state = scenario.state(self.isa)
            placed = saved(self.monitor, state, placement, self._blank)
            real.scalars.update(placed.scalars)
            for name, values in placed.arrays.items():
                real.own_array(name)[:] = values
            real.cells.put(state.cells, placement.region_base, placement.region_size)
            self.bare[guest].restart(state)
            switch.running = guest
            switch.leave_world()
        self.virtual.restart(real)
        switch.enter_world(0)
        self.virtual.processor.leave()
        left = [scenario.steps for scenario in scenarios]
        self._comparisons[0].restart()
        for number in range(sum(left)):
            if not left[switch.running] or random.random() < 0.4:
                able = [guest for guest, steps in enumerate(left) if steps]
                if not able:
                    break
                switch.switch(random.choice(able))
                self._comparisons[switch.running].restart()
            guest = switch.running
            left[guest] -= 1
            found = self._step(number, guest)
            if found is not None:
                return found
            if self.bare[guest].double_trap is not None:
                left[guest] = 0
        return None

    def _step(self, number: int, guest: int) -> Divergence | None:
        bare = self.bare[guest]
        steps = bare.step(), self.virtual.step()
        if self._comparisons[guest].related() and steps[0].interrupt == steps[1].interrupt:
            return None
        found = differences(bare, self.virtual)
        if not found:
            found["memory outside the region"] = ("as it was", "changed")
        return Divergence(number, *steps, {f"guest {guest}: {n}": v for n, v in found.items()})
