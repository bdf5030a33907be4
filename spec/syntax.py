"""The syntax tree: a description as it is written, before names and types mean anything.

Spans never compare, so two trees are equal when they say the same.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from spec.source import Span


@dataclass(frozen=True, slots=True)
class _Node:
    span: Span = field(kw_only=True, compare=False, repr=False)


# --------------------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Name(_Node):
    name: str


@dataclass(frozen=True, slots=True)
class Number(_Node):
    """A number without a width; `text` is how it was written."""

    value: int
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Sized(_Node):
    value: int
    width: int
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Text(_Node):
    """A string (bits of an encoding, in a family's column)."""

    value: str


@dataclass(frozen=True, slots=True)
class Unary(_Node):
    operator: str
    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Binary(_Node):
    operator: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True)
class Call(_Node):
    function: "Expr"
    arguments: tuple["Expr | Named", ...]


@dataclass(frozen=True, slots=True)
class Named(_Node):
    """A named argument."""

    name: str
    value: "Expr"


@dataclass(frozen=True, slots=True)
class Index(_Node):
    base: "Expr"
    index: "Expr"


@dataclass(frozen=True, slots=True)
class Slice(_Node):
    base: "Expr"
    high: "Expr"
    low: "Expr"


@dataclass(frozen=True, slots=True)
class Field(_Node):
    base: "Expr"
    name: str


@dataclass(frozen=True, slots=True)
class IfExpr(_Node):
    condition: "Expr"
    then: "Expr"
    orelse: "Expr"


@dataclass(frozen=True, slots=True)
class ExprArm(_Node):
    patterns: tuple["Pattern", ...]
    value: "Expr"


@dataclass(frozen=True, slots=True)
class MatchExpr(_Node):
    subject: "Expr"
    arms: tuple[ExprArm, ...]


Expr: TypeAlias = (
    Name
    | Number
    | Sized
    | Text
    | Unary
    | Binary
    | Call
    | Index
    | Slice
    | Field
    | IfExpr
    | MatchExpr
)


@dataclass(frozen=True, slots=True)
class NamePattern(_Node):
    """`_`, an enumeration's member, or an operand's alternative with names for its parameters."""

    name: str
    binders: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class NumberPattern(_Node):
    value: int
    width: int | None
    text: str = field(compare=False)


Pattern: TypeAlias = NamePattern | NumberPattern


@dataclass(frozen=True, slots=True)
class Type(_Node):
    """`name`, `name(argument)`, and either with `[length]`."""

    name: str
    argument: Expr | None
    length: Expr | None


# --------------------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Let(_Node):
    name: str
    type: Type | None
    value: Expr
    mutable: bool


@dataclass(frozen=True, slots=True)
class Assignment(_Node):
    target: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Evaluate(_Node):
    """A call for its effects."""

    value: Expr


@dataclass(frozen=True, slots=True)
class If(_Node):
    condition: Expr
    then: "Block"
    orelse: "Block | If | None"


@dataclass(frozen=True, slots=True)
class Arm(_Node):
    patterns: tuple[Pattern, ...]
    body: "Block"
    braces: bool = field(compare=False)


@dataclass(frozen=True, slots=True)
class Match(_Node):
    subject: Expr
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class For(_Node):
    name: str
    first: Expr
    last: Expr
    body: "Block"


@dataclass(frozen=True, slots=True)
class Trap(_Node):
    cause: str
    arguments: tuple[Expr | Named, ...]
    trap_class: str | None


@dataclass(frozen=True, slots=True)
class Require(_Node):
    condition: Expr
    otherwise: Trap | None


@dataclass(frozen=True, slots=True)
class Wait(_Node):
    pass


@dataclass(frozen=True, slots=True)
class Return(_Node):
    value: Expr


Stmt: TypeAlias = Let | Assignment | Evaluate | If | Match | For | Require | Trap | Wait | Return


@dataclass(frozen=True, slots=True)
class Block(_Node):
    statements: tuple[Stmt, ...]


# --------------------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class Title(_Node):
    text: str


@dataclass(frozen=True, slots=True)
class Extends(_Node):
    path: str
    bindings: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Include(_Node):
    path: str


@dataclass(frozen=True, slots=True)
class Remark(_Node):
    """`source` or `note`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Param(_Node):
    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class When(_Node):
    condition: Expr
    then: tuple["Item", ...]
    orelse: tuple["Item", ...] | None


@dataclass(frozen=True, slots=True)
class Remove(_Node):
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Replace(_Node):
    declaration: "Declaration"


@dataclass(frozen=True, slots=True)
class TypeDef(_Node):
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Member(_Node):
    """With `first` and `last` (both or neither): one member for each number from one to the other."""

    name: str
    value: Expr | None
    first: Expr | None = None
    last: Expr | None = None


@dataclass(frozen=True, slots=True)
class Enum(_Node):
    name: str
    type: Type
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Mode(_Node):
    name: str
    type: Type | None
    members: tuple[Member, ...]
    reset: Expr | None


@dataclass(frozen=True, slots=True)
class StructField(_Node):
    """Placed at `high..low`, or packed with a type."""

    name: str
    high: Expr | None
    low: Expr | None
    type: Type | None


@dataclass(frozen=True, slots=True)
class Struct(_Node):
    name: str
    type: Type | None
    fields: tuple[StructField, ...]


@dataclass(frozen=True, slots=True)
class Names(_Node):
    name: str
    type: Type
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State(_Node):
    role: str
    names: tuple[str, ...]
    type: Type
    zero: Expr | None
    reset: Expr | None


@dataclass(frozen=True, slots=True)
class Bank(_Node):
    name: str
    type: Type
    members: tuple[tuple[str, str], ...]
    reset: Expr | None


@dataclass(frozen=True, slots=True)
class Alias(_Node):
    name: str
    type: Type
    value: Expr


@dataclass(frozen=True, slots=True)
class Memory(_Node):
    name: str
    type: Type
    endian: str | None


@dataclass(frozen=True, slots=True)
class Fetch(_Node):
    width: Expr


@dataclass(frozen=True, slots=True)
class Parameter(_Node):
    name: str
    type: Type | None


@dataclass(frozen=True, slots=True)
class Translate(_Node):
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Function(_Node):
    name: str
    parameters: tuple[Parameter, ...]
    result: Type | None
    body: Block


@dataclass(frozen=True, slots=True)
class Accessor(_Node):
    name: str
    parameters: tuple[Parameter, ...]
    type: Type
    read: Block
    written: str
    write: Block


@dataclass(frozen=True, slots=True)
class Cause(_Node):
    name: str
    parameters: tuple[Parameter, ...]
    trap_class: str
    delivery: Block


@dataclass(frozen=True, slots=True)
class Undecodable(_Node):
    trap: Trap


@dataclass(frozen=True, slots=True)
class Interrupt(_Node):
    name: str
    condition: Expr
    delivery: Block


@dataclass(frozen=True, slots=True)
class Invariant(_Node):
    condition: Expr


@dataclass(frozen=True, slots=True)
class Before(_Node):
    """What every instruction begins with."""

    body: Block


@dataclass(frozen=True, slots=True)
class BitsPiece(_Node):
    """`"0101"` or a sized number."""

    value: int
    width: int
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class NamePiece(_Node):
    """A parameter, a column, or (in an alternative) the name of the part that begins here."""

    name: str


@dataclass(frozen=True, slots=True)
class SlicePiece(_Node):
    name: str
    high: Expr
    low: Expr | None


@dataclass(frozen=True, slots=True)
class PartPiece(_Node):
    operand: str
    part: str


Piece: TypeAlias = BitsPiece | NamePiece | SlicePiece | PartPiece


@dataclass(frozen=True, slots=True)
class Alternative(_Node):
    name: str
    parameters: tuple[Parameter, ...]
    pieces: tuple[Piece, ...]
    constraint: Expr | None
    assembly: str


@dataclass(frozen=True, slots=True)
class Operand(_Node):
    name: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class OperandSubset(_Node):
    name: str
    base: str
    keep: bool  # `only` rather than `except`
    alternatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row(_Node):
    """A member of a family."""

    name: str
    quoted: bool = field(compare=False)
    mnemonic: str | None
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Instruction(_Node):
    """`rows` is empty unless this is a family with `columns`; then `name` is None."""

    name: str | None
    parameters: tuple[Parameter, ...]
    encoding: tuple[Piece, ...]
    constraint: Expr | None
    assembly: str | None
    doc: str
    page: str
    body: Block
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class AsModes(_Node):
    virtual: tuple[str, ...]
    real: str


@dataclass(frozen=True, slots=True)
class Constrain(_Node):
    condition: Expr


@dataclass(frozen=True, slots=True)
class Keep(_Node):
    """`shadow`, `pass` or `mirror` with dotted component names (or `rest`), and for each the one
    that holds it on the real machine, if that is said."""

    kind: str
    components: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Compose(_Node):
    """`member` names the number of an array's member in `value`."""

    component: str
    member: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class PageSize(_Node):
    cells: Expr


@dataclass(frozen=True, slots=True)
class MonitorSize(_Node):
    """`fill` is what each cell holds at the start."""

    cells: Expr
    fill: Expr | None


@dataclass(frozen=True, slots=True)
class TableRoutine(_Node):
    """`kind` is `install` or `remove`."""

    kind: str
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Linked(_Node):
    """The virtual addresses that the guest uses."""

    name: str
    condition: Expr


ConfigurationItem: TypeAlias = (
    AsModes | Constrain | Keep | Compose | PageSize | MonitorSize | TableRoutine | Linked
)


@dataclass(frozen=True, slots=True)
class Virtualize(_Node):
    name: str
    items: tuple[ConfigurationItem, ...]


@dataclass(frozen=True, slots=True)
class ClaimProperty(_Node):
    """About an instruction or a configuration, whichever `subject` names."""

    subject: str
    operands: str | None
    verdict: str | None
    negated: bool
    property: str
    components: tuple[str, ...]
    configuration: str | None


@dataclass(frozen=True, slots=True)
class ClaimEscapes(_Node):
    configuration: str
    instructions: tuple[str, ...]
    exactly: bool


@dataclass(frozen=True, slots=True)
class Literature(_Node):
    """What somebody has written: a claim that need not hold; `but` is why it does not."""

    author: str
    claim: ClaimProperty | ClaimEscapes
    but: str  # empty if it should hold


Declaration: TypeAlias = (
    TypeDef
    | Enum
    | Mode
    | Struct
    | Names
    | State
    | Bank
    | Alias
    | Memory
    | Fetch
    | Translate
    | Function
    | Accessor
    | Cause
    | Undecodable
    | Interrupt
    | Invariant
    | Before
    | Operand
    | OperandSubset
    | Instruction
    | Virtualize
    | ClaimProperty
    | ClaimEscapes
    | Literature
)
Item: TypeAlias = Title | Extends | Include | Remark | Param | When | Remove | Replace | Declaration


@dataclass(frozen=True, slots=True)
class Source(_Node):
    """One file."""

    items: tuple[Item, ...]
