"""What the emitted engine knows on the path that it is writing."""

from dataclasses import dataclass, field
from typing import TypeAlias

from spec.folding import Truth, Value

Frame: TypeAlias = dict[str, "Value | Truth"]


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """An array: the list in variable `base`, but for the members in `known`."""

    base: str
    known: dict[int, Value]


@dataclass(slots=True, eq=False)
class Path:
    """State and locals as values; an element that is not listed is as it was at the entry."""

    scalars: dict[str, Value] = field(default_factory=dict)
    arrays: dict[str, ArrayValue] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # text -> variable (see `Folding`)
    assumed: dict[str, bool] = field(default_factory=dict)  # decided by branches taken
    epoch: int = 0  # of memory: equal numbers mean equal contents
    stored: bool = False  # whether the instruction may have written memory

    def copy(self) -> "Path":
        return Path(
            dict(self.scalars),
            dict(self.arrays),
            [dict(frame) for frame in self.frames],
            dict(self.known),
            dict(self.assumed),
            self.epoch,
            self.stored,
        )
