"""Concrete values for symbols, and what terms are worth under them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from checker.terms import Argument, Op, Term, Truth, Value, in_order
from spec.concrete import Concrete
from spec.ir import CompareOp, Memory

Applied = tuple[str, tuple[int, ...]]

_CONCRETE = Concrete()


@dataclass(slots=True)
class Assignment:
    """Values of symbols, contents of arrays, results of uninterpreted functions; 0 elsewhere."""

    symbols: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, dict[int, int]] = field(default_factory=dict)
    results: dict[Applied, int] = field(default_factory=dict)

    def copy(self) -> "Assignment":
        arrays = {name: dict(content) for name, content in self.arrays.items()}
        return Assignment(dict(self.symbols), arrays, dict(self.results))


class Evaluation:
    """Values of terms under one assignment, each term once."""

    def __init__(self, assignment: Assignment, memory: Memory) -> None:
        self._assignment = assignment
        self._memory = memory
        self._known: dict[Term, Any] = {}

    def vector(self, value: Value) -> int:
        found = self._of(value)
        assert isinstance(found, int)
        return found

    def truth(self, value: Truth) -> bool:
        return bool(self._of(value))

    def contents(self, array: Argument) -> Mapping[int, int]:
        """What an array or a memory holds; 0 where nothing is said."""
        found: Mapping[int, int] = self._of(array)
        return found

    def _of(self, value: Argument) -> Any:
        if not isinstance(value, Term):
            return value
        known = self._known
        for term in in_order((value,), known.__contains__):
            known[term] = self._node(term)
        return known[value]

    def _node(self, term: Term) -> Any:
        known = self._known
        args: list[Any] = [known[a] if a.__class__ is Term else a for a in term.args]
        width = term.width
        match term.op:
            case Op.SYMBOL:
                value = self._assignment.symbols.get(args[0], 0)
                return bool(value) if width == 0 else value
            case Op.ARRAY:
                return self._assignment.arrays.get(args[0], {})
            case Op.APPLY:
                value = self._assignment.results.get((args[0], tuple(args[2::2])), 0)
                return bool(value) if width == 0 else value
            case Op.UNARY:
                return _CONCRETE.unary(args[0], args[1], width)
            case Op.BINARY:
                return _CONCRETE.binary(args[0], args[1], args[2], width)
            case Op.EXTRACT:
                return (args[0] >> args[2]) & ((1 << width) - 1)
            case Op.CONCAT:
                return (args[0] << args[2]) | args[1]
            case Op.EXTEND:
                return _CONCRETE.extend(args[0], args[1], bool(args[2]), width)
            case Op.SELECT | Op.SELECT_ARRAY:
                return args[1] if args[0] else args[2]
            case Op.EQUAL:
                return args[0] == args[1]
            case Op.LESS:
                assert isinstance(args[0], CompareOp)
                return _CONCRETE.compare(args[0], args[1], args[2], args[3])
            case Op.AND:
                return args[0] and args[1]
            case Op.OR:
                return args[0] or args[1]
            case Op.NOT:
                return not args[0]
            case Op.BIT:
                return int(args[0])
            case Op.READ:
                return args[0].get(args[1], 0)
            case Op.WRITE:
                return {**args[0], args[1]: args[2]}
            case Op.LOAD:
                return self._load(args[0], args[1], args[2])
            case Op.STORE:
                return self._store(args[0], args[1], args[2], args[3])
            case _:
                assert_never(term.op)

    def _load(self, cells: Mapping[int, int], address: int, size: int) -> int:
        value = 0
        for place in cell_addresses(self._memory, address, size):
            value = (value << self._memory.cell_width) | cells.get(place, 0)
        return value

    def _store(
        self, cells: Mapping[int, int], address: int, value: int, size: int
    ) -> dict[int, int]:
        width = self._memory.cell_width
        changed = dict(cells)
        places = cell_addresses(self._memory, address, size)
        for shift, place in enumerate(reversed(places)):
            changed[place] = (value >> (shift * width)) & ((1 << width) - 1)
        return changed


def cell_addresses(memory: Memory, address: int, size: int) -> list[int]:
    """The cells of an access, the one that holds the most significant part first."""
    mask = (1 << memory.address_width) - 1
    places = [(address + i) & mask for i in range(size)]
    return places if memory.big_endian else places[::-1]
