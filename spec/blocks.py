"""Translates runs of instructions into emitted code, for one choice of the control state.

A block begins at a pc and follows the code as if no branch were taken, until its length is reached
or the way is not known. Ways that lead back to the beginning are rounds of a loop; all others leave
the block. A block is made for the values of a few elements (its `Context`): the mode and what
`translate` and the conditions of interrupts read. So an access through a fixed translation costs
nothing; where a fetch depends on more, the block checks as it runs that it fetches what was decoded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from spec.compiled import Code, Round, compile_code
from spec.concrete import ConcreteEngine
from spec.decoding import Decode, Decoded
from spec.effects import function_reads
from spec.emit import Emitter
from spec.emitted import emit_phase, emit_routine
from spec.expressions import reads
from spec.folding import Value
from spec.ir import Access, CompareOp, Isa, Local, Role
from spec.outcome import Trapped
from spec.python_code import Branch
from spec.runtime import Runtime
from spec.state import MachineState

BLOCK_LENGTH = 48  # instructions
MOST_CONTEXTS = 64


@dataclass(frozen=True, slots=True)
class Block:
    """`length` is the greatest number of steps that one round takes."""

    code: Code
    length: int
    reads_time: bool


@dataclass(slots=True, eq=False)
class Context:
    """Code made for these values of the elements that it takes for constant, by pc."""

    constants: dict[str, int]
    blocks: dict[int, Block] = field(default_factory=dict)
    singles: dict[int, Block] = field(default_factory=dict)  # blocks of one instruction
    deliveries: dict[str, Code] = field(default_factory=dict)
    too_deep: set[int] = field(default_factory=set)  # instructions that Python cannot nest


@dataclass(frozen=True, slots=True)
class _Fetched:
    decoded: Decoded
    units: tuple[tuple[int, int], ...]  # virtual and physical address of each fetch unit


class _FetchTraps(Exception):
    """Some fetch unit of an instruction cannot be reached."""


class Translator:
    """Makes blocks, keeps them, and forgets those whose instructions change in memory."""

    def __init__(
        self, isa: Isa, decode: Decode, runtime: Runtime, block_length: int = BLOCK_LENGTH
    ) -> None:
        self.isa = isa
        self._decode = decode
        self.runtime = runtime
        runtime.on_change = self.forget
        self._concrete = ConcreteEngine(isa)
        functions = {function.name: function for function in isa.functions}
        needed = {isa.mode.element, *function_reads(functions, isa.translate)}
        needed.update(*(reads(interrupt.condition) for interrupt in isa.interrupts))
        self._constant = tuple(
            e.name
            for e in isa.elements
            if e.name in needed
            and e.length is None
            and e.role in (Role.MODE, Role.CONTROL, Role.DEVICE)
        )
        self._contexts: dict[tuple[int, ...], Context] = {}
        self._users: dict[int, list[tuple[dict[int, Block], int]]] = {}  # cell -> blocks, pc
        (pc,) = [e for e in isa.elements if e.name == isa.pc]
        self.pc_mask = (1 << pc.width) - 1
        self._address_mask = (1 << functions[isa.translate].parameters[0].width) - 1
        times = [e for e in isa.elements if e.role is Role.TIME]
        self.times = {e.name for e in times}
        self.scalar_times = {e.name for e in times if e.length is None}
        self.longest = block_length
        if any(e.length is not None for e in times):
            self.longest = 1  # time in arrays goes on between blocks only

    def context(self, state: MachineState) -> Context:
        """The context of a state."""
        key = tuple(state.scalars[name] for name in self._constant)
        found = self._contexts.get(key)
        if found is None:
            if len(self._contexts) >= MOST_CONTEXTS:
                self.clear()
            found = Context(dict(zip(self._constant, key, strict=True)))
            self._contexts[key] = found
        return found

    def clear(self) -> None:
        """Forget all code."""
        self._contexts.clear()
        self._users.clear()
        self.runtime.unwatch()

    def forget(self, cell: int) -> None:
        """Forget the blocks that contain an instruction which lies at a cell."""
        for blocks, pc in self._users.pop(cell, ()):
            blocks.pop(pc, None)
        self.runtime.watched.pop(cell, None)

    def block(
        self, context: Context, state: MachineState, single: bool, ends: Iterable[int] = ()
    ) -> Block | None:
        """Make the block at the pc; None if no instruction can be fetched there, or if the code
        would need more blocks within each other than Python allows.

        It goes on after none of the addresses `ends`.
        """
        pc = state.scalars[self.isa.pc]
        if pc in context.too_deep:
            return None
        writer = _BlockWriter(self, context, state, frozenset(ends))
        try:
            block = writer.write(pc, 1 if single else self.longest)
        except SyntaxError:
            context.too_deep.add(pc)
            return None
        if block is not None:
            blocks = context.singles if single else context.blocks
            blocks[pc] = block
            for cell in writer.cells:
                self.runtime.watch(cell)
                self._users.setdefault(cell, []).append((blocks, pc))
        return block

    def delivery(self, context: Context, name: str, interrupt: bool = False) -> Code:
        """The delivery of a cause (its parameters, then `next`) or of an interrupt (`next`)."""
        key = f"{name} interrupt" if interrupt else name
        code = context.deliveries.get(key)
        if code is None:
            parameters: tuple[Local, ...] = ()
            if interrupt:
                (block,) = [i.delivery for i in self.isa.interrupts if i.name == name]
            else:
                (cause,) = [c for c in self.isa.causes if c.name == name]
                block, parameters = cause.delivery, cause.parameters
            parameters = (*parameters, Local("next", self.pc_mask.bit_length()))
            names = self.runtime.names()
            code = emit_routine(self.isa, context.constants, names, block, parameters)
            context.deliveries[key] = code
        return code

    def fetched(self, state: MachineState, pc: int) -> _Fetched | None:
        """What lies at an address now, or None: a fetch traps, or no instruction."""
        isa = self.isa
        size = isa.fetch.unit_width // isa.memory.cell_width
        units: list[tuple[int, int]] = []

        def unit(number: int) -> int:
            address = (pc + number * size) & self.pc_mask & self._address_mask
            physical = self._concrete.look_up(state, address, size, Access.FETCH)
            if isinstance(physical, Trapped):
                raise _FetchTraps
            units.append((address, physical))
            return self.runtime.load(physical, size)

        try:
            decoded = self._decode(unit)
        except _FetchTraps:
            return None
        return None if decoded is None else _Fetched(decoded, tuple(units))


class _BlockWriter:
    """Writes one block."""

    def __init__(
        self, translator: Translator, context: Context, state: MachineState, ends: frozenset[int]
    ) -> None:
        self.translator = translator
        self.isa = translator.isa
        self.context = context
        self.state = state
        self.ends = ends
        self.cells: list[int] = []
        self.emitter = Emitter(self.isa, context.constants)
        self.rounds: list[Round] = []
        self.start = 0

    def write(self, pc: int, longest: int) -> Block | None:
        """The block, or None if there is no first instruction."""
        emitter, body = self.emitter, self.emitter.out
        self.start = pc
        visited: set[int] = set()
        going: int | None = pc
        while going is not None:
            emitter.path.scalars[self.isa.pc] = going
            full = len(visited) >= longest or going in visited or (visited and going in self.ends)
            fetched = None if full else self.translator.fetched(self.state, going)
            if fetched is None:
                if not visited:
                    return None
                emitter.leave_block(emitter.steps)
                break
            visited.add(going)
            self._interrupts()
            if emitter.stopped():
                break
            self._fetch(fetched)
            if emitter.stopped():
                break
            going = self._instruction(fetched.decoded, going)
        code = compile_code(emitter, body, self.rounds).bind(self.translator.runtime.names())
        steps = [1, *(e.steps for e in emitter.exits), *(r.steps for r in self.rounds)]
        times = {emitter.entry(name) for name in self.translator.scalar_times}
        return Block(code, max(steps), not times.isdisjoint(code.variables))

    def _interrupts(self) -> None:
        """Leave before an instruction if an interrupt is pending then."""
        emitter = self.emitter
        for interrupt in self.isa.interrupts:
            pending = emitter.truth_of(interrupt.condition)
            emitter.branch(pending, lambda: emitter.leave_block(emitter.steps), lambda: None)

    def _fetch(self, fetched: _Fetched) -> None:
        """Translate as the fetch does, and leave if it is not what was decoded."""
        emitter = self.emitter
        memory = self.isa.memory
        size = self.isa.fetch.unit_width // memory.cell_width
        pc = emitter.path.scalars[self.isa.pc]
        assert isinstance(pc, int)
        following = (pc + size) & self.translator.pc_mask
        for address, physical in fetched.units:
            self.cells += [(physical + i) & ((1 << memory.address_width) - 1) for i in range(size)]
            reach = partial(self._reach, address, size, physical)
            emit_phase(emitter, {"next": following}, reach)
            if emitter.stopped():
                return

    def _reach(self, address: int, size: int, expected: int) -> None:
        emitter = self.emitter
        physical = emitter.translate(address, size, Access.FETCH, None)
        if not emitter.stopped():
            width = self.isa.memory.address_width
            moved = emitter.compare(CompareOp.NE, physical, expected, width)
            emitter.branch(moved, lambda: emitter.go_back(emitter.steps), lambda: None)

    def _instruction(self, decoded: Decoded, pc: int) -> int | None:
        """Write one instruction; the address to go on at."""
        emitter, isa = self.emitter, self.isa
        following = (pc + decoded.length) & self.translator.pc_mask
        emitter.path.scalars[emitter.resume] = following
        emit_phase(
            emitter,
            {**decoded.fields, "next": following},
            lambda: emitter.run(decoded.instruction.body),
        )
        if emitter.stopped():
            return None
        path = emitter.path
        emitter.steps += 1
        resume = emitter.scalar(path, emitter.resume)
        path.scalars[isa.pc] = resume
        path.frames = []
        if path.stored:
            emitter.leave_if("dirty", emitter.steps)
        constants = self.context.constants.items()
        if any(path.scalars[name] != value for name, value in constants):
            emitter.leave_block(emitter.steps, "CHANGED")
            return None
        if path.scalars.keys() & self.translator.times:
            emitter.leave_block(emitter.steps)
            return None
        return self._go_on(resume)

    def _go_on(self, resume: Value) -> int | None:
        """Leave the block, or begin a new round, where the way is not straight on."""
        emitter = self.emitter
        if isinstance(resume, int):
            if resume == self.start and self._loops():
                leave = emitter.end()
                self.rounds.append(Round(leave.body, emitter.path.copy(), emitter.steps))
                return None
            return resume
        choice = emitter.choice_of(resume)
        if choice is None:
            emitter.leave_block(emitter.steps)
            return None
        condition, then, orelse = choice
        node = Branch(condition, [], [])
        out, path = emitter.out, emitter.path
        out.append(node)
        aside = path.copy()
        aside.scalars[self.isa.pc] = then
        emitter.go(aside, node.then)
        beyond = self._go_on(then)
        if beyond is not None:
            emitter.leave_block(emitter.steps)
        path.scalars[self.isa.pc] = orelse
        emitter.go(path, out)
        return self._go_on(orelse)

    def _loops(self) -> bool:
        """Whether a round can follow: arrays in lists of their own cannot be carried over."""
        emitter = self.emitter
        return not emitter.indexed and self.start not in self.ends and self.translator.longest > 1
