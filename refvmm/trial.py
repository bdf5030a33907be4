"""Runs scenarios on the bare machine and on a virtual one, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from refvmm.alarm import alarm
from refvmm.bare_machine import BareMachine
from refvmm.comparison import Comparison
from refvmm.derive import Monitor
from refvmm.executor import Decoder
from refvmm.lockstep import Divergence, differences
from refvmm.scenario import Event, Scenario
from refvmm.strategy import Strategy
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, default_placement
from spec.encoding import codec_of
from spec.ir import Configuration, Isa
from spec.machine import Step
from spec.routines import EngineName
from spec.state import Cells, MachineState, Page


@dataclass(slots=True)
class Count:
    """What trials did so far; `direct` are instructions that the real machine executed."""

    programs: int = 0
    steps: int = 0
    direct: int = 0
    emulated: int = 0


class Trial:
    """A stack of monitors that scenarios are tried on, one after the other.

    `placements`: one for each monitor, the one on the real machine first.
    """

    def __init__(
        self,
        monitors: Sequence[Monitor],
        placements: Sequence[Placement],
        strategy: Strategy,
        engine: EngineName = "emitted",
    ) -> None:
        isa = monitors[-1].description
        self.isa = isa
        self.monitors = tuple(monitors)
        self.placements = tuple(placements)
        self.strategy = strategy
        self.count = Count()
        decoder = Decoder(codec_of(isa).decode)  # both decode the same instructions
        self.bare = BareMachine(isa, MachineState(isa), decoder)
        start = MachineState(monitors[0].real)
        self._emitted = engine == "emitted"
        self.virtual = VirtualMachine(monitors, start, decoder, strategy, engine)
        self._comparison = Comparison(self.bare, self.virtual)
        self.virtual.place(MachineState(isa), self.placements)
        self.alarm = alarm(self.virtual)

    @property
    def size(self) -> int:
        """Cells of the guest's memory."""
        return self.placements[-1].region_size

    def run(self, scenario: Scenario) -> Divergence | None:
        """The first step after which the machines differ, if any."""
        self.begin(scenario)
        found = None
        for number in range(scenario.steps):
            found = self.step(number, scenario.events)
            if found is not None or self.bare.double_trap is not None:
                break
        count, virtual = self.count, self.virtual
        count.programs += 1
        count.direct += virtual.direct
        count.emulated += virtual.emulated
        return found

    def begin(self, scenario: Scenario) -> None:
        """Put both machines at the start of a scenario."""
        state = scenario.state(self.isa)
        self.virtual.place(state, self.placements)
        self.bare.restart(state)
        self._surround(state)
        self._comparison.restart()

    def _surround(self, state: MachineState) -> None:
        """Put what resembles the guest's memory, but is not, around the regions.

        Else an access that goes astray would find nothing there, and nobody would notice.
        """
        cells = self.virtual.state.cells
        shift, unit = cells.page_shift, self.isa.fetch.unit_width // self.isa.memory.cell_width
        last = cells.mask >> shift
        start = sum(placement.region_base for placement in self.placements) >> shift
        kept = [range(start, start + (self.size >> shift))]
        astray: list[int] = []  # where the guest's page 0 would be, if something were forgotten
        host = 0
        for monitor, placement in zip(self.monitors, self.placements, strict=True):
            base, size = placement.region_base >> shift, placement.region_size >> shift
            tables = host + (placement.monitor_base >> shift)
            kept.append(range(tables, tables - (-monitor.configuration.monitor_size >> shift)))
            astray += [host, start - base, start + base]
            astray += [host + base + size, host + base - 1]
            host += base
        for number, page in state.cells.pages.items():
            for first in astray:
                place = first + number & last
                if place not in cells.pages and not any(place in pages for pages in kept):
                    cells.pages[place] = _turned(page, unit)

    def trace(self, scenario: Scenario) -> list[tuple[Step, Step, bool]]:
        """The steps of both machines up to where they differ; whether the monitor did it."""
        self.begin(scenario)
        steps = []
        for number in range(scenario.steps):
            for event in scenario.events:
                if event.step == number:
                    self._happen(event)
            before = self.virtual.direct
            pair = self.bare.step(), self.virtual.step()
            steps.append((*pair, self.virtual.direct == before))
            if self.bare.double_trap is not None:
                break
        return steps

    def step(self, number: int, events: Sequence[Event]) -> Divergence | None:
        """Step both machines, after the events of step `number`."""
        for event in events:
            if event.step == number:
                self._happen(event)
        steps = self.bare.step(), self.virtual.step()
        self.count.steps += 1
        if self.alarm is not None and not self.alarm.would_fire():
            return Divergence(number, *steps, {"the monitor's timer": ("can fire", "is masked")})
        if (
            self._related()
            and steps[0].interrupt == steps[1].interrupt
            and (self.bare.double_trap is None) is (self.virtual.double_trap is None)
        ):
            return None
        return Divergence(number, *steps, self._differences(steps))

    def _related(self) -> bool:
        if self._emitted:
            return self._comparison.related()
        return not differences(self.bare, self.virtual)

    def _differences(self, steps: tuple[Step, Step]) -> dict[str, tuple[object, object]]:
        found = differences(self.bare, self.virtual)
        if steps[0].interrupt != steps[1].interrupt:
            found["interrupt"] = (steps[0].interrupt, steps[1].interrupt)
        if not found:
            found["memory outside the region"] = ("as it was", "changed")
        return found

    def _happen(self, event: Event) -> None:
        if event.element is None:
            self.virtual.interrupted()
            return
        event.happen(self.bare.state, event.element)
        event.happen(self.virtual.state, self.virtual.processor.text.home(event.element))


def trial_placement(isa: Isa, configuration: Configuration) -> Placement:
    """A region that programs can reach both ends of, with real memory around it."""
    (translate,) = [f for f in isa.functions if f.name == isa.translate]
    place = default_placement(isa, configuration)
    size = min(3 << isa.memory.address_width - 3, 3 << translate.parameters[0].width - 2)
    return Placement(place.region_base, size, place.monitor_base)


def nested_placements(isa: Isa, configuration: Configuration, depth: int) -> list[Placement]:
    """Regions one inside the other, the outermost first; empty if memory is too small."""
    page = max(Cells(isa.memory).page_cells, configuration.page or 1)
    tables = configuration.page or 0
    found: list[Placement] = []
    cells = 1 << isa.memory.address_width
    for _ in range(depth):
        base = cells // 2 // page * page
        size = (cells - base) // page * page
        if size < 2 * page or base < tables + configuration.monitor_size:
            return []
        found.append(Placement(base, size, tables))
        cells = size
    return found


def shared_placements(isa: Isa, configuration: Configuration, guests: int) -> list[Placement]:
    """Regions beside each other, with tables of their own; empty if memory is too small."""
    page = max(Cells(isa.memory).page_cells, configuration.page or 1)
    tables = -(-configuration.monitor_size // page) * page
    first = trial_placement(isa, configuration)
    size = first.region_size // guests // page * page
    start = configuration.page or 0
    if size < 2 * page or start + guests * tables > first.region_base:
        return []
    return [
        Placement(first.region_base + number * size, size, start + number * tables)
        for number in range(guests)
    ]


def _turned(page: Page, cells: int) -> Page:
    """A page whose cells lie so much lower."""
    turned = page[:]
    turned[:-cells], turned[-cells:] = page[cells:], page[:cells]
    return turned
