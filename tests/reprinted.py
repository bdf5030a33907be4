"""A description written again from its IR: the same state, with the bodies as they are printed."""

import re
from collections import defaultdict
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spec.concrete import ConcreteEngine
from spec.ir import (
    Element,
    FieldType,
    Instruction,
    Isa,
    Local,
    Parameter,
    Role,
    Trap,
    TrapClass,
)
from spec.load import load
from spec.outcome import Outcome, Retired
from spec.raise_declarations import Declarations
from spec.state import MachineState


def reloaded(isa: Isa) -> Isa:
    """The description, printed and read again."""
    text = description(isa)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "again.isa"
        file.write_text(text, encoding="utf-8")
        loaded = load(str(file))
    found = [(d.code, d.message, d.label, d.help) for d in loaded.diagnostics]
    assert loaded.isa is not None, f"{found}\n{text}"
    return loaded.isa


def writable(isa: Isa) -> Isa:
    """The description with names that the language has, and plain fields for operands."""
    instructions = tuple(_plain(i, n) for n, i in enumerate(isa.instructions))
    changed = replace(isa, instructions=instructions, operands=(), configurations=(), claims=())
    plain = _renamed(replace(changed, invariants=()))
    assert isinstance(plain, Isa)
    return plain


def undotted(isa: Isa) -> Isa:
    """The description with `_` for the dots in names: a monitor's are no names of the language."""

    def changed(node: Any) -> Any:
        if isinstance(node, str):
            return node if node == isa.memory.size else node.replace(".", "_")
        if isinstance(node, tuple):
            return tuple(changed(child) for child in node)
        if not is_dataclass(node) or isinstance(node, type):
            return node
        return type(node)(**{f.name: changed(getattr(node, f.name)) for f in fields(node)})

    made = changed(isa)
    assert isinstance(made, Isa)
    return made


def _plain(instruction: Instruction, number: int) -> Instruction:
    """Every field is a parameter; an operand's path becomes a word."""
    parameters = tuple(
        Parameter(_word(f.name), FieldType(f.width, f.values)) for f in instruction.fields
    )
    return replace(
        instruction,
        name=f"I{number}",
        parameters=parameters,
        fields=tuple(replace(f, name=_word(f.name)) for f in instruction.fields),
        body=_renamed(instruction.body),
        encoding=(),
        constraint=None,
    )


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _renamed(node: Any) -> Any:
    """The tree with words for the dotted names of locals; no trap is hidden."""
    if isinstance(node, tuple):
        return tuple(_renamed(child) for child in node)
    if isinstance(node, Local):
        return Local(node.name.replace(".", "_"), node.width)
    if not is_dataclass(node) or isinstance(node, Element):
        return node
    changed = {f.name: _renamed(getattr(node, f.name)) for f in fields(node)}
    if isinstance(node, Trap) and node.trap_class is TrapClass.HIDDEN:
        changed["trap_class"] = TrapClass.FAULT
    return type(node)(**changed)


def description(isa: Isa) -> str:
    """Text that declares the same state and has the printed bodies."""
    write = Declarations(isa)
    known = write.vocabulary
    lines = [f'isa "{isa.title}"', f"fetch {isa.fetch.unit_width}"]
    for kind in known.enumerations.values():
        members = ", ".join(f"{m} = {v}" for m, v in kind.members)
        is_mode = kind.name == known.mode.name
        lines.append(
            f"{'mode' if is_mode else 'enum'} {kind.name} : bits({kind.width}) {{ {members} }}"
        )
    lines += _state(isa, write)
    memory = isa.memory
    order = "big" if memory.big_endian else "little"
    lines.append(
        f"memory {memory.name} : bits({memory.cell_width})[2^{memory.address_width}] {order}"
    )
    for function in isa.functions:
        lines += write.function(function)
    for cause in isa.causes:
        lines += write.cause(cause)
    undecodable = isa.undecodable
    lines.append(f"undecodable trap {undecodable.cause} : {undecodable.trap_class.value}")
    for interrupt in isa.interrupts:
        lines += write.interrupt(interrupt)
    for number, instruction in enumerate(isa.instructions):
        head, *body = write.instruction(instruction)
        encoding = _encoding(isa, instruction, number)
        lines += [re.sub(r"\) \{", f") = {encoding} {{", head, count=1), *body]
    return "\n".join(lines) + "\n"


def _encoding(isa: Isa, instruction: Instruction, number: int) -> str:
    used = sum(f.width for f in instruction.fields)
    unit = isa.fetch.unit_width
    number_width = max(16, unit)
    padding = -(used + number_width) % unit
    pieces = [f"{number_width}'d{number}", *(f.name for f in instruction.fields)]
    return " ".join([*pieces, f"{padding}'d0"] if padding else pieces)


def _state(isa: Isa, write: Declarations) -> list[str]:
    known = write.vocabulary
    banked = {element for bank in isa.banks for _, element in bank.members}
    structs: dict[str, list[Element]] = defaultdict(list)
    lines: list[str] = []
    for element in isa.elements:
        struct, dot, _ = element.name.rpartition(".")
        if element.name in banked or element.name in (known.mode_element, isa.memory.size):
            continue
        if element.role is Role.MODE:
            element = replace(element, role=Role.CONTROL)
        if dot:
            structs[struct].append(element)
            continue
        lines += write.state([element])
    for name, members in structs.items():
        kinds = [(e.name.rpartition(".")[2], known.type_of_element(e.name)) for e in members]
        inside = ", ".join(f"{field} : {kind}" for field, kind in kinds)
        placed = known.structs.get(name)
        if placed is not None:
            size = {e.name: e.width for e in members}
            inside = ", ".join(
                f"{n.rpartition('.')[2]} @ {low + size[n] - 1}:{low}" for n, low in placed.fields
            )
        length = "" if members[0].length is None else f"[{members[0].length}]"
        wide = "" if placed is None else f" : bits({placed.width})"
        lines.append(f"struct Struct_{name}{wide} {{ {inside} }}")
        lines.append(f"{members[0].role.value} {name} : Struct_{name}{length}")
    modes = {v: m for m, v in isa.mode.members}
    for bank in isa.banks:
        shown = ", ".join(f"{modes[mode]}: {element}" for mode, element in bank.members)
        lines.append(f"bank {bank.name} : bits({bank.width}) {{ {shown} }}")
    return lines


def outcome(isa: Isa, position: int, state: MachineState, *run: Any) -> object:
    """What an instruction does, accesses apart; the state by the names of its elements."""
    ended: Outcome = ConcreteEngine(isa).execute(state, isa.instructions[position], *run)
    if isinstance(ended, Retired):
        after = ended.state
        return ended.waiting, after.scalars, after.arrays, list(after.cells.written())
    return ended.cause, ended.trap_class, ended.arguments, ended.next


def same_state(isa: Isa, state: MachineState) -> MachineState:
    """The state of another description with the same elements."""
    copy = MachineState(isa)
    assert copy.scalars.keys() == state.scalars.keys()
    assert copy.arrays.keys() == state.arrays.keys()
    copy.scalars.update(state.scalars)
    for name, values in state.arrays.items():
        copy.own_array(name)[:] = values
    copy.cells = state.cells.copy()
    return copy
