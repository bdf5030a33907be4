"""The emitted engine for one instruction at a time: what `spec.concrete` does, by emitted code.

For tests and for machines that stop at every instruction; whole runs use `spec.blocks`. Outcomes
say nothing about accesses.
"""

from collections.abc import Callable, Mapping, Sequence

from spec.compiled import Code, Unbound, compile_code
from spec.emit import Emitter, TracingEmitter
from spec.folding import Truth, Value
from spec.ir import Block, Expr, Instruction, Isa, Local, TrapClass
from spec.outcome import Accesses, Outcome, Retired, Trapped
from spec.runtime import Runtime
from spec.shared_code import SharedCode
from spec.state import MachineState

_SHARED = SharedCode()


def emit_phase(
    emitter: Emitter, frame: Mapping[str, Value | Truth], run: Callable[[], None]
) -> None:
    """Write something whose traps discard all it did, with a log of its stores if need be."""
    out, path = emitter.out, emitter.path.copy()
    size, exits = len(out), len(emitter.exits)
    emitter.needs_log = False
    emitter.begin(frame)
    run()
    if emitter.needs_log:
        del out[size:], emitter.exits[exits:]
        emitter.go(path, out)
        emitter.logs = True
        emitter.clear_log()
        emitter.begin(frame)
        run()
        emitter.logs = False


def emit_routine(
    isa: Isa,
    constants: Mapping[str, int],
    names: dict[str, object],
    block: Block,
    parameters: Sequence[Local],
    chooses: bool = False,
    result: Expr | None = None,
    traces: bool = False,
) -> Code:
    """A block of statements as a function of its parameters; the pc stays unless written.

    What it gives is the value of `result` at the end, unless it traps or waits. For `traces` see
    `TracingEmitter`.
    """
    parameters = tuple(parameters)

    def make() -> Unbound:
        emitter = (TracingEmitter if traces else Emitter)(isa, constants, chooses)
        frame = _frame(emitter, parameters)
        body = emitter.out
        emit_phase(emitter, frame, lambda: emitter.run(block))
        if not emitter.stopped() and result is not None:
            emitter.give(result)
        elif not emitter.stopped():
            emitter.leave_block(1)
        return compile_code(emitter, body, (), _numbered(parameters))

    if constants:
        return make().bind(names)
    what = "routine", block, parameters, chooses, result, traces
    return _SHARED.get(isa, what, make).bind(names)


def emit_instruction(
    isa: Isa, names: dict[str, object], instruction: Instruction, traces: bool = False
) -> Code:
    """An instruction as a function of its fields, in their order, and the address after it."""
    (pc,) = [e for e in isa.elements if e.name == isa.pc]
    parameters = [Local(field.name, field.width) for field in instruction.fields]
    parameters.append(Local("next", pc.width))

    def make() -> Unbound:
        emitter = (TracingEmitter if traces else Emitter)(isa, {})
        frame = _frame(emitter, parameters)
        following = frame["next"]
        assert not isinstance(following, bool)
        emitter.path.scalars[emitter.resume] = following
        body = emitter.out
        emit_phase(emitter, frame, lambda: emitter.run(instruction.body))
        if not emitter.stopped():
            emitter.path.scalars[isa.pc] = emitter.scalar(emitter.path, emitter.resume)
            emitter.leave_block(1)
        return compile_code(emitter, body, (), _numbered(parameters))

    what = "instruction", instruction.body, tuple(parameters), traces
    return _SHARED.get(isa, what, make).bind(names)


def _frame(emitter: Emitter, parameters: Sequence[Local]) -> dict[str, Value | Truth]:
    return {
        parameter.name: emitter.parameter(f"p{number}", parameter.width)
        for number, parameter in enumerate(parameters, 1)
    }


def _numbered(parameters: Sequence[Local]) -> list[str]:
    return [f"p{number}" for number in range(1, len(parameters) + 1)]


class EmittedEngine:
    """Runs single instructions on states; `constants` may name scalars to compile for."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.runtime = Runtime(isa)
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self._pc_mask = (1 << pc.width) - 1

    def execute(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: Mapping[str, int],
        length: int,
        choices: Sequence[int] = (),
        constants: Sequence[str] = (),
    ) -> Outcome:
        """Compile one instruction for these fields and values of `constants`, and run it."""
        isa = self.isa
        pc = state.scalars[isa.pc]
        following = (pc + length) & self._pc_mask
        emitter = Emitter(isa, {name: state.scalars[name] for name in (*constants, isa.pc)}, True)
        emitter.path.scalars[emitter.resume] = following
        body = emitter.out
        emit_phase(emitter, {**fields, "next": following}, lambda: emitter.run(instruction.body))
        if not emitter.stopped():
            emitter.path.scalars[isa.pc] = emitter.scalar(emitter.path, emitter.resume)
            emitter.leave_block(1)
        code = compile_code(emitter, body).bind(self.runtime.names())
        return self._run(code, state, choices)

    def _run(self, code: Code, state: MachineState, choices: Sequence[int]) -> Outcome:
        post = state.copy()
        self.runtime.attach(post)
        self.runtime.choices = choices
        signals = self.runtime.signals
        signals.clear()
        code.run(post.scalars, post.arrays, post.cells.pages, self.runtime.writable, 1)
        match signals:
            case []:
                return Retired(post, False, Accesses())
            case ["waits"]:
                return Retired(post, True, Accesses())
            case [(number, trap_class, arguments, following)]:
                cause = self.isa.causes[number].name
                return Trapped(cause, TrapClass(trap_class), arguments, following, Accesses())
            case _:
                raise AssertionError(signals)
