"""What tables in memory hold that some routines fill: each entry is blank, or one of theirs.

All stores of the routines are whole entries. So an entry that is not blank is what one store of one
call stored, whatever was called before and between; the call's arguments may be any that lead to the entry.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from checker.address_parts import is_aligned, pairs, patched
from checker.addressing import Addressing
from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Terms, Truth, Value, support
from spec.ir import BinaryOp

EARLIER = "earlier "
"""The names of symbols of an earlier call begin with this."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A store of a call, where `condition` holds."""

    condition: Truth
    address: Value
    value: Value
    size: int


class Entries:
    """Entries at the start, by their addresses."""

    def __init__(
        self, storage: Storage, memory: Term, stores: Sequence[Stored], fill: int = 0
    ) -> None:
        """`fill`: what a cell holds where nothing was stored."""
        self.memory = memory
        self._storage = storage
        self.size = stores[0].size
        self._blank = sum(fill << storage.memory.cell_width * n for n in range(self.size))
        self._stores = stores
        self._found: dict[Term, Value] = {}

    def found(self) -> Iterable[tuple[Term, Value]]:
        """The entries that were asked for."""
        return self._found.items()

    def at(self, address: Value, size: int, path: Truth) -> Value | None:
        """What the entry at an address holds; None if that is not known to be one."""
        if not isinstance(address, Term) or size != self.size:
            return None
        if address not in self._found:
            held = self._held(address)
            if held is None:
                return None
            self._found[address] = held
        return self._found[address]

    def _held(self, address: Term) -> Value | None:
        storage, memory = self._storage, self._storage.memory
        width, bits = memory.address_width, self.size * memory.cell_width
        matched = []
        for stored in self._stores:
            if storage.equal(stored.address, address, width) is False:
                continue
            renamed = self._led_to(stored, address)
            if renamed is None:
                return None
            matched.append((renamed.truth(stored.condition), renamed.vector(stored.value)))
        if not matched:
            return None
        held: Value = self._blank
        for number, (condition, value) in enumerate(matched):
            last = storage.terms.apply(f"last stored by {number}", 0, (width, address))
            held = storage.select(storage.both(last, condition), value, held, bits)
        return held

    def _led_to(self, stored: Stored, address: Term) -> Substitution | None:
        """Arguments with which a call stores at an address, if its parts say what they are."""
        storage, terms = self._storage, self._storage.terms
        width = storage.memory.address_width
        fields: dict[Term, dict[tuple[int, int], Value]] = {}
        for theirs, mine, _ in pairs(storage, stored.address, address, width):
            symbol, high, low = _field(theirs)
            known = fields.setdefault(symbol, {}) if symbol is not None else {}
            if symbol is None or any(low <= top and bottom <= high for top, bottom in known):
                return None
            known[high, low] = mine
        others: dict[Term, Value] = {}
        for symbol in terms.symbols(-1):
            if symbol.op is Op.SYMBOL and symbol.args[0].startswith(EARLIER):
                other = terms.apply(symbol.args[0], symbol.width, (width, address))
                others[symbol] = patched(storage, other, fields.get(symbol, {}))
        return Substitution(storage, others)


class Agreeing:
    """A memory that holds what another one held in cells for which that is said."""

    def __init__(
        self,
        storage: Addressing,
        memory: Term,
        was: Term,
        stays: Callable[[Value], Truth],
        excluded: Callable[[Truth], bool],
    ) -> None:
        """`excluded` finds out whether a condition cannot hold."""
        self.memory = memory
        self._storage = storage
        self._was = was
        self._stays = stays
        self._excluded = excluded
        self._found: dict[tuple[Value, int, Truth], bool] = {}

    def at(self, address: Value, size: int, path: Truth) -> Value | None:
        """What cells hold, if all of them hold on a path what they held before."""
        storage = self._storage
        width = storage.memory.address_width
        if not is_aligned(address, size, width):
            return None
        key = address, size, path
        if key not in self._found:
            changed: Truth = False
            for number in range(size):
                cell = storage.binary(BinaryOp.ADD, address, number, width)
                changed = storage.either(changed, storage.negate(self._stays(cell)))
            excluded = storage.known(changed) is False
            self._found[key] = excluded or self._excluded(storage.both(path, changed))
        return storage.load_cells(self._was, address, size) if self._found[key] else None


def _field(value: Value) -> tuple[Term | None, int, int]:
    """The symbol of an earlier call, and which of its bits."""
    if isinstance(value, Term):
        if value.op is Op.EXTRACT:
            symbol, high, low = value.args
        else:
            symbol, high, low = value, value.width - 1, 0
        if symbol.op is Op.SYMBOL and symbol.args[0].startswith(EARLIER):
            return symbol, high, low
    return None, 0, 0


def are_entries(stores: Sequence[Stored], terms: Terms, width: int) -> bool:
    """Whether stores are of one size, aligned, and of what depends on no array and no memory."""
    if not stores:
        return False
    size = stores[0].size
    return all(
        s.size == size
        and is_aligned(s.address, size, width)
        and not (support(s.address) | support(s.value) | support(s.condition)) & terms.indirect
        for s in stores
    )
