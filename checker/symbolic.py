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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from checker.runs import Key, Rewalked, SymbolicRun, Touched, TouchedPhysical, TrapPath
from checker.storage import Shape, Storage, shape_of
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

_MEMORY = "<memory>"
_PHYSICAL = "<physical memory>"
_PC_AFTER = "<pc after>"
_CHOICES = "<choices>"
_COUNTER_WIDTH = 16

_Written = dict[str, Value]
_Values = dict[str, "Value | Truth"]
_Any = Value | Truth | None


@dataclass(slots=True, eq=False)
class _Return:
    path: Truth
    value: Value | Truth | None
    written: _Written
    facts: dict[Term, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Frame:
    """A call in progress: its locals, the path to it, and what returned so far."""

    values: _Values
    outer: Truth  # from the start of the run
    caller: Truth = True  # from the start of the caller
    facts: dict[Term, int] = field(default_factory=dict)  # the caller's
    widths: dict[str, int] = field(default_factory=dict)
    returned: list[_Return] = field(default_factory=list)


class Symbolic(Storage):
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
        super().__init__(terms, isa.memory)
        self.isa = isa
        self.abstract = abstract
        self.apart = apart
        self.translation = known or translation(isa)
        self._shapes: dict[str, Shape] = {
            e.name: shape_of(e) for e in isa.elements if e.length is not None
        }
        self._element_widths = {e.name: e.width for e in isa.elements}
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
        ends = [*self._waited, _Return(self._path, None, self._written)]
        path, _, written = self._merge([end for end in ends if end.path is not False], None)
        return SymbolicRun(
            mode=cast(int, self._mode),
            start=start,
            memory_before=memory,
            traps=tuple(self._traps),
            retires=path if self._traps else True,
            written={k: v for k, v in written.items() if not k.startswith("<")},
            memory=_term(self._slot(written, _MEMORY)),
            physical_before=self.physical if self.abstract else memory,
            physical=_term(self._slot(written, _PHYSICAL if self.abstract else _MEMORY)),
            pc_after=self._slot(written, _PC_AFTER),
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
        self._start = start
        self._mode = start[self.isa.mode.element]
        self._initial: _Written = {
            _MEMORY: memory,
            _PHYSICAL: self.physical,
            _PC_AFTER: pc_after,
            _CHOICES: 0,
        }
        self._physically = False
        self._written: _Written = {}
        self._frames = [_Frame(dict(frame), True)]
        self._path: Truth = True
        self._facts: dict[Term, int] = {}
        self._traps: list[TrapPath] = []
        self._waited: list[_Return] = []
        self._touched: list[Touched] = []
        self._stored: list[TouchedPhysical] = []
        self._stored_in_view: list[TouchedPhysical] = []
        self._rewalked: list[Rewalked] = []
        self._viewed_as: dict[Term, Key | None] = {}
        self._translating = 0
        self._most_choices = 0

    # -- state

    def local(self, name: str) -> Value | Truth:
        return self._frames[-1].values[name]

    def assign(self, name: str, value: Value | Truth, width: int) -> None:
        frame = self._frames[-1]
        frame.values[name] = value
        frame.widths[name] = width

    def read(self, element: str, index: Value | None) -> Value:
        value = self._slot(self._written, element)
        if index is None:
            return value
        return self.read_array(_term(value), index, self._shapes[element])

    def write(self, element: str, value: Value, index: Value | None) -> None:
        if index is not None:
            array = _term(self._slot(self._written, element))
            value = self.write_array(array, index, value, self._shapes[element])
        self._written[element] = value
        if element == self.isa.pc:
            self._written[_PC_AFTER] = value

    def _slot(self, written: _Written, name: str) -> Value:
        value = written.get(name)
        if value is None:
            value = self._initial.get(name)
            if value is None:
                value = self._start[name]
        return value

    def choose(self, width: int) -> Value:
        """The next choice; its number depends on the path where branches chose differently."""
        position = self._slot(self._written, _CHOICES)
        self._written[_CHOICES] = self._counted(position)
        return self.extract(self._choice(position), CHOICE_WIDTH, width - 1, 0)

    def _counted(self, position: Value) -> Value:
        if isinstance(position, Term):
            condition, then, orelse = position.args
            return self.select(
                condition, self._counted(then), self._counted(orelse), _COUNTER_WIDTH
            )
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
            self._written[_MEMORY] = self.store_cells(self._memory, physical, value, size)
            if not self.abstract:
                self._stored_in_view.append(TouchedPhysical(self._now(), physical, size))
            if self._physically:
                at = self._physical_address(physical)
                self._written[_PHYSICAL] = self.store_cells(self._cells, at, value, size)

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
                return self._elsewhere(_term(self._initial[_MEMORY]), address, size)
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
            self._written[_MEMORY] = self.store_cells(self._memory, address, value, size)
            return
        self._written[_PHYSICAL] = self.store_cells(self._cells, address, value, size)
        cell = self.memory.cell_width
        for i in range(size):  # neighbours need not be neighbours in the view
            low = cell * (size - 1 - i if self.memory.big_endian else i)
            part = self.extract(value, width, low + cell - 1, low)
            at = self.place_in_view(self.further(address, i))
            self._written[_MEMORY] = self.store_cells(self._memory, at, part, 1)

    def translate(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        place = self._reach(address, size, access, mode)
        return self._physical_address(place) if self.abstract else place

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        self._touch(address, size, access)
        if self.abstract:
            return self.negate(self._view(address, size, access, mode)[0])
        traps, path, written, facts = self._traps, self._path, self._written, self._facts
        self._traps, self._written = [], dict(written)
        self._frames.append(_Frame({}, True, True))
        self._path = True
        self._by_routine(address, size, access, mode)
        refused = self.any(*(trap.condition for trap in self._traps))
        self._frames.pop()
        self._traps, self._path, self._written, self._facts = traps, path, written, facts
        return self.negate(refused)

    @property
    def _memory(self) -> Term:
        return _term(self._slot(self._written, _MEMORY))

    @property
    def _cells(self) -> Term:
        """Memory as physical accesses find it."""
        return _term(self._slot(self._written, _PHYSICAL if self.abstract else _MEMORY))

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

    # -- control flow

    def stopped(self) -> bool:
        return self._path is False

    def _now(self) -> Truth:
        """The condition of being here, from the start of the run."""
        return self.both(self._frames[-1].outer, self._path)

    def branch(
        self, condition: Truth, then: Callable[[], None], orelse: Callable[[], None]
    ) -> None:
        if isinstance(condition, Term):
            known = self._known(condition, {})
            condition = condition if known is None else known
        if not isinstance(condition, Term):
            (then if condition else orelse)()
            return
        frame = self._frames[-1]
        before = _Arm(self._path, self._written, frame.values, self._facts)
        first = self._arm(before, condition, then)
        second = self._arm(before, self.negate(condition), orelse)
        if first.path is False or second.path is False:
            going = second if first.path is False else first
            self._path, self._written, frame.values = going.path, going.written, going.values
            self._facts = going.facts
            return
        both_whole = first.whole and second.whole
        self._path = before.path if both_whole else self.either(first.path, second.path)
        self._facts = before.facts
        self._written = self._merge_written(condition, first.written, second.written)
        frame.values = self._merge_values(condition, first.values, second.values)

    def _arm(self, before: "_Arm", condition: Truth, body: Callable[[], None]) -> "_Arm":
        frame = self._frames[-1]
        entered = self.both(before.path, condition)
        self._path, self._written = entered, dict(before.written)
        frame.values = dict(before.values)
        self._facts = dict(before.facts)
        self._learn(condition, True)
        if entered is not False:
            body()
        return _Arm(self._path, self._written, frame.values, self._facts, self._path is entered)

    def _learn(self, condition: Truth, holds: bool) -> None:
        """Note what follows from a condition on this path."""
        if not isinstance(condition, Term):
            return
        self._facts[condition] = holds
        if condition.op is Op.NOT:
            self._learn(condition.args[0], not holds)
        elif condition.op is (Op.AND if holds else Op.OR):
            self._learn(condition.args[0], holds)
            self._learn(condition.args[1], holds)
        elif condition.op is Op.EQUAL and holds and not isinstance(condition.args[1], Term):
            self._facts[condition.args[0]] = condition.args[1]

    def _known(self, condition: Term, asked: dict[Term, bool | None]) -> bool | None:
        """The condition's value, if the path decides it; `asked` keeps those of shared parts."""
        if condition not in asked:
            fact = self._facts.get(condition)
            asked[condition] = self._follows(condition, asked) if fact is None else bool(fact)
        return asked[condition]

    def _follows(self, condition: Term, asked: dict[Term, bool | None]) -> bool | None:
        args = condition.args
        match condition.op:
            case Op.NOT:
                inner = self._known(args[0], asked)
                return None if inner is None else not inner
            case Op.EQUAL if not isinstance(args[1], Term):
                value = self._facts.get(args[0])
                return None if value is None else value == args[1]
            case Op.AND | Op.OR:
                parts = [self._known(part, asked) for part in args]
                absorbing = condition.op is Op.OR
                if absorbing in parts:
                    return absorbing
                return None if None in parts else not absorbing
            case _:
                return None

    def trap(self, cause: str, trap_class: TrapClass, arguments: tuple[Value | Truth, ...]) -> None:
        path = TrapPath(self._now(), cause, trap_class, arguments, self._translating > 0)
        self._traps.append(path)
        self._path = False

    def wait(self) -> None:
        self._waited.append(_Return(self._now(), None, self._written))
        self._path = False

    def enter(self, parameters: Mapping[str, Value | Truth]) -> None:
        frame = _Frame(dict(parameters), self._now(), self._path, self._facts)
        self._frames.append(frame)
        self._path = True

    def give_back(self, value: Value | Truth, width: int) -> None:
        self._frames[-1].returned.append(_Return(self._path, value, self._written, self._facts))
        self._path = False

    def leave(self, width: int | None) -> Value | Truth | None:
        frame = self._frames.pop()
        ends = frame.returned
        if self._path is not False:
            ends = [*ends, _Return(self._path, None, self._written, self._facts)]
        path, value, self._written = self._merge(ends, width)
        self._path = self.both(frame.caller, path)
        self._facts = self._facts_after(frame.facts, [end.facts for end in ends])
        return value

    def _facts_after(self, before: dict[Term, int], ends: list[dict[Term, int]]) -> dict[Term, int]:
        """What is noted after a call that has ended in one of some ways."""
        return before

    # -- merging

    def _merge(
        self, ends: list[_Return], width: int | None
    ) -> tuple[Truth, Value | Truth | None, _Written]:
        """One end for several that exclude one another: its path, value and state."""
        if not ends:
            return False, None, self._written
        last = ends[-1]
        path, value, written = last.path, last.value, last.written
        for end in reversed(ends[:-1]):
            path = self.either(end.path, path)
            if width is not None:
                value = self._select_any(end.path, end.value, value, width)
            written = self._merge_written(end.path, end.written, written)
        return path, value, written

    def _select_any(self, condition: Truth, then: _Any, orelse: _Any, width: int) -> Value | Truth:
        """A selected value of either sort: a truth value if `width` is 0."""
        if width == 0:
            return self.select_truth(condition, cast(Truth, then), cast(Truth, orelse))
        return self.select(condition, cast(Value, then), cast(Value, orelse), width)

    def _merge_written(self, condition: Truth, then: _Written, orelse: _Written) -> _Written:
        if then is orelse:
            return then
        merged: _Written = {}
        for name in {**then, **orelse}:
            first, second = self._slot(then, name), self._slot(orelse, name)
            merged[name] = self._select_slot(name, condition, first, second)
        return merged

    def _select_slot(self, name: str, condition: Truth, then: Value, orelse: Value) -> Value:
        if name in (_MEMORY, _PHYSICAL):
            return self.select_memory(condition, _term(then), _term(orelse))
        shape = self._shapes.get(name)
        if shape is not None:
            return self.select_array(condition, _term(then), _term(orelse), shape)
        if name == _CHOICES:
            width = _COUNTER_WIDTH
        else:
            width = self._element_widths[self.isa.pc if name == _PC_AFTER else name]
        return self.select(condition, then, orelse, width)

    def _merge_values(self, condition: Truth, then: _Values, orelse: _Values) -> _Values:
        """Locals that only one arm assigned are not used after it."""
        merged: _Values = {}
        widths = self._frames[-1].widths
        for name, first in then.items():
            second = orelse.get(name)
            if first is second or second is None:
                merged[name] = first
            else:
                merged[name] = self._select_any(condition, first, second, widths[name])
        return merged


@dataclass(slots=True, eq=False)
class _Arm:
    """Where an arm of a branch ended; `whole`: all its paths reached the end."""

    path: Truth
    written: _Written
    values: _Values
    facts: dict[Term, int]
    whole: bool = True


def physical_memory(terms: Terms, memory: Memory) -> Term:
    """Memory before an abstract run, by physical addresses."""
    return terms.array(f"physical {memory.name}", memory.address_width, memory.cell_width)


def _term(value: Value) -> Term:
    assert isinstance(value, Term)
    return value
