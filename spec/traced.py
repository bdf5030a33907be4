"""Emitted code that says where it went, for asking what would happen: states are left alone.

What is asked rarely is left to the concrete engine, which has nothing to compile.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spec.compiled import Code
from spec.concrete import ConcreteEngine
from spec.emitted import emit_instruction, emit_routine
from spec.ir import Access, Instruction, Isa, Local, Translate
from spec.outcome import Retired, Touch
from spec.runtime import Runtime
from spec.state import MachineState

_ACCESSES = {access.value: access for access in Access}


@dataclass(frozen=True, slots=True)
class Ran:
    """An instruction: the state after it, None if it trapped, and the virtual addresses of its
    loads and stores in their order, the one that trapped included."""

    state: MachineState | None
    accesses: tuple[tuple[Access, int], ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """A translation: the cells that it read, address and number, and where it led, if anywhere."""

    loads: tuple[tuple[int, int], ...]
    reached: int | None

    @property
    def end(self) -> int:
        """Where the last thing that was read leads: as far as is known."""
        return self.loads[-1][0] if self.reached is None else self.reached


class TracedEngine:
    """Runs single instructions and translations of one description. Choices are 0.

    What has been run `often` is compiled.
    """

    def __init__(self, isa: Isa, often: int = 20) -> None:
        self._often = often
        self._isa = isa
        self._concrete = ConcreteEngine(isa)
        self._runtime = Runtime(isa)
        self._trace: list[tuple[int, int, int]] = []
        self._names = {**self._runtime.names(), "TRACE": self._trace}
        elements = {element.name: element for element in isa.elements}
        self._pc_mask = (1 << elements[isa.pc].width) - 1
        (translate,) = [f for f in isa.functions if f.name == isa.translate]
        self._address = Local("address", translate.parameters[0].width)
        self._instructions: dict[str, Code | None] = {}
        self._translations: dict[Access, Code | None] = {}
        self._asked: Counter[str | Access] = Counter()

    def execute(
        self,
        state: MachineState,
        instruction: Instruction,
        fields: Mapping[str, int],
        length: int,
    ) -> Ran:
        """What one instruction of `length` cells would do that lay at the pc."""
        code = self._instruction(instruction)
        if code is None:
            outcome = self._concrete.execute(state, instruction, fields, length)
            touched = [
                (each.access, each.address)
                for each in outcome.accesses.virtual
                if each.touch in (Touch.LOAD, Touch.STORE)
            ]
            return Ran(outcome.state if isinstance(outcome, Retired) else None, tuple(touched))
        following = (state.scalars[self._isa.pc] + length) & self._pc_mask
        values = [fields[field.name] for field in instruction.fields]
        post, _ = self._run(code, state, [*values, following])
        return Ran(post, tuple((_ACCESSES[a], at) for a, at, _ in self._trace if a in _ACCESSES))

    def translate(self, state: MachineState, address: int, access: Access) -> Walk:
        """What translating an address would do, in the present mode."""
        address &= (1 << self._address.width) - 1
        code = self._translation(access)
        if code is not None:
            post, reached = self._run(code, state, [address])
            loads = tuple((at, size) for _, at, size in self._trace)
            return Walk(loads, None if post is None else reached)
        outcome = self._concrete.run(state, (self._step(access),), {self._address.name: address})
        loads = tuple((a.address, a.size) for a in outcome.accesses.physical if not a.write)
        retired = isinstance(outcome, Retired)
        return Walk(loads, outcome.accesses.virtual[-1].physical if retired else None)

    def _step(self, access: Access) -> Translate:
        width = self._isa.memory.address_width
        return Translate("physical", self._address, 1, access, None, width)

    def _run(
        self, code: Code, state: MachineState, arguments: Sequence[int]
    ) -> tuple[MachineState | None, int]:
        """The state after, None after a trap, and what the code gave."""
        post = state.copy()
        runtime = self._runtime
        runtime.attach(post)
        runtime.signals.clear()
        self._trace.clear()
        given = code.run(
            post.scalars, post.arrays, post.cells.pages, runtime.writable, 1, *arguments
        )
        trapped = any(isinstance(signal, tuple) for signal in runtime.signals)
        return None if trapped else post, given

    def _instruction(self, instruction: Instruction) -> Code | None:
        name = instruction.name
        self._asked[name] += 1
        if name not in self._instructions and self._asked[name] > self._often:
            self._instructions[name] = _compiled(
                lambda: emit_instruction(self._isa, self._names, instruction, traces=True)
            )
        return self._instructions.get(name)

    def _translation(self, access: Access) -> Code | None:
        self._asked[access] += 1
        if access not in self._translations and self._asked[access] > self._often:
            result = Local("physical", self._isa.memory.address_width)
            self._translations[access] = _compiled(
                lambda: emit_routine(
                    self._isa,
                    {},
                    self._names,
                    (self._step(access),),
                    (self._address,),
                    result=result,
                    traces=True,
                )
            )
        return self._translations.get(access)


def _compiled(emit: Callable[[], Code]) -> Code | None:
    """None: Python cannot nest it so deeply."""
    try:
        return emit()
    except (SyntaxError, RecursionError):
        return None
