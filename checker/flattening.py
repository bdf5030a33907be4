"""Terms without arrays, memory and uninterpreted functions.

What is read at one place of an array as it was at the start, or what a function gives for some
arguments, becomes a symbol; two of them are equal where their places (arguments) are (Ackermann,
"Solvable Cases of the Decision Problem", 1954). Reads of what was written become choices between
the writes. A solver then sees bit-vectors only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from checker.meetings import Meetings, Place, same_place
from checker.storage import Storage
from checker.substitution import rebuilt
from checker.terms import Argument, Op, Term, Terms, Truth, Value, in_order, support
from spec.ir import BinaryOp, CompareOp, LogicOp, Memory


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """`symbol` is what the leaf `array` holds at a place."""

    array: Term
    place: Place
    symbol: Term
    of_memory: bool


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """`symbol` is what the function `name` gives for flat arguments of some widths."""

    name: str
    arguments: tuple[Value, ...]
    widths: tuple[int, ...]
    symbol: Term


@dataclass(slots=True, eq=False)
class _Group:
    """All reads of one leaf, or all results of one function."""

    members: dict[object, Read | Applied] = field(default_factory=dict)
    mask: int = 0  # of their symbols


class Flattening:
    """Rewrites terms of one graph; keeps what it rewrote."""

    def __init__(self, terms: Terms, memory: Memory, *, apart: bool = False) -> None:
        """`apart`: take it that accesses to memory do not meet, unless they begin at one term
        (and constants); `consequences` then say so."""
        self._is_apart = apart
        self._storage = Storage(terms, memory)
        width = memory.address_width
        self.meetings = Meetings(self._storage, width, lambda at: self._place(at, width))
        self._terms = terms
        self._memory = memory
        self._known: dict[Term, Argument] = {}
        self._cells: dict[tuple[Term, Place], Value] = {}
        self._groups: dict[str, _Group] = {}
        self._congruent: dict[tuple[Term, Term], Truth] = {}
        self._reaches: dict[Term, dict[Term, tuple[int, int]]] = {}
        self._places: dict[Term, Place] = {}

    def truth(self, condition: Truth) -> Truth:
        """The condition, where `consequences` hold of what it reads."""
        if not isinstance(condition, Term):
            return condition
        found: Truth = self._of(condition)
        return found

    def consequences(self, conditions: Sequence[Truth], flat: Sequence[Truth]) -> list[Truth]:
        """That what flat conditions read at equal places, and apply to equal arguments, is equal;
        `conditions` are the same as they were."""
        reached = 0
        for condition in flat:
            reached |= support(condition)
        found = self._disjoint(conditions) if self._is_apart else []
        for members in self._reached(reached):
            for number, one in enumerate(members):
                for other in members[:number]:
                    congruent = self._congruence(one, other)
                    if congruent is not True:
                        found.append(congruent)
        return found

    def leaves(self, conditions: Sequence[Truth]) -> list[Read | Applied]:
        """Everything that flat conditions read or apply, and what that takes."""
        reached = 0
        for condition in conditions:
            reached |= support(condition)
        return [leaf for members in self._reached(reached) for leaf in members]

    def flat(self, place: Place, width: int) -> Value:
        """The place as a flat term."""
        base, offset = place
        if base is None:
            return offset
        return self._storage.binary(BinaryOp.ADD, base, offset, width)

    def _reached(self, reached: int) -> Iterator[list[Read | Applied]]:
        """Members of each group in a support, and in that of their places and arguments."""
        before = -1
        while reached != before:
            before = reached
            for group in self._groups.values():
                if group.mask & reached:
                    for member in group.members.values():
                        if member.symbol.support & reached:
                            reached |= _needed(member)
        for group in self._groups.values():
            if group.mask & reached:
                chosen = [m for m in group.members.values() if m.symbol.support & reached]
                yield chosen

    def _disjoint(self, conditions: Sequence[Truth]) -> list[Truth]:
        """That accesses to memory which begin at different terms have no cell in common."""
        width = self._memory.address_width
        cells = 1 << width
        ranges: dict[Term, tuple[int, int]] = {}
        for condition in conditions:
            for base, (low, high) in self._ranges(condition).items():
                known = ranges.get(base, (low, high))
                ranges[base] = min(low, known[0]), max(high, known[1])
        found: list[Truth] = []
        for (one, (low, high)), (other, (bottom, top)) in combinations(ranges.items(), 2):
            between = self._storage.binary(BinaryOp.SUB, one, other, width)
            ahead = self._storage.binary(BinaryOp.ADD, between, (low - bottom) % cells, width)
            for op, left, right in (
                (CompareOp.ULE, top - bottom, ahead),
                (CompareOp.ULE, ahead, cells - (high - low)),
            ):
                found.append(self._storage.compare(op, left, right, width))
        return found

    def _ranges(self, condition: Truth) -> dict[Term, tuple[int, int]]:
        """The terms at which accesses to memory begin, and how far they reach from there."""
        if not isinstance(condition, Term):
            return {}
        found = self._reaches.get(condition)
        if found is None:
            found = self._reaches[condition] = {}
            width = self._memory.address_width
            seen: set[Term] = set()
            indirect = self._terms.indirect
            for term in in_order((condition,), lambda t: t in seen or not t.support & indirect):
                seen.add(term)
                if term.op not in (Op.LOAD, Op.STORE):
                    continue
                address, size = term.args[1], term.args[-1]
                flat = self._of(address) if isinstance(address, Term) else address
                base, offset = self._place(flat, width)
                if base is not None:
                    low = offset - (offset >> (width - 1) << width)
                    known = found.get(base, (low, low))
                    found[base] = min(low, known[0]), max(low + size, known[1])
        return found

    # -- congruence

    def _congruence(self, one: Read | Applied, other: Read | Applied) -> Truth:
        key = (one.symbol, other.symbol)
        known = self._congruent.get(key)
        if known is None:
            known = self._congruent[key] = self._equal_if_same(one, other)
        return known

    def _equal_if_same(self, one: Read | Applied, other: Read | Applied) -> Truth:
        storage = self._storage
        if isinstance(one, Read) and isinstance(other, Read):
            if one.of_memory:
                same = self._same_cell(one.place, other.place)
            else:
                same = same_place(self._storage, one.place, other.place, one.array.args[1])
        else:
            assert isinstance(one, Applied) and isinstance(other, Applied)
            same = storage.all(
                *(
                    storage.equal(a, b, width)
                    for a, b, width in zip(one.arguments, other.arguments, one.widths, strict=True)
                )
            )
        if same is False:
            return True
        width = one.symbol.width
        if width == 0:
            equal = storage.negate(storage.logic(LogicOp.XOR, one.symbol, other.symbol))
        else:
            equal = storage.equal(one.symbol, other.symbol, width)
        return storage.either(storage.negate(same), equal)

    def _same_cell(self, one: Place, other: Place) -> Truth:
        if self._is_apart and one[0] is not other[0]:
            return False
        return self.meetings.same(one, other)

    # -- rewriting

    def _of(self, root: Term) -> Argument:
        indirect = self._terms.indirect
        if not root.support & indirect:
            return root
        known = self._known
        for term in in_order((root,), lambda t: not t.support & indirect or t in known):
            known[term] = self._rewritten(term)
        return known[root]

    def _rewritten(self, term: Term) -> Argument:
        args = [
            self._known.get(a, a) if a.__class__ is Term else a  # as they are, if flat
            for a in term.args
        ]
        match term.op:
            case Op.ARRAY:
                return term
            case Op.APPLY:
                return self._applied(args[0], tuple(args[1::2]), tuple(args[2::2]), term.width)
            case Op.WRITE | Op.STORE | Op.SELECT_ARRAY:
                return self._terms.make(term.op, 0, *args)
            case Op.READ:
                array, index, index_width = args
                return self._content(array, self._place(index, index_width), term.width, False)
            case Op.LOAD:
                return self._load(args[0], args[1], args[2])
            case _:
                return rebuilt(self._storage, term, args)

    def _load(self, memory: Term, address: Value, size: int) -> Value:
        width, cell = self._memory.address_width, self._memory.cell_width
        base, offset = self._place(address, width)
        places = [(base, (offset + i) & ((1 << width) - 1)) for i in range(size)]
        value: Value = 0
        done = 0
        for place in reversed(places) if self._memory.big_endian else places:
            content = self._content(memory, place, cell, True)
            joined = self._storage.concat(content, value, done, done + cell) if done else content
            value, done = joined, done + cell
        return value

    def _content(self, array: Term, place: Place, width: int, of_memory: bool) -> Value:
        """What an array or memory holds at a place."""
        found = self._cells.get((array, place))
        if found is None:
            found = self._chosen(array, place, width, of_memory)
            self._cells[array, place] = found
        return found

    def _chosen(self, array: Term, place: Place, width: int, of_memory: bool) -> Value:
        storage, args = self._storage, array.args
        match array.op:
            case Op.ARRAY:
                return self._read(array, place, width, of_memory)
            case Op.SELECT_ARRAY:
                then, orelse = (self._content(a, place, width, of_memory) for a in args[1:])
                return storage.select(args[0], then, orelse, width)
            case Op.WRITE:
                here = same_place(self._storage, self._place(args[1], args[3]), place, args[3])
                if here is True:
                    written: Value = args[2]
                    return written
                below = self._content(args[0], place, width, False)
                return storage.select(here, args[2], below, width)
            case Op.STORE:
                return self._stored(array, place, width)
            case _:
                raise AssertionError(array)

    def _stored(self, memory: Term, place: Place, width: int) -> Value:
        storage = self._storage
        below, address, whole, size = memory.args
        address_width = self._memory.address_width
        base, offset = self._place(address, address_width)
        parts: list[tuple[Truth, Value]] = []
        for i in range(size):
            cell = (base, (offset + i) & ((1 << address_width) - 1))
            here = self._same_cell(cell, place)
            number = size - 1 - i if self._memory.big_endian else i
            low = number * width
            part = storage.extract(whole, size * width, low + width - 1, low)
            if here is True:
                return part
            if here is not False:
                parts.append((here, part))
        value = self._content(below, place, width, True)
        for here, part in parts:
            value = storage.select(here, part, value, width)
        return value

    def _place(self, address: Value, width: int) -> Place:
        """The address with all constants that are added to it gathered."""
        if not isinstance(address, Term):
            return None, address
        if address.op is not Op.BINARY or address.args[0] is not BinaryOp.ADD:
            return address, 0
        found = self._places.get(address)
        if found is None:
            (left, one), (right, other) = (self._place(a, width) for a in address.args[1:])
            mask = (1 << width) - 1
            if left is None or right is None:
                base = right if left is None else left
            else:
                joined = self._storage.binary(BinaryOp.ADD, left, right, width)
                assert isinstance(joined, Term)
                base = joined
            found = self._places[address] = base, (one + other) & mask
        return found

    # -- leaves

    def _symbol(self, name: str, number: int, width: int) -> Term:
        return self._terms.symbol(f"{name}[{number}{' apart' if self._is_apart else ''}]", width)

    def _read(self, array: Term, place: Place, width: int, of_memory: bool) -> Term:
        name: str = array.args[0]
        group = self._groups.setdefault(name, _Group())
        known = group.members.get(place)
        if known is None:
            symbol = self._symbol(name, len(group.members), width)
            known = group.members[place] = Read(array, place, symbol, of_memory)
            group.mask |= symbol.support
        return known.symbol

    def _applied(
        self, name: str, widths: tuple[int, ...], arguments: tuple[Value, ...], width: int
    ) -> Term:
        group = self._groups.setdefault(name, _Group())
        known = group.members.get(arguments)
        if known is None:
            symbol = self._symbol(name, len(group.members), width)
            known = group.members[arguments] = Applied(name, arguments, widths, symbol)
            group.mask |= symbol.support
        return known.symbol


def _needed(leaf: Read | Applied) -> int:
    if isinstance(leaf, Read):
        return support(leaf.place[0])
    found = 0
    for argument in leaf.arguments:
        found |= support(argument)
    return found
