"""The types of the language and the values the type checker passes around."""

from dataclasses import dataclass
from typing import TypeAlias

from spec import ir


@dataclass(frozen=True, slots=True)
class Bits:
    width: int

    def __str__(self) -> str:
        return f"bits({self.width})"


@dataclass(frozen=True, slots=True)
class Enumeration:
    name: str
    width: int
    members: tuple[tuple[str, int], ...]
    runs: tuple[ir.Run, ...] = ()

    def __str__(self) -> str:
        return self.name

    def run(self, name: str) -> ir.Run | None:
        """The members declared together under a name."""
        return next((run for run in self.runs if run.name == name), None)


@dataclass(frozen=True, slots=True)
class StructField:
    name: str
    high: int
    low: int
    type: "Bits | Enumeration"


@dataclass(frozen=True, slots=True)
class Struct:
    name: str
    width: int
    fields: tuple[StructField, ...]  # from the highest bit down, not overlapping

    def __str__(self) -> str:
        return self.name

    def field(self, name: str) -> StructField | None:
        return next((f for f in self.fields if f.name == name), None)


@dataclass(frozen=True, slots=True)
class Address:
    """A virtual or physical address; the two do not mix."""

    physical: bool
    width: int

    def __str__(self) -> str:
        return "paddr" if self.physical else "vaddr"


@dataclass(frozen=True, slots=True)
class NamedBits:
    """Bits that the assembler writes by name; otherwise plain bits."""

    name: str
    width: int
    names: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class OperandType:
    """An operand, restricted to the alternatives with these tags."""

    operand: ir.Operand
    tags: tuple[int, ...]
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ArrayType:
    """State only: an array is not a value."""

    element: "Type"
    length: int

    def __str__(self) -> str:
        return f"{self.element}[{self.length}]"


@dataclass(frozen=True, slots=True)
class IntType:
    """A compile-time integer (a parameter of a function)."""

    def __str__(self) -> str:
        return "int"


Type: TypeAlias = (
    Bits | Enumeration | Struct | Address | NamedBits | OperandType | ArrayType | IntType
)


@dataclass(frozen=True, slots=True)
class Value:
    """A lowered expression.

    `number` is set, and `expr` is a dummy, for a number that has no width yet. `prefix` is set for
    an operand: its fields are the locals `prefix.tag`, `prefix.alternative.parameter`.
    """

    type: Type
    expr: ir.Expr
    signed: bool = False
    number: int | None = None
    prefix: str | None = None


def number(value: int) -> Value:
    """A compile-time integer."""
    return Value(IntType(), ir.Boolean(False), number=value)


def width_of(kind: Type) -> int | None:
    """Bits of a value of this type; None for operands, arrays and integers."""
    match kind:
        case Bits(width) | Address(_, width):
            return width
        case Enumeration() | Struct() | NamedBits():
            return kind.width
        case OperandType() | ArrayType() | IntType():
            return None


def flatten(
    name: str, parameter: ir.FieldType | ir.OperandRef, operands: dict[str, ir.Operand]
) -> tuple[ir.Field, ...]:
    """The flattened fields of a parameter (see `ir.Parameter`)."""
    if isinstance(parameter, ir.FieldType):
        return (ir.Field(name, parameter.width, parameter.values),)
    operand = operands[parameter.operand]
    fields = [ir.Field(f"{name}.tag", operand.tag_width)]
    for alternative in operand.alternatives:
        for inner in alternative.parameters:
            fields += flatten(f"{name}.{alternative.name}.{inner.name}", inner.type, operands)
    return tuple(fields)
