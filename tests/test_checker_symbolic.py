"""The symbolic engine, made concrete, does what the concrete engine does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import starts
from checker.assignment import Assignment, Evaluation
from checker.operand_sets import operand_sets, operands
from checker.runs import SymbolicRun
from checker.solve import Proved, Refuted, Solver
from checker.symbolic import Symbolic
from checker.terms import Op, Term, Terms, Value
from spec.concrete import ConcreteEngine
from spec.ir import BinaryOp, Instruction, Isa
from spec.outcome import Retired, Trapped
from spec.state import MachineState
from tests.description_text import machine
from tests.small_machine import SMALL
from tests.strategies import descriptions, expressions, states

ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An instruction with its run in one mode, on symbols."""

    isa: Isa
    instruction: Instruction
    fields: dict[str, Value]
    length: Value
    run: SymbolicRun


def subjects(isa: Isa) -> list[Subject]:
    terms = Terms()
    engine = Symbolic(isa, terms, abstract=False)
    found = []
    for instruction in isa.instructions:
        for chosen in operand_sets(isa, instruction):
            given = operands(engine, isa, instruction, chosen)
            fields = dict(given.fields)
            for field in instruction.fields:
                fields.setdefault(field.name, terms.symbol(f"field {field.name}", field.width))
            for _, mode in isa.mode.members:
                state = starts.start(isa, terms, mode)
                following = terms.symbol("next", 64)
                frame = {**fields, "next": engine.extract(following, 64, _pc_width(isa) - 1, 0)}
                run = engine.run(
                    state, starts.memory(isa, terms), instruction.body, frame, frame["next"]
                )
                found.append(Subject(isa, instruction, fields, given.length, run))
    return found


def test_a_look_up_of_many_entries_is_walked_in_time(tmp_path: Path) -> None:
    search = "for i in 0..40 { if !found && W.mid == i { found = true  A = A + 1 } }"
    isa = machine(tmp_path, f"var found : bool = false  {search}  if found {{ B = A }}")

    (subject, *_) = subjects(isa)

    agrees(subject, Random(1))


def _pc_width(isa: Isa) -> int:
    return next(e.width for e in isa.elements if e.name == isa.pc)


def random_case(subject: Subject, random: Random) -> tuple[MachineState, Assignment, list[int]]:
    """A state, and the values of symbols that say the same."""
    isa = subject.isa
    state = MachineState(isa)
    values = Assignment()
    for element in isa.elements:
        symbol = subject.run.start[element.name]
        if element.length is None:
            value = random.choice([0, 1, (1 << element.width) - 1, random.getrandbits(128)])
            value &= (1 << element.width) - 1
            if element.values:
                value = random.choice(element.values)[1]
            if not isinstance(symbol, Term):
                value = symbol
            else:
                values.symbols[symbol.args[0]] = value
            state.scalars[element.name] = value
        else:
            assert isinstance(symbol, Term)
            content = [random.getrandbits(element.width) for _ in range(element.length)]
            state.arrays[element.name][:] = content
            values.arrays[symbol.args[0]] = dict(enumerate(content))
    (pc,) = [e for e in isa.elements if e.name == isa.pc]
    values.symbols["next"] = (state.scalars[isa.pc] + 1) & ((1 << pc.width) - 1)
    choices = [random.getrandbits(128) for _ in range(4)]
    for position, choice in enumerate(choices):
        values.symbols[f"choice {position}"] = choice
    cells = {
        a: random.getrandbits(isa.memory.cell_width)
        for a in range(1 << min(8, isa.memory.address_width))
    }
    for address, cell in cells.items():
        state.cells[address] = cell
    values.arrays[f"memory {isa.memory.name}"] = cells
    return state, values, choices


def agrees(subject: Subject, random: Random) -> None:
    isa, run = subject.isa, subject.run
    state, values, choices = random_case(subject, random)
    fields: dict[str, int] = {}
    for field in subject.instruction.fields:
        value = subject.fields[field.name]
        if isinstance(value, Term):
            values.symbols[f"field {field.name}"] = random.getrandbits(field.width)
    evaluation = Evaluation(values, isa.memory)
    for field in subject.instruction.fields:
        fields[field.name] = evaluation.vector(subject.fields[field.name])

    outcome = ConcreteEngine(isa).execute(state, subject.instruction, fields, 1, choices)

    traps = [t for t in run.traps if evaluation.truth(t.condition)]
    assert evaluation.truth(run.retires) == (not traps)
    if isinstance(outcome, Trapped):
        (trap,) = traps
        assert (trap.cause, trap.trap_class) == (outcome.cause, outcome.trap_class)
        assert [evaluation.vector(a) for a in trap.arguments] == list(outcome.arguments)
    else:
        assert not traps
        same_state(subject, evaluation, outcome)


def same_state(subject: Subject, evaluation: Evaluation, outcome: Retired) -> None:
    run = subject.run
    for element in subject.isa.elements:
        after = run.after(element.name)
        if element.name == subject.isa.pc:
            after = run.pc_after
        if element.length is None:
            assert evaluation.vector(after) == outcome.state.scalars[element.name], element.name
        else:
            content = evaluation.contents(after)
            for index, value in enumerate(outcome.state.arrays[element.name]):
                assert content.get(index, 0) == value, (element.name, index)
    written = {a: v for a, v in evaluation.contents(run.memory).items() if v}
    assert written == dict(outcome.state.cells.written())
    touched = [t for t in run.touched if evaluation.truth(t.condition)]
    expected = [(v.address, v.size, v.access) for v in outcome.accesses.virtual]
    assert [(evaluation.vector(t.address), t.size, t.access) for t in touched] == expected


@pytest.mark.parametrize(
    "subject", subjects(SMALL), ids=lambda s: f"{s.instruction.name}-{s.run.mode}"
)
def test_every_instruction_of_the_small_machine_runs_alike(subject: Subject) -> None:
    random = Random(subject.instruction.name)

    for _ in range(ROUNDS):
        agrees(subject, random)


def assigned(isa: Isa, state: MachineState, start: Mapping[str, Value]) -> Assignment:
    """The values of the symbols that stand for a state."""
    values = Assignment()
    for element in isa.elements:
        symbol = start[element.name]
        if isinstance(symbol, Term) and element.length is None:
            values.symbols[symbol.args[0]] = state.scalars[element.name]
        elif isinstance(symbol, Term):
            values.arrays[symbol.args[0]] = dict(enumerate(state.arrays[element.name]))
    values.arrays[f"memory {isa.memory.name}"] = dict(state.cells.written())
    return values


@given(st.data())
def test_random_instructions_run_alike(data: st.DataObject) -> None:
    isa = data.draw(descriptions())
    state = data.draw(states(isa))
    n = data.draw(st.integers(0, 127))
    choices = data.draw(st.lists(st.integers(0, 2**130), max_size=3))
    terms = Terms()
    engine = Symbolic(isa, terms, abstract=False)
    start = starts.start(isa, terms, state.scalars["M"])
    values = assigned(isa, state, start)
    pc = start["P"]
    assert isinstance(pc, Term)
    following = engine.binary(BinaryOp.ADD, pc, 3, pc.width)
    frame = {"n": terms.symbol("field n", 7), "next": following}
    values.symbols["field n"] = n
    values.symbols |= {f"choice {i}": choice for i, choice in enumerate(choices)}

    run = engine.run(start, starts.memory(isa, terms), isa.instructions[0].body, frame, following)
    outcome = ConcreteEngine(isa).execute(state, isa.instructions[0], {"n": n}, 3, choices)

    evaluation = Evaluation(values, isa.memory)
    traps = [t for t in run.traps if evaluation.truth(t.condition)]
    assert evaluation.truth(run.retires) == (not traps)
    if isinstance(outcome, Trapped):
        (trap,) = traps
        assert (trap.cause, trap.trap_class) == (outcome.cause, outcome.trap_class)
        assert [evaluation.vector(a) for a in trap.arguments] == list(outcome.arguments)
    else:
        subject = Subject(isa, isa.instructions[0], {}, 3, run)
        same_state(subject, evaluation, outcome)


@given(st.data())
def test_z3_computes_what_the_concrete_engine_does(data: st.DataObject) -> None:
    isa, expr = data.draw(expressions())
    state = data.draw(states(isa))
    terms = Terms()
    engine = Symbolic(isa, terms, abstract=False)
    start = starts.start(isa, terms, state.scalars["M"])
    values = assigned(isa, state, start)

    term = engine.expression(start, expr, {})
    expected = ConcreteEngine(isa).value(state, expr)

    assert Evaluation(values, isa.memory).vector(term) == expected
    if isinstance(term, Term):
        told = term if expr.width == 0 else engine.equal(term, expected, expr.width)
        told = told if expr.width or expected else engine.negate(told)
        known = [
            engine.equal(symbol, values.symbols[symbol.args[0]], symbol.width)
            for symbol in terms.symbols(term.support)
            if symbol.op is Op.SYMBOL
        ]
        for array in terms.symbols(term.support):
            if array.op is Op.ARRAY:
                name, index_width, width = array.args
                for index, value in values.arrays[name].items():
                    read = engine.read_place(array, index, index_width, width)
                    known.append(engine.equal(read, value, width))
        solver = Solver(terms, isa.memory, 20_000)

        assert solver.solve(engine.negate(told), *known) == Proved()
        assert isinstance(solver.solve(told, *known), Refuted)
