"""Whether the invariants of a description hold in every reachable state.

They are assumed of every state; so reset must establish them, and every instruction, trap and
interrupt must keep them. The same is asked of elements with an enumeration type: that they hold
one of its values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from checker import starts
from checker.answers import Answer, Fact, OperandSet
from checker.assignment import Assignment
from checker.components import Machine, machine_of
from checker.obligations import About, Log, Obligation, Prover
from checker.replay import Replay, Side
from checker.sides import Pair
from checker.solve import Proved, Refuted, Solver, Unknown
from checker.states import Known, machine_state
from checker.subject import Subject, engines_of
from checker.symbolic import Symbolic
from checker.terms import Term, Terms, Truth, Value
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
    kept = [
        _Keeping(machine, question, condition, timeout_ms, log)
        for question, condition in _conditions(isa)
    ]
    if instruction is None:
        return tuple(k.fact(k.broken_by_reset() or k.broken_by_routine()) for k in kept)
    subject = Subject(engines_of(machine), instruction, OperandSet())
    return tuple(k.fact(k.broken_by(instruction, subject)) for k in kept)


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
class _Routine:
    """A block that is no instruction: a trap's delivery or an interrupt."""

    name: str
    body: Block
    parameters: tuple[Local, ...] = ()
    condition: Expr | None = None


@dataclass(slots=True, eq=False)
class _Keeping:
    machine: Machine
    question: str
    condition: Expr
    timeout_ms: int
    log: Log
    _open: str = field(default="")

    def fact(self, broken: str) -> Fact:
        if broken:
            return Fact(self.question, Answer.NO, broken)
        if self._open:
            return Fact(self.question, Answer.UNKNOWN, self._open)
        return Fact(self.question, Answer.YES)

    def broken_by_reset(self) -> str:
        isa = self.machine.isa
        holds = ConcreteEngine(isa).value(MachineState(isa), self.condition)
        return "" if holds else "it does not hold at reset"

    # -- instructions

    def broken_by(self, instruction: Instruction, subject: Subject) -> str:
        isa = self.machine.isa
        read = reads(self.condition)
        prover = Prover(
            subject, Solver(isa.memory, self.timeout_ms), Replay(self.machine), self.log
        )
        for name, mode in isa.mode.members:
            run = subject.run(mode, True)
            if run.retires is False or not read & {*run.written, isa.pc}:
                continue
            scope = f"{isa.name}/{instruction.name}"
            found = prover.ask(self._obligation(scope, name, subject, mode))
            if found.answer is Answer.YES:
                return f"`{instruction.name}` breaks it in mode {name}"
            if found.answer is Answer.UNKNOWN:
                self._open = f"not decided for `{instruction.name}`"
        return ""

    def _obligation(self, scope: str, mode_name: str, subject: Subject, mode: int) -> Obligation:
        engine = subject.engines.abstract
        concrete = ConcreteEngine(self.machine.isa)

        def goal(pair: Pair) -> Truth:
            after = {name: pair.first.after(name) for name in pair.first.start}
            holds = cast(Truth, engine.expression(after, self.condition, {}))
            return engine.both(pair.first.retires, engine.negate(holds))

        def check(runs: Sequence[Side]) -> Sequence[str]:
            outcome = runs[0].outcome
            if not isinstance(outcome, Retired):
                return ()
            return () if concrete.value(outcome.state, self.condition) else (self.question,)

        asks = f"{self.question}/{mode_name}"
        return Obligation(scope, asks, About.ONE, mode, mode, goal, check)

    # -- traps and interrupts

    def broken_by_routine(self) -> str:
        isa = self.machine.isa
        routines = [_Routine(f"the trap {c.name}", c.delivery, c.parameters) for c in isa.causes]
        routines += [
            _Routine(f"the interrupt {i.name}", i.delivery, (), i.condition) for i in isa.interrupts
        ]
        for routine in routines:
            for name, mode in isa.mode.members:
                if self._routine_breaks(routine, mode):
                    return f"{routine.name} breaks it in mode {name}"
        return ""

    def _routine_breaks(self, routine: _Routine, mode: int) -> bool:
        """Whether a run of the routine was found, and replayed, that breaks the condition."""
        isa = self.machine.isa
        terms = Terms()
        engine = Symbolic(isa, terms, abstract=False)
        start = starts.start(isa, terms, mode)
        memory = starts.memory(isa, terms)
        frame: dict[str, Value | Truth] = {
            p.name: terms.symbol(f"argument {p.name}", p.width) for p in routine.parameters
        }
        pc = cast(Term, start[isa.pc])
        frame["next"] = terms.symbol("next", pc.width)
        run = engine.run(start, memory, routine.body, frame, pc)
        if not reads(self.condition) & {*run.written, isa.pc}:
            return False
        after = {name: run.after(name) for name in start} | {isa.pc: run.pc_after}
        holds = cast(Truth, engine.expression(after, self.condition, {}))
        goal = engine.both(run.retires, engine.negate(holds))
        if goal is False:
            return False
        assumed = starts.well_formed(isa, engine, start)
        if routine.condition is not None:
            assumed.append(cast(Truth, engine.expression(start, routine.condition, {})))
        name = f"{isa.name}/{routine.name}/{self.question}/{mode}"
        if name in self.log.skip:
            self._open = "time-out"
            return False
        self.log.announce(name)
        match Solver(isa.memory, self.timeout_ms).solve(goal, *assumed):
            case Proved():
                return False
            case Unknown(reason):
                self._open = f"not decided for {routine.name}: {reason}"
                return False
            case Refuted(assignment):
                if self._replays(routine, frame, start, memory, assignment):
                    return True
                self._open = f"not decided for {routine.name}: the states found do not replay"
                return False

    def _replays(
        self,
        routine: _Routine,
        frame: Mapping[str, Value | Truth],
        start: Mapping[str, Value],
        memory: Term,
        assignment: Assignment,
    ) -> bool:
        isa = self.machine.isa
        state = machine_state(isa, start, memory, Known(assignment, Assignment()))
        values = {
            name: assignment.symbols.get(cast(Term, t).args[0], 0) for name, t in frame.items()
        }
        engine = ConcreteEngine(isa)
        replay = Replay(self.machine)
        if not replay.well_formed(state):
            return False
        if routine.condition is not None and not engine.value(state, routine.condition):
            return False
        outcome = engine.run(state, routine.body, values)
        return isinstance(outcome, Retired) and not engine.value(outcome.state, self.condition)
