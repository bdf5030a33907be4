"""Several guests on one real machine: the monitor switches between their worlds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

from refvmm.alarm import Alarm, alarm
from refvmm.bare_machine import BareMachine
from refvmm.comparison import Comparison
from refvmm.control_block import MARK
from refvmm.derive import Monitor
from refvmm.lockstep import Divergence, differences
from refvmm.scenario import Event, Scenario
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, fill_tables, saved
from spec.encoding import Codec
from spec.machine import Step
from spec.outcome import Trapped
from spec.state import MachineState

Differences: TypeAlias = dict[str, tuple[object, object]]
"""Element or cell -> value of the bare machine, of the virtual one."""


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


@dataclass(frozen=True, slots=True)
class Joint:
    """Guests of one real machine: what each does, and whose each step is."""

    scenarios: tuple[Scenario, ...]
    schedule: tuple[int, ...]


def joint(scenarios: Sequence[Scenario], random: Random) -> Joint:
    """The scenarios with a random schedule, by which each comes to its end."""
    left = [scenario.steps for scenario in scenarios]
    schedule: list[int] = []
    running = 0
    while any(left):
        if not left[running] or random.random() < 0.4:
            running = random.choice([guest for guest, steps in enumerate(left) if steps])
        left[running] -= 1
        schedule.append(running)
    return Joint(tuple(scenarios), tuple(schedule))


@dataclass(frozen=True, slots=True)
class Turn:
    """A step of one guest, on its bare machine and on the real one; whether the monitor did it."""

    guest: int
    number: int  # of the guest's own steps
    bare: Step
    virtual: Step
    emulated: bool


class Guests:
    """Guests on one real machine, each beside a bare machine of its own."""

    def __init__(
        self, monitor: Monitor, placements: Sequence[Placement], strategy: Strategy
    ) -> None:
        self.isa = monitor.description
        self.monitor = monitor
        self.placements = tuple(placements)
        self.strategy = strategy
        decode = Codec(self.isa).decode
        start = MachineState(monitor.real)
        self.virtual = VirtualMachine([monitor], start, decode, strategy, "emitted")
        self.bare = [BareMachine(self.isa, MachineState(self.isa), decode) for _ in placements]
        self._comparisons = [Comparison(bare, self.virtual) for bare in self.bare]
        self._blank = MachineState(monitor.real)
        self._switch = WorldSwitch(self.virtual, len(self.bare))
        self.alarm: Alarm | None = None
        self.virtual.place(MachineState(self.isa), self.placements[:1])
        self.alarm = alarm(self.virtual)

    @property
    def running(self) -> int:
        """The guest that runs."""
        return self._switch.running

    def begin(self, states: Sequence[MachineState]) -> None:
        """A guest for each placement, in these states; the first one runs."""
        self._switch = switch = WorldSwitch(self.virtual, len(states))
        real = self._blank.copy()
        self.virtual.restart(real)
        for guest, (state, placement) in enumerate(zip(states, self.placements, strict=True)):
            placed = saved(self.monitor, state, placement, self._blank)
            real.scalars.update(placed.scalars)
            for name, values in placed.arrays.items():
                real.own_array(name)[:] = values
            real.cells.put(state.cells, placement.region_base, placement.region_size)
            fill_tables(self.monitor, real, placement)
            self.bare[guest].restart(state)
            switch.running = guest
            switch.leave_world()
        self.virtual.restart(real)
        switch.enter_world(0)
        self.virtual.processor.leave()
        self._comparisons[0].restart()

    def switch(self, guest: int) -> None:
        """Let another guest run."""
        if guest != self.running:
            self._switch.switch(guest)
            self._comparisons[guest].restart()

    def happen(self, event: Event) -> None:
        """An event of the guest that runs; or the real machine is interrupted."""
        if event.element is None:
            self.virtual.interrupted()
            return
        event.happen(self.bare[self.running].state, event.element)
        event.happen(self.virtual.state, self.virtual.processor.text.home(event.element))

    def step(self, number: int) -> tuple[Turn, Differences]:
        """One step of the guest that runs, its `number`th, and where it differs afterwards."""
        guest, emulated = self.running, self.virtual.emulated
        bare = self.bare[guest]
        turn = Turn(guest, number, bare.step(), self.virtual.step(), False)
        if self.virtual.emulated > emulated:
            turn = replace(turn, emulated=True)
        if self.alarm is not None and not self.alarm.would_fire():
            return turn, {"the monitor's timer": ("can fire", "is masked")}
        if (
            self._comparisons[guest].related()
            and turn.bare.interrupt == turn.virtual.interrupt
            and (bare.double_trap is None) is (self.virtual.double_trap is None)
        ):
            return turn, {}
        found = differences(bare, self.virtual)
        if turn.bare.interrupt != turn.virtual.interrupt:
            found["interrupt"] = (turn.bare.interrupt, turn.virtual.interrupt)
        return turn, found or {"memory outside the region": ("as it was", "changed")}

    def run(self, tried: Joint) -> Divergence | None:
        """The first step, in the schedule, after which a guest differs from its bare machine."""
        for place, turn, found in self.turns(tried):
            if found:
                named = {f"guest {turn.guest}: {name}": pair for name, pair in found.items()}
                return Divergence(place, turn.bare, turn.virtual, named)
        return None

    def turns(self, tried: Joint) -> Iterator[tuple[int, Turn, Differences]]:
        """The steps of all guests, up to the first that differs, by place in the schedule."""
        self.begin([scenario.state(self.isa) for scenario in tried.scenarios])
        done = [0 for _ in tried.scenarios]
        for place, guest in enumerate(tried.schedule):
            self.switch(guest)
            if self.bare[guest].double_trap is not None:
                continue
            for event in tried.scenarios[guest].events:
                if event.step == done[guest]:
                    self.happen(event)
            turn, found = self.step(done[guest])
            yield place, turn, found
            if found:
                return
            done[guest] += 1
