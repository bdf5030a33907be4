"""The combined state of a monitor and its machine as symbols, and runs of all texts from it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from checker import starts
from checker.answers import OperandSet
from checker.assignment import Assignment, Evaluation
from checker.hosted import Direct, Hosting, Plain
from checker.operand_sets import operands
from checker.proof import Counterexample
from checker.runs import SymbolicRun, TrapPath
from checker.statements import BASE, SIZE, Hosted, Text
from checker.subject import differ
from checker.substitution import Substitution
from checker.symbolic import CHOICE_WIDTH
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import BinaryOp, Block, CompareOp, Expr, Local, LogicOp

Failure = tuple[str, Truth]
State = dict[str, Value]

_LENGTH_WIDTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """Where a run ended: its outcome, and the state that is meant where it retires."""

    run: SymbolicRun
    state: State
    waits: Truth


class Combined:
    """One graph of terms over one start; `mode` is the virtual machine's, if it is settled."""

    def __init__(
        self,
        hosted: Hosted,
        mode: int | None,
        running: bool,
        constants: Mapping[str, int] | None = None,
    ) -> None:
        """`running`: the real machine is in the guest's real mode."""
        self.hosted = hosted
        self.terms = Terms()
        real = hosted.real
        self.start: State = starts.start(real, self.terms, hosted.real_mode)
        for bank in real.banks:  # here each member goes by its own name
            for _, member in bank.members:
                self.start[member] = self.terms.symbol(member, bank.width)
        element = real.mode.element
        if not running:
            self.start[element] = self.terms.symbol(element, real.mode.width)
        self.home_mode = hosted.homes[element]
        self.mode = mode
        if mode is not None:
            self.start[self.home_mode] = mode
        self.start.update(constants or {})
        self.memory = starts.memory(real, self.terms)
        base, size = self.start[BASE], self.start[SIZE]
        self.bare = Hosting(hosted.bare, self.terms, base, size)
        self.monitor = Plain(hosted.monitor, self.terms, base, size)
        self.real = Plain(real, self.terms, base, size)
        self.base, self.size = base, size
        self.length: Value | None = None  # of the instruction, in cells
        self._choices = 0

    # -- starts

    def frame(
        self, instruction: str | None, parameters: Iterable[Local]
    ) -> tuple[dict[str, Value | Truth], list[Truth]]:
        """Symbols for parameters and operands, and what holds of them."""
        isa = self.hosted.bare
        frame: dict[str, Value | Truth] = {
            p.name: self.terms.symbol(f"argument {p.name}", p.width) for p in parameters
        }
        pc = self.start[isa.pc]
        width = cast(Term, pc).width
        found = [i for i in isa.instructions if i.name == instruction]
        if not found:
            frame.setdefault("next", self.terms.symbol("argument next", width))
            return frame, []
        given = operands(self.bare, isa, found[0], OperandSet())
        self.length = length = given.length
        if width > _LENGTH_WIDTH:
            length = self.bare.extend(length, _LENGTH_WIDTH, False, width)
        else:
            length = self.bare.extract(length, _LENGTH_WIDTH, width - 1, 0)
        frame.update(given.fields)
        frame["next"] = self.bare.binary(BinaryOp.ADD, pc, length, width)
        return frame, list(given.conditions)

    def assumed(
        self, conditions: Iterable[Expr], frame: Mapping[str, Value | Truth]
    ) -> list[Truth]:
        """Conditions on the start, by the monitor's text."""
        return [
            cast(Truth, self.monitor.expression(self.start, condition, frame))
            for condition in conditions
        ]

    def well_formed(self, state: State) -> list[Truth]:
        """Elements with an enumeration type hold members."""
        isa = replace(self.hosted.real, invariants=())
        return starts.well_formed(isa, self.real, state)

    def bare_well_formed(self, state: State) -> list[Truth]:
        """The virtual machine is in a state that satisfies the invariants."""
        return starts.well_formed(self.hosted.bare, self.bare, state)

    def updated(self, state: State, block: Block, memory: Term | None = None) -> State:
        """The state after a block that only brings homes up to date."""
        if not block:
            return state
        run = self.monitor.run(state, memory or self.memory, block, {}, state[self.hosted.bare.pc])
        return {name: run.after(name) for name in state}

    def presented(self, state: State) -> State:
        """The virtual machine's elements, read from their homes."""
        homes = self.hosted.homes
        return {e.name: state[homes.get(e.name, e.name)] for e in self.hosted.bare.elements}

    # -- runs

    def run(
        self,
        text: Text,
        start: State,
        block: Block,
        frame: Mapping[str, Value | Truth],
        hypotheses: tuple[Truth, ...] = (),
        memory: Term | None = None,
    ) -> End:
        engine = self.engine(text)
        engine.hypotheses = hypotheses
        pc = self.hosted.bare.pc
        following = start[pc] if self.length is None else frame["next"]
        run = engine.run(start, memory or self.memory, block, frame, following)
        engine.hypotheses = ()
        self._choices = max(self._choices, run.choices)
        state = {name: run.after(name) for name in start}
        state[pc] = run.pc_after
        return End(run, state, engine.waits)

    def engine(self, text: Text) -> Hosting:
        match text:
            case Text.BARE:
                return self.bare
            case Text.MONITOR:
                return self.monitor
            case Text.REAL:
                return self.real
            case Text.DIRECT:
                assert self.mode is not None
                hosted = self.hosted
                return Direct(
                    hosted.real, self.terms, self.base, self.size, hosted.homes, self.mode
                )

    def shown(
        self,
        parts: tuple[tuple[Text, Block], ...],
        show: tuple[tuple[str, Expr], ...],
        frame: Mapping[str, Value | Truth],
    ) -> tuple[list[Failure], State]:
        """Run the parts one after the other; where they may trap, or something shown is false."""
        failures: list[Failure] = []
        state, memory, values = self.start, self.memory, dict(frame)
        for number, (text, block) in enumerate(parts):
            engine = self.engine(text)
            run, values = engine.run_on(state, memory, block, values, state[self.hosted.bare.pc])
            state = {name: run.after(name) for name in state}
            memory = run.memory
            if run.retires is not True:
                failures.append((f"step {number + 1} traps", self.monitor.negate(run.retires)))
        for sentence, expr in show:
            holds = cast(Truth, self.monitor.expression(state, expr, values))
            failures.append((sentence, self.monitor.negate(holds)))
        return failures, state

    # -- comparing

    def changes(self, end: End, keep: Iterable[str]) -> Iterator[Failure]:
        for name in keep:
            differs = differ(self.monitor, self.start[name], end.state[name])
            yield f"`{name}` changes", self.monitor.both(end.run.retires, differs)

    def strays(self, end: End) -> Iterator[Failure]:
        """Memory outside the region changes."""
        if end.run.memory is self.memory:
            return
        width = self.hosted.bare.memory.address_width
        place = self.terms.symbol("place", width)
        engine = self.monitor
        offset = engine.binary(BinaryOp.SUB, place, self.base, width)
        wide = engine.extend(offset, width, False, width + 1)
        outside = engine.compare(CompareOp.ULE, self.size, wide, width + 1)
        changed = self._contents_differ(self.memory, end.run.memory)
        yield "memory outside the region changes", engine.all(end.run.retires, outside, changed)

    def memories_differ(self, first: Term, second: Term) -> Truth:
        return False if first is second else self._contents_differ(first, second)

    def _contents_differ(self, first: Term, second: Term) -> Truth:
        memory = self.hosted.bare.memory
        place = self.terms.symbol("place", memory.address_width)
        one, other = (self.monitor.load_cells(m, place, 1) for m in (first, second))
        return self.monitor.negate(self.monitor.equal(one, other, memory.cell_width))

    # -- other values of the guest's

    def fixed(self, assignment: Assignment, guest: frozenset[str]) -> Substitution:
        """What is not the guest's has the values of an assignment."""
        evaluation = Evaluation(assignment, self.hosted.bare.memory)
        symbols: dict[Term, Value] = {
            value: evaluation.vector(value)
            for name, value in self.start.items()
            if name not in guest and isinstance(value, Term) and value.op is Op.SYMBOL
        }
        return Substitution(self.monitor, symbols)

    def twin(self, guest: Iterable[str], arguments: Iterable[Value | Truth]) -> Substitution:
        """The same with other values of the guest's elements and of arguments."""
        values = [*(self.start[name] for name in guest), *arguments]
        symbols: dict[Term, Term] = {}
        for value in values:
            if isinstance(value, Term) and value.op is Op.SYMBOL:
                symbols[value] = self.terms.symbol(f"{value.args[0]}'", value.width)
            elif isinstance(value, Term) and value.op is Op.ARRAY:
                symbols[value] = self.terms.array(f"{value.args[0]}'", *value.args[1:])
        return Substitution(self.monitor, symbols)

    def same_end(self, end: End, twin: Substitution) -> list[Truth]:
        """Two runs left the same; of memory, it is said of the cells that they stored."""
        engine = self.monitor
        found: list[Truth] = []
        for value in end.state.values():
            if isinstance(value, Term) and value.width == 0:
                other: Value = twin.array(value)
            else:
                other = twin.vector(value)
            found.append(engine.negate(differ(engine, value, other)))
        width = self.hosted.bare.memory.cell_width
        memory = end.run.memory
        changed = twin.array(memory)
        for address, size in {*stores(memory), *stores(changed)}:
            one, other = (engine.load_cells(m, address, size) for m in (memory, changed))
            found.append(engine.equal(one, other, size * width))
        return [condition for condition in found if condition is not True]

    # -- counterexamples

    def counterexample(
        self, assignment: Assignment, frame: Mapping[str, Value | Truth], fails: tuple[str, ...]
    ) -> Counterexample:
        evaluation = Evaluation(assignment, self.hosted.bare.memory)
        scalars = []
        arrays = []
        for element in self.hosted.real.elements:
            value = self.start[element.name]
            if element.length is None:
                scalars.append((element.name, evaluation.vector(value)))
            else:
                content = assignment.arrays.get(cast(Term, value).args[0], {})
                arrays.append((element.name, tuple(sorted(content.items()))))
        cells = assignment.arrays.get(self.memory.args[0], {})
        choices = [
            evaluation.vector(self.terms.symbol(f"choice {n}", CHOICE_WIDTH))
            for n in range(self._choices)
        ]
        return Counterexample(
            scalars=tuple(scalars),
            arrays=tuple(arrays),
            cells=tuple(sorted(cells.items())),
            frame=tuple((name, int(evaluation._of(v))) for name, v in frame.items()),
            length=evaluation.vector(self.length or 0),
            choices=tuple(choices),
            fails=fails,
        )


def outcome_failures(combined: Combined, left: End, right: End, forward: bool) -> list[Failure]:
    """The ways in which two runs end differently; `forward`: where the first one retires."""
    engine = combined.monitor
    failures: list[Failure] = []
    here: Truth = True
    if forward:
        here = left.run.retires
        failures.append(
            ("the bare machine traps", engine.both(here, engine.negate(right.run.retires)))
        )
    else:
        failures += _trap_failures(combined, left.run, right.run)
        here = engine.both(left.run.retires, right.run.retires)
    failures.append(("waiting", engine.both(here, _xor(engine, left.waits, right.waits))))
    for name, bare in right.state.items():
        differs = differ(engine, left.state[name], bare)
        failures.append((f"`{name}`", engine.both(here, differs)))
    memory = combined.memories_differ(left.run.memory, right.run.memory)
    failures.append(("memory", engine.both(here, memory)))
    return failures


def _trap_failures(combined: Combined, left: SymbolicRun, right: SymbolicRun) -> Iterator[Failure]:
    engine = combined.monitor
    if not _same(left.retires, right.retires):
        yield "retires", _xor(engine, left.retires, right.retires)
    if len(left.traps) == len(right.traps) and all(map(_same_path, left.traps, right.traps)):
        return
    kinds = dict.fromkeys((t.cause, t.trap_class) for t in (*left.traps, *right.traps))
    for cause, trap_class in kinds:
        first, second = (
            [t for t in run.traps if (t.cause, t.trap_class) == (cause, trap_class)]
            for run in (left, right)
        )
        one = engine.any(*(t.condition for t in first))
        other = engine.any(*(t.condition for t in second))
        yield f"trap {cause}", _xor(engine, one, other)
        for mine in first:
            for theirs in second:
                both = engine.both(mine.condition, theirs.condition)
                differs: Truth = False
                for a, b in zip(mine.arguments, theirs.arguments, strict=True):
                    differs = engine.either(differs, _arguments_differ(combined, a, b))
                yield f"arguments of {cause}", engine.both(both, differs)


def _arguments_differ(combined: Combined, first: Value | Truth, second: Value | Truth) -> Truth:
    engine = combined.monitor
    is_truth = any(
        isinstance(v, bool) or (isinstance(v, Term) and v.width == 0) for v in (first, second)
    )
    if is_truth:
        return _xor(engine, cast(Truth, first), cast(Truth, second))
    return differ(engine, first, second)


def _xor(engine: Hosting, left: Truth, right: Truth) -> Truth:
    return engine.logic(LogicOp.XOR, left, right)


def _same_path(first: TrapPath, second: TrapPath) -> bool:
    return (
        first.cause == second.cause
        and first.trap_class is second.trap_class
        and _same(first.condition, second.condition)
        and len(first.arguments) == len(second.arguments)
        and all(map(_same, first.arguments, second.arguments))
    )


def _same(first: Value | Truth, second: Value | Truth) -> bool:
    if isinstance(first, Term) or isinstance(second, Term):
        return first is second
    return first == second


def stores(memory: Term) -> Iterator[tuple[Value, int]]:
    """Addresses and sizes of the stores that a memory is made of."""
    left = [memory]
    while left:
        term = left.pop()
        if term.op is Op.STORE:
            yield term.args[1], term.args[3]
            left.append(term.args[0])
        elif term.op is Op.SELECT_ARRAY:
            left.extend(term.args[1:])
