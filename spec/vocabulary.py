"""What names stand for when IR becomes text again: types, functions, banks, zero registers.

The IR keeps widths only. An enumeration of state elements is named as the mode, or after the first
element (or field) that has it.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spec import ir
from spec.concatenation import pieces
from spec.effects import operands, statements
from spec.expressions import children
from spec.inferred import Inferred, bits_or, infer
from spec.lower_builtins import BUILTINS
from spec.parse import GRAMMAR
from spec.types import Address, Bits, Enumeration, Type, flatten

KEYWORDS = BUILTINS.union(
    ["let", "var", "if", "then", "else", "match", "for", "in", "require", "trap", "wait", "return"],
    ["true", "false", "next", "bool", "int"],
)
"""No local is called so."""


@functools.cache
def statement_words() -> frozenset[str]:
    """Words that cannot begin an assignment, as they begin a declaration or a statement."""
    grammar = GRAMMAR.read_text(encoding="utf-8")
    listed = [word for found in re.findall(r"/\(([a-z|]+)\)", grammar) for word in found.split("|")]
    return frozenset([*re.findall(r'"([a-z]+)"', grammar), *listed])


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the fields of a register with fields lie, from the highest down: element, low bit."""

    width: int
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the text of one description's bodies may refer to."""

    mode: Enumeration
    memory: ir.Memory
    virtual_width: int
    pc_width: int
    elements: Mapping[str, ir.Element]
    banks: tuple[ir.Bank, ...]
    mode_element: str
    enumerations: Mapping[tuple[tuple[str, int], ...], Enumeration]
    functions: Mapping[str, ir.Function]
    called: Mapping[str, str]  # by function: its name in text
    causes: Mapping[str, ir.Cause]
    inferred: Inferred
    operands: Mapping[frozenset[str], ir.Operand]  # by the names of their fields
    structs: Mapping[str, Layout]
    zeros: Mapping[str, int]  # arrays of which one element reads 0 and ignores writes
    taken: frozenset[str]  # names that no local may have

    @property
    def physical(self) -> Address:
        return Address(True, self.memory.address_width)

    @property
    def virtual(self) -> Address:
        return Address(False, self.virtual_width)

    @property
    def usual_trap(self) -> str | None:
        """The cause that `require` means when it names none."""
        found = [
            c.name
            for c in self.causes.values()
            if c.trap_class is ir.TrapClass.PRIVILEGE and not c.parameters
        ]
        return found[0] if len(found) == 1 else None

    def enumeration(self, values: tuple[tuple[str, int], ...]) -> Enumeration | None:
        return self.enumerations.get(values)

    def type_of_element(self, name: str) -> Type:
        element = self.elements[name]
        return self.enumeration(element.values) or Bits(element.width)

    def grouped(self, parameters: Sequence[ir.Local]) -> list[tuple[str, ...]]:
        """The names of parameters, those of the fields of one operand together."""
        names = [p.name for p in parameters]
        groups: list[tuple[str, ...]] = []
        while names:
            prefix = names[0].removesuffix(".tag")
            fields = [n for n in names if n.startswith(f"{prefix}.")]
            group = tuple(fields if self.operand(prefix, names) else names[:1])
            groups.append(group)
            names = [n for n in names if n not in group]
        return groups

    def operand(self, prefix: str, names: Iterable[str]) -> ir.Operand | None:
        """The operand whose fields begin with a prefix, among names of locals."""
        own = [n.removeprefix(prefix) for n in names if n.startswith(f"{prefix}.")]
        return self.operands.get(frozenset(own))

    def types_of_tags(self, names: Iterable[str]) -> dict[str, Type]:
        """For locals that say which form an operand has: the forms by their names."""
        known = list(names)
        found: dict[str, Type] = {}
        for tag in known:
            operand = (
                self.operand(tag.removesuffix(".tag"), known) if tag.endswith(".tag") else None
            )
            if operand is not None:
                forms = tuple((form.name, form.tag) for form in operand.alternatives)
                found[tag] = Enumeration(operand.name, operand.tag_width, forms)
        return found

    def type_of_parameter(self, function: str, parameter: ir.Local) -> Type:
        tags = self.types_of_tags(p.name for p in self.functions[function].parameters)
        if parameter.name in tags:
            return tags[parameter.name]
        found = self.inferred.parameters.get((function, parameter.name))
        return bits_or(found, parameter.width)

    def type_of_result(self, function: str) -> Type:
        if self.called[function] == "translate":
            return self.physical
        return bits_or(self.inferred.results.get(function), self.functions[function].result or 0)

    def type_of_argument(self, cause: str, parameter: ir.Local) -> Type:
        """The type of a cause's parameter."""
        return bits_or(self.inferred.causes.get((cause, parameter.name)), parameter.width)

    def is_struct_array(self, name: str) -> bool:
        """Whether the array is a field of an array of structs: written `R[i].field`."""
        struct, dot, _ = name.rpartition(".")
        lengths = {e.length for n, e in self.elements.items() if n.rpartition(".")[0] == struct}
        return bool(dot) and len(lengths) == 1 and None not in lengths


def vocabulary(isa: ir.Isa, mode_name: str | None = None) -> Vocabulary:
    """The vocabulary of a description; `mode_name` is what the type of the mode is called."""
    elements = {e.name: e for e in isa.elements}
    translate = next(f for f in isa.functions if f.name == isa.translate)
    enumerations = _enumerations(isa, mode_name or isa.mode.element)
    functions = {f.name: f for f in isa.functions}
    called = _called(functions, isa.translate)
    members = {m for e in enumerations.values() for m, _ in e.members}
    state = {n.split(".")[0] for n in elements} | {b.name for b in isa.banks}
    state |= {e.name for e in enumerations.values()}
    return Vocabulary(
        mode=enumerations[isa.mode.members],
        memory=isa.memory,
        virtual_width=translate.parameters[0].width,
        pc_width=elements[isa.pc].width,
        elements=elements,
        banks=isa.banks,
        mode_element=isa.mode.element,
        enumerations=enumerations,
        functions=functions,
        called=called,
        causes={c.name: c for c in isa.causes},
        inferred=infer(isa, enumerations),
        operands=_operands(isa),
        structs=_structs(isa),
        zeros=_zeros(isa),
        taken=KEYWORDS | members | state | frozenset(called.values()) | {isa.memory.name},
    )


def _enumerations(isa: ir.Isa, mode_name: str) -> dict[tuple[tuple[str, int], ...], Enumeration]:
    found = {isa.mode.members: Enumeration(mode_name, isa.mode.width, isa.mode.members)}
    taken = {mode_name, *(e.name.split(".")[0] for e in isa.elements)}
    holders: list[tuple[str, int, tuple[tuple[str, int], ...]]] = [
        (e.name, e.width, e.values) for e in isa.elements if e.values
    ]
    holders += [(f.name, f.width, f.values) for i in isa.instructions for f in i.fields if f.values]
    for name, width, values in holders:
        if values in found:
            continue
        word = re.sub(r"\W", "_", name.rpartition(".")[2])
        wish = word[:1].upper() + word[1:]
        while wish in taken:
            wish += "_"
        taken.add(wish)
        found[values] = Enumeration(wish, width, values)
    return found


def layout(expr: ir.Expr) -> Layout | None:
    """The layout by which an expression puts elements together, zeros between them."""
    width = expr.width
    if isinstance(expr, ir.Extend) and not expr.signed:
        expr = expr.operand
    found: list[tuple[str, int]] = []
    low = 0
    for piece in reversed(pieces(expr)):
        match piece:
            case ir.Read(element, _, None):
                found.append((element, low))
            case ir.Literal(0):
                pass
            case _:
                return None
        low += piece.width
    return Layout(width, tuple(reversed(found)))


def _structs(isa: ir.Isa) -> dict[str, Layout]:
    """The registers with several fields that are somewhere read as a whole."""
    fields: dict[str, list[str]] = {}
    for element in isa.elements:
        struct, dot, _ = element.name.rpartition(".")
        if dot and element.length is None:
            fields.setdefault(struct, []).append(element.name)
    found: dict[str, Layout] = {}

    def look(expr: ir.Expr) -> None:
        if isinstance(expr, ir.Concat):
            made = layout(expr)
            struct = made.fields[0][0].rpartition(".")[0] if made and made.fields else ""
            names = [name for name, _ in made.fields] if made else []
            if made is not None and len(names) > 1 and fields.get(struct) == names:
                found.setdefault(struct, made)
                return
        for child in children(expr):
            look(child)

    for body in bodies(isa):
        for statement in statements(body):
            for expr in operands(statement):
                look(expr)
    return found


def _operands(isa: ir.Isa) -> dict[frozenset[str], ir.Operand]:
    by_name = {o.name: o for o in isa.operands}
    found: dict[frozenset[str], ir.Operand] = {}
    for operand in isa.operands:
        tags = tuple(form.tag for form in operand.alternatives)
        fields = flatten("", ir.OperandRef(operand.name, tags), by_name)
        found.setdefault(frozenset(f.name for f in fields), operand)
    return found


def _called(functions: Mapping[str, ir.Function], translate: str) -> dict[str, str]:
    """Names as words: `read<n=32>` is `read_32`, the writing half `X=` of an accessor `write_X`."""
    names: dict[str, str] = {translate: "translate"}
    for name in functions:
        if name == translate:
            continue
        numbers = "".join(f"_{n}" for n in re.findall(r"=(-?\d+)>", name)).replace("-", "m")
        word = re.sub(r"[^\w.]", "_", name.partition("<")[0].rstrip("=")) + numbers
        if name.endswith("="):
            word = f"write_{word}"
        while word in names.values() or word in KEYWORDS:
            word += "_"
        names[name] = word
    return names


# --------------------------------------------------------------------------- zero registers


def bodies(isa: ir.Isa) -> Iterator[ir.Block]:
    """All blocks of a description."""
    yield from (f.body for f in isa.functions)
    yield from (i.body for i in isa.instructions)
    yield from (c.delivery for c in isa.causes)
    yield from (i.delivery for i in isa.interrupts)


def guarded_read(expr: ir.Expr) -> tuple[ir.Read, int] | None:
    """A read of an array at an index, or 0 at one index: both, if the expression is that."""
    match expr:
        case ir.Select(
            ir.Compare(ir.CompareOp.EQ, at, ir.Literal(zero)),
            ir.Literal(0),
            ir.Read(_, _, index) as read,
        ) if index is not None and at == index:
            return read, zero
        case _:
            return None


def guarded_write(statement: ir.Stmt) -> tuple[ir.Write, int] | None:
    """A write to an array but for one index: both, if the statement is that."""
    match statement:
        case ir.If(
            ir.Compare(ir.CompareOp.NE, at, ir.Literal(zero)), (ir.Write(_, _, index) as write,), ()
        ) if index is not None and at == index:
            return write, zero
        case _:
            return None


def _zeros(isa: ir.Isa) -> dict[str, int]:
    """The arrays whose every use leaves out one index, the same one."""
    found: dict[str, set[int | None]] = {}

    def look(expr: ir.Expr) -> None:
        guarded = guarded_read(expr)
        if guarded is not None:
            found.setdefault(guarded[0].element, set()).add(guarded[1])
            if guarded[0].index is not None:
                look(guarded[0].index)
            return
        if isinstance(expr, ir.Read) and expr.index is not None:
            found.setdefault(expr.element, set()).add(None)
        for child in children(expr):
            look(child)

    for body in bodies(isa):
        safe: set[int] = set()
        for statement in statements(body):
            guarded = guarded_write(statement)
            if guarded is not None:
                found.setdefault(guarded[0].element, set()).add(guarded[1])
                safe.add(id(guarded[0]))
            elif isinstance(statement, ir.Write) and statement.index is not None:
                zero = {None} if id(statement) not in safe else set()
                found.setdefault(statement.element, set()).update(zero)
            for expr in operands(statement):
                look(expr)
    for expr in _conditions(isa):
        look(expr)
    return {n: z for n, zeros in found.items() if len(zeros) == 1 for z in zeros if z is not None}


def _conditions(isa: ir.Isa) -> Iterable[ir.Expr]:
    yield from (i.condition for i in isa.interrupts)
    yield from (e for _, e in isa.invariants)
