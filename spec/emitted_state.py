"""State in emitted code: what is known of it on each path, and how paths come together."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from spec.folding import Folding, Truth, Value
from spec.ir import Isa, Role
from spec.path import ArrayValue, Frame, Path
from spec.python_code import Do, Let, Load, Node, Try
from spec.state import Cells

T = TypeVar("T")
K = TypeVar("K")

STEPS = "p0"  # the variable that counts the steps of earlier rounds of a loop
PACKED_SIZES = (2, 4, 8)  # accesses in bytes that one `struct` call serves


class Storing(Folding):
    """The part of the emitted engine that reads and writes elements, locals and cells.

    `constants` are the values of scalar elements that the code is for.
    """

    def __init__(self, isa: Isa, constants: Mapping[str, int]) -> None:
        super().__init__()
        self.isa = isa
        self.constants = dict(constants)
        self.elements = {element.name: element for element in isa.elements}
        self.numbers = {element.name: n for n, element in enumerate(isa.elements)}
        self.path = Path(scalars=dict(constants), known=self.known)
        self.entries: dict[str, str] = {}  # variables filled at the entry, with their source
        self.indexed: set[str] = set()  # arrays accessed at an index that is not constant
        self.steps = 0
        self.logs = False  # whether stores must be logged, because a trap may follow
        self.probing = False  # then they must be undone, and change nothing that goes on
        self.resume: str = isa.pc + " "  # where the pc goes; differs from the pc until written
        self._epochs = 0
        self._cells = Cells(isa.memory)

    def go(self, path: Path, out: list[Node]) -> None:
        """Go on writing to `out`, on a path."""
        self.path, self.known, self.out = path, path.known, out

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

    def parameter(self, name: str, width: int) -> str:
        """A variable that the caller fills; `width` 0: a truth value."""
        self.bound[name] = (1 << max(width, 1)) - 1
        return name

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
        if self.logs or self.probing:
            self.out.append(Do(f"log({place}, {size})"))
        slow = f"store({place}, {size}, {value})"
        if not self.probing:
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
                value = path.scalars.get(element)
                if value is None:
                    self.go(path, nodes)
                    value = self.scalar(path, element)
                values.append(value)
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
        first, *others = values
        kind = type(first)
        for value in others:
            if value is not first and (type(value) is not kind or value != first):
                break
        else:
            return first
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
        base = str(self._merged(ends, bases, None))
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
    agreed, *others = mappings
    for other in others:
        get = other.get
        agreed = {key: value for key, value in agreed.items() if get(key) == value}
    return agreed


def _keys(mappings: Sequence[Mapping[K, object]]) -> list[K]:
    """The keys that any has, each once, in a fixed order."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
