"""What a guest relies on, so that programs change it and rely on it again.

That is: cells that translating an address in use read, and addresses where what can be reached ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from refvmm.drawing import Drawing
from refvmm.influence import Means
from refvmm.levers import Lever
from refvmm.scenario import Translator
from refvmm.steering import NARROW, Operation, Steering
from refvmm.vocabulary import Vocabulary
from refvmm.walks import Walks
from spec.ir import Access, Isa
from spec.state import MachineState

_CHANGES = 6  # that are tried
_MOST = 8  # addresses in use
_LEVERS = 0.3  # share of guests that have some; of calm ones 0.8
_PULLS = 4  # that are tried


@dataclass(frozen=True, slots=True)
class InUse:
    """A virtual address that can be reached, and the cells that its translation read."""

    address: int
    access: Access
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of one description, for all of its guests."""

    isa: Isa
    vocabulary: Vocabulary
    walks: Walks
    steering: Steering
    translator: Translator
    influence: dict[str, tuple[Means, ...]]
    levers: dict[str, tuple[Lever, ...]]


class Stakes:
    """Of one guest; `state` is what it is in at the moment of a call.

    `calm`: what changes control state should not trap.
    """

    def __init__(self, known: Experience, draw: Drawing, calm: bool) -> None:
        self._calm = calm
        self._known = known
        self._draw = draw
        self._random = draw.random
        (translate,) = [f for f in known.isa.functions if f.name == known.isa.translate]
        self._width = translate.parameters[0].width
        self.cells: set[int] = set()  # that translations in use read
        self._used: list[InUse] = []
        self._edges: list[int] = []
        self._reached: list[int] = []  # addresses, the latest last
        self._due: list[int] = []  # addresses of which the translation may have changed
        self.levers: Sequence[Lever] = ()  # of one operand, which a register should hold
        if known.levers and self._random.random() < (0.8 if calm else _LEVERS):
            several = known.levers[self._random.choice(sorted(known.levers))]
            value = self._random.choice(several).value
            self.levers = [lever for lever in several if lever.value == value]

    # -- what there is

    def use(self, state: MachineState, address: int, access: Access) -> InUse | None:
        """Take note of an address if it can be reached."""
        walk = self._known.walks.walk(state, address, access)
        if walk.reached is None:
            return None
        used = InUse(
            address & ((1 << self._width) - 1), access, tuple(address for address, _ in walk.loads)
        )
        self.cells.update(at + offset for at, size in walk.loads for offset in range(size))
        self._used = [used, *self._used[: _MOST - 1]]
        return used

    def alias(self, state: MachineState, cell: int) -> int | None:
        """A virtual address by which a cell can be written."""
        mask = (1 << self._width) - 1
        translate = self._known.translator.translate
        self._known.translator.attach(state)
        for spot in (cell, *dict.fromkeys(self._draw.spots)):
            reached = translate(spot & mask, 1, Access.WRITE)
            if reached is not None:
                address = spot + cell - reached & mask
                if translate(address, 1, Access.WRITE) == cell:
                    return address
        return None

    def edge(self, state: MachineState, address: int, access: Access) -> int | None:
        """Where, above an address, accesses begin to do otherwise than there: by bisection."""
        self._known.translator.attach(state)
        mask = (1 << self._width) - 1
        here = self._reaches(address, access)
        near, step = address, 1
        while step <= mask and self._reaches(near + step & mask, access) is here:
            step <<= 1
        if step > mask:
            return None
        low, high = near, near + step  # like `address`, and not
        while high - low > 1:
            middle = (low + high) // 2
            if self._reaches(middle & mask, access) is here:
                low = middle
            else:
                high = middle
        self._edges.append(high & mask)
        return high & mask

    def _reaches(self, address: int, access: Access) -> bool:
        return self._known.translator.translate(address, 1, access) is not None

    @property
    def due(self) -> bool:
        """Whether what was in use may have changed, and was not used since."""
        return bool(self._due)

    # -- what is done about it

    def operation(self, state: MachineState) -> Operation | None:
        """An instruction that changes what is in use, or uses it; None if none is found."""
        random = self._random
        if self._due and random.random() < 0.75:
            return self._reach(state, self._due.pop(), random.choice((Access.READ, Access.WRITE)))
        kind = random.random()
        tables = [used for used in self._used if used.cells]
        if tables and kind < 0.4:
            used = random.choice(tables)
            alias = self.alias(state, random.choice(used.cells))
            if alias is not None:
                self._due.append(used.address)
                return self._reach(state, alias, Access.WRITE)
        if kind < 0.65:
            if tables and not self._reached and random.random() < 0.8:
                return self._first(state)
            return self._change(state, bool(tables))
        access = random.choice((Access.READ, Access.WRITE))
        if self._edges and kind < 0.8:
            return self._reach(
                state, random.choice(self._edges) - random.choice((0, 1, 2, 4)), access
            )
        return self._reach(state, random.choice(self._used).address, access) if self._used else None

    def _first(self, state: MachineState) -> Operation | None:
        """A use of what is about to change: else nobody would notice that it did.

        Not by fetching: what the instruction that makes the change lies in is looked up anew.
        """
        loaded = [used for used in self._used if used.access is not Access.FETCH]
        used = self._random.choice(loaded or self._used)
        access = Access.READ if used.access is Access.FETCH else used.access
        return self._reach(state, used.address, access)

    def _reach(self, state: MachineState, address: int, access: Access) -> Operation | None:
        known = self._known.vocabulary
        pool = known.storing if access is Access.WRITE else known.loading
        steering, field = self._known.steering, self._draw.field
        found = steering.reaching(self._random, state, pool, field, address, access)
        if found is not None:
            self._reached.append(address)
        return found

    def _change(self, state: MachineState, relocating: bool) -> Operation | None:
        """An instruction that may change some control state; one as often as another.

        Of a calm guest, one that does.
        """
        random, influence = self._random, self._known.influence
        names: Sequence[str] = sorted(influence)
        if relocating and random.random() < 0.7:
            names = [name for name in names if name in self._known.vocabulary.relocating]
        tried: list[tuple[int, int, Operation]] = []
        for _ in range(_PULLS if self.levers and random.random() < 0.7 else 0):
            operation = self._pulled(state, random.choice(self.levers))
            if self._known.steering.changes(state, *operation, names) == 1:
                self._due += self._reached[-2:]
                return operation
        for number in range(_CHANGES if names else 0):
            means = random.choice(influence[random.choice(names)])
            fields = {field.name: self._draw.field(field) for field in means.instruction.fields}
            fields.update(means.fields)
            if not self._calm:
                if relocating:
                    self._due += self._reached[-1:]
                return means.instruction, fields
            changed = self._known.steering.changes(state, means.instruction, fields, names)
            if changed:
                tried.append((changed, number, (means.instruction, fields)))
        if not tried:
            return None
        self._due += self._reached[-2:]
        return min(tried)[2]  # the fewer change, the more depends on each

    def _pulled(self, state: MachineState, lever: Lever) -> Operation:
        """The lever's instruction, with its operand where a register holds it."""
        random, means = self._random, lever.means
        fields = {field.name: self._draw.field(field) for field in means.instruction.fields}
        fields.update(means.fields)
        holding = self._known.steering.near(state, lever.value, 1)
        for field in means.instruction.fields:
            if holding and field.width <= NARROW and not field.values and random.random() < 0.7:
                fields[field.name] = random.choice(holding) & ((1 << field.width) - 1)
        return means.instruction, fields
