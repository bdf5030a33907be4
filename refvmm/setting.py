"""Where a random guest begins: its state, its memory, and a place for its program."""

from random import Random

from refvmm.drawing import Drawing
from refvmm.repertoire import Repertoire
from refvmm.stakes import Stakes
from spec.ir import Access, Element, Role
from spec.state import MachineState

_SPOTS = 5
_APART = 64  # cells
LONGEST = 16  # fetch units of one instruction that are looked at
_ACCESSES = (Access.FETCH, Access.READ, Access.WRITE)


class Setting:
    """The start of one guest, in the making."""

    def __init__(self, programs: Repertoire, random: Random) -> None:
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
        self.draw = Drawing(
            random,
            self.isa,
            programs.vocabulary,
            programs.size,
            self.spots,
            programs.walks.entry,
        )
        self.wanted: list[int] = []  # addresses that registers should hold
        tables = programs.vocabulary.walking and random.random() < programs.taste.tables
        self.behind = bool(tables and programs.taste.sensitive)
        self.stakes = Stakes(programs.experience, self.draw, self.behind)

    def prepare(self) -> None:
        """Everything but the program."""
        random, taste = self.random, self.programs.taste
        self._memory()
        self._outside()
        self._hold()
        self._begin()
        pc = self.state.scalars[self.isa.pc]
        used = [(pc, Access.FETCH)]
        for _ in range(random.randrange(1 if self.behind else 0, 4)):
            used.append((self.draw.address(), random.choice(_ACCESSES)))
            self.open(*used[-1])
        self.spots += [pc, pc + random.randrange(32)]
        if taste.sensitive and random.random() < 0.8:
            self._rely(used)
        self._registers()
        if self.behind and random.random() < 0.8:
            self.calm()
        self._hold()

    def _rely(self, used: list[tuple[int, Access]]) -> None:
        """See to it that the program can change the tables that it uses, and find its limits."""
        random, state, stakes = self.random, self.state, self.stakes
        for address, access in used:
            found = stakes.use(state, address, access)
            for cell in found.cells if found is not None else ():
                self._mapped(cell)
        if random.random() < 0.3:
            edge = stakes.edge(state, self.draw.address(), random.choice(_ACCESSES))
            if edge is not None:
                self.spots += [edge, edge - random.choice((1, 2, 4, 8))]

    def _mapped(self, cell: int) -> None:
        """See to it, if possible, that the program can write a cell."""
        random, state, stakes = self.random, self.state, self.stakes
        alias = stakes.alias(state, cell)
        for attempt in range(3 if self.behind else 0):
            if alias is not None:
                break
            place = self.draw.address()
            if attempt:
                place = random.getrandbits(self.programs.pc_width)
            self.programs.walks.open(random, state, place, Access.WRITE, [cell], self.put)
            self.spots.append(place)
            alias = stakes.alias(state, cell)
        if alias is not None:
            self.spots += [alias, alias]
            self.wanted.append(alias)

    # -- elements

    def _outside(self) -> None:
        for element in self.isa.elements:
            if element.role is Role.MODE:
                self.state.scalars[element.name] = self._mode()
            elif element.role not in (Role.PC, Role.GENERAL, Role.FLAG) or element.bank:
                self._draw(element)

    def _mode(self) -> int:
        """Behind tables rarely the least privileged, which cannot change them."""
        modes = self.programs.modes
        if self.behind and len(modes) > 1 and self.random.random() < 0.5:
            modes = modes[:-1]
        return self.random.choice(modes)

    def calm(self) -> None:
        """Let no interrupt be pending at the start."""
        for reset in range(8):
            pending = self.programs.pending(self.state)
            if not pending:
                return
            for name in sorted(pending):
                if reset < 4:
                    self._draw(self.programs.elements[name])
                else:
                    self._reset(self.programs.elements[name])

    def _registers(self) -> None:
        for element in self.isa.elements:
            mine = element.role in (Role.GENERAL, Role.FLAG) and element.bank is None
            if mine and element.name != self.isa.memory.size:
                self._draw(element)
        for address in self.wanted if self.programs.registers else ():
            self._point(self.random.choice(self.programs.registers), address)
            width = self.programs.entry_width
            entry = self.programs.walks.entry(self.random, width, self.draw.address())
            if entry is not None:
                self._point(self.random.choice(self.programs.registers), entry)
        for lever in self.stakes.levers[:1] if self.programs.registers else ():
            self._point(self.random.choice(self.programs.registers), lever.value)

    def _point(self, register: Element, value: int) -> None:
        """Let a register that programs use often hold a value, as far as it fits."""
        value &= (1 << register.width) - 1
        if register.length is None:
            self.state.scalars[register.name] = value
        else:
            number = self.random.choice(self.draw.registers) % register.length
            self.state.own_array(register.name)[number] = value

    def _draw(self, element: Element) -> None:
        fixed = self.programs.fixed.get(element.name)
        if fixed is not None:
            self.state.scalars[element.name] = fixed
        elif element.length is None:
            if self.random.random() < 0.7:
                self.state.scalars[element.name] = self.draw.value(element)
        else:
            values = [self.draw.value(element) for _ in range(element.length)]
            self.state.own_array(element.name)[:] = values

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
        self.words_again()

    def words_again(self) -> None:
        """Draw anew what bodies read at fixed addresses (new program status, vectors)."""
        for cell in self.programs.vocabulary.fixed_cells:
            self._words(cell, 1, 0.7)

    def _words(self, address: int, count: int, arbitrary: float = 0.3) -> None:
        memory = self.isa.memory
        width = self.programs.entry_width
        size = -(-width // memory.cell_width)
        for _ in range(count):
            value = self.draw.number(size * memory.cell_width)
            if self.random.random() < arbitrary:
                value = self.random.getrandbits(size * memory.cell_width)
            for offset in range(size):
                place = size - 1 - offset if memory.big_endian else offset
                self.put(address, value >> (place * memory.cell_width))
                address += 1

    def put(self, address: int, value: int) -> None:
        if address < self.programs.size:
            value &= self.state.cells.value_mask
            self.start[address] = value
            self.state.cells[address] = value

    # -- where the program lies

    def _begin(self) -> None:
        """Find a program counter from which instructions can be fetched, if so wanted by tables."""
        scalars, relocating = self.state.scalars, self.programs.relocating
        for attempt in range(24 if self.behind else 8):
            address = self.random.randrange(16) if attempt in (2, 5) else self.draw.address()
            for bits in range(4):
                scalars[self.isa.pc] = (address >> bits << bits) & (
                    (1 << self.programs.pc_width) - 1
                )
                if self.isa.pc not in self._broken():
                    break
            if self.open(scalars[self.isa.pc], Access.FETCH) and self._as_wanted():
                return
            for element in relocating:
                if attempt % 8 == 6 or (self.behind and self.random.random() < 0.3):
                    self._reset(element)
                elif self.random.random() < 0.5:
                    self._draw(element)
            if self.behind:
                scalars[self.isa.mode.element] = self._mode()
            self._hold()

    def _as_wanted(self) -> bool:
        if not self.behind:
            return True
        pc, size = self.state.scalars[self.isa.pc], self.programs.size
        walk = self.programs.walks.walk(self.state, pc, Access.FETCH)
        if walk.reached is None or not walk.loads or walk.reached + LONGEST >= size:
            return False
        return all(abs(walk.reached - at) > _APART for at, _ in walk.loads)

    def open(self, address: int, access: Access) -> bool:
        """Make an address reachable, if that is up to tables in memory."""
        walks, state = self.programs.walks, self.state
        return walks.open(self.random, state, address, access, self.spots, self.put)
