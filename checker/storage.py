"""Arrays of state elements and physical memory as terms.

An array or memory is a chain of writes over an `ARRAY` leaf. A write on one arm of a branch
becomes an unconditional write of a selected value, so chains stay linear.
"""

from dataclasses import dataclass

from checker.folding import Folding
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import CompareOp, Element, Memory


@dataclass(frozen=True, slots=True)
class Shape:
    """Of an array: reads at or past `length` give 0, writes there do nothing."""

    length: int
    value_width: int

    @property
    def index_width(self) -> int:
        return max(1, (self.length - 1).bit_length())


def shape_of(element: Element) -> Shape:
    assert element.length is not None
    return Shape(element.length, element.width)


class Storage(Folding):
    """Folding with arrays and one memory."""

    def __init__(self, terms: Terms, memory: Memory) -> None:
        super().__init__(terms)
        self.memory = memory

    # -- arrays

    def read_array(self, array: Term, index: Value, shape: Shape) -> Value:
        inside = self._inside(index, shape)
        if inside is False:
            return 0
        place = self._place(index, shape)
        return self.select(
            inside,
            self.read_place(array, place, shape.index_width, shape.value_width),
            0,
            shape.value_width,
        )

    def write_array(self, array: Term, index: Value, value: Value, shape: Shape) -> Term:
        inside = self._inside(index, shape)
        if inside is False:
            return array
        place = self._place(index, shape)
        if inside is not True:
            value = self.select(
                inside,
                value,
                self.read_place(array, place, shape.index_width, shape.value_width),
                shape.value_width,
            )
        return self.write_place(array, place, value, shape.index_width, shape.value_width)

    def _inside(self, index: Value, shape: Shape) -> Truth:
        if not isinstance(index, Term):
            return index < shape.length
        if shape.length >= 1 << index.width:
            return True
        return self.compare(CompareOp.ULT, index, shape.length, index.width)

    def _place(self, index: Value, shape: Shape) -> Value:
        if not isinstance(index, Term):
            return index
        if index.width < shape.index_width:
            return self.extend(index, index.width, False, shape.index_width)
        return self.extract(index, index.width, shape.index_width - 1, 0)

    def read_place(self, array: Term, place: Value, index_width: int, width: int) -> Value:
        """The value at an index within the array."""
        while array.op is Op.WRITE:
            if _same(array.args[1], place):
                value: Value = array.args[2]
                return value
            if isinstance(array.args[1], Term) or isinstance(place, Term):
                break
            array = array.args[0]
        return self.terms.make(Op.READ, width, array, place, index_width)

    def write_place(
        self, array: Term, place: Value, value: Value, index_width: int, width: int
    ) -> Term:
        """The array with a value at an index within it."""
        if array.op is Op.WRITE and _same(array.args[1], place):
            array = array.args[0]
        if _same(self.read_place(array, place, index_width, width), value):
            return array
        return self.terms.make(Op.WRITE, 0, array, place, value, index_width, width)

    def select_array(self, condition: Truth, then: Term, orelse: Term, shape: Shape) -> Term:
        if not isinstance(condition, Term):
            return then if condition else orelse
        if then is orelse:
            return then
        for chain, other, positive in ((then, orelse, True), (orelse, then, False)):
            if chain.op is Op.WRITE and self._below(chain, other):
                base, place, value = chain.args[:3]
                merged = (
                    self.select_array(condition, base, other, shape)
                    if positive
                    else self.select_array(condition, other, base, shape)
                )
                old = self.read_place(merged, place, shape.index_width, shape.value_width)
                first, second = (value, old) if positive else (old, value)
                chosen = self.select(condition, first, second, shape.value_width)
                return self.write_place(merged, place, chosen, shape.index_width, shape.value_width)
        if then.op is Op.WRITE and orelse.op is Op.WRITE and _same(then.args[1], orelse.args[1]):
            merged = self.select_array(condition, then.args[0], orelse.args[0], shape)
            value = self.select(condition, then.args[2], orelse.args[2], shape.value_width)
            return self.write_place(
                merged, then.args[1], value, shape.index_width, shape.value_width
            )
        return self.terms.make(Op.SELECT_ARRAY, 0, condition, then, orelse)

    # -- memory

    def load_cells(self, memory: Term, address: Value, size: int) -> Value:
        """The content of `size` cells from a physical address on."""
        while memory.op is Op.STORE:
            _, start, value, length = memory.args
            if length == size and _same(start, address):
                found: Value = value
                return found
            if self._may_overlap(start, length, address, size):
                break
            memory = memory.args[0]
        return self.terms.make(Op.LOAD, size * self.memory.cell_width, memory, address, size)

    def store_cells(self, memory: Term, address: Value, value: Value, size: int) -> Term:
        if memory.op is Op.STORE and memory.args[3] == size and _same(memory.args[1], address):
            memory = memory.args[0]
        if _same(self.load_cells(memory, address, size), value):
            return memory
        return self.terms.make(Op.STORE, 0, memory, address, value, size)

    def select_memory(self, condition: Truth, then: Term, orelse: Term) -> Term:
        if not isinstance(condition, Term):
            return then if condition else orelse
        if then is orelse:
            return then
        for chain, other, positive in ((then, orelse, True), (orelse, then, False)):
            if chain.op is Op.STORE and self._below(chain, other):
                base, address, value, size = chain.args
                merged = (
                    self.select_memory(condition, base, other)
                    if positive
                    else self.select_memory(condition, other, base)
                )
                old = self.kept_cells(merged, address, size)
                first, second = (value, old) if positive else (old, value)
                chosen = self.select(condition, first, second, size * self.memory.cell_width)
                return self.store_cells(merged, address, chosen, size)
        return self.terms.make(Op.SELECT_ARRAY, 0, condition, then, orelse)

    def kept_cells(self, memory: Term, address: Value, size: int) -> Value:
        """What cells hold, to be stored there again where something else is not."""
        return self.load_cells(memory, address, size)

    def _below(self, chain: Term, base: Term) -> bool:
        """Whether a chain of writes was built upon `base`."""
        while chain.op in (Op.WRITE, Op.STORE):
            chain = chain.args[0]
            if chain is base:
                return True
        return False

    def _may_overlap(self, start: Value, length: int, address: Value, size: int) -> bool:
        if isinstance(start, Term) or isinstance(address, Term):
            return True
        cells = 1 << self.memory.address_width
        return (address - start) % cells < length or (start - address) % cells < size


def _same(left: Value, right: Value) -> bool:
    return left is right or (
        not isinstance(left, Term) and not isinstance(right, Term) and left == right
    )
