"""The same terms over other symbols."""

from collections.abc import Callable, Mapping
from typing import assert_never

from checker.storage import Storage
from checker.terms import Argument, Op, Term, Truth, Value, in_order
from spec.ir import CompareOp


class Substitution:
    """Replaces terms, mostly symbols (all at once), and names of uninterpreted functions."""

    def __init__(
        self,
        storage: Storage,
        symbols: Mapping[Term, Term] | Mapping[Term, Value],
        functions: Mapping[str, str] | None = None,
        seen: Callable[[Term], Value | None] = lambda term: None,
    ) -> None:
        """`seen`: what a load (over the symbols before) is replaced by, if anything."""
        self._storage = storage
        self._seen = seen
        self._functions = functions or {}
        self.names: dict[str, str] = {  # of the symbols that are replaced by symbols
            old.args[0]: new.args[0]
            for old, new in symbols.items()
            if isinstance(new, Term) and new.op is old.op and old.op in (Op.SYMBOL, Op.ARRAY)
        }
        self._known: dict[Term, Argument] = dict(symbols)
        self._mask = 0
        for symbol in symbols:
            self._mask |= symbol.support
        for name in self._functions:
            self._mask |= storage.terms.bit(name)

    def vector(self, value: Value) -> Value:
        if not isinstance(value, Term):
            return value
        found: Value = self._of(value)
        return found

    def truth(self, value: Truth) -> Truth:
        if not isinstance(value, Term):
            return value
        found: Truth = self._of(value)
        return found

    def array(self, value: Term) -> Term:
        found: Term = self._of(value)
        return found

    def _of(self, root: Term) -> Argument:
        if not root.support & self._mask:
            return root
        known, mask = self._known, self._mask
        for term in in_order((root,), lambda t: not t.support & mask or t in known):
            known[term] = self._rebuilt(term)
        return known[root]

    def _rebuilt(self, term: Term) -> Argument:
        storage, width = self._storage, term.width
        args = [
            self._known.get(a, a) if a.__class__ is Term and a.support & self._mask else a
            for a in term.args
        ]
        match term.op:
            case Op.SYMBOL | Op.ARRAY:
                return term
            case Op.LOAD:
                seen = self._seen(term)
                return rebuilt(storage, term, args) if seen is None else seen
            case Op.APPLY:
                name = self._functions.get(args[0], args[0])
                pairs = zip(args[1::2], args[2::2], strict=True)
                return storage.terms.apply(name, width, *pairs)
            case _:
                return rebuilt(storage, term, args)


def rebuilt(storage: Storage, term: Term, args: list[Argument]) -> Argument:
    """The term, which is no leaf, over other arguments."""
    width = term.width
    match term.op:
        case Op.UNARY:
            return storage.unary(args[0], args[1], width)
        case Op.BINARY:
            return storage.binary(args[0], args[1], args[2], width)
        case Op.EXTRACT:
            return storage.extract(args[0], term.args[0].width, args[1], args[2])
        case Op.CONCAT:
            return storage.concat(args[0], args[1], args[2], width)
        case Op.EXTEND:
            return storage.extend(args[0], args[1], bool(args[2]), width)
        case Op.SELECT if width == 0:
            return storage.select_truth(args[0], args[1], args[2])
        case Op.SELECT:
            return storage.select(args[0], args[1], args[2], width)
        case Op.SELECT_ARRAY:
            return _select_array(storage, args)
        case Op.EQUAL:
            return storage.equal(args[0], args[1], args[2])
        case Op.LESS:
            assert isinstance(args[0], CompareOp)
            return storage.compare(args[0], args[1], args[2], args[3])
        case Op.AND:
            return storage.both(args[0], args[1])
        case Op.OR:
            return storage.either(args[0], args[1])
        case Op.NOT:
            return storage.negate(args[0])
        case Op.BIT:
            return storage.bit(args[0])
        case Op.READ:
            return storage.read_place(args[0], args[1], args[2], width)
        case Op.WRITE:
            return storage.write_place(args[0], args[1], args[2], args[3], args[4])
        case Op.LOAD:
            return storage.load_cells(args[0], args[1], args[2])
        case Op.STORE:
            return storage.store_cells(args[0], args[1], args[2], args[3])
        case Op.SYMBOL | Op.ARRAY | Op.APPLY:
            raise AssertionError(term)
        case _:
            assert_never(term.op)


def _select_array(storage: Storage, args: list[Argument]) -> Argument:
    condition, then, orelse = args
    if not isinstance(condition, Term):
        return then if condition else orelse
    if then is orelse:
        return then
    return storage.terms.make(Op.SELECT_ARRAY, 0, condition, then, orelse)
