"""What a description is made of, as far as it suggests what programs should try."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spec import ir
from spec.effects import operands, statements
from spec.expressions import children, reads

_OUTSIDE = (ir.Role.MODE, ir.Role.CONTROL, ir.Role.TIME, ir.Role.DEVICE)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Read from the bodies of one description, once."""

    sensitive: tuple[ir.Instruction, ...]  # touch what is not the user's, or trap by themselves
    storing: tuple[ir.Instruction, ...]
    loading: tuple[ir.Instruction, ...]
    jumping: tuple[ir.Instruction, ...]
    constants: Mapping[int, tuple[int, ...]]  # by width: what bodies compare with
    fixed_cells: tuple[int, ...]  # physical addresses that bodies name
    relocating: frozenset[str]  # elements that `translate` reads
    walking: bool  # whether `translate` reads memory
    devices: tuple[ir.Element, ...]


def vocabulary(isa: ir.Isa) -> Vocabulary:
    """What the description suggests."""
    functions = {f.name: f for f in isa.functions}
    outside = {e.name for e in isa.elements if e.role in _OUTSIDE or e.bank is not None}
    sensitive, storing, loading, jumping = [], [], [], []
    for instruction in isa.instructions:
        body = list(_reached(functions, instruction.body))
        touched = {s.element for s in body if isinstance(s, ir.Write)}
        if any(isinstance(s, ir.Store | ir.StorePhysical) for s in body):
            storing.append(instruction)
        if any(isinstance(s, ir.Load) and s.access is ir.Access.READ for s in body):
            loading.append(instruction)
        if isa.pc in touched:
            jumping.append(instruction)
        for statement in body:
            for expr in operands(statement):
                touched |= reads(expr)
        named = any(isinstance(s, ir.Trap | ir.Wait | ir.Translate | ir.Probe) for s in body)
        if touched & outside or named:
            sensitive.append(instruction)
    everything = [
        *(s for i in isa.instructions for s in statements(i.body)),
        *(s for f in isa.functions for s in statements(f.body)),
        *(s for c in isa.causes for s in statements(c.delivery)),
        *(s for i in isa.interrupts for s in statements(i.delivery)),
    ]
    return Vocabulary(
        sensitive=tuple(sensitive),
        storing=tuple(storing),
        loading=tuple(loading),
        jumping=tuple(jumping),
        constants=_constants(everything),
        fixed_cells=tuple(sorted(_fixed_cells(everything))),
        relocating=frozenset(
            name
            for s in _reached(functions, functions[isa.translate].body)
            for expr in operands(s)
            for name in reads(expr)
        ),
        walking=any(
            isinstance(s, ir.LoadPhysical)
            for s in _reached(functions, functions[isa.translate].body)
        ),
        devices=tuple(e for e in isa.elements if e.role is ir.Role.DEVICE),
    )


def _reached(functions: Mapping[str, ir.Function], block: ir.Block) -> Iterator[ir.Stmt]:
    """The statements of a block and of all functions that it calls."""
    seen: set[str] = set()
    left = [block]
    while left:
        for statement in statements(left.pop()):
            yield statement
            if isinstance(statement, ir.Call) and statement.function not in seen:
                seen.add(statement.function)
                left.append(functions[statement.function].body)


def _constants(everything: list[ir.Stmt]) -> dict[int, tuple[int, ...]]:
    found: dict[int, set[int]] = {}
    for expr in _expressions(everything):
        if isinstance(expr, ir.Compare):
            for side in (expr.left, expr.right):
                if isinstance(side, ir.Literal):
                    found.setdefault(side.width, set()).add(side.value)
    return {width: tuple(sorted(values)) for width, values in found.items()}


def _fixed_cells(everything: list[ir.Stmt]) -> set[int]:
    return {
        s.address.value
        for s in everything
        if isinstance(s, ir.LoadPhysical | ir.StorePhysical) and isinstance(s.address, ir.Literal)
    }


def _expressions(everything: list[ir.Stmt]) -> Iterator[ir.Expr]:
    left = [expr for statement in everything for expr in operands(statement)]
    seen: set[int] = set()
    while left:
        expr = left.pop()
        if id(expr) not in seen:
            seen.add(id(expr))
            yield expr
            left += children(expr)
