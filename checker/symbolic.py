"""The symbolic engine: the walk over terms, all paths at once, in one concrete mode.

Two ways to translate addresses. Abstract: `translate` is an uninterpreted function of the address,
which stands for the view that both runs of a relation share up to renaming; memory is then
indexed by what that function returns. Concrete: the description's own routine.

Terms that abstract translation cannot vouch for in two states at once carry a mark in their
support: `PLACED` depends on the physical placement, `VIEWED` on another mode's view, `MOVED` on a
translation that the instruction itself may have changed before it used it. By a store through the
view it does not change one: the definitions leave such runs out (`SymbolicRun.rewalked`).

Abstractly, memory is two: the view, indexed by what `translate` gives, and physical memory. What is
stored in one is stored in the other, too, at the place that an uninterpreted function names; what
they hold at first is taken to be independent, which allows more than can happen.
"""

from collections.abc import Mapping
from typing import cast

from checker.paths import (
    CHOICES_MADE,
    COUNTER_WIDTH,
    MEMORY_IN_VIEW,
    PC_AFTER,
    PHYSICAL_MEMORY,
    Ended,
    Frame,
    Paths,
    Written,
    as_term,
)
from checker.runs import Key, Rewalked, SymbolicRun, Touched, TouchedPhysical, TrapPath
from checker.terms import Op, Term, Terms, Truth, Value
from checker.translation import Translation, reached, translation
from spec.evaluate import Walk
from spec.ir import (
    Access,
    BinaryOp,
    Block,
    Expr,
    Isa,
    LoadPhysical,
    Memory,
    StorePhysical,
    TrapClass,
)

PLACED = "<placed>"
VIEWED = "<viewed>"
MOVED = "<moved>"
CHOICE_WIDTH = 1024

PHYSICAL_ADDRESS = "physical address"
PLACE_IN_VIEW = "place in view"
"""Functions from places in the view to physical addresses, and back."""


class Symbolic(Paths):
    """Implements `spec.engine.Engine[Value, Truth]`; one run at a time, reusable."""

    def __init__(
        self,
        isa: Isa,
        terms: Terms,
        *,
        abstract: bool,
        known: Translation | None = None,
        apart: bool = False,
    ) -> None:
        """`known`: what `translation(isa)` says, if that was asked before. `apart`: take it that
        no walk is among `rewalked`."""
        super().__init__(isa, terms)
        self.abstract = abstract
        self.apart = apart
        self.translation = known or translation(isa)
        self._walk: Walk[Value, Truth] = Walk(self, {f.name: f for f in isa.functions})
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        self._address_width = translate.parameters[0].width
        self._placed = terms.bit(PLACED)
        self._viewed = terms.bit(VIEWED)
        self._moved = terms.bit(MOVED)
        self.physical = physical_memory(terms, isa.memory)
        self.physical.support |= self._placed
        self._translation_elements = (*self.translation.reads, isa.mode.element)

    # -- runs

    def run(
        self,
        start: Mapping[str, Value],
        memory: Term,
        block: Block,
        frame: Mapping[str, Value | Truth],
        pc_after: Value,
    ) -> SymbolicRun:
        """Run a block from a start; `pc_after` is the pc if the block does not write it."""
        self._begin(start, memory, frame, pc_after)
        self._physically = self.abstract and self._uses_physical_memory(block)
        self._walk.block(block)
        ends = [*self._waited, Ended(self._path, None, self._written)]
        path, _, written = self._merge([end for end in ends if end.path is not False], None)
        return SymbolicRun(
            mode=cast(int, self._mode),
            start=start,
            memory_before=memory,
            traps=tuple(self._traps),
            retires=path if self._traps else True,
            written={k: v for k, v in written.items() if not k.startswith("<")},
            memory=as_term(self._slot(written, MEMORY_IN_VIEW)),
            physical_before=self.physical if self.abstract else memory,
            physical=as_term(
                self._slot(written, PHYSICAL_MEMORY if self.abstract else MEMORY_IN_VIEW)
            ),
            pc_after=self._slot(written, PC_AFTER),
            touched=tuple(self._touched),
            stored_physically=tuple(self._stored),
            rewalked=tuple(self._rewalked),
            choices=self._most_choices,
            viewed={
                term: key
                for term, key in self._viewed_as.items()
                if key is not None and term.op is Op.LOAD and term.args[0] is memory
            },
        )

    def look_up(
        self,
        start: Mapping[str, Value],
        memory: Term,
        address: Value,
        size: int,
        access: Access,
        mode: Value | None = None,
    ) -> tuple[tuple[TrapPath, ...], Value]:
        """How `translate` traps from a start, and the physical address where it does not."""
        self._begin(start, memory, {}, 0)
        physical = self._reach(address, size, access, mode)
        return tuple(self._traps), physical

    def expression(
        self, start: Mapping[str, Value], expr: Expr, frame: Mapping[str, Value | Truth]
    ) -> Value | Truth:
        """Value of a pure expression."""
        self._begin(start, self.terms.array("<no memory>", 1, 1), frame, 0)
        return self._walk.value(expr)

    def _begin(
        self,
        start: Mapping[str, Value],
        memory: Term,
        frame: Mapping[str, Value | Truth],
        pc_after: Value,
    ) -> None:
        initial: Written = {
            MEMORY_IN_VIEW: memory,
            PHYSICAL_MEMORY: self.physical,
            PC_AFTER: pc_after,
            CHOICES_MADE: 0,
        }
        self._depart(start, initial, frame)
        self._mode = start[self.isa.mode.element]
        self._physically = False
        self._touched: list[Touched] = []
        self._stored: list[TouchedPhysical] = []
        self._stored_in_view: list[TouchedPhysical] = []
        self._rewalked: list[Rewalked] = []
        self._viewed_as: dict[Term, Key | None] = {}
        self._most_choices = 0

    # -- state

    def read(self, element: str, index: Value | None) -> Value:
        value = self._slot(self._written, element)
        if index is None:
            return value
        return self.read_array(as_term(value), index, self._shapes[element])

    def write(self, element: str, value: Value, index: Value | None) -> None:
        if index is not None:
            array = as_term(self._slot(self._written, element))
            value = self.write_array(array, index, value, self._shapes[element])
        self._written[element] = value
        if element == self.isa.pc:
            self._written[PC_AFTER] = value

    def choose(self, width: int) -> Value:
        """The next choice; its number depends on the path where branches chose differently."""
        position = self._slot(self._written, CHOICES_MADE)
        self._written[CHOICES_MADE] = self._counted(position)
        return self.extract(self._choice(position), CHOICE_WIDTH, width - 1, 0)

    def _counted(self, position: Value) -> Value:
        if isinstance(position, Term):
            condition, then, orelse = position.args
            return self.select(condition, self._counted(then), self._counted(orelse), COUNTER_WIDTH)
        self._most_choices = max(self._most_choices, position + 1)
        return position + 1

    def _choice(self, position: Value) -> Value:
        if isinstance(position, Term):
            condition, then, orelse = position.args
            return self.select(condition, self._choice(then), self._choice(orelse), CHOICE_WIDTH)
        return self.terms.symbol(f"choice {position}", CHOICE_WIDTH)

    # -- memory

    def load(self, address: Value, width: int, access: Access, mode: Value | None) -> Value:
        size = width // self.memory.cell_width
        physical = self._reach(address, size, access, mode)
        if self.stopped():
            return 0
        found = self.load_cells(self._memory, physical, size)
        own = mode is None and not self._translating and not self._translation_changed()
        self._note_view(found, (address, size, access) if own else None)
        return found

    def _note_view(self, content: Value, key: Key | None) -> None:
        """A term is what the view held at an address, unless it is anything else, too."""
        if isinstance(content, Term) and self._viewed_as.setdefault(content, key) != key:
            self._viewed_as[content] = None

    def kept_cells(self, memory: Term, address: Value, size: int) -> Value:
        found = super().kept_cells(memory, address, size)
        self._note_view(found, None)
        return found

    def store(self, address: Value, value: Value, width: int, mode: Value | None) -> None:
        size = width // self.memory.cell_width
        physical = self._reach(address, size, Access.WRITE, mode)
        if not self.stopped():
            self._written[MEMORY_IN_VIEW] = self.store_cells(self._memory, physical, value, size)
            if not self.abstract:
                self._stored_in_view.append(TouchedPhysical(self._now(), physical, size))
            if self._physically:
                at = self._physical_address(physical)
                self._written[PHYSICAL_MEMORY] = self.store_cells(self._cells, at, value, size)

    def load_physical(self, address: Value, width: int) -> Value:
        size = width // self.memory.cell_width
        if self._translating and not self.abstract:
            for stored in self._stored_in_view:
                both = self.both(self._now(), stored.condition)
                if both is not False:
                    self._rewalked.append(
                        Rewalked(both, address, size, stored.address, stored.size)
                    )
            if self.apart and not self._stored:
                return self._elsewhere(as_term(self._initial[MEMORY_IN_VIEW]), address, size)
        return self._elsewhere(self._cells, address, size)

    def _elsewhere(self, memory: Term, address: Value, size: int) -> Value:
        """What cells hold that no address of the view has named."""
        found = self.load_cells(memory, address, size)
        self._note_view(found, None)
        return found

    def store_physical(self, address: Value, value: Value, width: int) -> None:
        size = width // self.memory.cell_width
        if not self._translating:
            self._stored.append(TouchedPhysical(self._now(), address, size))
        if not self.abstract:
            self._written[MEMORY_IN_VIEW] = self.store_cells(self._memory, address, value, size)
            return
        self._written[PHYSICAL_MEMORY] = self.store_cells(self._cells, address, value, size)
        cell = self.memory.cell_width
        for i in range(size):  # neighbours need not be neighbours in the view
            low = cell * (size - 1 - i if self.memory.big_endian else i)
            part = self.extract(value, width, low + cell - 1, low)
            at = self.place_in_view(self.further(address, i))
            self._written[MEMORY_IN_VIEW] = self.store_cells(self._memory, at, part, 1)

    def translate(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        place = self._reach(address, size, access, mode)
        return self._physical_address(place) if self.abstract else place

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        self._touch(address, size, access)
        if self.abstract:
            return self.negate(self._view(address, size, access, mode)[0])
        traps, path, written, facts = self._traps, self._path, self._written, self._facts
        self._traps, self._written = [], dict(written)
        self._frames.append(Frame({}, True, True))
        self._path = True
        self._by_routine(address, size, access, mode)
        refused = self.any(*(trap.condition for trap in self._traps))
        self._frames.pop()
        self._traps, self._path, self._written, self._facts = traps, path, written, facts
        return self.negate(refused)

    @property
    def _memory(self) -> Term:
        return as_term(self._slot(self._written, MEMORY_IN_VIEW))

    @property
    def _cells(self) -> Term:
        """Memory as physical accesses find it."""
        return as_term(
            self._slot(self._written, PHYSICAL_MEMORY if self.abstract else MEMORY_IN_VIEW)
        )

    def _physical_address(self, place: Value) -> Value:
        return self._function(PHYSICAL_ADDRESS, place)

    def _function(self, name: str, place: Value) -> Term:
        width = self.memory.address_width
        found = self.terms.apply(name, width, (width, place))
        found.support |= self._placed
        return found

    def place_in_view(self, physical_address: Value) -> Value:
        return self._function(PLACE_IN_VIEW, physical_address)

    def further(self, address: Value, cells: int) -> Value:
        return self.binary(BinaryOp.ADD, address, cells, self.memory.address_width)

    def _uses_physical_memory(self, block: Block) -> bool:
        """Whether the block, or what it calls, uses physical addresses."""
        return any(isinstance(s, LoadPhysical | StorePhysical) for s in reached(self.isa, block))

    def _reach(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        """The physical address on the paths where translation succeeds; the others trap."""
        self._touch(address, size, access)
        if not self.abstract:
            return self._by_routine(address, size, access, mode)
        refused, physical = self._view(address, size, access, mode)
        condition = self.both(self._now(), refused)
        self._traps.append(TrapPath(condition, "", TrapClass.MEMORY, (), translating=True))
        self._path = self.both(self._path, self.negate(refused))
        return physical

    def _touch(self, address: Value, size: int, access: Access) -> None:
        if not self._translating:
            self._touched.append(Touched(self._now(), address, size, access))

    def _by_routine(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        current = self._slot(self._written, self.isa.mode.element) if mode is None else mode
        self._translating += 1
        physical = self._walk.call(self.isa.translate, (address, access.value, size, current))
        self._translating -= 1
        return 0 if physical is None else physical

    def _view(
        self, address: Value, size: int, access: Access, mode: Value | None
    ) -> tuple[Truth, Value]:
        """Whether the shared view refuses an address, and what stands for its place."""
        reached = f"{access.name} {size}"
        arguments: tuple[tuple[int, Value], ...] = ((self._address_width, address),)
        mark = 0
        if self._translation_changed():
            reached, mark = f"{reached} moved {len(self._touched)}", self._moved
        elif mode is not None and (isinstance(mode, Term) or mode != self._mode):
            reached, mark = f"{reached} as", self._viewed
            arguments = (*arguments, (self.isa.mode.width, mode))
        refused = self.terms.apply(f"refused {reached}", 0, *arguments)
        physical = self.terms.apply(f"place {reached}", self.memory.address_width, *arguments)
        refused.support |= mark
        physical.support |= mark
        return refused, physical

    def _translation_changed(self) -> bool:
        if self.translation.reads_memory and self._stored:
            return True
        return any(name in self._written for name in self._translation_elements)


def physical_memory(terms: Terms, memory: Memory) -> Term:
    """Memory before an abstract run, by physical addresses."""
    return terms.array(f"physical {memory.name}", memory.address_width, memory.cell_width)
