"""How a run of one instruction ends, as plain data over concrete states."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from spec.ir import Access, TrapClass
from spec.state import MachineState


class Touch(Enum):
    """What a body did with a virtual address."""

    LOAD = "load"
    STORE = "store"
    TRANSLATE = "translate"  # took the physical address only
    PROBE = "probe"  # asked only whether it can be reached


@dataclass(frozen=True, slots=True)
class VirtualAccess:
    """An access through `translate`, also one that it refused (`physical` is None)."""

    touch: Touch
    address: int
    physical: int | None
    size: int  # cells
    access: Access
    mode: int | None  # the mode that the body named; None: the current one
    value: int | None = None  # loaded or stored


@dataclass(frozen=True, slots=True)
class PhysicalAccess:
    """A `LoadPhysical` or `StorePhysical`; `walk`: made by `translate` itself, `after`: when so many
    virtual accesses were done."""

    address: int
    size: int  # cells
    write: bool
    value: int
    walk: bool
    after: int = 0


@dataclass(frozen=True, slots=True)
class Accesses:
    """In the order of time. `choices` are the widths of the choices that were consumed."""

    virtual: tuple[VirtualAccess, ...] = ()
    physical: tuple[PhysicalAccess, ...] = ()
    choices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Retired:
    """The instruction ended; `waiting`: with `Wait`."""

    state: MachineState
    waiting: bool
    accesses: Accesses


@dataclass(frozen=True, slots=True)
class Trapped:
    """The instruction trapped, with no change to the state; `next` is the one after it."""

    cause: str
    trap_class: TrapClass
    arguments: tuple[int | bool, ...]
    next: int
    accesses: Accesses


Outcome: TypeAlias = Retired | Trapped
