"""All paths of a run at once: where they part, where they meet, and what each of them knows.

What differs between paths that meet is selected by the condition of the branch, so that there is one
state for all; a path that has ended, in a trap or by returning, is kept apart until its run or call ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from checker.runs import TrapPath
from checker.storage import Shape, Storage, shape_of
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import Isa, TrapClass

MEMORY_IN_VIEW = "<memory>"
PHYSICAL_MEMORY = "<physical memory>"
PC_AFTER = "<pc after>"
CHOICES_MADE = "<choices>"
"""What a run writes besides elements; these are kept under such names among the elements."""

COUNTER_WIDTH = 16
"""Of the number of choices made, in bits."""

Written = dict[str, Value]
_Values = dict[str, "Value | Truth"]
_Any = Value | Truth | None


@dataclass(slots=True, eq=False)
class Ended:
    """A path that has ended, and the state that it ended in."""

    path: Truth
    value: Value | Truth | None
    written: Written
    facts: dict[Term, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Frame:
    """A call in progress: its locals, the path to it, and what returned so far."""

    values: _Values
    outer: Truth  # from the start of the run
    caller: Truth = True  # from the start of the caller
    facts: dict[Term, int] = field(default_factory=dict)  # the caller's
    widths: dict[str, int] = field(default_factory=dict)
    returned: list[Ended] = field(default_factory=list)


class Paths(Storage):
    """The control flow of `spec.engine.Engine[Value, Truth]`; one run at a time, reusable."""

    def __init__(self, isa: Isa, terms: Terms) -> None:
        super().__init__(terms, isa.memory)
        self.isa = isa
        self._shapes: dict[str, Shape] = {
            e.name: shape_of(e) for e in isa.elements if e.length is not None
        }
        self._element_widths = {e.name: e.width for e in isa.elements}

    def _depart(
        self,
        start: Mapping[str, Value],
        initial: Written,
        frame: Mapping[str, Value | Truth],
    ) -> None:
        """Be on the one path that every run starts on; `initial` is of what is no element."""
        self._start = start
        self._initial = initial
        self._written: Written = {}
        self._frames = [Frame(dict(frame), True)]
        self._path: Truth = True
        self._facts: dict[Term, int] = {}
        self._traps: list[TrapPath] = []
        self._waited: list[Ended] = []
        self._translating = 0

    # -- state

    def local(self, name: str) -> Value | Truth:
        return self._frames[-1].values[name]

    def assign(self, name: str, value: Value | Truth, width: int) -> None:
        frame = self._frames[-1]
        frame.values[name] = value
        frame.widths[name] = width

    def _slot(self, written: Written, name: str) -> Value:
        value = written.get(name)
        if value is None:
            value = self._initial.get(name)
            if value is None:
                value = self._start[name]
        return value

    # -- control flow

    def stopped(self) -> bool:
        return self._path is False

    def _now(self) -> Truth:
        """The condition of being here, from the start of the run."""
        return self.both(self._frames[-1].outer, self._path)

    def branch(
        self, condition: Truth, then: Callable[[], None], orelse: Callable[[], None]
    ) -> None:
        if isinstance(condition, Term):
            known = self._known(condition, {})
            if known is not None:
                if self.steps is not None:
                    self.steps.followed(self._facts, condition, known)
                condition = known
        if not isinstance(condition, Term):
            (then if condition else orelse)()
            return
        frame = self._frames[-1]
        before = _Arm(self._path, self._written, frame.values, self._facts)
        first = self._arm(before, condition, then)
        second = self._arm(before, self.negate(condition), orelse)
        if first.path is False or second.path is False:
            going = second if first.path is False else first
            self._path, self._written, frame.values = going.path, going.written, going.values
            self._facts = going.facts
            return
        both_whole = first.whole and second.whole
        self._path = before.path if both_whole else self.either(first.path, second.path)
        self._facts = before.facts
        self._written = self._merge_written(condition, first.written, second.written)
        frame.values = self._merge_values(condition, first.values, second.values)

    def _arm(self, before: "_Arm", condition: Truth, body: Callable[[], None]) -> "_Arm":
        frame = self._frames[-1]
        entered = self.both(before.path, condition)
        self._path, self._written = entered, dict(before.written)
        frame.values = dict(before.values)
        self._facts = dict(before.facts)
        self._learn(condition, True)
        if entered is not False:
            body()
        return _Arm(self._path, self._written, frame.values, self._facts, self._path is entered)

    def _learn(self, condition: Truth, holds: bool) -> None:
        """Note what follows from a condition on this path."""
        if not isinstance(condition, Term):
            return
        self._facts[condition] = holds
        if condition.op is Op.NOT:
            self._learn(condition.args[0], not holds)
        elif condition.op is (Op.AND if holds else Op.OR):
            self._learn(condition.args[0], holds)
            self._learn(condition.args[1], holds)
        elif condition.op is Op.EQUAL and holds and not isinstance(condition.args[1], Term):
            self._facts[condition.args[0]] = condition.args[1]

    def _known(self, condition: Term, asked: dict[Term, bool | None]) -> bool | None:
        """The condition's value, if the path decides it; `asked` keeps those of shared parts."""
        if condition not in asked:
            fact = self._facts.get(condition)
            asked[condition] = self._follows(condition, asked) if fact is None else bool(fact)
        return asked[condition]

    def _follows(self, condition: Term, asked: dict[Term, bool | None]) -> bool | None:
        args = condition.args
        match condition.op:
            case Op.NOT:
                inner = self._known(args[0], asked)
                return None if inner is None else not inner
            case Op.EQUAL if not isinstance(args[1], Term):
                value = self._facts.get(args[0])
                return None if value is None else value == args[1]
            case Op.AND | Op.OR:
                parts = [self._known(part, asked) for part in args]
                absorbing = condition.op is Op.OR
                if absorbing in parts:
                    return absorbing
                return None if None in parts else not absorbing
            case _:
                return None

    def trap(self, cause: str, trap_class: TrapClass, arguments: tuple[Value | Truth, ...]) -> None:
        path = TrapPath(self._now(), cause, trap_class, arguments, self._translating > 0)
        self._traps.append(path)
        self._path = False

    def wait(self) -> None:
        self._waited.append(Ended(self._now(), None, self._written))
        self._path = False

    def enter(self, parameters: Mapping[str, Value | Truth]) -> None:
        frame = Frame(dict(parameters), self._now(), self._path, self._facts)
        self._frames.append(frame)
        self._path = True

    def give_back(self, value: Value | Truth, width: int) -> None:
        self._frames[-1].returned.append(Ended(self._path, value, self._written, self._facts))
        self._path = False

    def leave(self, width: int | None) -> Value | Truth | None:
        frame = self._frames.pop()
        ends = frame.returned
        if self._path is not False:
            ends = [*ends, Ended(self._path, None, self._written, self._facts)]
        path, value, self._written = self._merge(ends, width)
        self._path = self.both(frame.caller, path)
        self._facts = self._facts_after(frame.facts, [end.facts for end in ends])
        return value

    def _facts_after(self, before: dict[Term, int], ends: list[dict[Term, int]]) -> dict[Term, int]:
        """What is noted after a call that has ended in one of some ways."""
        return before

    # -- merging

    def _merge(
        self, ends: list[Ended], width: int | None
    ) -> tuple[Truth, Value | Truth | None, Written]:
        """One end for several that exclude one another: its path, value and state."""
        if not ends:
            return False, None, self._written
        last = ends[-1]
        path, value, written = last.path, last.value, last.written
        for end in reversed(ends[:-1]):
            path = self.either(end.path, path)
            if width is not None:
                value = self._select_any(end.path, end.value, value, width)
            written = self._merge_written(end.path, end.written, written)
        return path, value, written

    def _select_any(self, condition: Truth, then: _Any, orelse: _Any, width: int) -> Value | Truth:
        """A selected value of either sort: a truth value if `width` is 0."""
        if width == 0:
            return self.select_truth(condition, cast(Truth, then), cast(Truth, orelse))
        return self.select(condition, cast(Value, then), cast(Value, orelse), width)

    def _merge_written(self, condition: Truth, then: Written, orelse: Written) -> Written:
        if then is orelse:
            return then
        merged: Written = {}
        for name in {**then, **orelse}:
            first, second = self._slot(then, name), self._slot(orelse, name)
            merged[name] = self._select_slot(name, condition, first, second)
        return merged

    def _select_slot(self, name: str, condition: Truth, then: Value, orelse: Value) -> Value:
        if name in (MEMORY_IN_VIEW, PHYSICAL_MEMORY):
            return self.select_memory(condition, as_term(then), as_term(orelse))
        shape = self._shapes.get(name)
        if shape is not None:
            return self.select_array(condition, as_term(then), as_term(orelse), shape)
        if name == CHOICES_MADE:
            width = COUNTER_WIDTH
        else:
            width = self._element_widths[self.isa.pc if name == PC_AFTER else name]
        return self.select(condition, then, orelse, width)

    def _merge_values(self, condition: Truth, then: _Values, orelse: _Values) -> _Values:
        """Locals that only one arm assigned are not used after it."""
        merged: _Values = {}
        widths = self._frames[-1].widths
        for name, first in then.items():
            second = orelse.get(name)
            if first is second or second is None:
                merged[name] = first
            else:
                merged[name] = self._select_any(condition, first, second, widths[name])
        return merged


@dataclass(slots=True, eq=False)
class _Arm:
    """Where an arm of a branch ended; `whole`: all its paths reached the end."""

    path: Truth
    written: Written
    values: _Values
    facts: dict[Term, int]
    whole: bool = True


def as_term(value: Value) -> Term:
    """A value that is no constant: arrays and memories never are."""
    assert isinstance(value, Term)
    return value
