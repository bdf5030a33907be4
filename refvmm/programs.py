"""Random guests: a state, a program, and what happens from outside, biased to what is interesting.

Nothing is known of an architecture but its description. A program is written while the bare machine
runs it: wherever execution comes to what is no instruction, an instruction is put. The same generator serves campaigns
(with a seeded `Random`) and Hypothesis (with the one of `strategies.randoms`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from refvmm.bare_machine import BareMachine
from refvmm.derive import derive
from refvmm.scenario import Event, Scenario, Translator, Written
from refvmm.vm_map import bare_state
from refvmm.vocabulary import vocabulary
from refvmm.walks import Walks
from spec.encoding import codec_of
from spec.expressions import reads
from spec.ir import Access, Configuration, Element, Field, Instruction, Isa, Role
from spec.routines import EmittedRoutines, Routine
from spec.runtime import Runtime
from spec.state import MachineState

_SPOTS = 5
_FAVOURITES = 3  # registers that the program uses most
_RESTARTS = 6
_LESSONS = 60
_LONGEST = 16  # fetch units of one instruction that are looked at
_ACCESSES = (Access.FETCH, Access.READ, Access.WRITE)

_Operation: TypeAlias = tuple[Instruction, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Taste:
    """What programs are like."""

    shortest: int = 6  # steps
    longest: int = 12
    sensitive: float = 0.45  # share of instructions that touch what is not the user's
    privileged: bool = True  # whether the guest starts in any of its modes, or in the least one


class Programs:
    """Makes scenarios for one configuration; learns of its tables as it goes.

    `size` is that of the guest's memory, in cells.
    """

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
        self.relocating = [
            e
            for e in isa.elements
            if e.name in self.vocabulary.relocating and e.role is Role.CONTROL
        ]
        special = set(map(id, self.vocabulary.sensitive))
        self.ordinary = tuple(i for i in isa.instructions if id(i) not in special)
        self.plain = next(filter(self._is_plain, isa.instructions))

    def scenario(self, random: Random) -> Scenario:
        """A guest; all that is random comes from `random`, and from what was learnt before."""
        return _Draft(self, random).scenario()

    def settle(self) -> None:
        """Learn of the tables now, and no more: then scenarios depend on their `Random` only."""
        for number in range(_LESSONS):
            self.scenario(Random(number))
        self.walks.learning = False

    def _is_plain(self, instruction: Instruction) -> bool:
        try:
            self.codec.bits(instruction, {})
        except ValueError:
            return False
        return True


class _Draft:
    """One scenario in the making."""

    def __init__(self, programs: Programs, random: Random) -> None:
        self.programs = programs
        self.isa = programs.isa
        self.random = random
        self.state: MachineState = programs.reset.copy()
        page, pages = programs.page, max(1, programs.size // programs.page)
        numbers = [0, pages - 1, *(random.randrange(pages) for _ in range(_SPOTS - 2))]
        offsets = (0, 0, 16 % page, page // 2, -16 % page)
        self.spots = [(n * page + random.choice(offsets)) % programs.size for n in numbers]
        edge = programs.size - random.choice((0, 1, 2, 4, 8))
        self.spots += [edge, edge] if random.random() < 0.3 else []
        self.start: dict[int, int] = {}  # memory at the start
        self.program: dict[int, tuple[_Operation, tuple[int, ...]]] = {}  # by address
        self.registers = [random.getrandbits(5) for _ in range(_FAVOURITES)]
        self.events: tuple[Event, ...] = ()

    def scenario(self) -> Scenario:
        random, taste = self.random, self.programs.taste
        wanted = random.randint(taste.shortest, taste.longest)
        count = random.choice((0, 0, 1, 1, 2, 3))
        self.events = tuple(self._event(wanted) for _ in range(count))
        self._memory()
        self._outside()
        self._hold()
        self._begin()
        for _ in range(random.randrange(4)):
            self._open(self._address(), random.choice(_ACCESSES))
        pc = self.state.scalars[self.isa.pc]
        self.spots += [pc, pc + random.randrange(32)]
        self._registers()
        self._hold()
        start, steps = self.state.copy(), 0
        for _ in range(_RESTARTS):
            steps = self._run(wanted)
            if steps >= wanted:
                break
            self._words_again()
            self.state = start.copy()
            for address, value in self.start.items():
                self.state.cells[address] = value
        return self._result(start, steps)

    def _result(self, start: MachineState, steps: int) -> Scenario:
        reset = self.programs.reset
        code = {
            address + offset
            for address, (_, cells) in self.program.items()
            for offset in range(len(cells))
        }
        return Scenario(
            size=self.programs.size,
            steps=steps,
            scalars={n: v for n, v in start.scalars.items() if v != reset.scalars[n]},
            arrays={n: tuple(v) for n, v in start.arrays.items() if v != reset.arrays[n]},
            cells={a: v for a, v in self.start.items() if v and a not in code},
            program=tuple(
                Written(address, instruction, fields, cells)
                for address, ((instruction, fields), cells) in self.program.items()
            ),
            events=tuple(sorted(self.events, key=lambda event: event.step)),
        )

    # -- elements

    def _outside(self) -> None:
        for element in self.isa.elements:
            if element.role is Role.MODE:
                self.state.scalars[element.name] = self.random.choice(self.programs.modes)
            elif element.role not in (Role.PC, Role.GENERAL, Role.FLAG) or element.bank:
                self._draw(element)

    def _registers(self) -> None:
        for element in self.isa.elements:
            mine = element.role in (Role.GENERAL, Role.FLAG) and element.bank is None
            if mine and element.name != self.isa.memory.size:
                self._draw(element)

    def _draw(self, element: Element) -> None:
        fixed = self.programs.fixed.get(element.name)
        if fixed is not None:
            self.state.scalars[element.name] = fixed
        elif element.length is None:
            if self.random.random() < 0.7:
                self.state.scalars[element.name] = self._value(element)
        else:
            values = [self._value(element) for _ in range(element.length)]
            self.state.own_array(element.name)[:] = values

    def _value(self, element: Element) -> int:
        if element.values:
            return self.random.choice(element.values)[1]
        return self._number(element.width)

    def _number(self, width: int) -> int:
        random = self.random
        if width == 1:
            return random.getrandbits(1)
        kind = random.random()
        if kind < 0.35:
            constants = self.programs.vocabulary.constants.get(width)
            if constants:
                return random.choice(constants)
        if kind < 0.75:
            return self._pointer(width)
        if kind < 0.85:
            return random.randrange(min(1 << width, 16))
        return random.getrandbits(width)

    def _pointer(self, width: int) -> int:
        """An address of interest, or its upper bits if it does not fit."""
        whole = self.isa.memory.address_width
        address = self._address()
        if width < whole and (address >> width or self.random.random() < 0.3):
            address >>= whole - width
        elif width < self.programs.pc_width and self.random.random() < 0.5:
            address >>= self.programs.pc_width - width
        return address & ((1 << width) - 1)

    def _address(self) -> int:
        return self.random.choice(self.spots) + self.random.choice((0, 0, 0, 0, 0, 4, 8, 1, 12, 2))

    def _broken(self) -> set[str]:
        """The elements that invariants name which do not hold."""
        state = self.state
        found: set[str] = set()
        for holds, names in self.programs.invariants:
            if not holds(state.scalars, state.arrays, {}, {}, 1):
                found |= names
        return found

    def _hold(self) -> None:
        """Make the invariants hold: draw again what they name, or give it its reset value."""
        for attempt in range(5):
            for name in sorted(self._broken()):
                element = self.programs.elements[name]
                if element.role in (Role.MODE, Role.PC):
                    continue
                if attempt < 3:
                    self._draw(element)
                else:
                    self._reset(element)

    def _reset(self, element: Element) -> None:
        if element.length is None:
            self.state.scalars[element.name] = element.reset
        else:
            self.state.own_array(element.name)[:] = [element.reset] * element.length

    # -- memory

    def _memory(self) -> None:
        for spot in self.spots:
            if self.random.random() < 0.6:
                self._words(spot, 3)
        self._words_again()

    def _words_again(self) -> None:
        """Draw anew what bodies read at fixed addresses (new program status, vectors)."""
        for cell in self.programs.vocabulary.fixed_cells:
            self._words(cell, 1, 0.7)

    def _words(self, address: int, count: int, arbitrary: float = 0.3) -> None:
        memory = self.isa.memory
        width = max(self.isa.fetch.unit_width, min(self.programs.pc_width, 32))
        size = -(-width // memory.cell_width)
        for _ in range(count):
            value = self._number(size * memory.cell_width)
            if self.random.random() < arbitrary:
                value = self.random.getrandbits(size * memory.cell_width)
            for offset in range(size):
                place = size - 1 - offset if memory.big_endian else offset
                self._put(address, value >> (place * memory.cell_width))
                address += 1

    def _put(self, address: int, value: int) -> None:
        if address < self.programs.size:
            value &= self.state.cells.value_mask
            self.start[address] = value
            self.state.cells[address] = value

    # -- where the program lies

    def _begin(self) -> None:
        """Find a program counter from which instructions can be fetched."""
        scalars = self.state.scalars
        for attempt in range(8):
            address = self.random.randrange(16) if attempt in (2, 5) else self._address()
            for bits in range(4):
                scalars[self.isa.pc] = (address >> bits << bits) & (
                    (1 << self.programs.pc_width) - 1
                )
                if self.isa.pc not in self._broken():
                    break
            if self._open(scalars[self.isa.pc], Access.FETCH):
                return
            for element in self.programs.relocating:
                if attempt == 6:
                    self._reset(element)
                elif self.random.random() < 0.5:
                    self._draw(element)
            self._hold()

    def _open(self, address: int, access: Access) -> bool:
        """Make an address reachable, if that is up to tables in memory."""
        walks, state = self.programs.walks, self.state
        return walks.open(self.random, state, address, access, self.spots, self._put)

    # -- the program, written while it is run

    def _run(self, wanted: int) -> int:
        """Run from the present state, and write instructions where there are none.

        How many steps were done until nothing new would happen any more; then the instruction at
        fault is taken out.
        """
        machine, pc = self.programs.machine, self.isa.pc
        machine.restart(self.state)
        alarms = any(event.element is not None for event in self.events)
        stuck = 0
        for step in range(wanted):
            for event in self.events:
                if event.step == step:
                    event.happen(self.state, event.element)
            idle = machine.waiting
            place = None if idle else self._prepared()
            before = self.state.scalars[pc]
            machine.step()
            if machine.double_trap is not None:
                return wanted
            if place is None or self.state.scalars[pc] == before:
                stuck += 1
            if stuck > 1 and not (idle and alarms):
                self._forget(place)
                return step + 1
        return wanted

    def _forget(self, place: int | None) -> None:
        if place is None and self.program:
            place = next(reversed(self.program))
        if place in self.program:
            _, cells = self.program.pop(place)
            for address in range(place, place + len(cells)):
                self.start[address] = 0

    def _prepared(self) -> int | None:
        """Bring about that the next step fetches an instruction; gives its physical address."""
        programs, cells = self.programs, self.state.cells
        pc, size = self.state.scalars[self.isa.pc], programs.codec.cells_per_unit
        programs.translator.attach(self.state)
        physical = programs.translator.translate(pc, size, Access.FETCH)
        if physical is None and self.random.random() < 0.7:
            opened = self._open(pc, Access.FETCH)
            programs.machine.hardware.attach(self.state)  # asking has taken its pages away
            programs.translator.attach(self.state)
            if opened:
                physical = programs.translator.translate(pc, size, Access.FETCH)
        if physical is None or physical >= programs.size:
            return None
        present = [cells[physical + n] for n in range(size)]
        if any(present):
            present += [cells[physical + n] for n in range(size, _LONGEST * size)]
            if programs.codec.decode_cells(present) is not None:
                return physical
        if self.random.random() < 0.03:
            return physical
        instruction, fields = self._instruction()
        placed = programs.codec.encode(instruction, fields)
        places = range(physical, physical + len(placed))
        if any(cells[place] != self.start.get(place, 0) for place in places):
            return None  # written by the program: what lay there at the start does not matter
        for place, cell in zip(places, placed, strict=True):
            self._put(place, cell)
        self.program[physical] = (instruction, fields), placed
        return physical

    def _instruction(self) -> _Operation:
        random, programs = self.random, self.programs
        known, share = programs.vocabulary, programs.taste.sensitive
        for _ in range(20):
            kind = random.random()
            pool: Sequence[Instruction] = self.isa.instructions
            if kind < share:
                pool = known.sensitive
            elif not share:
                pool = programs.ordinary
            elif kind < share + 0.15:
                pool = known.storing
            instruction = random.choice(pool or self.isa.instructions)
            fields = {field.name: self._field(field) for field in instruction.fields}
            try:
                programs.codec.bits(instruction, fields)
            except ValueError:
                continue
            return instruction, fields
        return programs.plain, {}

    def _field(self, field: Field) -> int:
        random, width = self.random, field.width
        if field.values:
            return random.choice(field.values)[1]
        if width <= 5:
            if random.random() < 0.8:
                return random.choice(self.registers) & ((1 << width) - 1)
            return random.getrandbits(width)
        kind = random.random()
        if kind < 0.4:
            return random.choice((0, 4, 8, 1, 2, -4, -8, -1)) & ((1 << width) - 1)
        if kind < 0.75:
            return self._address() & ((1 << width) - 1)
        return random.getrandbits(width)

    # -- from outside

    def _event(self, steps: int) -> Event:
        step = self.random.randrange(steps)
        devices = self.programs.vocabulary.devices
        if not devices or self.random.random() < 0.3:
            return Event(step)
        element = self.random.choice(devices)
        index = None if element.length is None else self.random.randrange(element.length)
        return Event(step, element.name, self._value(element), index)
