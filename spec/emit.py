"""The emitted engine: the walk over values that are integers or variables of emitted Python.

What the walk does at a time when values are known costs nothing later: fields, the pc and chosen
state elements are constants, and every decision on them is made here. What is left becomes a tree
of Python (`spec.python_code`). Memory accesses use `pg` (pages) and `wp` (pages that may be written
at once); names in capitals and `load`, `store`, `log`, `rollback`, `choose` are given by the
machine. State is read at the entry into variables and written back at an exit, so that a trap has
nothing to undo but memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from spec.emitted_state import Storing
from spec.evaluate import Walk
from spec.folding import Truth, Value
from spec.ir import Access, Block, Expr, Isa, TrapClass
from spec.path import Path
from spec.python_code import Branch, Break, Do, Leave, Let, Node, Region, Routine


@dataclass(frozen=True, slots=True)
class Exit:
    """A place where the code ends; `out` waits for what writes the state of `path` back.

    `steps` are done by then, besides `STEPS`. `signal` is the text of what the machine is told.
    The code gives `value` where there is one, else the number of steps.
    """

    out: list[Node]
    path: Path
    steps: int
    signal: str | None
    value: Value | Truth | None = None


@dataclass(slots=True)
class _Call:
    outer: list[Node]
    region: Region
    returns: list[tuple[list[Node], Path, Value | Truth | None]] = field(default_factory=list)


class Emitter(Storing):
    """Implements `spec.engine.Engine[Value, Truth]`.

    With `chooses`, choices are asked for when the code runs; else they are 0.
    """

    def __init__(self, isa: Isa, constants: Mapping[str, int], chooses: bool = False) -> None:
        super().__init__(isa, constants)
        self.chooses = chooses
        self.causes = {cause.name: n for n, cause in enumerate(isa.causes)}
        self.exits: list[Exit] = []
        self.needs_log = False
        self._walk: Walk[Value, Truth] = Walk(self, {f.name: f for f in isa.functions})
        self._calls: list[_Call] = []
        self._probes: list[set[bool]] = []
        self._start = self.path
        self._stopped = False

    # -- what a translator of blocks does

    def begin(self, frame: Mapping[str, Value | Truth]) -> None:
        """Begin an instruction: a trap from here on goes back to the present state."""
        self.path.frames = [dict(frame)]
        self.path.stored = False
        self._start = self.path.copy()
        self._stopped = False

    def go(self, path: Path, out: list[Node]) -> None:
        """Go on writing to `out`, on a path."""
        super().go(path, out)
        self._stopped = False

    def run(self, block: Block) -> None:
        self._walk.block(block)

    def value_of(self, expr: Expr) -> Value | Truth:
        """The value of an expression on the present path."""
        return self._walk.value(expr)

    def truth_of(self, condition: Expr) -> Truth:
        """The truth value of an expression without locals."""
        return cast(Truth, self._walk.value(condition))

    def stopped(self) -> bool:
        return self._stopped

    def end(self) -> Leave:
        """Stop here; what follows is put into the node."""
        leave = Leave()
        self.out.append(leave)
        self._stopped = True
        return leave

    def leave_block(self, steps: int, signal: str | None = None) -> None:
        """End the code here, with the present state."""
        self._exit(self.path.copy(), steps, signal)

    def give(self, expr: Expr) -> None:
        """End the code here, with the present state, and give the value of an expression."""
        value = self.value_of(expr)
        self.exits.append(Exit(self.end().body, self.path.copy(), 1, None, value))

    def leave_if(self, condition: str, steps: int) -> None:
        """End the code here, if a Python expression is true."""
        node = Branch(condition, [], [])
        out = self.out
        out.append(node)
        self.out = node.then
        self._exit(self.path.copy(), steps, None)
        self.go(self.path, out)

    def go_back(self, steps: int, signal: str | None = None) -> None:
        """End the code here, with the state in which the instruction began."""
        if self.path.stored:
            self.needs_log = True
            self.out.append(Do("rollback(0)"))
        self._exit(self._start, steps, signal)

    def clear_log(self) -> None:
        self.out.append(Do("LOG.clear()"))

    # -- memory

    def load(self, address: Value, width: int, access: Access, mode: Value | None) -> Value:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, access, mode)
        return 0 if physical is None else self.load_physical(physical, width)

    def store(self, address: Value, value: Value, width: int, mode: Value | None) -> None:
        size = width // self.isa.memory.cell_width
        physical = self._reach(address, size, Access.WRITE, mode)
        if physical is not None:
            self.store_physical(physical, value, width)

    def translate(self, address: Value, size: int, access: Access, mode: Value | None) -> Value:
        return self._reach(address, size, access, mode) or 0

    def probe(self, address: Value, size: int, access: Access, mode: Value | None) -> Truth:
        out, path, calls = self.out, self.path, self._calls
        routine = Routine(self.fresh(1))
        answers: set[bool] = set()
        self._probes.append(answers)
        self.probing = True
        self._calls = []
        inner = path.copy()
        inner.stored = False
        self.go(inner, routine.body)
        self._reach(address, size, access, mode)
        if not self._stopped:
            self._answer(True)
        self._stopped = False
        self._probes.pop()
        self.probing = bool(self._probes)
        self._calls = calls
        self.go(path, out)
        if len(answers) == 1:
            return answers.pop()
        routine.body.insert(0, Do("mark = len(LOG)"))
        if self.chooses:
            self.out.append(Do("save_choices()"))
        self.out.append(routine)
        if self.chooses:
            self.out.append(Do("restore_choices()"))
        return routine.name

    def choose(self, width: int) -> Value:
        if not self.chooses:
            return 0
        name = self.fresh((1 << width) - 1)
        self.out.append(Let(name, f"choose({width})", movable=False))
        self.out.append(Do(name))  # asked for even if nothing uses it
        return name

    def _reach(self, address: Value, size: int, access: Access, mode: Value | None) -> Value | None:
        if mode is None:
            mode = self.read(self.isa.mode.element, None)
        physical = self._walk.call(self.isa.translate, (address, access.value, size, mode))
        return None if self._stopped else cast(Value, physical)

    # -- control flow

    def branch(
        self, condition: Truth, then: Callable[[], None], orelse: Callable[[], None]
    ) -> None:
        condition = self._decided(condition)
        if not isinstance(condition, str):
            (then if condition else orelse)()
            return
        node = Branch(condition, [], [])
        out, before = self.out, self.path
        out.append(node)
        ends: list[tuple[list[Node], Path]] = []
        for arm, nodes, truth in ((then, node.then, True), (orelse, node.orelse, False)):
            path = before.copy()
            path.assumed[condition] = truth
            self.go(path, nodes)
            self._stopped = False
            arm()
            if not self._stopped:
                ends.append((self.out, self.path))
        self._stopped = not ends
        self._join(ends, out, condition if len(ends) == 2 else None)

    def select(self, condition: Truth, then: Value, orelse: Value, width: int) -> Value:
        return super().select(self._decided(condition), then, orelse, width)

    def select_truth(self, condition: Truth, then: Truth, orelse: Truth) -> Truth:
        return super().select_truth(self._decided(condition), then, orelse)

    def trap(self, cause: str, trap_class: TrapClass, arguments: tuple[Value | Truth, ...]) -> None:
        if self._probes:
            self._answer(False)
            return
        given = "".join(f"{argument}, " for argument in arguments)
        following = self._start.frames[0].get("next", 0)
        signal = f"({self.causes[cause]}, {trap_class.value!r}, ({given}), {following})"
        self.go_back(self.steps + 1, signal)

    def wait(self) -> None:
        if self._probes:
            self._answer(False)
            return
        self.path.scalars[self.isa.pc] = self.scalar(self.path, self.resume)
        self.leave_block(self.steps + 1, "WAITS")

    def enter(self, parameters: Mapping[str, Value | Truth]) -> None:
        self.path.frames.append(dict(parameters))
        call = _Call(self.out, Region())
        self._calls.append(call)
        self.out = call.region.body

    def give_back(self, value: Value | Truth, width: int) -> None:
        self._calls[-1].returns.append((self.out, self.path, value))
        self._stopped = True

    def leave(self, width: int | None) -> Value | Truth | None:
        call = self._calls.pop()
        if not self._stopped:
            call.returns.append((self.out, self.path, None))
        if not call.returns:
            call.outer.extend(call.region.body)
            self.out = call.outer
            return None
        result = "result "
        ends = {id(out) for out, _, _ in call.returns}
        falls_through = ends <= _tails(call.region.body, ends)
        for _, path, value in call.returns:
            path.frames.pop()
            path.frames[-1][result] = 0 if value is None else value
        self._stopped = False
        self._join([(out, path) for out, path, _ in call.returns], call.outer, None)
        if falls_through:
            call.outer.extend(call.region.body)
        else:
            for out, _, _ in call.returns:
                out.append(Break())
            call.outer.append(call.region)
        value = self.path.frames[-1].pop(result)
        return None if width is None else value

    def _exit(self, path: Path, steps: int, signal: str | None) -> None:
        self.exits.append(Exit(self.end().body, path, steps, signal))

    def _answer(self, reached: bool) -> None:
        """Return from a probe, with no effect left."""
        self._probes[-1].add(reached)
        if self.path.stored:
            self.out.append(Do("rollback(mark)"))
        self.out.append(Do(f"return {reached}"))
        self._stopped = True

    def _decided(self, condition: Truth) -> Truth:
        if isinstance(condition, str):
            return self.path.assumed.get(condition, condition)
        return condition


class TracingEmitter(Emitter):
    """Its code also appends to `TRACE` what it accesses: (`Access.value`, virtual address, cells)
    for a load or store of an instruction, ("", physical address, cells) for what is read there or
    by a translation."""

    def load(self, address: Value, width: int, access: Access, mode: Value | None) -> Value:
        self._note(access.value, address, width)
        return super().load(address, width, access, mode)

    def store(self, address: Value, value: Value, width: int, mode: Value | None) -> None:
        self._note(Access.WRITE.value, address, width)
        super().store(address, value, width, mode)

    def load_physical(self, address: Value, width: int) -> Value:
        self._note("", address, width)
        return super().load_physical(address, width)

    def _note(self, access: int | str, address: Value, width: int) -> None:
        cells = width // self.isa.memory.cell_width
        self.out.append(Do(f"TRACE.append(({access!r}, {address}, {cells}))"))


def _tails(nodes: list[Node], ends: set[int]) -> set[int]:
    """Identities of the lists after whose end nothing of `nodes` follows, when something is put
    at each of `ends`."""
    found = {id(nodes)}
    if nodes and isinstance(nodes[-1], Branch) and id(nodes) not in ends:
        found |= _tails(nodes[-1].then, ends) | _tails(nodes[-1].orelse, ends)
    return found
