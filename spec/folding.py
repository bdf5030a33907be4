"""The domain of emitted Python: a value is an integer where it is known, else a variable's name.

Every operation on unknown values becomes one assignment to a fresh variable, so text never nests
and shared subterms are computed once. `bound` remembers the greatest value a variable can have,
which saves masks and decides comparisons.
"""

from typing import TypeAlias, assert_never

from spec.concrete import Concrete
from spec.ir import BinaryOp, CompareOp, LogicOp, UnaryOp
from spec.python_code import Let, Node

Value: TypeAlias = int | str
Truth: TypeAlias = bool | str

_INTEGERS = Concrete()
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">"}


class Folding:
    """Implements `spec.engine.Domain[Value, Truth]`, writing to `out`."""

    def __init__(self) -> None:
        self.out: list[Node] = []
        self.bound: dict[str, int] = {}
        self.known: dict[str, str] = {}  # text -> the variable that holds its value here
        self._choices: dict[str, tuple[str, Value, Value]] = {}
        self._concats: dict[str, tuple[Value, Value, int]] = {}
        self._comparisons: dict[str, tuple[str, Value, Value]] = {}
        self._truth_of: dict[str, str] = {}
        self._names = 0

    def fresh(self, bound: int) -> str:
        """A new variable, whose value will not exceed `bound`."""
        self._names += 1
        name = f"t{self._names}"
        self.bound[name] = bound
        return name

    def let(self, text: str, bound: int) -> str:
        """A variable that holds the value of a pure expression."""
        if text not in self.known:
            name = self.fresh(bound)
            self.out.append(Let(name, text))
            self.known[text] = name
        return self.known[text]

    def limit(self, value: Value) -> int:
        """The greatest value it can have."""
        return self.bound[value] if isinstance(value, str) else value

    def choice_of(self, value: Value) -> tuple[str, Value, Value] | None:
        """`(condition, then, orelse)` if the value is known to be a choice between two."""
        return self._choices.get(value) if isinstance(value, str) else None

    def remember_choice(self, name: str, condition: str, then: Value, orelse: Value) -> None:
        """Note that the variable is `then` where `condition` holds, and `orelse` elsewhere."""
        self._choices[name] = (condition, then, orelse)

    # -- the domain protocol

    def literal(self, value: int, width: int) -> Value:
        return value

    def boolean(self, value: bool) -> Truth:
        return value

    def unary(self, op: UnaryOp, operand: Value, width: int) -> Value:
        if not isinstance(operand, str):
            return _INTEGERS.unary(op, operand, width)
        mask = (1 << width) - 1
        match op:
            case UnaryOp.NOT:
                return self.let(f"{operand} ^ {mask}", mask)
            case UnaryOp.NEG:
                return self.let(f"-{operand} & {mask}", mask)
            case UnaryOp.POPCOUNT:
                return self.let(f"{operand}.bit_count()", width)
            case UnaryOp.CLZ:
                return self.let(f"{width} - {operand}.bit_length()", width)
            case UnaryOp.CTZ:
                lowest = f"({operand} & -{operand}).bit_length() - 1"
                return self.let(f"{lowest} if {operand} else {width}", width)
            case UnaryOp.REVERSE_BYTES:
                octets = f"{operand}.to_bytes({width // 8}, 'little')"
                return self.let(f"int.from_bytes({octets}, 'big')", mask)
            case _:
                assert_never(op)

    def binary(self, op: BinaryOp, left: Value, right: Value, width: int) -> Value:
        if not isinstance(left, str) and not isinstance(right, str):
            return _INTEGERS.binary(op, left, right, width)
        mask = (1 << width) - 1
        match op:
            case BinaryOp.ADD:
                if left == 0 or right == 0:
                    return right if left == 0 else left
                return self._masked(f"{left} + {right}", self.limit(left) + self.limit(right), mask)
            case BinaryOp.SUB:
                if right == 0:
                    return left
                return 0 if left == right else self.let(f"{left} - {right} & {mask}", mask)
            case BinaryOp.MUL:
                if left in (0, 1) or right in (0, 1):
                    return right if left == 1 or right == 0 else left
                return self._masked(f"{left} * {right}", self.limit(left) * self.limit(right), mask)
            case BinaryOp.UDIV:
                safe = right if isinstance(right, str) else ""
                guard = f" if {safe} else {mask}" if safe else ""
                if right == 0:
                    return mask
                return self.let(f"{left} // {right}{guard}", mask)
            case BinaryOp.UREM:
                if right == 0:
                    return left
                guard = f" if {right} else {left}" if isinstance(right, str) else ""
                return self.let(f"{left} % {right}{guard}", self.limit(left))
            case BinaryOp.SDIV | BinaryOp.SREM:
                return self.let(f"{op.name.lower()}({left}, {right}, {width})", mask)
            case BinaryOp.AND:
                return self._and(left, right)
            case BinaryOp.OR | BinaryOp.XOR:
                if left == 0 or right == 0:
                    return right if left == 0 else left
                if left == right:
                    return left if op is BinaryOp.OR else 0
                most = _all_ones(self.limit(left) | self.limit(right))
                return self.let(f"{left} {op.value} {right}", most)
            case BinaryOp.SHL | BinaryOp.LSHR | BinaryOp.ASHR:
                return self._shift(op, left, right, width)
            case BinaryOp.ROL | BinaryOp.ROR:
                amount = right % width if isinstance(right, int) else None
                if amount == 0:
                    return left
                if amount is not None:
                    up = amount if op is BinaryOp.ROL else width - amount
                    return self.let(f"({left} << {up} | {left} >> {width - up}) & {mask}", mask)
                up_name = self.let(f"{right} % {width}", width - 1)
                away, back = ("<<", ">>") if op is BinaryOp.ROL else (">>", "<<")
                text = f"({left} {away} {up_name} | {left} {back} {width} - {up_name}) & {mask}"
                return self.let(text, mask)
            case _:
                assert_never(op)

    def extract(self, operand: Value, width: int, high: int, low: int) -> Value:
        ones = (1 << (high - low + 1)) - 1
        if not isinstance(operand, str):
            return (operand >> low) & ones
        if operand in self._concats:
            upper, lower, low_width = self._concats[operand]
            if high < low_width:
                return self.extract(lower, low_width, high, low)
            if low >= low_width:
                return self.extract(upper, width - low_width, high - low_width, low - low_width)
        rest = self.limit(operand) >> low
        if rest == 0:
            return 0
        shifted = operand if low == 0 else self.let(f"{operand} >> {low}", rest)
        return self._and(shifted, ones)

    def concat(self, high: Value, low: Value, low_width: int, width: int) -> Value:
        if not isinstance(high, str):
            if not isinstance(low, str) or high == 0:
                return high << low_width | low if isinstance(low, int) else low
            name = self.let(
                f"{high << low_width} | {low}", _all_ones(high << low_width | self.limit(low))
            )
        else:
            most = _all_ones(self.limit(high) << low_width | self.limit(low))
            text = f"{high} << {low_width}" + ("" if low == 0 else f" | {low}")
            name = self.let(text, most)
        self._concats[name] = (high, low, low_width)
        return name

    def extend(self, operand: Value, from_width: int, signed: bool, width: int) -> Value:
        if not isinstance(operand, str):
            return _INTEGERS.extend(operand, from_width, signed, width)
        sign = 1 << (from_width - 1)
        if not signed or width == from_width or self.limit(operand) < sign:
            return operand
        mask = (1 << width) - 1
        return self.let(f"({operand} ^ {sign}) - {sign} & {mask}", mask)

    def select(self, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
        if not isinstance(condition, str):
            return then if condition else orelse
        if then == orelse:
            return then
        most = max(self.limit(then), self.limit(orelse))
        name = self.let(f"{then} if {condition} else {orelse}", most)
        self.remember_choice(name, condition, then, orelse)
        return name

    def select_truth(self, condition: Truth, then: Truth, orelse: Truth) -> Truth:
        if not isinstance(condition, str):
            return then if condition else orelse
        if not isinstance(then, str):
            other = LogicOp.OR if then else LogicOp.AND
            return self.logic(other, condition if then else self.negate(condition), orelse)
        if not isinstance(orelse, str):
            other = LogicOp.OR if orelse else LogicOp.AND
            return self.logic(other, self.negate(condition) if orelse else condition, then)
        return self.let(f"{then} if {condition} else {orelse}", 1)

    def compare(self, op: CompareOp, left: Value, right: Value, width: int) -> Truth:
        if not isinstance(left, str) and not isinstance(right, str):
            return _INTEGERS.compare(op, left, right, width)
        match op:
            case CompareOp.EQ | CompareOp.NE:
                if left == right:
                    return op is CompareOp.EQ
                if isinstance(left, int) and left > self.limit(right):
                    return op is CompareOp.NE
                if isinstance(right, int) and right > self.limit(left):
                    return op is CompareOp.NE
                return self._comparison(op.value, left, right)
            case CompareOp.ULT:
                if left == right or right == 0:
                    return False
                if isinstance(right, int) and self.limit(left) < right:
                    return True
                return self._comparison("<", left, right)
            case CompareOp.ULE:
                if left == right or left == 0:
                    return True
                if isinstance(right, int) and self.limit(left) <= right:
                    return True
                return self._comparison("<=", left, right)
            case CompareOp.SLT | CompareOp.SLE:
                sign = 1 << (width - 1)
                unsigned = CompareOp.ULT if op is CompareOp.SLT else CompareOp.ULE
                if self.limit(left) >= sign or self.limit(right) >= sign:
                    left, right = self._flipped(left, sign), self._flipped(right, sign)
                return self.compare(unsigned, left, right, width)
            case _:
                assert_never(op)

    def logic(self, op: LogicOp, left: Truth, right: Truth) -> Truth:
        match op:
            case LogicOp.AND | LogicOp.OR:
                absorbing = op is LogicOp.OR
                if not isinstance(left, str):
                    return left if left is absorbing else right
                if not isinstance(right, str):
                    return right if right is absorbing else left
                word = "or" if absorbing else "and"
                return left if left == right else self.let(f"{left} {word} {right}", 1)
            case LogicOp.XOR:
                if not isinstance(left, str):
                    return self.negate(right) if left else right
                if not isinstance(right, str):
                    return self.negate(left) if right else left
                return False if left == right else self._comparison("!=", left, right)
            case _:
                assert_never(op)

    def negate(self, operand: Truth) -> Truth:
        if not isinstance(operand, str):
            return not operand
        if operand in self._comparisons:
            sign, left, right = self._comparisons[operand]
            if sign in ("<", "<="):
                return self._comparison("<=" if sign == "<" else "<", right, left)
            return self._comparison(_OPPOSITE[sign], left, right)
        return self.let(f"not {operand}", 1)

    def truth(self, operand: Value) -> Truth:
        if not isinstance(operand, str):
            return operand != 0
        if operand in self._truth_of:
            return self._truth_of[operand]
        return self._comparison("!=", operand, 0)

    def bit(self, operand: Truth) -> Value:
        if not isinstance(operand, str):
            return int(operand)
        name = self.let(f"+{operand}", 1)
        self._truth_of[name] = operand
        return name

    # -- helpers of the operators

    def _masked(self, text: str, most: int, mask: int) -> str:
        if most <= mask:
            return self.let(text, most)
        return self.let(f"{text} & {mask}", mask)

    def _and(self, left: Value, right: Value) -> Value:
        if isinstance(left, int):
            left, right = right, left
        if not isinstance(left, str):
            return left & right if isinstance(right, int) else left
        if isinstance(right, int):
            if right == 0:
                return 0
            ones = _all_ones(self.limit(left))
            if right & ones == ones:
                return left
            return self.let(f"{left} & {right}", min(right, self.limit(left)))
        if left == right:
            return left
        return self.let(f"{left} & {right}", min(self.limit(left), self.limit(right)))

    def _shift(self, op: BinaryOp, left: Value, right: Value, width: int) -> Value:
        mask = (1 << width) - 1
        if right == 0 or left == 0:
            return left
        arithmetic = op is BinaryOp.ASHR and self.limit(left) >= 1 << (width - 1)
        if isinstance(right, int) and right >= width and not arithmetic:
            return 0
        if arithmetic:
            return self._arithmetic_shift(left, right, width)
        away = "<<" if op is BinaryOp.SHL else ">>"
        text = f"{left} {away} {right}"
        if away == "<<":
            text += f" & {mask}"
        if isinstance(right, str) and self.limit(right) >= width:
            text += f" if {right} < {width} else 0"
        if away == "<<" or not isinstance(right, int):
            return self.let(text, mask if away == "<<" else self.limit(left))
        return self.let(text, self.limit(left) >> right)

    def _arithmetic_shift(self, left: Value, right: Value, width: int) -> Value:
        mask, sign = (1 << width) - 1, 1 << (width - 1)
        if isinstance(right, int):
            amount = str(min(right, width))
        elif self.limit(right) >= width:
            amount = f"({right} if {right} < {width} else {width})"
        else:
            amount = right
        return self.let(f"((({left} ^ {sign}) - {sign}) >> {amount}) & {mask}", mask)

    def _comparison(self, sign: str, left: Value | Truth, right: Value | Truth) -> str:
        name = self.let(f"{left} {sign} {right}", 1)
        self._comparisons[name] = (sign, left, right)
        return name

    def _flipped(self, value: Value, sign: int) -> Value:
        """The value with its sign bit inverted: signed order becomes unsigned order."""
        if not isinstance(value, str):
            return value ^ sign
        return self.let(f"{value} ^ {sign}", 2 * sign - 1)


def _all_ones(value: int) -> int:
    return (1 << value.bit_length()) - 1
