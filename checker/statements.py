"""What is to be proved about a virtual machine monitor, as plain data.

A statement speaks of the combined state: the elements of the real machine and those of the
monitor. The state of the virtual machine is *defined* from it by the inverse of the VM map: element X
is at its home, cell `a` of memory is cell `region.base + a` for `a < region.size`, and other
cells are absent: they read as 0 and keep nothing. Solved by `checker.discharge`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from checker.proof import Group
from spec.ir import Block, Element, Expr, Function, Isa, Local

BASE, SIZE, TABLES = "region.base", "region.size", "monitor.base"


class Text(Enum):
    """Whose text runs, and how it reaches memory."""

    BARE = "bare"  # the description, on the virtual machine's state
    MONITOR = "monitor"  # the monitor's text on the combined state
    REAL = "real"  # the description on the combined state: hardware
    DIRECT = "direct"  # the same, but an address leads where section 6 says, or is refused


@dataclass(frozen=True, slots=True, eq=False)
class Hosted:
    """What all statements about one monitor share; `homes`: of what is not in place."""

    bare: Isa
    real: Isa
    monitor: Isa
    homes: dict[str, str]
    real_modes: tuple[tuple[int, int], ...]  # by virtual mode
    tables: int = 0  # cells at `monitor.base` that are the monitor's
    fill: int = 0  # what they hold at the start
    page: int = 1  # the placement is at multiples of so many cells

    def real_mode(self, virtual: int | None) -> int | None:
        """The one that a virtual mode runs in (None: any); None if there are several."""
        found = {real for mode, real in self.real_modes if virtual in (None, mode)}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """From related states, `left` and the bare machine's `right` end alike in related states.

    `before` and `after` bring homes up to date before they are read as the virtual machine's
    state. `forward`: only where `left` retires. `keep`: elements that `left` leaves alone; if
    `owner` is given that, and that memory outside the region stays, is an obligation of its own.
    `show` is read where `after` has been done, and belongs to the same obligation.
    `instruction` names the one whose fields and length both bodies may use. `constants`: elements
    that have one value at the start, by `assume`. `page`: where `left` retires, none of its
    accesses goes beyond the end of a page of so many cells.
    """

    group: Group
    name: str
    mode: int  # the virtual machine's
    text: Text
    left: Block
    right: Block
    assume: tuple[Expr, ...] = ()
    before: Block = ()
    after: Block = ()
    parameters: tuple[Local, ...] = ()
    instruction: str | None = None
    show: tuple[tuple[str, Expr], ...] = ()
    forward: bool = False
    keep: tuple[str, ...] = ()
    owner: Group | None = None
    tables: bool = False  # `left` may change the monitor's tables in memory
    constants: tuple[tuple[str, int], ...] = ()
    page: int | None = None


class Anew(Enum):
    """Where a part begins."""

    NO = "where the last one ended"
    START = "at the start again, with the locals of those before"
    REGION = "where the last one ended, but the region holds anything"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One run of a triple; from `given` on only what follows where that holds matters."""

    text: Text
    block: Block
    anew: Anew = Anew.NO
    given: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """A call that may have been made any number of times, with parameters for which `assume` holds."""

    block: Block
    parameters: tuple[Local, ...]
    assume: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Triple:
    """Where `assume` holds, the parts run one after the other without a trap, and then `show`.

    `mode`: the virtual machine's (None: any). All may name the parameters; `show` also the locals
    that parts assigned, and it is read in the last state. `empty`: the monitor's tables are filled as at
    the start. `ghosts`: elements of the proof only. `functions` stand in for the monitor's.
    `agree` says of a cell, `Local("cell")` of the region, whether a region that holds anything
    still holds there what the start did. `earlier`: the calls that filled the monitor's tables,
    which held 0 before. `marks`: an array among the ghosts that
    holds 0 at the start, and into which only ones are written.
    """

    group: Group
    name: str
    mode: int | None
    parts: tuple[Part, ...]
    show: tuple[tuple[str, Expr], ...]
    assume: tuple[Expr, ...] = ()
    parameters: tuple[Local, ...] = ()
    constants: tuple[tuple[str, int], ...] = ()  # elements that have one value at the start
    defined: tuple[tuple[str, Expr], ...] = ()  # elements whose value at the start follows
    empty: bool = False
    ghosts: tuple[Element, ...] = ()
    functions: tuple[Function, ...] = ()
    agree: Expr | None = None
    real_mode: int | None = None  # what is `REAL` runs in it; None: as the virtual mode says
    earlier: tuple[Earlier, ...] = ()
    marks: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Possible:
    """Some state satisfies the assumptions."""

    name: str
    mode: int | None
    assume: tuple[Expr, ...]
    constants: tuple[tuple[str, int], ...] = ()
    group: Group = Group.POSSIBLE


@dataclass(frozen=True, slots=True, eq=False)
class Armed:
    """Whatever `guest` elements hold, some value of the others makes a condition hold on `real`.

    One value serves for all of the guest's.
    """

    name: str
    conditions: tuple[tuple[str, Expr], ...]
    guest: tuple[str, ...]
    assume: tuple[Expr, ...]
    mode: int
    group: Group = Group.CONTROL


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """Two deliveries that leave equal states started with equal `elements`.

    Both start with the same monitor state. `excused`: of the elements, those that may be lost.
    """

    name: str
    mode: int
    delivery: Block
    parameters: tuple[Local, ...]
    elements: tuple[str, ...]
    excused: tuple[str, ...]
    assume: tuple[Expr, ...]
    group: Group = Group.INFORMATION


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Decided by looking: `reason` says why not."""

    group: Group
    name: str
    holds: bool | None  # None: open
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """An instruction (None: reset, traps, interrupts) keeps the description's invariants."""

    name: str
    instruction: str | None
    group: Group = Group.INVARIANT


Statement: TypeAlias = Simulation | Triple | Possible | Armed | Recovered | Settled | Kept
