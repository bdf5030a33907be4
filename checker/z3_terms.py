"""Terms as Z3's. Besides this module only `solve`, which asks Z3, names it."""

from typing import Any, assert_never

import z3

from checker.assignment import cell_addresses
from checker.terms import Argument, Op, Term, Truth, Value, in_order
from spec.ir import BinaryOp, CompareOp, Memory, UnaryOp


class Z3Terms:
    """What terms over one memory come to in Z3; each is translated once.

    Values without a term are given with their width, in bits.
    """

    def __init__(self, memory: Memory) -> None:
        self.known: dict[Term, Any] = {}
        self._memory = memory
        self._functions: dict[str, Any] = {}

    def truth(self, condition: Truth) -> Any:
        if not isinstance(condition, Term):
            return z3.BoolVal(condition)
        return self.translate(condition)

    def vector(self, value: Value, width: int) -> Any:
        """A value whose term was translated before, or a constant."""
        return self.known[value] if isinstance(value, Term) else z3.BitVecVal(value, width)

    def translate(self, root: Term) -> Any:
        known = self.known
        for term in in_order((root,), known.__contains__):
            known[term] = self._node(term)
        return known[root]

    def _node(self, term: Term) -> Any:
        args, width = term.args, term.width
        vector = self.vector
        match term.op:
            case Op.SYMBOL:
                return z3.BitVec(args[0], width) if width else z3.Bool(args[0])
            case Op.ARRAY:
                return z3.Array(args[0], z3.BitVecSort(args[1]), z3.BitVecSort(args[2]))
            case Op.APPLY:
                return self._apply(term)
            case Op.UNARY:
                return _unary(args[0], vector(args[1], width), width)
            case Op.BINARY:
                return _binary(args[0], vector(args[1], width), vector(args[2], width), width)
            case Op.EXTRACT:
                return z3.Extract(args[1], args[2], self.known[args[0]])
            case Op.CONCAT:
                return z3.Concat(vector(args[0], width - args[2]), vector(args[1], args[2]))
            case Op.EXTEND:
                extend = z3.SignExt if args[2] else z3.ZeroExt
                return extend(width - args[1], self.known[args[0]])
            case Op.SELECT if width == 0:
                return z3.If(self.known[args[0]], self._bool(args[1]), self._bool(args[2]))
            case Op.SELECT:
                return z3.If(self.known[args[0]], vector(args[1], width), vector(args[2], width))
            case Op.SELECT_ARRAY:
                return z3.If(*(self.known[a] for a in args))
            case Op.EQUAL:
                return vector(args[0], args[2]) == vector(args[1], args[2])
            case Op.LESS:
                return _less(args[0], vector(args[1], args[3]), vector(args[2], args[3]))
            case Op.AND:
                return z3.And(*(self.known[a] for a in args))
            case Op.OR:
                return z3.Or(*(self.known[a] for a in args))
            case Op.NOT:
                return z3.Not(self.known[args[0]])
            case Op.BIT:
                return z3.If(self.known[args[0]], z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
            case Op.READ:
                return z3.Select(self.known[args[0]], vector(args[1], args[2]))
            case Op.WRITE:
                array, index, value, index_width, value_width = args
                return z3.Store(
                    self.known[array], vector(index, index_width), vector(value, value_width)
                )
            case Op.LOAD:
                cells = [z3.Select(self.known[args[0]], place) for place in self._cells(*args[1:])]
                return cells[0] if len(cells) == 1 else z3.Concat(*cells)
            case Op.STORE:
                return self._store(*args)
            case _:
                assert_never(term.op)

    def _bool(self, value: Argument) -> Any:
        return self.known[value] if isinstance(value, Term) else z3.BoolVal(value)

    def _apply(self, term: Term) -> Any:
        name, *flat = term.args
        widths, arguments = flat[0::2], flat[1::2]
        function = self._functions.get(name)
        if function is None:
            result = z3.BitVecSort(term.width) if term.width else z3.BoolSort()
            function = z3.Function(name, *(z3.BitVecSort(w) for w in widths), result)
            self._functions[name] = function
        return function(*(self.vector(a, w) for a, w in zip(arguments, widths, strict=True)))

    def _cells(self, address: Value, size: int) -> list[Any]:
        """Addresses of the cells of an access, most significant first."""
        if not isinstance(address, Term):
            places = cell_addresses(self._memory, address, size)
            return [z3.BitVecVal(place, self._memory.address_width) for place in places]
        start = self.known[address]
        terms = [start if i == 0 else start + i for i in range(size)]
        return terms if self._memory.big_endian else terms[::-1]

    def _store(self, memory: Term, address: Value, value: Value, size: int) -> Any:
        cell = self._memory.cell_width
        array, whole = self.known[memory], self.vector(value, size * cell)
        for number, place in enumerate(self._cells(address, size)):
            low = (size - 1 - number) * cell
            part = whole if size == 1 else z3.Extract(low + cell - 1, low, whole)
            array = z3.Store(array, place, part)
        return array


def _less(op: CompareOp, left: Any, right: Any) -> Any:
    match op:
        case CompareOp.ULT:
            return z3.ULT(left, right)
        case CompareOp.SLT:
            return left < right
        case CompareOp.ULE:
            return z3.ULE(left, right)
        case CompareOp.SLE:
            return left <= right
        case CompareOp.EQ | CompareOp.NE:
            raise AssertionError(op)
        case _:
            assert_never(op)


def _unary(op: UnaryOp, operand: Any, width: int) -> Any:
    match op:
        case UnaryOp.NOT:
            return ~operand
        case UnaryOp.NEG:
            return -operand
        case UnaryOp.POPCOUNT:
            return _sum([z3.Extract(i, i, operand) for i in range(width)], width)
        case UnaryOp.CLZ:
            return _first_one(operand, width, range(width))
        case UnaryOp.CTZ:
            return _first_one(operand, width, range(width - 1, -1, -1))
        case UnaryOp.REVERSE_BYTES:
            parts = [z3.Extract(i + 7, i, operand) for i in range(0, width, 8)]
            return parts[0] if len(parts) == 1 else z3.Concat(*parts)
        case _:
            assert_never(op)


def _sum(bits: list[Any], width: int) -> Any:
    total = z3.BitVecVal(0, width)
    for bit in bits:
        total = total + (z3.ZeroExt(width - 1, bit) if width > 1 else bit)
    return total


def _first_one(operand: Any, width: int, positions: range) -> Any:
    """The distance of the first one from the end of `positions`, in their order reversed."""
    count = z3.BitVecVal(width, width)
    for position in positions:
        distance = width - 1 - position if positions.step > 0 else position
        is_one = z3.Extract(position, position, operand) == 1
        count = z3.If(is_one, z3.BitVecVal(distance, width), count)
    return count


def _binary(op: BinaryOp, left: Any, right: Any, width: int) -> Any:
    match op:
        case BinaryOp.ADD:
            return left + right
        case BinaryOp.SUB:
            return left - right
        case BinaryOp.MUL:
            return left * right
        case BinaryOp.UDIV:
            return z3.UDiv(left, right)
        case BinaryOp.UREM:
            return z3.URem(left, right)
        case BinaryOp.SDIV:
            return left / right
        case BinaryOp.SREM:
            return z3.SRem(left, right)
        case BinaryOp.AND:
            return left & right
        case BinaryOp.OR:
            return left | right
        case BinaryOp.XOR:
            return left ^ right
        case BinaryOp.SHL:
            return left << right
        case BinaryOp.LSHR:
            return z3.LShR(left, right)
        case BinaryOp.ASHR:
            return left >> right
        case BinaryOp.ROL:
            return _rotate(left, right, width, to_left=True)
        case BinaryOp.ROR:
            return _rotate(left, right, width, to_left=False)
        case _:
            assert_never(op)


def _rotate(left: Any, amount: Any, width: int, *, to_left: bool) -> Any:
    """The amount is modulo the width, which Z3's own rotation does not say for all widths."""
    turn = z3.URem(amount, z3.BitVecVal(width, width))
    back = z3.BitVecVal(width, width) - turn
    one, other = (turn, back) if to_left else (back, turn)
    return (left << one) | z3.LShR(left, other)
