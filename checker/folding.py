"""The pure operators over terms: `spec.engine.Domain` with folding.

Constants are folded by the concrete domain, so both share one meaning; the simplifications keep
terms small where descriptions make them large by construction (views of registers cut into fields,
reads of what was just written, branches that agree).
"""

from checker import rewriting
from checker.terms import Op, Term, Terms, Truth, Value
from spec.concrete import Concrete
from spec.ir import BinaryOp, CompareOp, LogicOp, UnaryOp

_BITWISE = (BinaryOp.AND, BinaryOp.OR, BinaryOp.XOR)
_COMMUTES = (BinaryOp.ADD, BinaryOp.MUL, BinaryOp.AND, BinaryOp.OR, BinaryOp.XOR)
_CONCRETE = Concrete()


class Folding:
    """Implements `spec.engine.Domain[Value, Truth]`."""

    assuming: frozenset[str] = frozenset()
    """Operators that know more than their arguments; what they build is no equation."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.steps = rewriting.watch(self, self.assuming)

    # -- bit-vectors

    def literal(self, value: int, width: int) -> Value:
        return value

    def boolean(self, value: bool) -> Truth:
        return value

    def unary(self, op: UnaryOp, operand: Value, width: int) -> Value:
        if not isinstance(operand, Term):
            return _CONCRETE.unary(op, operand, width)
        if op is UnaryOp.NOT and operand.op is Op.UNARY and operand.args[0] is UnaryOp.NOT:
            inner: Value = operand.args[1]
            return inner
        return self.terms.make(Op.UNARY, width, op, operand)

    def binary(self, op: BinaryOp, left: Value, right: Value, width: int) -> Value:
        if not isinstance(left, Term):
            if not isinstance(right, Term):
                return _CONCRETE.binary(op, left, right, width)
            if op in _COMMUTES:
                left, right = right, left
        if not isinstance(right, Term):
            simple = self._binary_constant(op, left, right, width)
            if simple is not None:
                return simple
        elif left is right:
            if op in (BinaryOp.AND, BinaryOp.OR):
                return left
            if op in (BinaryOp.XOR, BinaryOp.SUB):
                return 0
        elif op in _COMMUTES and isinstance(left, Term) and left.serial > right.serial:
            left, right = right, left
        return self.terms.make(Op.BINARY, width, op, left, right)

    def _binary_constant(self, op: BinaryOp, left: Value, right: int, width: int) -> Value | None:
        ones = (1 << width) - 1
        match op:
            case BinaryOp.AND:
                if right == 0:
                    return 0
                return left if right == ones else self._masked(left, right, width)
            case BinaryOp.OR if right == ones:
                return ones
            case BinaryOp.XOR if right == ones:
                return self.unary(UnaryOp.NOT, left, width)
            case BinaryOp.SHL | BinaryOp.LSHR if isinstance(left, Term) and right:
                if right >= width:
                    return 0
                if op is BinaryOp.SHL:
                    return self.concat(
                        self.extract(left, width, width - 1 - right, 0), 0, right, width
                    )
                return self.extend(
                    self.extract(left, width, width - 1, right), width - right, False, width
                )
            case BinaryOp.MUL if right in (0, 1):
                return left if right else 0
            case BinaryOp.SUB if right and isinstance(left, Term):
                return self.binary(BinaryOp.ADD, left, -right & ones, width)
            case BinaryOp.ADD if right and isinstance(left, Term) and left.op is Op.BINARY:
                if left.args[0] is BinaryOp.ADD and not isinstance(left.args[2], Term):
                    total = (left.args[2] + right) & ones
                    return self.binary(BinaryOp.ADD, left.args[1], total, width)
            case _:
                pass
        if right == 0 and op in _ZERO_IS_NEUTRAL:
            return left
        return None

    def _masked(self, left: Value, mask: int, width: int) -> Value | None:
        """`left & mask`, cut where the mask is one run of ones or `left` is a concatenation."""
        low = (mask & -mask).bit_length() - 1
        run = mask >> low
        if run & (run + 1) == 0:
            size = run.bit_length()
            middle = self.extract(left, width, low + size - 1, low)
            padded = self.concat(middle, 0, low, low + size) if low else middle
            return self.extend(padded, low + size, False, width)
        if isinstance(left, Term) and left.op in (Op.CONCAT, Op.EXTEND, Op.SELECT):
            return self._bitwise_parts(BinaryOp.AND, left, mask, width)
        return None

    def _bitwise_parts(self, op: BinaryOp, left: Term, right: int, width: int) -> Value | None:
        if left.op is not Op.CONCAT:
            return None
        high, low, low_width = left.args
        part = self.binary(op, low, right & ((1 << low_width) - 1), low_width)
        rest = self.binary(op, high, right >> low_width, width - low_width)
        return self.concat(rest, part, low_width, width)

    def extract(self, operand: Value, width: int, high: int, low: int) -> Value:
        size = high - low + 1
        if not isinstance(operand, Term):
            return (operand >> low) & ((1 << size) - 1)
        if size == width:
            return operand
        args = operand.args
        match operand.op:
            case Op.EXTRACT:
                return self.extract(args[0], args[0].width, high + args[2], low + args[2])
            case Op.CONCAT:
                cut: int = args[2]
                if low >= cut:
                    return self.extract(args[0], width - cut, high - cut, low - cut)
                if high < cut:
                    return self.extract(args[1], cut, high, low)
                upper = self.extract(args[0], width - cut, high - cut, 0)
                return self.concat(upper, self.extract(args[1], cut, cut - 1, low), cut - low, size)
            case Op.EXTEND:
                inner: int = args[1]
                if high < inner:
                    return self.extract(args[0], inner, high, low)
                if low >= inner and not args[2]:
                    return 0
                if low < inner:
                    kept = self.extract(args[0], inner, inner - 1, low)
                    return self.extend(kept, inner - low, bool(args[2]), size)
            case Op.BINARY if args[0] in _BITWISE:
                return self.binary(
                    args[0],
                    self.extract(args[1], width, high, low),
                    self.extract(args[2], width, high, low),
                    size,
                )
            case Op.UNARY if args[0] is UnaryOp.NOT:
                return self.unary(UnaryOp.NOT, self.extract(args[1], width, high, low), size)
            case Op.SELECT:
                then, orelse = args[1], args[2]
                if not (isinstance(then, Term) and isinstance(orelse, Term)) or (
                    then.op in _CUTS and orelse.op in _CUTS
                ):
                    return self.select(
                        args[0],
                        self.extract(then, width, high, low),
                        self.extract(orelse, width, high, low),
                        size,
                    )
            case _:
                pass
        return self.terms.make(Op.EXTRACT, size, operand, high, low)

    def concat(self, high: Value, low: Value, low_width: int, width: int) -> Value:
        if low_width == 0:
            return high
        if not isinstance(high, Term):
            if not isinstance(low, Term):
                return (high << low_width) | low
            if high == 0:
                return self.extend(low, low_width, False, width)
        elif isinstance(low, Term):
            joined = self._adjacent(high, low, low_width, width)
            if joined is not None:
                return joined
        return self.terms.make(Op.CONCAT, width, high, low, low_width)

    def _adjacent(self, high: Term, low: Term, low_width: int, width: int) -> Value | None:
        """Neighbouring parts of one operand, joined again."""
        if high.op is Op.EXTRACT and low.op is Op.EXTRACT:
            source, top, bottom = high.args
            if low.args[0] is source and low.args[1] + 1 == bottom:
                return self.extract(source, source.width, top, low.args[2])
        if low.op is Op.CONCAT:  # keep concatenations leaning left, so that neighbours meet
            upper, rest, cut = low.args
            joined = self.concat(high, upper, low_width - cut, width - cut)
            return self.concat(joined, rest, cut, width)
        if high.op is Op.CONCAT and isinstance(high.args[1], Term) and low.op is Op.EXTRACT:
            upper, rest, cut = high.args
            middle = self._adjacent(rest, low, low_width, cut + low_width)
            if middle is not None and rest.op is Op.EXTRACT:
                return self.concat(upper, middle, cut + low_width, width)
        return None

    def extend(self, operand: Value, from_width: int, signed: bool, width: int) -> Value:
        if from_width == width:
            return operand
        if not isinstance(operand, Term):
            return _CONCRETE.extend(operand, from_width, signed, width)
        if operand.op is Op.EXTEND and (not operand.args[2] or signed):
            inner = operand.args
            return self.extend(inner[0], inner[1], bool(inner[2]), width)
        return self.terms.make(Op.EXTEND, width, operand, from_width, int(signed))

    def select(self, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
        if not isinstance(condition, Term):
            return then if condition else orelse
        if then is orelse or (
            not isinstance(then, Term) and not isinstance(orelse, Term) and then == orelse
        ):
            return then
        if condition.op is Op.NOT:
            return self.select(condition.args[0], orelse, then, width)
        if isinstance(then, Term) and then.op is Op.SELECT and then.args[0] is condition:
            then = then.args[1]
        if isinstance(orelse, Term) and orelse.op is Op.SELECT and orelse.args[0] is condition:
            orelse = orelse.args[2]
        if then is orelse:
            return then
        if width == 1 and not isinstance(then, Term) and not isinstance(orelse, Term):
            return self.bit(condition if then else self.negate(condition))
        return self.terms.make(Op.SELECT, width, condition, then, orelse)

    def bit(self, operand: Truth) -> Value:
        if not isinstance(operand, Term):
            return int(operand)
        if operand.op is Op.EQUAL and operand.args[1] == 1 and operand.args[2] == 1:
            vector: Value = operand.args[0]
            return vector
        return self.terms.make(Op.BIT, 1, operand)

    # -- truth values

    def truth(self, operand: Value) -> Truth:
        return self.equal(operand, 1, 1)

    def compare(self, op: CompareOp, left: Value, right: Value, width: int) -> Truth:
        if not isinstance(left, Term) and not isinstance(right, Term):
            return _CONCRETE.compare(op, left, right, width)
        match op:
            case CompareOp.EQ:
                return self.equal(left, right, width)
            case CompareOp.NE:
                return self.negate(self.equal(left, right, width))
            case _:
                pass
        if left is right:
            return op in (CompareOp.ULE, CompareOp.SLE)
        ones = (1 << width) - 1
        if op is CompareOp.ULE:
            if left == 0 or right == ones:
                return True
            return self.negate(self.compare(CompareOp.ULT, right, left, width))
        if op is CompareOp.SLE:
            return self.negate(self.compare(CompareOp.SLT, right, left, width))
        if op is CompareOp.ULT:
            if right == 0 or left == ones:
                return False
            if right == 1:
                return self.equal(left, 0, width)
            if left == 0:
                return self.negate(self.equal(right, 0, width))
            folded = self._less_than_choice(left, right, width)
            if folded is not None:
                return folded
        return self.terms.make(Op.LESS, 0, op, left, right, width)

    def _less_than_choice(self, left: Value, right: Value, width: int) -> Truth | None:
        """Unsigned order of a constant and a choice with a constant, decided on each arm."""
        for side, other in ((left, right), (right, left)):
            if isinstance(other, Term) or not isinstance(side, Term) or side.op is not Op.SELECT:
                continue
            condition, *arms = side.args
            if all(isinstance(arm, Term) for arm in arms):
                continue
            then, orelse = (
                self.compare(
                    CompareOp.ULT,
                    arm if side is left else left,
                    arm if side is right else right,
                    width,
                )
                for arm in arms
            )
            return self.select_truth(condition, then, orelse)
        return None

    def equal(self, left: Value, right: Value, width: int) -> Truth:
        """Equality of two bit-vectors."""
        if left is right:
            return True
        if not isinstance(left, Term):
            if not isinstance(right, Term):
                return left == right
            left, right = right, left
        if not isinstance(right, Term):
            return self._equals_constant(left, right, width)
        if left.serial > right.serial:
            left, right = right, left
        if width == 1 and Op.BIT in (left.op, right.op):
            return self.negate(self.logic(LogicOp.XOR, self.truth(left), self.truth(right)))
        return self.terms.make(Op.EQUAL, 0, left, right, width)

    def _equals_constant(self, left: Term, right: int, width: int) -> Truth:
        args = left.args
        match left.op:
            case Op.BIT:
                return args[0] if right else self.negate(args[0])
            case Op.SELECT:
                then, orelse = args[1], args[2]
                if not isinstance(then, Term) or not isinstance(orelse, Term):
                    return self.select_truth(
                        args[0],
                        self.equal(then, right, width),
                        self.equal(orelse, right, width),
                    )
            case Op.EXTEND if not args[2]:
                if right >> args[1]:
                    return False
                return self.equal(args[0], right, args[1])
            case Op.CONCAT:
                high, low, cut = args
                upper = self.equal(high, right >> cut, width - cut)
                return self.both(upper, self.equal(low, right & ((1 << cut) - 1), cut))
            case Op.UNARY if args[0] is UnaryOp.NOT:
                return self.equal(args[1], right ^ ((1 << width) - 1), width)
            case _:
                pass
        if width == 1 and right == 0:
            return self.negate(self.equal(left, 1, 1))
        return self.terms.make(Op.EQUAL, 0, left, right, width)

    def select_truth(self, condition: Truth, then: Truth, orelse: Truth) -> Truth:
        if not isinstance(condition, Term):
            return then if condition else orelse
        if then is orelse:
            return then
        if then is True:
            return self.either(condition, orelse)
        if then is False:
            return self.both(self.negate(condition), orelse)
        if orelse is True:
            return self.either(self.negate(condition), then)
        if orelse is False:
            return self.both(condition, then)
        if condition.op is Op.NOT:
            condition, then, orelse = condition.args[0], orelse, then
        return self.terms.make(Op.SELECT, 0, condition, then, orelse)

    def logic(self, op: LogicOp, left: Truth, right: Truth) -> Truth:
        match op:
            case LogicOp.AND:
                return self.both(left, right)
            case LogicOp.OR:
                return self.either(left, right)
            case _:
                return self.select_truth(left, self.negate(right), right)

    def negate(self, operand: Truth) -> Truth:
        if not isinstance(operand, Term):
            return not operand
        if operand.op is Op.NOT:
            inner: Truth = operand.args[0]
            return inner
        return self.terms.make(Op.NOT, 0, operand)

    def both(self, left: Truth, right: Truth) -> Truth:
        """Conjunction."""
        if not isinstance(left, Term):
            return right if left else False
        if not isinstance(right, Term):
            return left if right else False
        if left is right:
            return left
        if _contradict(left, right):
            return False
        if left.op is Op.AND and right in left.args:
            return left
        if right.op is Op.AND and left in right.args:
            return right
        return self.terms.make(Op.AND, 0, left, right)

    def either(self, left: Truth, right: Truth) -> Truth:
        """Disjunction."""
        if not isinstance(left, Term):
            return True if left else right
        if not isinstance(right, Term):
            return True if right else left
        if left is right:
            return left
        if _contradict(left, right):
            return True
        if left.op is Op.AND and right.op is Op.AND and left.args[0] is right.args[0]:
            return self.both(left.args[0], self.either(left.args[1], right.args[1]))
        return self.terms.make(Op.OR, 0, left, right)

    def all(self, *parts: Truth) -> Truth:
        joined: Truth = True
        for part in parts:
            joined = self.both(joined, part)
        return joined

    def any(self, *parts: Truth) -> Truth:
        joined: Truth = False
        for part in parts:
            joined = self.either(joined, part)
        return joined


_CUTS = (Op.CONCAT, Op.EXTRACT, Op.EXTEND, Op.SELECT)
_ZERO_IS_NEUTRAL = (
    BinaryOp.ADD,
    BinaryOp.SUB,
    BinaryOp.OR,
    BinaryOp.XOR,
    BinaryOp.SHL,
    BinaryOp.LSHR,
    BinaryOp.ASHR,
    BinaryOp.ROL,
    BinaryOp.ROR,
)


def _contradict(left: Term, right: Term) -> bool:
    return (left.op is Op.NOT and left.args[0] is right) or (
        right.op is Op.NOT and right.args[0] is left
    )
