"""The emitted engine: the walk over values that are integers or variables of emitted Python.

What the walk does at a time when values are known costs nothing later: fields, the pc and chosen
state elements are constants, and every decision on them is made here. What is left becomes a tree
of Python (`spec.python_code`). Memory accesses use `pg` (pages) and `wp` (pages that may be written
at once); names in capitals and `load`, `store`, `log`, `rollback`, `choose` are given by the
machine. State is read at the entry into variables and written back at an exit, so that a trap has
nothing to undo but memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from spec.evaluate import Walk
from spec.folding import Folding, Truth, Value
from spec.ir import Access, Block, Expr, Isa, Role, TrapClass
from spec.path import ArrayValue, Frame, Path
from spec.python_code import Branch, Break, Do, Leave, Let, Load, Node, Region, Routine, Try
from spec.state import Cells

T = TypeVar("T")
K = TypeVar("K")

STEPS = "p0"  # the variable that counts the steps of earlier rounds of a loop
PACKED_SIZES = (2, 4, 8)  # accesses in bytes that one `struct` call serves


@dataclass(frozen=True, slots=True)
class Exit:
    """A place where the code ends; `out` waits for what writes the state of `path` back.

    `steps` are done by then, besides `STEPS`. `signal` is the text of what the machine is told.
    """

    out: list[Node]
    path: Path
    steps: int
    signal: str | None


@dataclass(slots=True)
class _Call:
    outer: list[Node]
    region: Region
    returns: list[tuple[list[Node], Path, Value | Truth | None]] = field(default_factory=list)


class Emitter(Folding):
    """Implements `spec.engine.Engine[Value, Truth]`.

    `constants` are the values of scalar elements that the code is for. With `chooses`, choices
    are asked for when the code runs; else they are 0.
    """

    def __init__(self, isa: Isa, constants: Mapping[str, int], chooses: bool = False) -> None:
        super().__init__()
        self.isa = isa
        self.constants = dict(constants)
        self.chooses = chooses
        self.elements = {element.name: element for element in isa.elements}
        self.numbers = {element.name: n for n, element in enumerate(isa.elements)}
        self.causes = {cause.name: n for n, cause in enumerate(isa.causes)}
        self.path = Path(scalars=dict(constants), known=self.known)
        self.exits: list[Exit] = []
        self.entries: dict[str, str] = {}  # variables filled at the entry, with their source
        self.indexed: set[str] = set()  # arrays accessed at an index that is not constant
        self.steps = 0
        self.logs = False  # whether stores must be logged, because a trap may follow
        self.needs_log = False
        self.resume: str = isa.pc + " "  # where the pc goes; differs from the pc until written
        self._walk: Walk[Value, Truth] = Walk(self, {f.name: f for f in isa.functions})
        self._calls: list[_Call] = []
        self._probes: list[set[bool]] = []
        self._start = self.path
        self._stopped = False
        self._epochs = 0
        self._cells = Cells(isa.memory)

    # -- what a translator of blocks does

    def begin(self, frame: Mapping[str, Value | Truth]) -> None:
        """Begin an instruction: a trap from here on goes back to the present state."""
        self.path.frames = [dict(frame)]
        self.path.stored = False
        self._start = self.path.copy()
        self._stopped = False

    def go(self, path: Path, out: list[Node]) -> None:
        """Go on writing to `out`, on a path."""
        self.path, self.known, self.out = path, path.known, out
        self._stopped = False

    def run(self, block: Block) -> None:
        self._walk.block(block)

    def truth_of(self, condition: Expr) -> Truth:
        """The truth value of an expression without locals."""
        return cast(Truth, self._walk.value(condition))

    def stopped(self) -> bool:
        return self._stopped

    def end(self) -> Leave:
        """Stop here; what follows is put into the node."""
        leave = Leave()
        self.out.append(leave)
        self._stopped = True
        return leave

    def leave_block(self, steps: int, signal: str | None = None) -> None:
        """End the code here, with the present state."""
        self._exit(self.path.copy(), steps, signal)

    def leave_if(self, condition: str, steps: int) -> None:
        """End the code here, if a Python expression is true."""
        node = Branch(condition, [], [])
        out = self.out
        out.append(node)
        self.out = node.then
        self._exit(self.path.copy(), steps, None)
        self.go(self.path, out)

    def go_back(self, steps: int, signal: str | None = None) -> None:
        """End the code here, with the state in which the instruction began."""
        if self.path.stored:
            self.needs_log = True
            self.out.append(Do("rollback(0)"))
        self._exit(self._start, steps, signal)

    def clear_log(self) -> None:
        self.out.append(Do("LOG.clear()"))

    def parameter(self, name: str, width: int) -> str:
        """A variable that the caller fills; `width` 0: a truth value."""
        self.bound[name] = (1 << max(width, 1)) - 1
        return name

    def entry(self, element: str) -> str:
        """The variable with the value of a scalar at the entry."""
        name = f"s{self.numbers[element]}"
        self.entries[name] = f"S[{element!r}]"
        self.bound[name] = (1 << self.elements[element].width) - 1
        return name

    def scalar(self, path: Path, element: str) -> Value:
        """The value of a scalar on a path."""
        value = path.scalars.get(element)
        if value is not None:
            return value
        if element == self.resume:
            element = self.isa.pc
        here = self.elements[element]
        name = self.entry(element)
        if here.role is not Role.TIME:
            return name
        return self.let(f"{name} + {STEPS} + {self.steps} & {self.bound[name]}", self.bound[name])

    def list_entry(self, element: str) -> str:
        """The variable with the list of an array at the entry."""
        name = f"a{self.numbers[element]}"
        self.entries[name] = f"A[{element!r}]"
        return name

    def member_entry(self, element: str, index: int) -> str:
        """The variable with the value of a member at the entry."""
        base = self.list_entry(element)
        name = f"{base}_{index}"
        self.entries[name] = f"{base}[{index}]"
        self.bound[name] = (1 << self.elements[element].width) - 1
        return name

    # -- locals and state

    def local(self, name: str) -> Value | Truth:
        return self.path.frames[-1][name]

    def assign(self, name: str, value: Value | Truth, width: int) -> None:
        self.path.frames[-1][name] = value

    def read(self, element: str, index: Value | None) -> Value:
        if index is None:
            return self.scalar(self.path, element)
        length = self.elements[element].length or 0
        if isinstance(index, int):
            return self._member(element, index) if index < length else 0
        base = self._flushed(element)
        text = f"{base}[{index}]"
        if self.limit(index) >= length:
            text += f" if {index} < {length} else 0"
        name = self.fresh((1 << self.elements[element].width) - 1)
        self.out.append(Let(name, text, movable=False))
        return name

    def write(self, element: str, value: Value, index: Value | None) -> None:
        if index is None:
            self.path.scalars[element] = value
            if element == self.isa.pc:
                self.path.scalars[self.resume] = value
            return
        length = self.elements[element].length or 0
        if isinstance(index, int):
            if index < length:
                array = self._array(element)
                self.path.arrays[element] = ArrayValue(array.base, {**array.known, index: value})
            return
        base = self._copied(element, self._flushed(element))
        change = f"{base}[{index}] = {value}"
        if self.limit(index) >= length:
            change = f"if {index} < {length}: {change}"
        self.out.append(Do(change))
        self.path.arrays[element] = ArrayValue(base, {})

    def _array(self, element: str) -> ArrayValue:
        return self.path.arrays.get(element) or ArrayValue(self.list_entry(element), {})

    def _member(self, element: str, index: int) -> Value:
        array = self._array(element)
        if index in array.known:
            return array.known[index]
        if array.base == self.list_entry(element):
            return self.member_entry(element, index)
        name = self.fresh((1 << self.elements[element].width) - 1)
        self.out.append(Let(name, f"{array.base}[{index}]", movable=False))
        return name

    def _flushed(self, element: str) -> str:
        """The array as one list."""
        self.indexed.add(element)
        array = self._array(element)
        if not array.known:
            return array.base
        base = self._copied(element, array.base)
        for index, value in array.known.items():
            self.out.append(Do(f"{base}[{index}] = {value}"))
        self.path.arrays[element] = ArrayValue(base, {})
        return base

    def _copied(self, element: str, base: str) -> str:
        name = self.fresh(0)
        self.out.append(Let(name, f"{base}[:]", movable=False))
        return name

    # -- memory

    def load(self, address: Value, width: int, access: Access, mode: Value | None) -> Value:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, access, mode)
        return 0 if physical is None else self.load_physical(physical, width)

    def store(self, address: Value, value: Value, width: int, mode: Value | None) -> None:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, Access.WRITE, mode)
        if physical is not None:
            self.store_physical(physical, value, width)

    def load_physical(self, address: Value, width: int) -> Value:
        size = width // self.isa.memory.cell_width
        place = self._place(address)
        key = f"{place} {size} {self.path.epoch}"
        if key not in self.known:
            name = self.fresh((1 << width) - 1)
            slow = f"load({place}, {size})"
            page, offset = self._page(place)
            if size == 1:
                fast = f"pg[{page}][{offset}]"
            elif self._packed(size):
                fast = f"U{size}(pg[{page}], {offset})[0]"
            else:
                fast = slow
            self.out.append(Load(name, fast, slow))
            self.known[key] = name
        return self.known[key]

    def store_physical(self, address: Value, value: Value, width: int) -> None:
        size = width // self.isa.memory.cell_width
        place = self._place(address)
        if self.logs or self._probes:
            self.out.append(Do(f"log({place}, {size})"))
        slow = f"store({place}, {size}, {value})"
        if not self._probes:
            slow = f"dirty = {slow} or dirty"
        page, offset = self._page(place)
        if size == 1:
            fast = f"wp[{page}][{offset}] = {value}"
        elif self._packed(size):
            fast = f"P{size}(wp[{page}], {offset}, {value})"
        else:
            fast = slow
        self.out.append(Try(fast, slow))
        self._epochs += 1
        self.path.epoch = self._epochs
        self.path.stored = True

    def translate(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        return self._reach(address, size, access, mode) or 0

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        out, path, calls = self.out, self.path, self._calls
        routine = Routine(self.fresh(1))
        answers: set[bool] = set()
        self._probes.append(answers)
        self._calls = []
        inner = path.copy()
        inner.stored = False
        self.go(inner, routine.body)
        self._reach(address, size, access, mode)
        if not self._stopped:
            self._answer(True)
        self._stopped = False
        self._probes.pop()
        self._calls = calls
        self.go(path, out)
        if len(answers) == 1:
            return answers.pop()
        routine.body.insert(0, Do("mark = len(LOG)"))
        if self.chooses:
            self.out.append(Do("save_choices()"))
        self.out.append(routine)
        if self.chooses:
            self.out.append(Do("restore_choices()"))
        return routine.name

    def choose(self, width: int) -> Value:
        if not self.chooses:
            return 0
        name = self.fresh((1 << width) - 1)
        self.out.append(Let(name, f"choose({width})", movable=False))
        self.out.append(Do(name))  # asked for even if nothing uses it
        return name

    def _reach(self, address: Value, size: int, access: Access, mode: Value | None) -> Value | None:
        if mode is None:
            mode = self.read(self.isa.mode.element, None)
        physical = self._walk.call(self.isa.translate, (address, access.value, size, mode))
        return None if self._stopped else cast(Value, physical)

    def _place(self, address: Value) -> Value:
        mask = self._cells.mask
        if not isinstance(address, str):
            return address & mask
        return self.extract(address, mask.bit_length() + 1, mask.bit_length() - 1, 0)

    def _page(self, place: Value) -> tuple[str, str]:
        """Number of the page and offset in it, as text."""
        shift, offsets = self._cells.page_shift, self._cells.page_cells - 1
        if not isinstance(place, str):
            return str(place >> shift), str(place & offsets)
        page = f"{place} >> {shift}" if self.limit(place) > offsets else "0"
        return page, f"{place} & {offsets}" if self.limit(place) > offsets else place

    def _packed(self, size: int) -> bool:
        return self.isa.memory.cell_width == 8 and size in PACKED_SIZES

    # -- control flow

    def branch(
        self, condition: Truth, then: Callable[[], None], orelse: Callable[[], None]
    ) -> None:
        condition = self._decided(condition)
        if not isinstance(condition, str):
            (then if condition else orelse)()
            return
        node = Branch(condition, [], [])
        out, before = self.out, self.path
        out.append(node)
        ends: list[tuple[list[Node], Path]] = []
        for arm, nodes, truth in ((then, node.then, True), (orelse, node.orelse, False)):
            path = before.copy()
            path.assumed[condition] = truth
            self.go(path, nodes)
            self._stopped = False
            arm()
            if not self._stopped:
                ends.append((self.out, self.path))
        self._stopped = not ends
        self._join(ends, out, condition if len(ends) == 2 else None)

    def select(self, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
        return super().select(self._decided(condition), then, orelse, width)

    def select_truth(self, condition: Truth, then: Truth, orelse: Truth) -> Truth:
        return super().select_truth(self._decided(condition), then, orelse)

    def trap(self, cause: str, trap_class: TrapClass, arguments: tuple[Value | Truth, ...]) -> None:
        if self._probes:
            self._answer(False)
            return
        given = "".join(f"{argument}, " for argument in arguments)
        following = self._start.frames[0].get("next", 0)
        signal = f"({self.causes[cause]}, {trap_class.value!r}, ({given}), {following})"
        self.go_back(self.steps + 1, signal)

    def wait(self) -> None:
        if self._probes:
            self._answer(False)
            return
        self.path.scalars[self.isa.pc] = self.scalar(self.path, self.resume)
        self.leave_block(self.steps + 1, "WAITS")

    def enter(self, parameters: Mapping[str, Value | Truth]) -> None:
        self.path.frames.append(dict(parameters))
        call = _Call(self.out, Region())
        self._calls.append(call)
        self.out = call.region.body

    def give_back(self, value: Value | Truth, width: int) -> None:
        self._calls[-1].returns.append((self.out, self.path, value))
        self._stopped = True

    def leave(self, width: int | None) -> Value | Truth | None:
        call = self._calls.pop()
        if not self._stopped:
            call.returns.append((self.out, self.path, None))
        if not call.returns:
            call.outer.extend(call.region.body)
            self.out = call.outer
            return None
        result = "result "
        tails = _tails(call.region.body)
        falls_through = all(id(out) in tails for out, _, _ in call.returns)
        for _, path, value in call.returns:
            path.frames.pop()
            path.frames[-1][result] = 0 if value is None else value
        self._stopped = False
        self._join([(out, path) for out, path, _ in call.returns], call.outer, None)
        if falls_through:
            call.outer.extend(call.region.body)
        else:
            for out, _, _ in call.returns:
                out.append(Break())
            call.outer.append(call.region)
        value = self.path.frames[-1].pop(result)
        return None if width is None else value

    def _exit(self, path: Path, steps: int, signal: str | None) -> None:
        self.exits.append(Exit(self.end().body, path, steps, signal))

    def _answer(self, reached: bool) -> None:
        """Return from a probe, with no effect left."""
        self._probes[-1].add(reached)
        if self.path.stored:
            self.out.append(Do("rollback(mark)"))
        self.out.append(Do(f"return {reached}"))
        self._stopped = True

    def _decided(self, condition: Truth) -> Truth:
        if isinstance(condition, str):
            return self.path.assumed.get(condition, condition)
        return condition

    def _join(
        self, ends: Sequence[tuple[list[Node], Path]], out: list[Node], condition: str | None
    ) -> None:
        """Go on with the paths that are left, merged; their values are assigned at their ends."""
        if not ends:
            self.out = out
            return
        if len(ends) == 1:
            self.go(ends[0][1], out)
            return
        paths = [path for _, path in ends]
        merged = Path(
            frames=[{} for _ in paths[0].frames],
            known=_agreed([path.known for path in paths]),
            assumed=_agreed([path.assumed for path in paths]),
            epoch=paths[0].epoch,
            stored=any(path.stored for path in paths),
        )
        if any(path.epoch != merged.epoch for path in paths):
            self._epochs += 1
            merged.epoch = self._epochs
        for element in _keys([path.scalars for path in paths]):
            values: list[Value | Truth] = []
            for nodes, path in ends:
                self.go(path, nodes)
                values.append(self.scalar(path, element))
            merged.scalars[element] = self._merged(ends, values, condition)
        for element in _keys([path.arrays for path in paths]):
            merged.arrays[element] = self._merged_array(ends, element, condition)
        for level, frame in enumerate(merged.frames):
            frames: list[Frame] = [path.frames[level] for path in paths]
            for name in frames[0]:
                if all(name in other for other in frames):
                    frame[name] = self._merged(ends, [other[name] for other in frames], condition)
        self.go(merged, out)

    def _merged(
        self,
        ends: Sequence[tuple[list[Node], Path]],
        values: Sequence[Value | Truth],
        condition: str | None,
    ) -> Value | Truth:
        if all(type(value) is type(values[0]) and value == values[0] for value in values):
            return values[0]
        name = self.fresh(max(self.limit(value) for value in values))
        for (out, _), value in zip(ends, values, strict=True):
            out.append(Let(name, str(value), movable=False))
        if condition is not None:
            self.remember_choice(name, condition, values[0], values[1])
        return name

    def _merged_array(
        self, ends: Sequence[tuple[list[Node], Path]], element: str, condition: str | None
    ) -> ArrayValue:
        def present() -> list[ArrayValue]:
            entry = ArrayValue(self.list_entry(element), {})
            return [path.arrays.get(element, entry) for _, path in ends]

        if len({array.base for array in present()}) > 1:
            for out, path in ends:
                self.go(path, out)
                self._flushed(element)
        arrays = present()
        bases: list[Value | Truth] = [array.base for array in arrays]
        for name in bases:
            self.bound.setdefault(str(name), 0)
        base = cast(str, self._merged(ends, bases, None))
        known: dict[int, Value] = {}
        for index in _keys([array.known for array in arrays]):
            values: list[Value | Truth] = []
            for out, path in ends:
                self.go(path, out)
                values.append(self._member(element, index))
            known[index] = self._merged(ends, values, condition)
        return ArrayValue(base, known)


def _agreed(mappings: Sequence[dict[str, T]]) -> dict[str, T]:
    """The items that all have."""
    first, *others = mappings
    return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}


def _keys(mappings: Sequence[Mapping[K, object]]) -> list[K]:
    """The keys that any has, each once, in a fixed order."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _tails(nodes: list[Node]) -> set[int]:
    """Identities of the lists after whose end nothing of `nodes` follows."""
    found = {id(nodes)}
    if nodes and isinstance(nodes[-1], Branch):
        found |= _tails(nodes[-1].then) | _tails(nodes[-1].orelse)
    return found
