"""Conditions without arrays and memory: what is read is a choice of what was written, or a symbol.

Symbols that stand for the same array at equal places are equal; that accesses of different sizes
overlap is forgotten. So conditions that contradict each other without arrays do so with them; the
converse is not promised. The solver is quicker without.
"""

from collections.abc import Iterable, Iterator

from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Argument, Op, Term, Truth, Value, in_order
from spec.ir import BinaryOp

_ADD = BinaryOp.ADD
_READING = (Op.READ, Op.LOAD)


def array_free(storage: Storage, conditions: Iterable[Truth]) -> list[Truth]:
    """Weaker conditions on symbols only."""
    given: list[Truth] = [c for c in conditions if c is not True]
    seen: set[Term] = set()
    arrays: list[Term] = []
    for term in in_order(tuple(given), seen.__contains__):
        seen.add(term)
        if term.op is Op.ARRAY:
            arrays.append(term)
    if not arrays:
        return given
    elimination = _Elimination(storage, arrays)
    found = [elimination.truth(condition) for condition in given]
    return [*found, *elimination.consistent()]


class _Elimination(Substitution):
    def __init__(self, storage: Storage, arrays: list[Term]) -> None:
        super().__init__(storage, {})
        for array in arrays:
            self._mask |= array.support
        self._leaves: dict[tuple[Term, int], dict[Value, tuple[Term, int]]] = {}
        self._read: dict[tuple[Term, Value, int], Value] = {}

    def _rebuilt(self, term: Term) -> Argument:
        if term.op not in _READING:
            return super()._rebuilt(term)
        args = [self._known.get(a, a) if a.__class__ is Term else a for a in term.args]
        if term.op is Op.READ:
            return self._element(args[0], args[1], args[2], term.width)
        return self._content(args[0], args[1], args[2])

    # -- arrays

    def _element(self, array: Term, place: Value, index_width: int, width: int) -> Value:
        key = array, place, 0
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = self._of_array(array, place, index_width, width)
        return found

    def _of_array(self, array: Term, place: Value, index_width: int, width: int) -> Value:
        storage, args = self._storage, array.args
        match array.op:
            case Op.WRITE:
                here = storage.equal(args[1], place, index_width)
                if here is True:
                    written: Value = args[2]
                    return written
                older = self._element(args[0], place, index_width, width)
                return storage.select(here, args[2], older, width)
            case Op.SELECT_ARRAY:
                then, orelse = (self._element(a, place, index_width, width) for a in args[1:])
                return storage.select(args[0], then, orelse, width)
            case _:
                return self._leaf(array, place, index_width, width, 0)

    # -- memory

    def _content(self, memory: Term, address: Value, size: int) -> Value:
        key = memory, address, size
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = self._of_memory(memory, address, size)
        return found

    def _of_memory(self, memory: Term, address: Value, size: int) -> Value:
        storage, args = self._storage, memory.args
        cell, width = storage.memory.cell_width, storage.memory.address_width
        match memory.op:
            case Op.STORE:
                below, start, value, length = args
                direct = storage.load_cells(memory, address, size)
                if not (isinstance(direct, Term) and direct.op is Op.LOAD):
                    return self._inner(direct)
                if direct.args[0] is not memory:
                    return self._content(direct.args[0], direct.args[1], size)
                if size > 1:
                    return self._joined(memory, address, size)
                found = self._content(below, address, 1)
                for number in range(length):
                    low = cell * (length - 1 - number if storage.memory.big_endian else number)
                    place = storage.binary(_ADD, start, number, width) if number else start
                    part = storage.extract(value, length * cell, low + cell - 1, low)
                    found = storage.select(storage.equal(place, address, width), part, found, cell)
                return found
            case Op.SELECT_ARRAY:
                then, orelse = (self._content(a, address, size) for a in args[1:])
                return storage.select(args[0], then, orelse, size * cell)
            case _:
                return self._leaf(memory, address, width, size * cell, size)

    def _inner(self, value: Value) -> Value:
        """A choice that loading made itself, with what it still reads."""
        if not isinstance(value, Term) or not value.support & self._mask:
            return value
        for term in in_order((value,), self._known.__contains__):
            self._known[term] = self._rebuilt(term)
        found: Value = self._known[value]
        return found

    def _joined(self, memory: Term, address: Value, size: int) -> Value:
        storage = self._storage
        cell, width = storage.memory.cell_width, storage.memory.address_width
        found: Value = 0
        for number in range(size):
            place = storage.binary(_ADD, address, number, width) if number else address
            part = self._content(memory, place, 1)
            if number == 0:
                found = part
            elif storage.memory.big_endian:
                found = storage.concat(found, part, cell, cell * (number + 1))
            else:
                found = storage.concat(part, found, cell * number, cell * (number + 1))
        return found

    # -- leaves

    def _leaf(self, array: Term, place: Value, index_width: int, width: int, size: int) -> Value:
        places = self._leaves.setdefault((array, size), {})
        if place not in places:
            name = f"{array.args[0]} {size} at {len(places)}"
            places[place] = self._storage.terms.symbol(name, width), index_width
        return places[place][0]

    def consistent(self) -> Iterator[Truth]:
        storage = self._storage
        for places in self._leaves.values():
            known = list(places.items())
            for number, (place, (symbol, index_width)) in enumerate(known):
                for other, (second, _) in known[:number]:
                    apart = storage.negate(storage.equal(place, other, index_width))
                    same = storage.equal(symbol, second, symbol.width)
                    found = storage.either(apart, same)
                    if found is not True:
                        yield found
