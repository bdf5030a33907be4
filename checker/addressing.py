"""Folding of addresses: sums of pages and offsets, and what aligned accesses to tables find.

Where tables lie at symbolic places, an entry is found again only if its address is cut into
parts that can be compared one by one.
"""

from collections.abc import Mapping
from typing import Protocol

from checker.address_parts import (
    addends,
    base_and_offset,
    bounds,
    is_aligned,
    is_same,
    is_split,
    low_zeros,
    shared_parts,
    where_equal,
    without_parts,
)
from checker.substitution import Substitution, rebuilt
from checker.symbolic import Symbolic
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import Access, BinaryOp, CompareOp, Isa

_CHOOSING = (Op.SELECT, Op.CONCAT, Op.EXTRACT, Op.EXTEND, Op.BINARY)


class Entries(Protocol):
    """What is known of the contents of a memory."""

    memory: Term

    def at(self, address: Value, size: int, path: Truth) -> Value | None:
        """What cells hold on a path, if that is known."""


class Addressing(Symbolic):
    """The symbolic engine, with more folding of sums, of equations, and of loads."""

    assuming = frozenset({"load_cells", "store_cells", "select_memory"})  # `entries`, the path
    entries: Entries | None = None
    """What is known of tables at the start."""
    marks: str | None = None
    """An array that holds 0 at the start, and where only ones are written."""

    def __init__(self, isa: Isa, terms: Terms, *, abstract: bool) -> None:
        super().__init__(isa, terms, abstract=abstract)
        self.marked: list[tuple[Truth, Value]] = []
        """Where ones were written, and on which paths."""
        self._ended: list[int] = []  # paths that had ended when each call began

    def binary(self, op: BinaryOp, left: Value, right: Value, width: int) -> Value:
        if op is BinaryOp.ADD:
            for high, low in ((left, right), (right, left)):
                cut = isinstance(high, Term) and high.op in (Op.CONCAT, Op.EXTEND)
                zeros = low_zeros(high, width) if cut else 0
                if 0 < zeros < width and is_split(low, width, zeros):
                    return self._by_parts(op, high, low, zeros, width)
        if op is BinaryOp.SUB and isinstance(left, Term) and isinstance(right, Term):
            zeros = low_zeros(right, width)
            base, offset = base_and_offset(left)
            if offset:
                less = self.binary(op, base, right, width)
                return self.binary(BinaryOp.ADD, less, offset, width)
            if 0 < zeros < width and left.op is Op.CONCAT:
                return self._by_parts(op, left, right, zeros, width)
            parts = addends(left)
            if len(parts) > 1 and any(part is right for part in parts):
                return self._sum_without(parts, [right], width)
        return super().binary(op, left, right, width)

    def _by_parts(self, op: BinaryOp, left: Value, right: Value, cut: int, width: int) -> Value:
        """A sum or difference in whose low bits one side, the right one of a difference, is 0."""
        upper, other = (self.extract(side, width, width - 1, cut) for side in (left, right))
        one, two = (self.extract(side, width, cut - 1, 0) for side in (left, right))
        low = two if one == 0 else one
        return self.concat(self.binary(op, upper, other, width - cut), low, cut, width)

    def extract(self, operand: Value, width: int, high: int, low: int) -> Value:
        """What is added below does not matter above."""
        if isinstance(operand, Term):
            base, offset = base_and_offset(operand)
            zeros = low_zeros(base, width) if offset else 0
            if offset and low >= zeros and offset < 1 << zeros:
                return self.extract(base, width, high, low)
        return super().extract(operand, width, high, low)

    def extend(self, operand: Value, from_width: int, signed: bool, width: int) -> Value:
        """What ends in a constant does so still."""
        if isinstance(operand, Term) and operand.op is Op.CONCAT and not signed:
            high, low, cut = operand.args
            if not isinstance(low, Term):
                upper = self.extend(high, from_width - cut, False, width - cut)
                return self.concat(upper, low, cut, width)
        return super().extend(operand, from_width, signed, width)

    def select(self, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
        if isinstance(condition, Term):
            found = self._gathered(condition, then, orelse, width)
            if found is None:
                found = self._with_common_low(condition, then, orelse, width)
            if found is not None:
                return found
        return super().select(condition, then, orelse, width)

    def _gathered(self, condition: Term, then: Value, orelse: Value, width: int) -> Value | None:
        """Two choices of the same are one, so that conditions of being there gather."""
        first = then.args if isinstance(then, Term) and then.op is Op.SELECT else None
        second = orelse.args if isinstance(orelse, Term) and orelse.op is Op.SELECT else None
        if first is not None and is_same(first[2], orelse):
            return self.select(self.both(condition, first[0]), first[1], orelse, width)
        if second is not None and is_same(second[1], then):
            return self.select(self.either(condition, second[0]), then, second[2], width)
        if first is not None and second is not None and all(map(is_same, first[1:], second[1:])):
            joint = self.select_truth(condition, first[0], second[0])
            return self.select(joint, first[1], first[2], width)
        return None

    def _with_common_low(
        self, condition: Term, then: Value, orelse: Value, width: int
    ) -> Value | None:
        """A choice of two places of one offset is that offset in a choice of pages."""
        for arm, other in ((then, orelse), (orelse, then)):
            if isinstance(arm, Term) and arm.op is Op.CONCAT:
                low, cut = arm.args[1:]
                if isinstance(other, Term):
                    common = other.op is Op.CONCAT and other.args[2] == cut
                    common = common and is_same(low, other.args[1])
                else:
                    common = is_same(low, self.extract(other, width, cut - 1, 0))
                if common:
                    first, second = (
                        self.extract(side, width, width - 1, cut) for side in (then, orelse)
                    )
                    upper = self.select(condition, first, second, width - cut)
                    return self.concat(upper, low, cut, width)
        return None

    def equal(self, left: Value, right: Value, width: int) -> Truth:
        if isinstance(left, Term) and isinstance(right, Term) and left is not right:
            first, second = left.args, right.args
            if left.op is right.op is Op.CONCAT and first[2] == second[2]:
                low = self.equal(first[1], second[1], first[2])
                return self.both(self.equal(first[0], second[0], width - first[2]), low)
            if left.op is right.op is Op.EXTEND and first[1:] == second[1:]:
                return self.equal(first[0], second[0], first[1])
            sums = [addends(left), addends(right)]
            shared = shared_parts(*sums)
            if shared and (len(sums[0]) > 1 or len(sums[1]) > 1):
                one, other = (self._sum_without(s, shared, width) for s in sums)
                return self.equal(one, other, width)
        for one, other in ((left, right), (right, left)):
            base, offset = base_and_offset(one)
            if offset and (not isinstance(other, Term) or base_and_offset(other)[1]):
                return self.equal(base, self.binary(BinaryOp.SUB, other, offset, width), width)
        (low_end, high_end), (bottom, top) = bounds(left, width), bounds(right, width)
        if high_end < bottom or top < low_end:
            return False
        return super().equal(left, right, width)

    def compare(self, op: CompareOp, left: Value, right: Value, width: int) -> Truth:
        """Of multiples of some size, parts lie below another where their starts do."""
        if op is CompareOp.ULT:
            start, more = self._begun(right, width)
            grain = 1 << min(low_zeros(left, width), low_zeros(start, width))
            if 0 < more <= grain and bounds(start, width)[1] + more < 1 << width:
                return self.negate(self.compare(op, start, left, width))
            start, more = self._begun(left, width)
            if 0 < more < 1 << min(low_zeros(right, width), low_zeros(start, width)):
                return self.compare(op, start, right, width)
        return super().compare(op, left, right, width)

    def _begun(self, end: Value, width: int) -> tuple[Value, int]:
        """A sum cut into what is not constant and a constant."""
        if not isinstance(end, Term):
            return 0, end
        if end.op is Op.CONCAT and not isinstance(end.args[1], Term):
            high, low, cut = end.args
            start, more = self._begun(high, width - cut)
            return self.concat(start, 0, cut, width), more << cut | low
        if end.op is Op.EXTEND and not end.args[2]:
            inner = end.args[1]
            start, more = self._begun(end.args[0], inner)
            if more < 1 << low_zeros(start, inner):
                return self.extend(start, inner, False, width), more
            return end, 0
        return base_and_offset(end)

    def _sum_without(self, parts: list[Value], shared: list[Value], width: int) -> Value:
        total: Value = 0
        for part in without_parts(parts, shared):
            total = self.binary(BinaryOp.ADD, total, part, width)
        return total

    def write(self, element: str, value: Value, index: Value | None) -> None:
        if element != self.marks:
            super().write(element, value, index)
        else:
            assert value == 1 and index is not None
            self.marked.append((self._now(), self._here(index, {})))

    def read(self, element: str, index: Value | None) -> Value:
        if element != self.marks:
            return super().read(element, index)
        assert index is not None
        bits = index.width if isinstance(index, Term) else index.bit_length()
        return self.bit(
            self.any(*(self.both(path, self.equal(at, index, bits)) for path, at in self.marked))
        )

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        before = len(self.marked)
        found = super().probe(address, size, access, mode)
        del self.marked[before:]
        return found

    def load_cells(self, memory: Term, address: Value, size: int) -> Value:
        """Of aligned stores and loads of one size, one is another's or does not touch it.

        Where it is another's, what was stored is said in terms of the load's address: entries of one table
        that are found by equal indices are one entry.
        """
        if self.entries is not None or self.marks is not None:
            address = self._here(address, {})
        if self.entries is not None and memory is self.entries.memory:
            held = self.entries.at(address, size, self._now())
            return super().load_cells(memory, address, size) if held is None else held
        if memory.op is Op.STORE and (size > 1 or self.entries is not None):
            below, start, value, length = memory.args
            width = self.memory.address_width
            aligned = all(is_aligned(place, size, width) for place in (start, address))
            if length == size and aligned:
                same = self.equal(start, address, width)
                if same is True:
                    found: Value = value
                    return found
                older = self.load_cells(below, address, size)
                if same is False:
                    return older
                stored = where_equal(self, start, address, width, value)
                bits = size * self.memory.cell_width
                return self._here(self.select(same, stored, older, bits), {})
        return super().load_cells(memory, address, size)

    def select_memory(self, condition: Truth, then: Term, orelse: Term) -> Term:
        """Two stores at one place are one store of a choice."""
        if isinstance(condition, Term) and then is not orelse and then.op is orelse.op is Op.STORE:
            (below, place, value, size), (under, other, old, cells) = then.args, orelse.args
            if is_same(place, other) and size == cells:
                memory = self.select_memory(condition, below, under)
                chosen = self.select(condition, value, old, size * self.memory.cell_width)
                return self.store_cells(memory, place, chosen, size)
        return super().select_memory(condition, then, orelse)

    def _learn(self, condition: Truth, holds: bool) -> None:
        """Of what cannot be together, where one is, the other is not."""
        super()._learn(condition, holds)
        if isinstance(condition, Term) and condition.op is (Op.OR if holds else Op.AND):
            one, other = condition.args
            for first, second in ((one, other), (other, one)):
                if self._known(first, {}) is not holds and self._known(first, {}) is not None:
                    self._learn(second, holds)
                    return

    def where(self, given: Truth, condition: Truth) -> Truth:
        """A condition with what is given and follows from it as known."""
        if not isinstance(given, Term):
            return condition
        self._facts = {}
        self._learn(given, True)
        return Substitution(self, self._facts).truth(condition)

    def enter(self, parameters: Mapping[str, Value | Truth]) -> None:
        super().enter(parameters)
        self._ended.append(len(self._traps) + len(self._waited))

    def leave(self, width: int | None) -> Value | Truth | None:
        """Where nothing traps or waits, all paths come back, however many there are."""
        caller = self._frames[-1].caller
        value = super().leave(width)
        if self._ended.pop() == len(self._traps) + len(self._waited):
            self._path = caller
        return value

    def known(self, condition: Truth) -> bool | None:
        """Whether a condition holds on the path of the present run, if that decides it."""
        return self._known(condition, {}) if isinstance(condition, Term) else condition

    def _facts_after(self, before: dict[Term, int], ends: list[dict[Term, int]]) -> dict[Term, int]:
        return ends[0] if len(ends) == 1 else before

    def _here(self, value: Value, known: dict[Term, Value]) -> Value:
        """A value without the choices that the path has made."""
        if not isinstance(value, Term) or value.op not in _CHOOSING:
            return value
        if value not in known:
            args, width = value.args, value.width
            if value.op is Op.SELECT:
                holds = self._known(args[0], {}) if isinstance(args[0], Term) else args[0]
                if holds is None:
                    then, orelse = (self._here(arm, known) for arm in args[1:])
                    known[value] = self.select(args[0], then, orelse, width)
                else:
                    known[value] = self._here(args[1] if holds else args[2], known)
            else:
                inner = [self._here(a, known) if isinstance(a, Term) else a for a in args]
                known[value] = rebuilt(self, value, inner)
        return known[value]
