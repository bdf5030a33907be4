"""What names mean while a description is lowered, and how problems are collected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

from spec import ir, syntax
from spec.diagnostics import Diagnostic, Label, Severity
from spec.source import Span
from spec.types import (
    Address,
    ArrayType,
    Bits,
    Enumeration,
    NamedBits,
    Struct,
    Type,
)


class Rejected(Exception):
    """Ends the lowering of one statement or declaration; never leaves this package.

    `diagnostic` is None where the cause has been reported already.
    """

    def __init__(self, diagnostic: Diagnostic | None) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


def reject(
    code: str, message: str, span: Span, label: str = "", *, note: str = "", help: str = ""
) -> Rejected:
    return Rejected(
        Diagnostic(Severity.ERROR, code, message, Label(span, label), note=note, help=help)
    )


ScalarType: TypeAlias = Bits | Enumeration | Address | NamedBits


@dataclass(frozen=True, slots=True)
class Scalar:
    """A state element that is one value."""

    element: str
    type: ScalarType


@dataclass(frozen=True, slots=True)
class Array:
    element: str
    type: ArrayType
    zero: int | None


@dataclass(frozen=True, slots=True)
class StructState:
    """A struct kept as one element per field, `name.field`; an array of them if `length`."""

    name: str
    type: Struct
    length: int | None


@dataclass(frozen=True, slots=True)
class BankState:
    name: str
    type: ScalarType
    members: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class AliasState:
    name: str
    type: Type
    value: syntax.Expr


StateName: TypeAlias = Scalar | Array | StructState | BankState | AliasState


@dataclass(frozen=True, slots=True)
class CauseSignature:
    trap_class: ir.TrapClass
    parameters: tuple[tuple[str, Type], ...]


ACCESS = Enumeration("access", 2, tuple((a.name.lower(), a.value) for a in ir.Access))


@dataclass
class Globals:
    """Everything declared, by name. `functions` holds syntax; instances are made on demand."""

    numbers: dict[str, int] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    members: dict[str, list[tuple[Enumeration, int]]] = field(default_factory=dict)
    state: dict[str, StateName] = field(default_factory=dict)
    functions: dict[str, syntax.Function] = field(default_factory=dict)
    accessors: dict[str, syntax.Accessor] = field(default_factory=dict)
    causes: dict[str, CauseSignature] = field(default_factory=dict)
    operands: dict[str, ir.Operand] = field(default_factory=dict)
    field_types: dict[ir.FieldType, Type] = field(default_factory=dict)
    instances: dict[object, ir.Function] = field(default_factory=dict)
    uses_next: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    poisoned: set[str] = field(default_factory=set)  # declared, but not well
    diagnostics: list[Diagnostic] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    mode: Enumeration | None = None
    mode_element: str = ""
    pc: Scalar | None = None
    memory: ir.Memory | None = None
    memory_size_read: bool = False
    virtual_width: int = 0

    @property
    def failed(self) -> bool:
        """Whether an error has been found."""
        return any(d.severity is Severity.ERROR for d in self.diagnostics)

    @contextmanager
    def collecting(self, declares: frozenset[str] = frozenset()) -> Iterator[None]:
        """Record a rejection and go on after the block; the names it declares stay unknown."""
        try:
            yield
        except Rejected as rejection:
            self.poisoned |= declares
            if rejection.diagnostic is not None:
                self.diagnostics.append(rejection.diagnostic)

    def within(self, span: Span, word: str) -> Span:
        """Where `word` first stands in the span; the whole span if it does not."""
        text = self.texts.get(span.path, "")[span.start : span.end]
        start = text.find(word) if word else -1
        while start >= 0:
            end = start + len(word)
            if not (_in_word(text[max(0, start - 1) : start]) or _in_word(text[end : end + 1])):
                return Span(span.path, span.start + start, span.start + end)
            start = text.find(word, start + 1)
        return span

    def unknown(
        self, kind: str, name: str, span: Span, known: "list[str] | None" = None
    ) -> Rejected:
        """That `name` is not declared, with the nearest name that is."""
        if name in self.poisoned:
            return Rejected(None)
        if known is None:
            known = [
                *self.state,
                *self.functions,
                *self.accessors,
                *self.numbers,
                *self.members,
                *self.types,
            ]
        near = get_close_matches(name, known, 1)
        return reject(
            "E0201",
            f"unknown {kind} `{name}`",
            self.within(span, name),
            help=f"did you mean `{near[0]}`?" if near else "",
        )


def _in_word(character: str) -> bool:
    return character == "_" or character.isalnum()
