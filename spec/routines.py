"""What a description says, as functions on the state that a `Runtime` is attached to.

A routine is called with the state's scalars, arrays, pages and writable pages, a 1, and its own
arguments (see `Hardware.call`). It changes the state in place. What happened besides is in the signals of the runtime:
nothing, `WAITS`, or one trap, and then nothing has changed. Choices are 0.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol, TypeAlias

from spec.concrete import ConcreteEngine
from spec.emitted import emit_instruction, emit_routine
from spec.ir import Block, Expr, Instruction, Isa, Local
from spec.outcome import Outcome, Retired
from spec.runtime import WAITS, Runtime
from spec.state import MachineState

Routine: TypeAlias = Callable[..., Any]
EngineName: TypeAlias = Literal["concrete", "emitted"]


class Routines(Protocol):
    """Makes the routines of one description."""

    def instruction(self, instruction: Instruction) -> Routine:
        """Takes the fields in their order and the address of the following instruction."""
        ...

    def block(self, block: Block, parameters: Sequence[Local] = ()) -> Routine:
        """The pc stays unless the block writes it."""
        ...

    def value(self, expr: Expr) -> Routine:
        """Gives the value of an expression without locals."""
        ...

    def function(self, block: Block, parameters: Sequence[Local], result: Local) -> Routine:
        """Like `block`; gives the value of a local that the block gives a value to."""
        ...


def routines(isa: Isa, runtime: Runtime, engine: EngineName) -> Routines:
    """The routines of a description whose state is the one of `runtime`, or part of it."""
    if engine == "concrete":
        return ConcreteRoutines(isa, runtime)
    return EmittedRoutines(isa, runtime)


class ConcreteRoutines:
    """By the concrete engine: the reference."""

    def __init__(self, isa: Isa, runtime: Runtime) -> None:
        self._runtime = runtime
        self._engine = ConcreteEngine(isa)
        self._numbers = {cause.name: number for number, cause in enumerate(isa.causes)}
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._pc, self._pc_mask = pc.name, (1 << pc.width) - 1

    def instruction(self, instruction: Instruction) -> Routine:
        names = [field.name for field in instruction.fields]

        def routine(*given: Any) -> None:
            *values, following = given[5:]
            state = self._runtime.state
            length = (following - state.scalars[self._pc]) & self._pc_mask
            fields = dict(zip(names, values, strict=True))
            self._settle(self._engine.execute(state, instruction, fields, length))

        return routine

    def block(self, block: Block, parameters: Sequence[Local] = ()) -> Routine:
        names = [parameter.name for parameter in parameters]

        def routine(*given: Any) -> None:
            self._run(block, dict(zip(names, given[5:], strict=True)))

        return routine

    def value(self, expr: Expr) -> Routine:
        def routine(*given: Any) -> int | bool:
            return self._engine.value(self._runtime.state, expr)

        return routine

    def function(self, block: Block, parameters: Sequence[Local], result: Local) -> Routine:
        names = [parameter.name for parameter in parameters]

        def routine(*given: Any) -> int | bool | None:
            outcome = self._run(block, dict(zip(names, given[5:], strict=True)))
            return self._engine.local(result.name) if isinstance(outcome, Retired) else None

        return routine

    def _run(self, block: Block, frame: Mapping[str, int | bool]) -> Outcome:
        outcome = self._engine.run(self._runtime.state, block, frame)
        self._settle(outcome)
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        if isinstance(outcome, Retired):
            _become(self._runtime, outcome.state)
            if outcome.waiting:
                self._runtime.signals.append(WAITS)
        else:
            number = self._numbers[outcome.cause]
            trap = (number, outcome.trap_class.value, outcome.arguments, outcome.next)
            self._runtime.signals.append(trap)


def _become(runtime: Runtime, post: MachineState) -> None:
    """Change the state of the runtime, in place, to another one."""
    state = runtime.state
    state.scalars.update(post.scalars)
    for name, values in post.arrays.items():
        if values is not state.arrays[name]:
            state.arrays[name][:] = values
    for number, page in post.cells.pages.items():
        if page is not state.cells.pages.get(number):
            runtime.writable.pop(number, None)
            runtime.own(number)[:] = page


OFTEN = 12
"""Runs by the concrete engine before an instruction is emitted: compiling it takes as long as many."""


class EmittedRoutines:
    """By emitted code; instructions that run seldom, and what Python cannot nest so deeply, are
    left to the concrete engine."""

    def __init__(self, isa: Isa, runtime: Runtime) -> None:
        self._isa = isa
        self._names = runtime.names()
        self._concrete = ConcreteRoutines(isa, runtime)

    def instruction(self, instruction: Instruction) -> Routine:
        return _late(
            self._concrete.instruction(instruction),
            lambda: emit_instruction(self._isa, self._names, instruction).run,
        )

    def block(self, block: Block, parameters: Sequence[Local] = ()) -> Routine:
        try:
            return emit_routine(self._isa, {}, self._names, block, parameters).run
        except (SyntaxError, RecursionError):
            return self._concrete.block(block, parameters)

    def value(self, expr: Expr) -> Routine:
        try:
            return emit_routine(self._isa, {}, self._names, (), (), result=expr).run
        except (SyntaxError, RecursionError):
            return self._concrete.value(expr)

    def function(self, block: Block, parameters: Sequence[Local], result: Local) -> Routine:
        try:
            return emit_routine(self._isa, {}, self._names, block, parameters, result=result).run
        except (SyntaxError, RecursionError):
            return self._concrete.function(block, parameters, result)


def _late(first: Routine, emit: Callable[[], Routine]) -> Routine:
    """`first`, and what is emitted instead once it was called often."""
    left, run = OFTEN, first

    def routine(*given: Any) -> Any:
        nonlocal left, run
        if left:
            left -= 1
            if not left:
                with suppress(SyntaxError, RecursionError):
                    run = emit()
        return run(*given)

    return routine
