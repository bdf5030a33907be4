"""An instruction on its way from memory: some of its units read, in one of the ways it allows."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from spec.form import Condition
from spec.ir import Instruction
from spec.layout import (
    Capture,
    Choice,
    FieldBits,
    FixedBits,
    Layout,
    Layouts,
    OperandPart,
    Transition,
)


def begin(layouts: Layouts, instruction: Instruction, order: int) -> list["Reading"]:
    """The readings of an instruction before its first unit; `order` is its place in the isa."""
    conditions = layouts.root(instruction).large
    return [
        Reading(order, instruction, (), (), layout, conditions, ())
        for layout in layouts.starts(instruction)
    ]


class Reading:
    """An instruction of which some units are read, in one way."""

    __slots__ = (
        "captures",
        "choices",
        "instruction",
        "order",
        "pending",
        "ready",
        "repeats",
        "rest",
    )

    def __init__(
        self,
        order: int,
        instruction: Instruction,
        captures: tuple[tuple[Capture, ...], ...],
        choices: tuple[Choice, ...],
        rest: Layout,
        pending: tuple[Condition, ...],
        ready: tuple[Condition, ...],
    ) -> None:
        self.order = order  # of declaration
        self.instruction = instruction
        self.captures = captures  # per unit
        self.choices = choices
        self.rest = rest
        self.pending = pending  # conditions on what is yet to be read
        self.ready = ready  # conditions to test now
        self.repeats = _repeats(captures)

    def read(self, layouts: Layouts, transition: Transition) -> "Reading | None":
        """What the transition makes of it, one unit further.

        None if the alternatives chosen so far exclude each other, whatever the units hold.
        """
        choices = (*self.choices, *transition.choices)
        tags = {f"{choice.path}.tag": choice.alternative.tag for choice in choices}
        conditions = [*self.pending]
        for choice in transition.choices:
            conditions += (c.within(choice.scope) for c in layouts.form(choice).large)
        pending = []
        ready = []
        for condition in conditions:
            if _is_open(condition, transition.rest):
                pending.append(condition)
            elif not all(condition.scope + name in tags for name in condition.names):
                ready.append(condition)
            elif not condition.holds(tags):
                return None
        return Reading(
            self.order,
            self.instruction,
            (*self.captures, transition.captures),
            choices,
            transition.rest,
            tuple(pending),
            tuple(ready),
        )

    def conditions(self, layouts: Layouts) -> Iterator[Condition]:
        """All conditions on what was read that are not in the fixed bits of its layout."""
        yield from layouts.root(self.instruction).large
        for choice in self.choices:
            for condition in layouts.form(choice).large:
                yield condition.within(choice.scope)

    def fields(self, units: Sequence[int]) -> dict[str, int]:
        """The fields read so far; units past them are ignored."""
        fields: dict[str, int] = {}
        for choice in self.choices:
            fields[f"{choice.path}.tag"] = choice.alternative.tag
        for unit, captures in zip(units, self.captures, strict=False):
            for name, shift, mask, low in captures:
                fields[name] = fields.get(name, 0) | (unit >> shift & mask) << low
        return fields

    def agrees(self, units: Sequence[int]) -> bool:
        """Whether the conditions that can be tested now hold."""
        if self.repeats and not self.repeats_agree(units):
            return False
        if not self.ready:
            return True
        fields = self.fields(units)
        return all(condition.holds(fields) for condition in self.ready)

    def repeats_agree(self, units: Sequence[int]) -> bool:
        """Whether bits of a field that occur more than once are the same each time."""
        fields = self.fields(units)
        return all(
            unit >> shift & mask == fields[name] >> low & mask
            for unit, captures in zip(units, self.captures, strict=False)
            for name, shift, mask, low in captures
        )


def _repeats(captures: tuple[tuple[Capture, ...], ...]) -> bool:
    """Whether some bit of a field occurs more than once."""
    seen: dict[str, int] = {}
    for capture in (capture for of_unit in captures for capture in of_unit):
        bits = capture.mask << capture.low
        if seen.get(capture.field, 0) & bits:
            return True
        seen[capture.field] = seen.get(capture.field, 0) | bits
    return False


def _is_open(condition: Condition, rest: Layout) -> bool:
    """Whether the condition depends on what is yet to be read."""
    names = tuple(condition.scope + name for name in condition.names)
    for item in rest:
        match item:
            case FixedBits():
                pass
            case FieldBits(field):
                if field in names:
                    return True
            case OperandPart(path):
                if any(name.startswith(f"{path}.") for name in names):
                    return True
            case _:
                assert_never(item)
    return False
