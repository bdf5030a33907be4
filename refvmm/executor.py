"""Fetches, decodes and executes by one text on the state of the real machine.

The text is a description's own, or a monitor's over the same state. An executor attempts one
instruction; if it traps, nothing has changed, and whoever owns the executor decides what is next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from spec.decoding import Decode, Decoded
from spec.effects import operands, statements
from spec.expressions import children
from spec.ir import (
    Access,
    Assign,
    Block,
    Call,
    Expr,
    If,
    Interrupt,
    Isa,
    Literal,
    Load,
    Local,
    Select,
    Stmt,
    TrapClass,
)
from spec.outcome import Accesses, Trapped
from spec.routines import EngineName, Routine, routines
from spec.runtime import WAITS, Runtime
from spec.state import MachineState

_NO_ACCESSES = Accesses()
_CLASSES = {each.value: each for each in TrapClass}
_KEPT = 1 << 16  # decoded instructions


class Hardware:
    """The state of the real machine, which everything above it shares, and changes in place."""

    __slots__ = ("_arrays", "_pages", "_scalars", "_writable", "runtime", "state", "waiting")

    def __init__(self, isa: Isa) -> None:
        self.runtime = Runtime(isa)
        self.attach(self.runtime.state)

    def attach(self, state: MachineState) -> None:
        """Work on this state from now on."""
        self.runtime.attach(state)
        self.state = state
        self.waiting = False
        self._scalars, self._arrays = state.scalars, state.arrays
        self._pages, self._writable = state.cells.pages, self.runtime.writable

    def call(self, routine: Routine, arguments: Sequence[Any] = ()) -> Any:
        """Run a routine; see `signalled`."""
        return routine(self._scalars, self._arrays, self._pages, self._writable, 1, *arguments)


Piece: TypeAlias = tuple[Routine | None, Routine]
"""A condition, None if there is none, and what is done if it holds."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Things to do one after the other, each if its condition holds when its turn comes.

    `first[n]` gives the number of the first from the n-th on whose condition holds, `len(then)`
    if none does.
    """

    first: tuple[Routine, ...]
    then: tuple[Routine, ...]


Plan: TypeAlias = Sequence[Routine | Choices]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one instruction did: `decoded` is None if it was not fetched or is no instruction."""

    decoded: Decoded | None
    trapped: Trapped | None
    emulated: bool = False  # by a monitor's interpreter routine


class Decoder:
    """Decodes, and remembers instructions of one fetch unit; executors may share it."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode
        self.known: dict[int, Decoded | None] = {}


def sharing(decode: "Decode | Decoder") -> Decoder:
    """A decoder as it is, so that what it remembers is shared; else a new one."""
    return decode if isinstance(decode, Decoder) else Decoder(decode)


class _FetchTrap(Exception):
    """Carries the trap of a fetch out through the decoder."""

    def __init__(self, trapped: Trapped) -> None:
        super().__init__()
        self.trapped = trapped


class Executor:
    """Executes by the text of `isa`.

    `fetch` is the text that fetches, for monitors: it takes `address` and `next` and puts the
    fetch unit into the element `unit`.
    """

    def __init__(
        self,
        isa: Isa,
        hardware: Hardware,
        decoder: Decoder,
        engine: EngineName,
        fetch: Block | None = None,
        unit: str | None = None,
    ) -> None:
        self.isa = isa
        self.hardware = hardware
        self._decoder = decoder
        self._texts = routines(isa, hardware.runtime, engine)
        self._bodies = {i.name: i for i in isa.instructions}
        self._instructions: dict[str, tuple[Routine, tuple[str, ...]]] = {}
        self._deliveries: dict[str, Routine] = {}
        self._signals = hardware.runtime.signals
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._pc, self._pc_mask = pc.name, (1 << pc.width) - 1
        self._next = Local("next", pc.width)
        address = Local("address", translate.parameters[0].width)
        self._address_mask = self._pc_mask & ((1 << address.width) - 1)
        self._unit_cells = isa.fetch.unit_width // isa.memory.cell_width
        self._unit = unit
        if fetch is None:
            load = Load("unit", address, isa.fetch.unit_width, Access.FETCH)
            value = Local("unit", isa.fetch.unit_width)
            self._load = self._texts.function((load,), (address, self._next), value)
        else:
            self._load = self._texts.block(fetch, (address, self._next))
        self._pending = self._texts.value(_first([i.condition for i in isa.interrupts], 0))
        self._undecodable = [self._texts.value(a) for a in isa.undecodable.arguments]

    # -- the machine's own business

    def pending(self) -> Interrupt | None:
        """The first declared interrupt whose condition holds."""
        number = self.hardware.call(self._pending)
        interrupts = self.isa.interrupts
        return interrupts[number] if number < len(interrupts) else None

    def instruction(self) -> Attempt:
        """Attempt the instruction at the program counter."""
        pc = self.hardware.state.scalars[self._pc]
        try:
            decoded = self._decoded(pc)
        except _FetchTrap as fetch:
            return Attempt(None, fetch.trapped)
        if decoded is None:
            following = (pc + self._unit_cells) & self._pc_mask
            undecodable = self.isa.undecodable
            arguments = tuple(self.hardware.call(value) for value in self._undecodable)
            return Attempt(
                None,
                Trapped(
                    undecodable.cause, undecodable.trap_class, arguments, following, _NO_ACCESSES
                ),
            )
        routine, names = self._routine(decoded)
        fields = decoded.fields
        arguments = (*[fields[n] for n in names], (pc + decoded.length) & self._pc_mask)
        self.hardware.call(routine, arguments)
        return Attempt(decoded, self._ended() if self._signals else None)

    def deliver(self, trapped: Trapped) -> Trapped | None:
        """Deliver a trap; what is returned is a double trap."""
        routine = self._deliveries.get(trapped.cause)
        if routine is None:
            (cause,) = [c for c in self.isa.causes if c.name == trapped.cause]
            routine = self._texts.block(cause.delivery, (*cause.parameters, self._next))
            self._deliveries[trapped.cause] = routine
        return self.run(routine, (*trapped.arguments, trapped.next))

    def interrupt(self, interrupt: Interrupt) -> Trapped | None:
        """Deliver an interrupt; what is returned is a double trap."""
        key = f"{interrupt.name} interrupt"
        routine = self._deliveries.get(key)
        if routine is None:
            routine = self._texts.block(interrupt.delivery, (self._next,))
            self._deliveries[key] = routine
        self.hardware.waiting = False
        return self.run(routine, (self.hardware.state.scalars[self._pc],))

    # -- other texts

    def plan(self, block: Block) -> Plan:
        """A block that does not trap, so that only what is to be done is looked at."""
        plan: list[Routine | Choices] = []
        several: list[tuple[Expr, Block]] = []

        def choices() -> None:
            if several:
                conditions = [condition for condition, _ in several]
                count = range(len(several))
                first = tuple(self._texts.value(_first(conditions, n)) for n in count)
                plan.append(Choices(first, tuple(self._texts.block(then) for _, then in several)))
                several.clear()

        for condition, part in _parts(block):
            if condition is None:
                choices()
                plan.append(self._texts.block(part))
            else:
                several.append((condition, part))
        choices()
        return plan

    def pieces(self, block: Block) -> list[Piece]:
        """A block that does not trap, as conditions and what is done if they hold."""
        return [
            (None if condition is None else self._texts.value(condition), self._texts.block(part))
            for condition, part in _parts(block)
        ]

    def value(self, expr: Expr) -> Routine:
        """Gives the value of an expression without locals."""
        return self._texts.value(expr)

    def do(self, plan: Plan) -> None:
        """Run what `plan` gave."""
        call = self.hardware.call
        for part in plan:
            if not isinstance(part, Choices):
                call(part)
                continue
            number, count = 0, len(part.then)
            while number < count:
                number = call(part.first[number])
                if number < count:
                    call(part.then[number])
                    number += 1

    def run(self, routine: Routine, arguments: Sequence[Any] = ()) -> Trapped | None:
        """Run a routine; what is returned is a trap, and then nothing has changed."""
        self.hardware.call(routine, arguments)
        return self._ended() if self._signals else None

    # -- details

    def _routine(self, decoded: Decoded) -> tuple[Routine, tuple[str, ...]]:
        name = decoded.instruction.name
        found = self._instructions.get(name)
        if found is None:
            body = self._bodies[name]
            names = tuple(field.name for field in body.fields)
            found = self._instructions[name] = self._texts.instruction(body), names
        return found

    def _decoded(self, pc: int) -> Decoded | None:
        """What lies at the program counter; None if it is no instruction."""
        first = self._fetch(pc, 0)
        known = self._decoder.known
        if first in known:
            return known[first]
        fetched = 1

        def unit(number: int) -> int:
            nonlocal fetched
            if number == 0:
                return first
            fetched += 1
            return self._fetch(pc, number)

        decoded = self._decoder.decode(unit)
        if fetched == 1:
            if len(known) >= _KEPT:
                known.clear()
            known[first] = decoded
        return decoded

    def _fetch(self, pc: int, number: int) -> int:
        """The n-th fetch unit from the program counter on."""
        address = (pc + number * self._unit_cells) & self._address_mask
        following = (pc + self._unit_cells) & self._pc_mask
        value = self.hardware.call(self._load, (address, following))
        if self._signals:
            raise _FetchTrap(self._trapped())
        if self._unit is not None:
            value = self.hardware.state.scalars[self._unit]
        assert isinstance(value, int)
        return value

    def _ended(self) -> Trapped | None:
        """What the routine that ran last signalled."""
        if self._signals[-1] == WAITS:
            self._signals.clear()
            self.hardware.waiting = True
            return None
        return self._trapped()

    def _trapped(self) -> Trapped:
        number, trap_class, arguments, following = self._signals.pop()
        cause = self.isa.causes[number].name
        return Trapped(cause, _CLASSES[trap_class], arguments, following, _NO_ACCESSES)


def _is_apart(statement: If) -> bool:
    """Whether it does much, and names no locals from outside."""
    inner = list(statements(statement.then))
    named = {s.target for s in inner if isinstance(s, Call)} - {None}
    assigned = {s.name for s in inner if isinstance(s, Assign)} | named
    left = [statement.condition, *(e for s in inner for e in operands(s))]
    while left:
        expr = left.pop()
        if isinstance(expr, Local) and expr.name not in assigned:
            return False
        left += children(expr)
    return any(isinstance(s, Call) for s in inner)


def _parts(block: Block) -> Iterator[tuple[Expr | None, Block]]:
    """Statements together, and those apart that are done under a condition."""
    plain: list[Stmt] = []
    for statement in block:
        if isinstance(statement, If) and not statement.orelse and _is_apart(statement):
            if plain:
                yield None, tuple(plain)
                plain = []
            yield statement.condition, statement.then
        else:
            plain.append(statement)
    if plain:
        yield None, tuple(plain)


def _first(conditions: Sequence[Expr], start: int) -> Expr:
    """The number of the first condition, from `start` on, that holds; if none, of conditions."""
    found: Expr = Literal(len(conditions), 16)
    for number in reversed(range(start, len(conditions))):
        found = Select(conditions[number], Literal(number, 16), found, 16)
    return found
