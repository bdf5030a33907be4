"""Terms over the symbols of a machine: a shared, hash-consed graph, with folding of constants.

A value is a Python integer (bit-vector) or boolean while it is known, else a `Term`. Equal terms
are the same object, so two runs that compute the same are compared by `is`. `Term.support` is the
set of symbols a term depends on, as bits of an integer. `checker.folding` builds terms from the
operators of the IR; `checker.solve` hands them to Z3. No solver is needed to decide what the
support or identity decides.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum, auto
from typing import Any, TypeAlias


class Op(IntEnum):
    """What a term is. Arguments in order; widths in bits; memory and arrays are terms too."""

    SYMBOL = auto()  # name
    ARRAY = auto()  # name, index width, value width (term width 0)
    APPLY = auto()  # name, (width, argument)...: an uninterpreted function
    UNARY = auto()  # UnaryOp, operand
    BINARY = auto()  # BinaryOp, left, right
    EXTRACT = auto()  # operand, high, low
    CONCAT = auto()  # high, low, width of low
    EXTEND = auto()  # operand, its width, signed
    SELECT = auto()  # condition, then, orelse
    SELECT_ARRAY = auto()  # condition, then, orelse: arrays
    EQUAL = auto()  # left, right, their width
    LESS = auto()  # CompareOp other than EQ and NE, left, right, their width
    AND = auto()  # left, right
    OR = auto()
    NOT = auto()  # operand
    BIT = auto()  # truth value
    READ = auto()  # array, index, index width
    WRITE = auto()  # array, index, value, index width, value width
    LOAD = auto()  # memory, address, cells
    STORE = auto()  # memory, address, value, cells


class Term:
    """One node; make it by `Terms.make` only. `width` is 0 for truth values and arrays."""

    __slots__ = ("args", "op", "serial", "support", "width")

    op: Op
    args: "tuple[Argument, ...]"
    width: int
    support: int
    serial: int

    def __repr__(self) -> str:
        return f"{self.op.name}{self.args!r}"


Value: TypeAlias = int | Term  # a bit-vector
Truth: TypeAlias = bool | Term
Argument: TypeAlias = Any  # Term, int, bool, an operator or a name: see `Op`


class Terms:
    """The graph: makes terms, numbers symbols, substitutes and evaluates."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Term] = {}
        self._bits: dict[str, int] = {}
        self._symbols: list[Term] = []
        self.indirect = 0  # bits of the arrays and of the uninterpreted functions

    def make(self, op: Op, width: int, *args: Argument) -> Term:
        """The one term with this operator and these arguments (`bool` and `int` must not mix)."""
        key = (op, width, *args)
        found = self._nodes.get(key)
        if found is not None:
            return found
        term = Term.__new__(Term)
        term.op, term.args, term.width = op, args, width
        support = 0
        for argument in args:
            if argument.__class__ is Term:
                support |= argument.support
        term.support = support
        term.serial = len(self._nodes)
        self._nodes[key] = term
        return term

    def symbol(self, name: str, width: int) -> Term:
        """A bit-vector symbol (a truth value if `width` is 0)."""
        return self._leaf(self.make(Op.SYMBOL, width, name), name)

    def array(self, name: str, index_width: int, value_width: int) -> Term:
        self.indirect |= self.bit(name)
        return self._leaf(self.make(Op.ARRAY, 0, name, index_width, value_width), name)

    def _leaf(self, term: Term, name: str) -> Term:
        if not term.support:
            term.support = self.bit(name)
            self._symbols.append(term)
        return term

    def apply(self, name: str, width: int, *arguments: tuple[int, Value]) -> Term:
        """An uninterpreted function of arguments given as (width, value); it is in its support."""
        flat = [part for argument in arguments for part in argument]
        term = self.make(Op.APPLY, width, name, *flat)
        term.support |= self.bit(name)
        self.indirect |= self.bit(name)
        return term

    def bit(self, name: str) -> int:
        """The bit that stands for a name in supports."""
        return self._bits.setdefault(name, 1 << len(self._bits))

    def names(self, support: int) -> Iterator[str]:
        for name, bit in self._bits.items():
            if support & bit:
                yield name

    def symbols(self, support: int) -> list[Term]:
        """The symbols and arrays (not functions) in a support."""
        return [term for term in self._symbols if term.support & support]


def support(value: Argument) -> int:
    """Symbols that a value depends on: none if it is constant."""
    return value.support if isinstance(value, Term) else 0


def children(term: Term) -> Iterator[Term]:
    for argument in term.args:
        if argument.__class__ is Term:
            yield argument


def in_order(roots: tuple[Argument, ...], known: Callable[[Term], bool]) -> Iterator[Term]:
    """Every term below the roots that is not yet known, arguments before what uses them."""
    stack = [root for root in roots if isinstance(root, Term)]
    while stack:
        term = stack[-1]
        if known(term):
            stack.pop()
            continue
        missing = [child for child in children(term) if not known(child)]
        if missing:
            stack.extend(missing)
        else:
            stack.pop()
            yield term
