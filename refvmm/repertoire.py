"""What is known of one configuration before any program is made, and what programs are like."""

from dataclasses import dataclass

from refvmm.bare_machine import BareMachine
from refvmm.derive import derive
from refvmm.influence import influence
from refvmm.levers import levers
from refvmm.scenario import Scenario, Translator, Written
from refvmm.stakes import Experience
from refvmm.steering import Steering
from refvmm.vm_map import bare_state
from refvmm.vocabulary import vocabulary
from refvmm.walks import Walks
from spec.encoding import codec_of
from spec.expressions import reads
from spec.ir import Configuration, Instruction, Isa, Role
from spec.routines import EmittedRoutines, Routine
from spec.runtime import Runtime
from spec.state import MachineState


@dataclass(frozen=True, slots=True)
class Taste:
    """What programs are like."""

    shortest: int = 6  # steps
    longest: int = 12
    sensitive: float = 0.45  # share of instructions that touch what is not the user's
    purposeful: float = 0.25  # share of those that change, or use, what the guest relies on
    tables: float = 0.3  # share of programs that lie behind tables in memory, where there are any
    privileged: bool = True  # whether the guest starts in any of its modes, or in the least one


class Repertoire:
    """Of one configuration, for guests of `size` cells of memory."""

    def __init__(
        self, isa: Isa, configuration: Configuration, size: int, taste: Taste | None = None
    ) -> None:
        self.isa = isa
        self.size = size
        self.taste = taste or Taste()
        self.vocabulary = vocabulary(isa)
        self.walks = Walks(isa, size)
        self.codec = codec_of(isa)
        self.translator = Translator(isa)
        self.reset = bare_state(isa, size)
        self.machine = BareMachine(isa, bare_state(isa, size), self.codec.decode)
        self.elements = {e.name: e for e in isa.elements}
        self.pc_width = self.elements[isa.pc].width
        self.page = max(self.reset.cells.page_cells, configuration.page or 1)
        modes = dict(isa.mode.members)
        roles = (Role.CONTROL, Role.TIME, Role.DEVICE)
        self.outside = frozenset(e.name for e in isa.elements if e.role in roles)
        self.modes = tuple(modes[name] for name in configuration.virtual_modes)
        monitor = derive(isa, configuration)
        constants = dict(monitor.fixed)
        self.fixed = {  # in place, and the configuration says what they are
            name: constants[monitor.block.place(name)]
            for name in configuration.passed
            if monitor.block.place(name) in constants
        }
        if not self.taste.privileged:
            self.modes = self.modes[-1:]
        texts = EmittedRoutines(isa, Runtime(isa))
        self.invariants: list[tuple[Routine, frozenset[str]]] = [
            (texts.value(expr), reads(expr)) for _, expr in isa.invariants
        ]
        self.interrupts = [(texts.value(i.condition), reads(i.condition)) for i in isa.interrupts]
        self.registers = [
            e
            for e in isa.elements
            if e.role is Role.GENERAL and e.name != isa.memory.size and e.bank is None
        ]
        self.entry_width = max(isa.fetch.unit_width, min(self.pc_width, 32))
        self.relocating = [
            e
            for e in isa.elements
            if e.name in self.vocabulary.relocating and e.role is Role.CONTROL
        ]
        pool = self.vocabulary.sensitive
        means = influence(isa, self.codec, self.reset, pool)
        mapping = {e.name for e in self.relocating if e.length is None and self.vocabulary.walking}
        alone = {name: several for name, several in means.items() if name in mapping}
        self.experience = Experience(
            isa,
            self.vocabulary,
            self.walks,
            Steering(isa, self.codec),
            self.translator,
            means,
            levers(isa, self.codec, self.reset, alone, pool),
        )
        special = set(map(id, self.vocabulary.sensitive))
        self.ordinary = tuple(i for i in isa.instructions if id(i) not in special)
        self.plain = next(filter(self._is_plain, isa.instructions))

    def pending(self, state: MachineState) -> frozenset[str]:
        """The outside elements that conditions of interrupts read which hold."""
        found: set[str] = set()
        for holds, names in self.interrupts:
            if holds(state.scalars, state.arrays, {}, {}, 1):
                found |= names
        mode = self.isa.mode.element
        return frozenset(n for n in found if n in self.outside and n != mode)

    def _is_plain(self, instruction: Instruction) -> bool:
        try:
            self.codec.bits(instruction, {})
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Context:
    """A state of a bare machine, and the cells of its memory that hold something."""

    state: MachineState
    cells: dict[int, int]

    def put(self, address: int, value: int) -> None:
        """Write a cell."""
        self.cells[address] = value
        self.state.cells[address] = value

    def scenario(self, known: Repertoire, program: tuple[Written, ...], steps: int) -> Scenario:
        """A program begun in this state."""
        reset, start, size = known.reset, self.state, known.size
        code = {at for w in program for at in range(w.address, w.address + len(w.cells))}
        return Scenario(
            size=size,
            steps=steps,
            scalars={n: v for n, v in start.scalars.items() if v != reset.scalars[n]},
            arrays={n: tuple(v) for n, v in start.arrays.items() if v != reset.arrays[n]},
            cells={a: v for a, v in self.cells.items() if v and a < size and a not in code},
            program=program,
        )
