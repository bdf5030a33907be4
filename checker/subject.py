"""One instruction with one operand set: its runs on symbols, each mode once, made when asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from checker import starts
from checker.answers import OperandSet
from checker.assignment import Assignment
from checker.components import MEMORY, Machine
from checker.operand_sets import FIELD, FORM, Operands, operands
from checker.runs import SymbolicRun
from checker.symbolic import MOVED, PLACED, VIEWED, Symbolic
from checker.terms import Op, Term, Terms, Truth, Value, support
from spec.ir import BinaryOp, Expr, Instruction
from spec.specialize import Specializer

_LENGTH_WIDTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Engines:
    """The two symbolic engines of a machine, over one graph of terms."""

    machine: Machine
    terms: Terms
    abstract: Symbolic
    concrete: Symbolic

    @property
    def may_abstract(self) -> bool:
        """Whether `translate` is a function that traps with memory traps only."""
        translation = self.machine.translation
        return translation.pure and translation.memory_traps_only

    def engine(self, level: "Level") -> Symbolic:
        """What runs at a level. A translation that changes state is run at both: no abstraction
        of where it leads knows what it changes."""
        abstract = level is ABSTRACT and self.machine.translation.pure
        return self.abstract if abstract else self.concrete


Level = bool
ABSTRACT: Level = True
CONCRETE: Level = False


def engines_of(machine: Machine) -> Engines:
    terms = Terms()
    return Engines(
        machine,
        terms,
        Symbolic(machine.isa, terms, abstract=True, known=machine.translation),
        Symbolic(machine.isa, terms, abstract=False, known=machine.translation, apart=True),
    )


class Subject:
    """An instruction with an operand set, and what is known of its runs.

    `instruction` is as the description has it; `short` runs as it does with these operands.
    """

    def __init__(
        self,
        engines: Engines,
        instruction: Instruction,
        chosen: OperandSet,
        specializer: Specializer | None = None,
    ) -> None:
        self.engines = engines
        self.machine = engines.machine
        self.instruction = instruction
        self.chosen = chosen
        self.operands: Operands = operands(engines.abstract, self.machine.isa, instruction, chosen)
        self.short = instruction
        if chosen.members:
            known = {n: v for n, v in self.operands.fields.items() if not isinstance(v, Term)}
            specializer = specializer or Specializer(self.machine.isa)
            self.short = specializer.instruction(instruction, known)
        self.memory = starts.memory(self.machine.isa, engines.terms)
        self._starts: dict[int, dict[str, Value]] = {}
        self._elements: dict[int, dict[str, str]] = {}
        self._runs: dict[tuple[int, Level], SymbolicRun] = {}
        self._well_formed: dict[int, list[Truth]] = {}
        self._supports: dict[int, tuple[int, int]] = {}
        self._own: dict[frozenset[int], dict[str, int]] = {}
        self._placing: dict[int, frozenset[str]] = {}

    def start(self, mode: int) -> dict[str, Value]:
        if mode not in self._starts:
            self._starts[mode] = starts.start(self.machine.isa, self.engines.terms, mode)
        return self._starts[mode]

    def elements(self, mode: int) -> Mapping[str, str]:
        """The elements (and `MEMORY`) by the names of their symbols."""
        found = self._elements.get(mode)
        if found is None:
            found = {
                symbol.args[0]: name
                for name, symbol in self.start(mode).items()
                if isinstance(symbol, Term)
            }
            found[self.memory.args[0]] = MEMORY
            self._elements[mode] = found
        return found

    def run(self, mode: int, level: Level) -> SymbolicRun:
        run = self._runs.get((mode, level))
        if run is None:
            run = self._runs[mode, level] = self._run(mode, level)
        return run

    def _run(self, mode: int, level: Level) -> SymbolicRun:
        engine = self.engines.engine(level)
        isa = self.machine.isa
        state = self.start(mode)
        pc = state[isa.pc]
        width = cast(Term, pc).width
        length = self.operands.length
        if width > _LENGTH_WIDTH:
            length = engine.extend(length, _LENGTH_WIDTH, False, width)
        else:
            length = engine.extract(length, _LENGTH_WIDTH, width - 1, 0)
        following = engine.binary(BinaryOp.ADD, pc, length, width)
        frame = {**self.operands.fields, "next": following}
        return engine.run(state, self.memory, self.short.body, frame, following)

    def well_formed(self, mode: int) -> list[Truth]:
        """What holds of every well-formed state in a mode."""
        if mode not in self._well_formed:
            engine = self.engines.abstract
            self._well_formed[mode] = starts.well_formed(self.machine.isa, engine, self.start(mode))
        return self._well_formed[mode]

    def condition(self, mode: int, expr: Expr) -> Truth:
        """A condition on the state before the run."""
        return cast(Truth, self.engines.abstract.expression(self.start(mode), expr, {}))

    def supports(self, mode: int) -> tuple[int, int]:
        """What the outcome, and what the results of a retiring run depend on (abstractly)."""
        found = self._supports.get(mode)
        if found is None:
            run = self.run(mode, ABSTRACT)
            outcome = support(run.retires)
            for path in run.traps:
                outcome |= support(path.condition)
            results = support(run.pc_after) | (
                run.memory.support if run.memory is not run.memory_before else 0
            )
            for name in run.written:
                results |= support(run.written[name])
            if run.physical is not run.physical_before:
                results |= run.physical.support
            for reached in run.touched:
                outcome |= support(reached.address) | support(reached.condition)
            found = self._supports[mode] = outcome, results
        return found

    def own(self, modes: frozenset[int]) -> dict[str, int]:
        """The fields and the registers of the guest on which runs in these modes depend, each as
        great as can be."""
        found = self._own.get(modes)
        if found is None:
            reached = 0
            plain: set[Value] = set()
            for mode in modes:
                outcome, results = self.supports(mode)
                reached |= outcome | results
                plain |= {self.start(mode)[name] for name in self.machine.plain}
            found = self._own[modes] = {
                s.args[0]: (1 << s.width) - 1
                for s in self.engines.terms.symbols(reached)
                if s.op is Op.SYMBOL and (s in plain or s.args[0].startswith(FIELD))
            }
        return found

    @property
    def forms(self) -> list[Term]:
        """The fields, if operands may have several forms."""
        values = self.operands.fields.values()
        symbols = dict.fromkeys(
            s for value in values for s in self.engines.terms.symbols(support(value))
        )
        found = [s for s in symbols if s.op is Op.SYMBOL and s.args[0].startswith(FIELD)]
        return found if any(s.args[0].endswith(FORM) for s in found) else []

    def operand_supports(self) -> tuple[int, int]:
        """The supports of the instruction's fields, and of the guest's registers and flags."""
        fields = plain = 0
        for value in self.operands.fields.values():
            fields |= support(value)
        start = self.start(self.machine.isa.mode.members[0][1])
        for name in self.machine.plain:
            plain |= support(start[name])
        return fields, plain

    def touches_memory(self, mode: int) -> bool:
        """Whether a run in this mode may use memory or translation at all."""
        run = self.run(mode, ABSTRACT)
        return (
            bool(run.touched)
            or run.memory is not run.memory_before
            or bool(
                (self.supports(mode)[0] | self.supports(mode)[1])
                & (self.marks | self.memory.support)
            )
        )

    def placing(self, mode: int) -> frozenset[str]:
        """Elements that decide where the addresses lie that a run in this mode touches (not only
        whether they can be reached), the mode by its element; memory is not among them."""
        if mode not in self._placing:
            self._placing[mode] = self._decides_places(mode)
        return self._placing[mode]

    def _decides_places(self, mode: int) -> frozenset[str]:
        isa, translation = self.machine.isa, self.machine.translation
        if not self.engines.may_abstract:
            return translation.reads
        any_mode = self.engines.terms.symbol("any mode", isa.mode.width)
        decided = 0
        start = self.start(mode)
        for reached in self.run(mode, ABSTRACT).touched:
            _, place = self.engines.concrete.look_up(
                start, self.memory, reached.address, reached.size, reached.access, any_mode
            )
            decided |= support(place)
        by_mode = decided & any_mode.support or isa.mode.element in translation.reads
        names = [
            name
            for name in translation.reads
            if isinstance(start[name], Term) and support(start[name]) & decided
        ]
        return frozenset([*names, isa.mode.element] if by_mode else names)

    def is_marked(self, mode: int) -> bool:
        """Whether a run in this mode depends on what the shared view does not determine."""
        outcome, results = self.supports(mode)
        return bool((outcome | results) & self.marks)

    def reset(self, mode: int) -> Assignment:
        """The symbols of a state that is as at reset."""
        found = Assignment()
        for element in self.machine.isa.elements:
            symbol = self.start(mode)[element.name]
            if isinstance(symbol, Term) and element.reset:
                if element.length is None:
                    found.symbols[symbol.args[0]] = element.reset
                else:
                    content = dict.fromkeys(range(element.length), element.reset)
                    found.arrays[symbol.args[0]] = content
        return found

    @property
    def placed_mark(self) -> int:
        return self.engines.terms.bit(PLACED)

    @property
    def viewed_mark(self) -> int:
        return self.engines.terms.bit(VIEWED)

    @property
    def moved_mark(self) -> int:
        return self.engines.terms.bit(MOVED)

    @property
    def marks(self) -> int:
        """In the support of what the shared view does not determine."""
        return self.placed_mark | self.viewed_mark | self.moved_mark


def differ(engine: Symbolic, first: Value, second: Value) -> Truth:
    """Two values of one element, vectors or arrays over one leaf, are not the same."""
    if first is second:
        return False
    if isinstance(first, Term) and first.width == 0:
        assert isinstance(second, Term)
        return _arrays_differ(engine, first, second)
    if not isinstance(first, Term) and not isinstance(second, Term):
        return first != second
    width = first.width if isinstance(first, Term) else cast(Term, second).width
    return engine.negate(engine.equal(first, second, width))


def _arrays_differ(engine: Symbolic, first: Term, second: Term) -> Truth:
    places: dict[Value, tuple[int, int]] = {}
    left = [first, second]
    while left:
        term = left.pop()
        if term.op is Op.WRITE:
            places[term.args[1]] = (term.args[3], term.args[4])
            left.append(term.args[0])
        elif term.op is Op.SELECT_ARRAY:
            left.extend(term.args[1:])
    found: Truth = False
    for place, (index_width, width) in places.items():
        one = engine.read_place(first, place, index_width, width)
        other = engine.read_place(second, place, index_width, width)
        found = engine.either(found, engine.negate(engine.equal(one, other, width)))
    return found
