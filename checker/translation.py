"""What a description's `translate` routine depends on, found in its text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from spec.expressions import reads
from spec.ir import (
    Assign,
    Block,
    Call,
    Choose,
    Expr,
    If,
    Isa,
    Load,
    LoadPhysical,
    Probe,
    Return,
    Role,
    Stmt,
    Store,
    StorePhysical,
    Translate,
    Trap,
    TrapClass,
    Wait,
    Write,
)


@dataclass(frozen=True, slots=True)
class Translation:
    """Elements and memory that `translate` and what it calls may read; whether it is a function
    of them that traps with memory traps only."""

    reads: frozenset[str]
    control: frozenset[str]  # those it reads that have the role control
    reads_memory: bool
    pure: bool  # it changes nothing and leaves nothing open
    memory_traps_only: bool


def translation(isa: Isa) -> Translation:
    (translate,) = [function for function in isa.functions if function.name == isa.translate]
    statements = list(reached(isa, translate.body))
    read = frozenset(name for s in statements for e in expressions(s) for name in reads(e))
    control = {e.name for e in isa.elements if e.role is Role.CONTROL}
    return Translation(
        reads=read,
        control=read & control,
        reads_memory=any(isinstance(s, LoadPhysical | Load) for s in statements),
        pure=not any(
            isinstance(s, Write | Store | StorePhysical | Choose | Wait) for s in statements
        ),
        memory_traps_only=all(
            s.trap_class is TrapClass.MEMORY for s in statements if isinstance(s, Trap)
        ),
    )


def reached(isa: Isa, block: Block) -> Iterator[Stmt]:
    """Every statement of a block and of what it calls; translation of addresses is no call."""
    functions = {function.name: function for function in isa.functions}
    done: set[str] = set()
    left = [block]
    while left:
        for statement in statements_of(left.pop()):
            yield statement
            if isinstance(statement, Call) and statement.function not in done:
                done.add(statement.function)
                left.append(functions[statement.function].body)


class StoresInView:
    """Which texts go on using the view after they have stored in it."""

    def __init__(self, isa: Isa) -> None:
        self._functions = {function.name: function for function in isa.functions}
        self._known: dict[tuple[str, bool], tuple[bool, bool]] = {}

    def goes_on(self, block: Block) -> bool:
        """Whether an access through the view may follow a store through it."""
        return self._ends(block, False)[1]

    def _ends(self, block: Block, stored: bool) -> tuple[bool, bool]:
        """Whether it may have stored at the end, and whether an access followed a store."""
        goes_on = False
        for statement in block:
            match statement:
                case Load() | Store() | Translate() | Probe():
                    goes_on = goes_on or stored
                    stored = stored or isinstance(statement, Store)
                case If(_, then, orelse):
                    arms = [self._ends(arm, stored) for arm in (then, orelse)]
                    stored = any(arm[0] for arm in arms)
                    goes_on = goes_on or any(arm[1] for arm in arms)
                case Call(_, function):
                    key = (function, stored)
                    if key not in self._known:
                        self._known[key] = self._ends(self._functions[function].body, stored)
                    stored, went_on = self._known[key]
                    goes_on = goes_on or went_on
                case _:
                    pass
        return stored, goes_on


def statements_of(block: Block) -> Iterator[Stmt]:
    """Every statement of a block, those inside branches too."""
    for statement in block:
        yield statement
        if isinstance(statement, If):
            yield from statements_of(statement.then)
            yield from statements_of(statement.orelse)


def expressions(statement: Stmt) -> tuple[Expr, ...]:
    """The expressions that a statement itself evaluates."""
    match statement:
        case Assign(_, value) | Return(value):
            return (value,)
        case Write(_, value, index):
            return (value,) if index is None else (value, index)
        case Load(_, address, _, _, mode) | Translate(_, address, _, _, mode):
            return (address,) if mode is None else (address, mode)
        case Probe(_, address, _, _, mode):
            return (address,) if mode is None else (address, mode)
        case Store(address, value, _, mode):
            return (address, value) if mode is None else (address, value, mode)
        case LoadPhysical(_, address):
            return (address,)
        case StorePhysical(address, value):
            return (address, value)
        case Call(_, _, arguments) | Trap(_, _, arguments):
            return arguments
        case If(condition):
            return (condition,)
        case Choose() | Wait():
            return ()
        case _:
            assert_never(statement)
