"""The typed intermediate representation: the only source of meaning of a description.

Everything here is immutable, hashable and independent of any engine. Widths are in bits.
Expressions are pure and total (SMT-LIB meaning: division by zero gives all ones, remainder by
zero the dividend, a shift by the width or more gives 0 or the sign), so an engine may evaluate
both arms of a `Select`. Effects are statements. Two value sorts exist: bit-vectors (`width >= 1`)
and truth values; `Truth` and `Bit` convert between a 1-bit vector and a truth value.

An instruction's body ends in exactly one outcome: it falls off the end (retires), a `Trap`, or a
`Wait`. A trap is precise: every state change made before it by the same instruction is discarded.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from spec.mode_map import ModeMap
from spec.source import NOWHERE, Span

# --------------------------------------------------------------------------- expressions


class UnaryOp(Enum):
    NOT = "~"  # bitwise complement
    NEG = "neg"  # two's complement
    POPCOUNT = "popcount"  # number of ones, in the operand's width
    CLZ = "clz"  # leading zeros (the width for 0), in the operand's width
    CTZ = "ctz"  # trailing zeros (the width for 0), in the operand's width
    REVERSE_BYTES = "bswap"  # width is a multiple of 8


class BinaryOp(Enum):
    """Both operands and the result have one width."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    UDIV = "/"
    UREM = "%"
    SDIV = "sdiv"  # truncates toward zero; x / 0 is 1 if x < 0, else all ones (SMT-LIB)
    SREM = "srem"  # sign of the dividend; x % 0 = x
    AND = "&"
    OR = "|"
    XOR = "^"
    SHL = "<<"
    LSHR = ">>"
    ASHR = ">>s"
    ROL = "rol"  # amount modulo width
    ROR = "ror"


class CompareOp(Enum):
    EQ = "=="
    NE = "!="
    ULT = "<"
    ULE = "<="
    SLT = "<s"
    SLE = "<=s"


class LogicOp(Enum):
    AND = "&&"
    OR = "||"
    XOR = "^^"


@dataclass(frozen=True, slots=True)
class Literal:
    value: int  # 0 <= value < 2**width
    width: int


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool

    @property
    def width(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Local:
    """A field of the instruction, a parameter, or a local variable (names are unique per body)."""

    name: str
    width: int  # 0: a truth value


@dataclass(frozen=True, slots=True)
class Read:
    """The present value of a state element; `index` is given exactly for arrays.

    An index at or past the array's length reads 0.
    """

    element: str
    width: int
    index: "Expr | None" = None


@dataclass(frozen=True, slots=True)
class Unary:
    op: UnaryOp
    operand: "Expr"
    width: int


@dataclass(frozen=True, slots=True)
class Binary:
    op: BinaryOp
    left: "Expr"
    right: "Expr"
    width: int


@dataclass(frozen=True, slots=True)
class Extract:
    """Bits `high` down to `low` of the operand."""

    operand: "Expr"
    high: int
    low: int

    @property
    def width(self) -> int:
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class Concat:
    """`high` in the upper bits, `low` in the lower ones."""

    high: "Expr"
    low: "Expr"
    width: int


@dataclass(frozen=True, slots=True)
class Extend:
    """The operand widened to `width` (>= its own), with zeros or its sign."""

    operand: "Expr"
    signed: bool
    width: int


@dataclass(frozen=True, slots=True)
class Select:
    """`then` where `condition` holds, else `orelse`; truth-valued if `width` is 0."""

    condition: "Expr"
    then: "Expr"
    orelse: "Expr"
    width: int


@dataclass(frozen=True, slots=True)
class Compare:
    op: CompareOp
    left: "Expr"
    right: "Expr"

    @property
    def width(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Logic:
    op: LogicOp
    left: "Expr"
    right: "Expr"

    @property
    def width(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expr"

    @property
    def width(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Truth:
    """A 1-bit vector as a truth value."""

    operand: "Expr"

    @property
    def width(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Bit:
    """A truth value as a 1-bit vector."""

    operand: "Expr"

    @property
    def width(self) -> int:
        return 1


Expr: TypeAlias = (
    Literal
    | Boolean
    | Local
    | Read
    | Unary
    | Binary
    | Extract
    | Concat
    | Extend
    | Select
    | Compare
    | Logic
    | Not
    | Truth
    | Bit
)

# --------------------------------------------------------------------------- statements


class Access(Enum):
    """Why memory is accessed; the value is its encoding (2 bits) as a `translate` argument."""

    FETCH = 0
    READ = 1
    WRITE = 2


class TrapClass(Enum):
    MEMORY = "memory"
    PRIVILEGE = "privilege"
    CALL = "call"
    FAULT = "fault"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Assign:
    """Give a local variable a value (its first assignment also declares it)."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Write:
    """Change a state element; a write at an index past the array's length does nothing."""

    element: str
    value: Expr
    index: Expr | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """`target` := `width` bits at virtual `address`, through `translate` with `access`.

    `width` is a multiple of the cell width. The first cell's physical address comes from
    `translate`; the others follow it modulo the size of the physical address space.
    `mode` None means the current mode.
    """

    target: str
    address: Expr
    width: int
    access: Access = Access.READ
    mode: Expr | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Store:
    """Write `value` (a multiple of the cell width) at virtual `address`."""

    address: Expr
    value: Expr
    width: int
    mode: Expr | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LoadPhysical:
    target: str
    address: Expr  # a physical address
    width: int


@dataclass(frozen=True, slots=True)
class StorePhysical:
    address: Expr
    value: Expr
    width: int


@dataclass(frozen=True, slots=True)
class Translate:
    """`target` := the physical address of virtual `address`; traps as an access would."""

    target: str
    address: Expr
    size: int  # cells
    access: Access
    mode: Expr | None = None
    width: int = 0  # of a physical address


@dataclass(frozen=True, slots=True)
class Probe:
    """`target` (a truth value) := whether `Translate` with these arguments would not trap."""

    target: str
    address: Expr
    size: int
    access: Access
    mode: Expr | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Run a function; `target` receives its result (None for a procedure)."""

    target: str | None
    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """`target` := any value: the manual leaves it open (UNPREDICTABLE, undefined)."""

    target: str
    width: int


@dataclass(frozen=True, slots=True)
class If:
    condition: Expr
    then: "Block"
    orelse: "Block"


@dataclass(frozen=True, slots=True)
class Trap:
    """End the instruction with a trap: all its state changes are discarded."""

    cause: str
    trap_class: TrapClass
    arguments: tuple[Expr, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """End the instruction: it has retired and the processor stops until an interrupt."""


@dataclass(frozen=True, slots=True)
class Return:
    """End the function with a value (functions only)."""

    value: Expr


Stmt: TypeAlias = (
    Assign
    | Write
    | Load
    | Store
    | LoadPhysical
    | StorePhysical
    | Translate
    | Probe
    | Call
    | Choose
    | If
    | Trap
    | Wait
    | Return
)
Block: TypeAlias = tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure, all widths known.

    Locals are unique within it. A function with a result ends every path in `Return` or `Trap`.
    """

    name: str
    parameters: tuple[Local, ...]
    body: Block
    result: int | None  # width; 0 a truth value; None for a procedure
    span: Span = field(default=NOWHERE, compare=False, repr=False)


# --------------------------------------------------------------------------- state


class Role(Enum):
    """What a piece of state is to the machine of the paper (formal model, section 1)."""

    GENERAL = "register"
    FLAG = "flag"
    PC = "pc"
    MODE = "mode"
    CONTROL = "control"
    TIME = "time"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Element:
    """One piece of state: a scalar, or an array when `length` is given.

    Struct registers are split into one element per field, named `register.field`.
    """

    name: str
    width: int
    role: Role
    length: int | None = None
    bank: str | None = None  # set when a mode sees it as that banked register
    reset: int = 0
    values: tuple[tuple[str, int], ...] = ()  # the members, if it has an enumeration type
    doc: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Bank:
    """A register of which each mode sees its own copy.

    `members` pairs a mode's encoding with the element it sees; every mode is listed. Bodies read
    and write the elements by a `Select`/`If` on the mode; this record tells the checker.
    """

    name: str
    width: int
    members: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """The mode register: `members` are (name, encoding), least privileged first."""

    element: str
    width: int
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Physical memory. A description that asks how many cells there are has an element for it.

    `size` names that element: one bit wider than an address, of role GENERAL, never written, and
    2**address_width at reset. A machine with fewer cells differs in nothing but its value.
    """

    name: str
    cell_width: int
    address_width: int  # bits of a physical address; there are 2**address_width cells
    big_endian: bool  # of accesses wider than a cell
    size: str | None = None


# --------------------------------------------------------------------------- encodings


@dataclass(frozen=True, slots=True)
class BitsPiece:
    """Fixed bits of an encoding."""

    value: int
    width: int


@dataclass(frozen=True, slots=True)
class FieldPiece:
    """Bits `high` to `low` of a field."""

    field: str
    high: int
    low: int

    @property
    def width(self) -> int:
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class OperandPiece:
    """The named part of an operand (`tail`: its extension)."""

    parameter: str
    part: str


Piece: TypeAlias = BitsPiece | FieldPiece | OperandPiece


@dataclass(frozen=True, slots=True)
class Run:
    """Members of an enumeration declared together, with consecutive values: `r[0..7]`."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FieldType:
    """A parameter that is plain bits.

    `values` is given for an enumeration (only these values encode and decode, and the checker
    reports each, those of a run together); `names` lists, per value, the names the assembler
    knows, the first canonical.
    """

    width: int
    values: tuple[tuple[str, int], ...] = ()
    names: tuple[tuple[str, ...], ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def reported(self) -> tuple[Run, ...]:
        """What the checker reports apart: each value of an enumeration, or run of values."""
        runs = {value: run for run in self.runs for value in range(run.first, run.last + 1)}
        return tuple(
            dict.fromkeys(runs.get(value, Run(name, value, value)) for name, value in self.values)
        )


@dataclass(frozen=True, slots=True)
class OperandRef:
    """A parameter that is an operand; only the alternatives with these tags are allowed."""

    operand: str
    tags: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an instruction or of an operand's alternative.

    Bodies see plain ones as `Local(path)`; an operand parameter `p` is flattened into the fields
    `p.tag` (which alternative) and `p.<alternative>.<its parameter>`, recursively.
    """

    name: str
    type: FieldType | OperandRef


@dataclass(frozen=True, slots=True)
class Alternative:
    """One form of an operand: `parts` pairs part names with their pieces; `tail` follows."""

    name: str
    tag: int
    parameters: tuple[Parameter, ...]
    parts: tuple[tuple[str, tuple[Piece, ...]], ...]
    tail: tuple[Piece, ...]
    assembly: str
    constraint: Expr | None = None  # over its own parameters, as `Local(name)`


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand with several forms (an addressing mode, a prefix ...)."""

    name: str
    tag_width: int
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A flattened field of an instruction: what bodies read as `Local(name, width)`."""

    name: str
    width: int
    values: tuple[tuple[str, int], ...] = ()  # the members, if an enumeration


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    `encoding` is read from the most significant bit of the first fetch unit on; tails that it does
    not place follow at the end in parameter order. Bits of a field that the encoding does not
    mention are 0. `constraint` (over the flattened fields) restricts the operands.

    The body sees the fields as `Local(field)` and the address of the following instruction as
    `Local("next")` (pc plus the length in cells). The pc element holds the instruction's own
    address while the body runs; a body that does not write it retires with pc = next.
    """

    name: str  # as the manual writes it; unique
    parameters: tuple[Parameter, ...]
    fields: tuple[Field, ...]
    encoding: tuple[Piece, ...]
    assembly: str
    body: Block
    constraint: Expr | None = None
    doc: str = ""
    page: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Fetch:
    """How instructions lie in memory: in units of `unit_width` bits, fetched one by one.

    Within a unit, cells are ordered by the memory's byte order. A field piece wider than a unit
    that starts at a unit boundary occupies whole units in the memory's byte order.
    """

    unit_width: int


# --------------------------------------------------------------------------- traps


@dataclass(frozen=True, slots=True)
class Cause:
    """A trap cause; `delivery` runs in the state before the instruction (pc = its address).

    In `delivery`, `Local("next")` is the address of the following instruction.
    """

    name: str
    trap_class: TrapClass
    parameters: tuple[Local, ...]
    delivery: Block
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Taken between instructions when `condition` (a truth value) holds; first declared wins."""

    name: str
    condition: Expr
    delivery: Block


# --------------------------------------------------------------------------- configurations, claims


@dataclass(frozen=True, slots=True)
class Configuration:
    """How the machine is virtualized (formal model, section 5). Element names are flattened.

    `shadowed`: the VMM keeps the virtual value, the real one is unrelated. `passed`: the guest
    owns the real one. `mirrored`: the VMM keeps real and virtual equal; the guest may read it.
    Every control, time and device element is in exactly one of the three.

    `modes`: each virtual mode with the real mode that it runs in, the most privileged virtual mode
    first. `homes`: a passed or mirrored element of the virtual machine with the element of the real
    machine that holds it, where that is another one; that one is shadowed.

    What `compose` gives an array has its members side by side, member 0 in the lowest bits.

    `linked`: a truth value over the local `va`, and the text as written. The guest uses addresses
    for which it holds, and efficiency is asked of no others; the other verdicts hold of any guest.

    `compose`, `install` and `remove` may also name the locals `region.base` and `region.size`
    (the guest's memory) and `monitor.base`. The last two are procedures over real state:
    `install` (virtual address, physical address, rights, slot) lets the virtual page be accessed
    with the rights (3 bits: write, read, fetch); after `remove` (virtual address, slot) every
    access to it traps. Both are given or neither; with them, `page` is. Of a `second_stage` the
    pages are those of what the guest takes for physical addresses: the guest's own translation is
    done by the real machine, all of whose accesses go through the second stage.
    """

    name: str
    modes: ModeMap
    constraints: tuple[tuple[str, Expr], ...]  # text as written; a truth value over real state
    shadowed: tuple[str, ...]
    passed: tuple[str, ...]
    mirrored: tuple[str, ...]
    compose: tuple[tuple[str, Expr], ...] = ()  # element, value over virtual state and region
    page: int | None = None  # cells; translation is uniform within an aligned page
    monitor_size: int = 0  # cells of real memory that the VMM keeps for its tables
    install: Function | None = None
    remove: Function | None = None
    linked: tuple[str, Expr] | None = None
    homes: tuple[tuple[str, str], ...] = ()
    monitor_fill: int = 0  # what these cells hold at the start
    second_stage: bool = False  # whether `install` and `remove` are
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def virtual_modes(self) -> tuple[str, ...]:
        return tuple(virtual for virtual, _ in self.modes)

    @property
    def real_modes(self) -> tuple[str, ...]:
        """Each once, in the order of the virtual modes."""
        return tuple(dict.fromkeys(real for _, real in self.modes))

    @property
    def real_mode(self) -> str:
        """That of the most privileged virtual mode."""
        return self.modes[0][1]


@dataclass(frozen=True, slots=True)
class InstructionClaim:
    """`claim NAME [in CONFIG] [not] PROPERTY [on COMPONENTS]`.

    `operands` restricts it to the operand set with that member name (`csrrw` on `mstatus`).
    """

    instruction: str
    operands: str | None
    configuration: str | None
    negated: bool
    property: str
    components: tuple[str, ...]
    text: str
    line: int
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VerdictClaim:
    """`claim CONFIG [letter|configured|semantic] [not] (virtualizable|recursive|hybrid|efficient)`."""

    configuration: str
    verdict: str
    negated: bool
    property: str
    text: str
    line: int
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class EscapesClaim:
    """`claim CONFIG escapes A, B` (exactly these) or `escapes include A, B` (at least)."""

    configuration: str
    instructions: tuple[str, ...]
    exactly: bool
    text: str
    line: int
    span: Span = field(default=NOWHERE, compare=False, repr=False)


Claim: TypeAlias = InstructionClaim | VerdictClaim | EscapesClaim


@dataclass(frozen=True, slots=True)
class Literature:
    """`literature "AUTHOR" claim ... [but "WHY"]`: what was written, and why we find otherwise."""

    author: str
    claim: Claim
    but: str  # empty: we should find the same


@dataclass(frozen=True, slots=True)
class Isa:
    """A description, checked and typed."""

    name: str
    title: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    elements: tuple[Element, ...]
    banks: tuple[Bank, ...]
    mode: Mode
    pc: str  # element name; counts memory cells
    memory: Memory
    fetch: Fetch
    translate: str  # function (address, access: 2 bits, size: 8 bits, mode) -> physical address
    functions: tuple[Function, ...]
    operands: tuple[Operand, ...]
    instructions: tuple[Instruction, ...]
    causes: tuple[Cause, ...]
    undecodable: Trap  # what a word that is no instruction does
    interrupts: tuple[Interrupt, ...]
    invariants: tuple[tuple[str, Expr], ...]  # text as written; hold in every reachable state
    configurations: tuple[Configuration, ...]
    claims: tuple[Claim, ...]
    literature: tuple[Literature, ...] = ()
