"""Whether the invariants of a description hold in every reachable state.

They are assumed of every state; so reset must establish them, and every instruction, trap and
interrupt must keep them. The same is asked of elements with an enumeration type: that they hold
one of its values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from checker import starts
from checker.answers import Answer, Fact, OperandSet
from checker.assignment import Assignment
from checker.components import Machine, machine_of
from checker.obligations import About, Log, Obligation
from checker.pairs import Pair
from checker.prover import Prover
from checker.replay import Replay, Side
from checker.solve import Proved, Refuted, Solver, Unknown
from checker.states import Known, machine_state
from checker.subject import ABSTRACT, Subject, engines_of
from checker.symbolic import Symbolic
from checker.terms import Term, Terms, Truth, Value
from checker.translation import reached
from spec.concrete import ConcreteEngine
from spec.expressions import reads
from spec.ir import (
    Block,
    Compare,
    CompareOp,
    Expr,
    Instruction,
    Isa,
    Literal,
    Local,
    Logic,
    LogicOp,
    Read,
    Write,
)
from spec.outcome import Retired
from spec.state import MachineState


def check_invariants(
    isa: Isa,
    instruction: Instruction | None,
    *,
    timeout_ms: int = 1000,
    skip: frozenset[str] = frozenset(),
    announce: Callable[[str], None] = lambda name: None,
) -> tuple[Fact, ...]:
    """Whether the instruction (None: reset, every trap and interrupt) keeps what is assumed.

    One fact for each invariant, and for each enumeration element that may break its type.
    """
    machine = machine_of(isa)
    log = Log(announce, skip)
    kept = [_Keeping(machine, question, condition, log) for question, condition in _conditions(isa)]
    if instruction is None:
        for keeping in kept:
            keeping.reset()
        _Routines(machine, timeout_ms).ask(kept)
        return tuple(keeping.fact() for keeping in kept)
    written = _may_write(isa, instruction)
    concerned = [keeping for keeping in kept if keeping.concerns(written)]
    if concerned:
        subject = Subject(engines_of(machine), instruction, OperandSet())
        solver = Solver(subject.engines.terms, isa.memory, timeout_ms)
        _ask(Prover(subject, solver, Replay(machine), log), concerned)
    return tuple(keeping.fact() for keeping in kept)


def _conditions(isa: Isa) -> Iterator[tuple[str, Expr]]:
    for text, expr in isa.invariants:
        yield f"invariant {text}", expr
    for element in isa.elements:
        encodings = {encoding for _, encoding in element.values}
        if encodings and element.length is None and len(encodings) < 1 << element.width:
            value = Read(element.name, element.width)
            yield f"`{element.name}` holds a declared value", _one_of(value, sorted(encodings))


def _one_of(value: Expr, encodings: Iterable[int]) -> Expr:
    found: Expr | None = None
    for encoding in encodings:
        here = Compare(CompareOp.EQ, value, Literal(encoding, value.width))
        found = here if found is None else Logic(LogicOp.OR, found, here)
    assert found is not None
    return found


@dataclass(slots=True, eq=False)
class _Keeping:
    """A condition, and what was found out about it so far."""

    machine: Machine
    question: str
    condition: Expr
    log: Log
    broken: str = ""  # by what
    open: str = ""  # why it is not known

    def fact(self) -> Fact:
        if self.broken:
            return Fact(self.question, Answer.NO, self.broken)
        if self.open:
            return Fact(self.question, Answer.UNKNOWN, self.open)
        return Fact(self.question, Answer.YES)

    def reset(self) -> None:
        isa = self.machine.isa
        if not ConcreteEngine(isa).value(MachineState(isa), self.condition):
            self.broken = "it does not hold at reset"

    def concerns(self, written: Iterable[str]) -> bool:
        """Whether changes of these elements may break it."""
        return not reads(self.condition).isdisjoint(written)

    def fails(self, engine: Symbolic, after: Mapping[str, Value]) -> Truth:
        """It does not hold of these values of the elements."""
        return engine.negate(cast(Truth, engine.expression(after, self.condition, {})))


# --------------------------------------------------------------------------- instructions


def _may_write(isa: Isa, instruction: Instruction) -> frozenset[str]:
    """Elements that the text of an instruction, or of the translation of its addresses, names as
    written; the pc is always one."""
    (translate,) = [function for function in isa.functions if function.name == isa.translate]
    statements = [s for body in (instruction.body, translate.body) for s in reached(isa, body)]
    return frozenset({isa.pc} | {s.element for s in statements if isinstance(s, Write)})


def _ask(prover: Prover, kept: Sequence[_Keeping]) -> None:
    """Of all conditions at once, first: most instructions break none."""
    subject = prover.subject
    isa = subject.machine.isa
    instruction = subject.instruction.name
    for name, mode in isa.mode.members:
        run = subject.run(mode, ABSTRACT)
        if run.retires is False:
            continue
        left = [k for k in kept if not k.broken and k.concerns((*run.written, isa.pc))]
        if len(left) > 1 and prover.excludes(_breaks(subject, left, name, mode)):
            continue
        for keeping in left:
            found = prover.ask(_breaks(subject, [keeping], name, mode))
            if found.answer is Answer.YES:
                keeping.broken = f"`{instruction}` breaks it in mode {name}"
            if found.answer is Answer.UNKNOWN:
                keeping.open = f"not decided for `{instruction}`"


def _breaks(subject: Subject, kept: Sequence[_Keeping], mode_name: str, mode: int) -> Obligation:
    """A state from which the instruction retires into one where a condition does not hold."""
    isa = subject.machine.isa
    concrete = ConcreteEngine(isa)

    def goal(pair: Pair) -> Truth:
        engine = pair.engine
        after = {name: pair.first.after(name) for name in pair.first.start}
        fails = engine.any(*(keeping.fails(engine, after) for keeping in kept))
        return engine.both(pair.first.retires, fails)

    def check(runs: Sequence[Side]) -> Sequence[str]:
        outcome = runs[0].outcome
        if not isinstance(outcome, Retired):
            return ()
        return [k.question for k in kept if not concrete.value(outcome.state, k.condition)]

    scope = f"{isa.name}/{subject.instruction.name}"
    asks = " and ".join(keeping.question for keeping in kept) + f"/{mode_name}"
    return Obligation(scope, asks, About.ONE, mode, mode, goal, check)


# --------------------------------------------------------------------------- traps and interrupts


@dataclass(frozen=True, slots=True, eq=False)
class _Routine:
    """A block that is no instruction: a trap's delivery or an interrupt."""

    name: str
    body: Block
    parameters: tuple[Local, ...] = ()
    condition: Expr | None = None


class _Routines:
    """Whether the routines of a description keep conditions."""

    def __init__(self, machine: Machine, timeout_ms: int) -> None:
        self._machine = machine
        self._isa = machine.isa
        self._timeout_ms = timeout_ms

    def ask(self, kept: Sequence[_Keeping]) -> None:
        isa = self._isa
        routines = [_Routine(f"the trap {c.name}", c.delivery, c.parameters) for c in isa.causes]
        routines += [
            _Routine(f"the interrupt {i.name}", i.delivery, (), i.condition) for i in isa.interrupts
        ]
        for routine in routines:
            for name, mode in isa.mode.members:
                self._ask(routine, name, mode, [k for k in kept if not k.broken])

    def _ask(self, routine: _Routine, mode_name: str, mode: int, kept: Sequence[_Keeping]) -> None:
        """Whether the routine breaks them in this mode; a run that does is replayed."""
        isa = self._isa
        terms = Terms()
        engine = Symbolic(isa, terms, abstract=False, known=self._machine.translation)
        start = starts.start(isa, terms, mode)
        memory = starts.memory(isa, terms)
        frame: dict[str, Value | Truth] = {
            p.name: terms.symbol(f"argument {p.name}", p.width) for p in routine.parameters
        }
        pc = cast(Term, start[isa.pc])
        frame["next"] = terms.symbol("next", pc.width)
        run = engine.run(start, memory, routine.body, frame, pc)
        after = {name: run.after(name) for name in start} | {isa.pc: run.pc_after}
        assumed = starts.well_formed(isa, engine, start)
        if routine.condition is not None:
            assumed.append(cast(Truth, engine.expression(start, routine.condition, {})))
        solver = Solver(terms, isa.memory, self._timeout_ms)
        for keeping in kept:
            if not keeping.concerns((*run.written, isa.pc)):
                continue
            goal = engine.both(run.retires, keeping.fails(engine, after))
            if goal is False:
                continue
            name = f"{isa.name}/{routine.name}/{keeping.question}/{mode}"
            if name in keeping.log.skip:
                keeping.open = "time-out"
                continue
            keeping.log.announce(name)
            match solver.solve(goal, *assumed):
                case Proved():
                    pass
                case Unknown(reason):
                    keeping.open = f"not decided for {routine.name}: {reason}"
                case Refuted(assignment):
                    if self._replays(keeping, routine, frame, start, memory, assignment):
                        keeping.broken = f"{routine.name} breaks it in mode {mode_name}"
                    else:
                        keeping.open = (
                            f"not decided for {routine.name}: the states found do not replay"
                        )

    def _replays(
        self,
        keeping: _Keeping,
        routine: _Routine,
        frame: Mapping[str, Value | Truth],
        start: Mapping[str, Value],
        memory: Term,
        assignment: Assignment,
    ) -> bool:
        isa = self._isa
        state = machine_state(isa, start, memory, Known(assignment, Assignment()))
        values = {
            name: assignment.symbols.get(cast(Term, t).args[0], 0) for name, t in frame.items()
        }
        engine = ConcreteEngine(isa)
        replay = Replay(self._machine)
        if not replay.well_formed(state):
            return False
        if routine.condition is not None and not engine.value(state, routine.condition):
            return False
        outcome = engine.run(state, routine.body, values)
        return isinstance(outcome, Retired) and not engine.value(outcome.state, keeping.condition)
