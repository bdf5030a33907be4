"""A program: what the assembler makes and an image file holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Segment:
    """Memory cells from an address on."""

    address: int
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What the source line with this number (from 1) became."""

    number: int
    address: int
    cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """Segments do not overlap and are in the order of their addresses, none empty."""

    segments: tuple[Segment, ...]
    entry: int
    symbols: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
