"""A small machine built by hand, to try the engines on without the front end.

Words of 16 bits, relocation `R` and bound `B`, two general registers, modes user and supervisor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spec.ir import (
    Binary,
    BinaryOp,
    Cause,
    Compare,
    CompareOp,
    Concat,
    Element,
    Expr,
    Extend,
    Extract,
    Fetch,
    Field,
    Function,
    If,
    Instruction,
    Interrupt,
    Isa,
    Literal,
    Load,
    LoadPhysical,
    Local,
    Memory,
    Mode,
    Read,
    Return,
    Role,
    Stmt,
    Store,
    StorePhysical,
    Trap,
    TrapClass,
    Wait,
    Write,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A decoded instruction of the small machine."""

    instruction: Instruction
    fields: Mapping[str, int]
    length: int = 1


def _add(left: Expr, right: Expr) -> Expr:
    return Binary(BinaryOp.ADD, left, right, left.width)


def instruction(name: str, *body: Stmt) -> Instruction:
    """An instruction with one field `n` of 8 bits."""
    return Instruction(name, (), (Field("n", 8),), (), "", body)


_N = Local("n", 8)
_A = Read("A", 16)
_SUPERVISOR = Compare(CompareOp.EQ, Read("M", 1), Literal(1, 1))
_PRIVILEGED = If(_SUPERVISOR, (), (Trap("privileged", TrapClass.PRIVILEGE),))
_WIDE_N = Extend(_N, False, 16)

INSTRUCTIONS = (
    instruction("SET", Write("A", _WIDE_N)),
    instruction("ADD", Write("A", _add(_A, _WIDE_N))),
    instruction("GET", Load("v", _N, 16), Write("A", Local("v", 16))),
    instruction("PUT", Store(_N, _A, 16)),
    instruction("JUMP", Write("P", _N)),
    instruction(
        "LOOP",
        Write("A", Binary(BinaryOp.SUB, _A, Literal(1, 16), 16)),
        If(Compare(CompareOp.NE, _A, Literal(0, 16)), (Write("P", _N),), ()),
    ),
    instruction("RELOCATE", _PRIVILEGED, Write("R", _N)),
    instruction("USER", _PRIVILEGED, Write("M", Literal(0, 1)), Write("P", _N)),
    instruction("PUT_TRAP", Store(_N, _A, 16), Trap("call", TrapClass.CALL, (_A,))),
    instruction("WAIT", Wait()),
    instruction("ENABLE", _PRIVILEGED, Write("I", Extract(_N, 0, 0))),
)


def decode(unit: Callable[[int], int]) -> Word | None:
    """The upper byte is the number of the instruction, the lower one `n`."""
    word = unit(0)
    if word >> 8 >= len(INSTRUCTIONS):
        return None
    return Word(INSTRUCTIONS[word >> 8], {"n": word & 0xFF})


def _deliver(code: int) -> tuple[Stmt, ...]:
    saved = Concat(Read("M", 1), Concat(Literal(code, 7), Read("P", 8), 15), 16)
    return (
        StorePhysical(Literal(0, 8), saved, 16),
        LoadPhysical("new", Literal(1, 8), 16),
        Write("I", Literal(0, 1)),
        Write("M", Literal(1, 1)),
        Write("P", Extract(Local("new", 16), 7, 0)),
    )


_VA = Local("va", 8)
_TRANSLATE = Function(
    "translate",
    (_VA, Local("access", 2), Local("size", 8), Local("mode", 1)),
    (
        If(
            Compare(CompareOp.ULE, Read("B", 8), _VA),
            (Trap("outside", TrapClass.MEMORY, (_VA,)),),
            (),
        ),
        Return(_add(Read("R", 8), _VA)),
    ),
    8,
)

SMALL = Isa(
    name="small",
    title="A small machine",
    sources=(),
    notes=(),
    elements=(
        Element("A", 16, Role.GENERAL),
        Element("P", 8, Role.PC, reset=2),
        Element("M", 1, Role.MODE, reset=1, values=(("user", 0), ("supervisor", 1))),
        Element("R", 8, Role.CONTROL),
        Element("B", 8, Role.CONTROL, reset=255),
        Element("I", 1, Role.CONTROL),
        Element("T", 4, Role.TIME),
    ),
    banks=(),
    mode=Mode("M", 1, (("user", 0), ("supervisor", 1))),
    pc="P",
    memory=Memory("E", 16, 8, True),
    fetch=Fetch(16),
    translate="translate",
    functions=(_TRANSLATE,),
    operands=(),
    instructions=INSTRUCTIONS,
    causes=(
        Cause("privileged", TrapClass.PRIVILEGE, (), _deliver(1)),
        Cause("outside", TrapClass.MEMORY, (_VA,), _deliver(2)),
        Cause("call", TrapClass.CALL, (Local("a", 16),), _deliver(3)),
        Cause("undefined", TrapClass.FAULT, (), (Load("v", Literal(255, 8), 16), *_deliver(4))),
    ),
    undecodable=Trap("undefined", TrapClass.FAULT),
    interrupts=(
        Interrupt(
            "clock",
            Compare(CompareOp.EQ, Concat(Read("I", 1), Read("T", 4), 5), Literal(0b1_1111, 5)),
            _deliver(5),
        ),
    ),
    invariants=(),
    configurations=(),
    claims=(),
)
