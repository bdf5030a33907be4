"""One scenario in the making: the program is written while the bare machine runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from refvmm.repertoire import Context, Repertoire
from refvmm.scenario import Event, Scenario, Written
from refvmm.setting import LONGEST, Setting
from refvmm.steering import Operation
from spec.ir import Access, Instruction
from spec.state import MachineState

_RESTARTS = 6
_DUE = 0.8  # share of instructions that use what may have changed, after a change


class Draft(Setting):
    """One scenario in the making."""

    def __init__(self, programs: Repertoire, random: Random) -> None:
        super().__init__(programs, random)
        self.program: dict[int, tuple[Operation, tuple[int, ...]]] = {}  # by address
        self.events: tuple[Event, ...] = ()

    def scenario(self) -> Scenario:
        random, taste = self.random, self.programs.taste
        wanted = random.randint(taste.shortest, taste.longest)
        count = random.choice((0, 0, 1, 1, 2, 3))
        self.events = tuple(self._event(wanted) for _ in range(count))
        self.prepare()
        start, steps = self.state.copy(), 0
        for _ in range(_RESTARTS):
            steps = self._run(wanted)
            if steps >= wanted:
                break
            self.words_again()
            self.state = start.copy()
            for address, value in self.start.items():
                self.state.cells[address] = value
        return self._result(start, steps)

    def _result(self, start: MachineState, steps: int) -> Scenario:
        program = tuple(
            Written(address, instruction, fields, cells)
            for address, ((instruction, fields), cells) in self.program.items()
        )
        events = tuple(sorted(self.events, key=lambda event: event.step))
        found = Context(start, self.start).scenario(self.programs, program, steps)
        return replace(found, events=events)

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
            opened = self.open(pc, Access.FETCH)
            self._asked()
            if opened:
                physical = programs.translator.translate(pc, size, Access.FETCH)
        if physical is None or physical >= programs.size:
            return None
        present = [cells[physical + n] for n in range(size)]
        if any(present):
            present += [cells[physical + n] for n in range(size, LONGEST * size)]
            if programs.codec.decode_cells(present) is not None:
                return physical
        if self.random.random() < 0.03:
            return physical
        instruction, fields = self._instruction()
        placed = programs.codec.encode(instruction, fields)
        places = range(physical, physical + len(placed))
        if any(cells[place] != self.start.get(place, 0) for place in places):
            return None  # written by the program: what lay there at the start does not matter
        if self.behind and not self.stakes.cells.isdisjoint(places):
            return None  # it would map something else
        for place, cell in zip(places, placed, strict=True):
            self.put(place, cell)
        self.program[physical] = (instruction, fields), placed
        return physical

    def _instruction(self) -> Operation:
        random, programs = self.random, self.programs
        known, share = programs.vocabulary, programs.taste.sensitive
        purposeful = programs.taste.purposeful
        if self.behind:
            share, purposeful = share / 2, 0.6
        if self.stakes.due:
            purposeful = max(purposeful, _DUE)
        if share and random.random() < purposeful:
            found = self._purposeful()
            if found is not None:
                return found
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
            fields = {field.name: self.draw.field(field) for field in instruction.fields}
            try:
                programs.codec.bits(instruction, fields)
            except ValueError:
                continue
            if self._welcome(instruction, fields):
                return instruction, fields
        return programs.plain, {}

    def _welcome(self, instruction: Instruction, fields: Mapping[str, int]) -> bool:
        """Whether it may come next: programs behind tables mostly avoid traps, to stay there."""
        if not self.behind or self.random.random() < 0.15:
            return True
        retires = self.programs.experience.steering.retires(self.state, instruction, fields)
        self._asked()
        return retires

    def _asked(self) -> None:
        """Asking has taken the state's pages away from the machine."""
        self.programs.machine.hardware.attach(self.state)
        self.programs.translator.attach(self.state)

    def _purposeful(self) -> Operation | None:
        programs = self.programs
        found = self.stakes.operation(self.state)
        self._asked()
        if found is None:
            return None
        try:
            programs.codec.bits(*found)
        except ValueError:
            return None
        return found if self._welcome(*found) else None

    # -- from outside

    def _event(self, steps: int) -> Event:
        step = self.random.randrange(steps)
        devices = self.programs.vocabulary.devices
        if not devices or self.random.random() < 0.3:
            return Event(step)
        element = self.random.choice(devices)
        index = None if element.length is None else self.random.randrange(element.length)
        return Event(step, element.name, self.draw.value(element), index)
