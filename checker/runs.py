"""What the symbolic engine says about a run: conditions and final values as terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from checker.terms import Term, Truth, Value
from spec.ir import Access, TrapClass


@dataclass(frozen=True, slots=True, eq=False)
class TrapPath:
    """A way to trap: when, and what. `translating`: a translation trapped, not the body."""

    condition: Truth
    cause: str
    trap_class: TrapClass
    arguments: tuple[Value | Truth, ...] = ()
    translating: bool = False


Key: TypeAlias = tuple[Value, int, Access]
"""An access to the view: virtual address, cells, kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """A virtual address that a body names when `condition` holds."""

    condition: Truth
    address: Value
    size: int  # cells
    access: Access


@dataclass(frozen=True, slots=True, eq=False)
class TouchedPhysical:
    """Cells that a body itself writes physically when `condition` holds."""

    condition: Truth
    address: Value
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Rewalked:
    """A walk of a table and cells that the body stored through the view before, when `condition`
    holds."""

    condition: Truth
    address: Value
    size: int
    stored: Value
    stored_size: int


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicRun:
    """What a block does from a start: conditions and final values over the start's symbols.

    The conditions of `traps` exclude one another; `retires` holds where none of them does. Final
    values are meant where `retires` holds. `written` holds only elements that may have changed.
    """

    mode: int
    start: Mapping[str, Value]
    memory_before: Term
    traps: tuple[TrapPath, ...]
    retires: Truth
    written: Mapping[str, Value]
    memory: Term
    physical_before: Term  # memory by physical addresses: abstractly, another one
    physical: Term
    pc_after: Value
    touched: tuple[Touched, ...]
    stored_physically: tuple[TouchedPhysical, ...]
    rewalked: tuple[Rewalked, ...]  # on concrete translation
    choices: int  # at most so many were made
    viewed: Mapping[Term, Key]
    """Terms that are nothing but what the view held before the run, where that was loaded."""

    def after(self, element: str) -> Value:
        return self.written.get(element, self.start[element])
