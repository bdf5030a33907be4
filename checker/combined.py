"""Runs of all texts from the combined state of a monitor and its machine."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never, cast

from checker.assignment import Assignment, Evaluation
from checker.combined_start import CombinedStart, State
from checker.entries import EARLIER, Agreeing, Entries, Stored, are_entries
from checker.hosted import Direct, Granted, Hosting, Plain, Recording
from checker.proof import Counterexample
from checker.runs import SymbolicRun
from checker.statements import BASE, SIZE, TABLES, Anew, Earlier, Hosted, Text, Triple
from checker.subject import differ
from checker.substitution import Substitution
from checker.symbolic import CHOICE_WIDTH
from checker.terms import Op, Term, Truth, Value, in_order
from spec.ir import BinaryOp, Block, CompareOp, Expr

Failure = tuple[str, Truth]


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """Where a run ended: its outcome, and the state that is meant where it retires."""

    run: SymbolicRun
    state: State
    waits: Truth
    strays: Truth | None = None  # it stores outside the region; None: this was not kept account of
    grants: frozenset[Granted] = frozenset()
    crossing: Truth = False  # an access goes beyond the end of a page


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Cells of `memory`, where `where` holds, are those of `was`; as filled if that is None."""

    memory: Term
    where: Callable[[Value], Truth]
    was: Term | None


class Combined(CombinedStart):
    """The start, and what runs from it come to."""

    def __init__(
        self,
        hosted: Hosted,
        mode: int | None,
        running: bool,
        constants: Mapping[str, int] | None = None,
        real_mode: int | None = None,
    ) -> None:
        super().__init__(hosted, mode, running, constants, real_mode)
        self.page: int | None = None  # of which direct runs are told to look at the end
        self._choices = 0
        self._rules: list[Rule] = []
        self._entries: Entries | None = None

    # -- runs

    def run(
        self,
        text: Text,
        start: State,
        block: Block,
        frame: Mapping[str, Value | Truth],
        hypotheses: tuple[Truth, ...] = (),
        granted: Set[Granted] = frozenset(),
    ) -> End:
        """A run from the start's memory; see `Hosting` for what it may assume."""
        engine = self.engine(text)
        engine.hypotheses, engine.granted = hypotheses, granted
        pc = self.hosted.bare.pc
        following = start[pc] if self.length is None else frame["next"]
        run = engine.run(start, self.memory, block, frame, following)
        engine.hypotheses, engine.granted = (), frozenset()
        self._choices = max(self._choices, run.choices)
        state = {name: run.after(name) for name in start}
        state[pc] = run.pc_after
        if isinstance(engine, Direct):
            grants = frozenset(engine.grants)
            return End(run, state, engine.waits, engine.strays, grants, engine.crossing)
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
                engine = Direct(
                    hosted.real, self.terms, self.base, self.size, hosted.homes, self.mode
                )
                engine.page = self.page
                return engine

    def shown(
        self,
        triple: Triple,
        frame: Mapping[str, Value | Truth],
        excluded: Callable[[Truth], bool],
    ) -> list[Failure]:
        """Run the parts one after the other; where they may trap, or something shown is false.

        `excluded` finds out whether a condition cannot hold under the triple's assumptions.
        """
        failures: list[Failure] = []
        given: Truth = True
        self.monitor.marks = triple.marks
        state, memory, values = self.start, self.memory, dict(frame)
        if triple.empty:
            self._rules.append(Rule(memory, self._in_tables, None))
        for number, part in enumerate(triple.parts):
            if part.given is not None:
                holds = cast(Truth, self.monitor.expression(state, part.given, values))
                given = self.monitor.both(given, holds)
            match part.anew:
                case Anew.NO:
                    pass
                case Anew.START:
                    state, memory = self.start, self.memory
                case Anew.REGION:
                    memory = self._any_region(
                        state,
                        memory,
                        triple.agree,
                        values,
                        partial(self._ruled_out, excluded, given),
                    )
                case _:
                    assert_never(part.anew)
            engine = self.engine(part.text)
            pc = state[self.hosted.bare.pc]
            engine.hypotheses = (given,)
            run, values = engine.run_on(state, memory, part.block, values, pc)
            engine.hypotheses = ()
            state = {name: run.after(name) for name in state}
            memory = run.memory
            if run.retires is not True:
                traps = self.monitor.both(given, self.monitor.negate(run.retires))
                failures.append((f"step {number + 1} traps", traps))
        for sentence, expr in triple.show:
            holds = cast(Truth, self.monitor.expression(state, expr, values))
            fails = self.monitor.where(given, self.monitor.negate(holds))
            failures.append((sentence, self.monitor.both(given, fails)))
        return failures

    def earlier(self, calls: Iterable[Earlier]) -> list[Stored]:
        """What earlier calls stored, with any arguments and from any state, if that is entries."""
        hosted, terms = self.hosted, self.terms
        stored: list[Stored] = []
        widths = {e.name: e.width for e in hosted.real.elements}
        memory = terms.array(EARLIER + "memory", self.memory.args[1], self.memory.args[2])
        start: State = {}
        for name, value in self.start.items():
            if name in (BASE, SIZE, TABLES):
                start[name] = value
            elif isinstance(value, Term) and value.width == 0:
                leaf = next(_leaves(value))
                start[name] = terms.array(EARLIER + name, *leaf.args[1:])
            else:
                start[name] = terms.symbol(EARLIER + name, widths[name])
        for call in calls:
            engine = Recording(hosted.monitor, terms, self.base, self.size)
            frame: dict[str, Value | Truth] = {
                p.name: terms.symbol(f"{EARLIER}argument {p.name}", p.width)
                for p in call.parameters
            }
            assumed = engine.all(
                *(cast(Truth, engine.expression(start, e, frame)) for e in call.assume)
            )
            engine.run(start, memory, call.block, frame, start[hosted.bare.pc])
            for s in engine.stored:
                stored.append(replace(s, condition=engine.both(s.condition, assumed)))
        width = hosted.bare.memory.address_width
        return stored if are_entries(stored, terms, width) else []

    def outside_tables(self, stored: Iterable[Stored]) -> Truth:
        """Some of the stores is not within the monitor's tables."""
        outside: Truth = False
        for s in stored:
            away = self.monitor.both(s.condition, self._leaves(s.address, s.size))
            outside = self.monitor.either(outside, away)
        return outside

    def fill(self, stored: list[Stored]) -> None:
        """The tables hold at the start what such calls stored, and elsewhere what they are filled with."""
        self._entries = Entries(self.monitor, self.memory, stored, self.hosted.fill)
        self.monitor.entries = self.real.entries = self._entries

    def _ruled_out(self, excluded: Callable[[Truth], bool], given: Truth, condition: Truth) -> bool:
        return excluded(self.monitor.both(given, condition))

    def _any_region(
        self,
        state: State,
        memory: Term,
        agree: Expr | None,
        values: Mapping[str, Value | Truth],
        excluded: Callable[[Truth], bool],
    ) -> Term:
        """Memory with any contents of the region, but where `agree` says that they stay."""
        width = self.hosted.bare.memory
        other = self.terms.array(
            f"region {len(self._rules)}", width.address_width, width.cell_width
        )

        saying = Plain(self.hosted.monitor, self.terms, self.base, self.size)
        saying.marks, saying.marked = self.monitor.marks, list(self.monitor.marked)

        def stays(cell: Value) -> Truth:
            inside = self._in_region(cell)
            same: Truth = False
            if agree is not None:
                offset = saying.binary(BinaryOp.SUB, cell, self.base, width.address_width)
                said = saying.expression(state, agree, {**values, "cell": offset})
                same = cast(Truth, said)
            return saying.either(saying.negate(inside), same)

        self._rules.append(Rule(other, stays, memory))
        self.monitor.entries = Agreeing(self.monitor, other, memory, stays, excluded)
        return other

    def instances(self, conditions: Iterable[Truth]) -> list[Truth]:
        """What the rules say of the cells that the conditions read."""
        found: dict[Term, None] = {}
        left: list[Truth] = list(conditions)
        seen: set[Term] = set()
        for _ in range(1 + len(self._rules)):
            new: list[Truth] = []
            for term in in_order(tuple(left), seen.__contains__):
                seen.add(term)
                if term.op is Op.LOAD:
                    for instance in self._instances(term):
                        if isinstance(instance, Term) and instance not in found:
                            found[instance] = None
                            new.append(instance)
            left = new
        return list(found)

    def _instances(self, load: Term) -> Iterator[Truth]:
        memory, address, cells = load.args
        leaves = set(_leaves(memory))
        width = self.hosted.bare.memory
        engine = self.monitor
        for rule in self._rules:
            if rule.memory not in leaves:
                continue
            for number in range(cells):
                cell = engine.binary(BinaryOp.ADD, address, number, width.address_width)
                wanted = (
                    self.hosted.fill if rule.was is None else engine.load_cells(rule.was, cell, 1)
                )
                now = engine.load_cells(rule.memory, cell, 1)
                same = engine.equal(now, wanted, width.cell_width)
                yield engine.either(engine.negate(rule.where(cell)), same)

    def _in_region(self, cell: Value) -> Truth:
        return self._within(cell, self.base, self.size)

    def _in_tables(self, cell: Value) -> Truth:
        return self._within(cell, self.start[TABLES], self.hosted.tables)

    def _within(self, cell: Value, start: Value, cells: Value) -> Truth:
        width = self.hosted.bare.memory.address_width
        offset = self.monitor.binary(BinaryOp.SUB, cell, start, width)
        wide = self.monitor.extend(offset, width, False, width + 1)
        return self.monitor.compare(CompareOp.ULT, wide, cells, width + 1)

    # -- comparing

    def changes(self, end: End, keep: Iterable[str]) -> Iterator[Failure]:
        for name in keep:
            differs = differ(self.monitor, self.start[name], end.state[name])
            yield f"`{name}` changes", self.monitor.both(end.run.retires, differs)

    def strays(self, end: End, tables: bool = False) -> Iterator[Failure]:
        """Memory outside the region (and the monitor's tables) changes."""
        if end.run.memory is self.memory:
            return
        engine = self.monitor
        place = self._place()
        own = self._in_region(place)
        if tables:
            own = engine.either(own, self._in_tables(place))
        changed = self._contents_differ(self.memory, end.run.memory)
        failing = engine.all(end.run.retires, engine.negate(own), changed)
        yield "memory outside the region changes", failing

    def leaves_tables(self, end: End) -> Truth | None:
        """Whether some store lies outside the monitor's tables, which are apart from the region.

        Said without the contents of memory; None where not all stores are known.
        """
        engine = self.monitor
        known = [(s.address, s.size) for s in end.run.stored_physically]
        if not set(stores(end.run.memory)) <= set(known):
            return None
        astray: Truth = False
        for store in end.run.stored_physically:
            outside = engine.both(store.condition, self._leaves(store.address, store.size))
            astray = engine.either(astray, outside)
        return engine.both(end.run.retires, astray)

    def _leaves(self, address: Value, size: int) -> Truth:
        """Some of the cells from an address on are outside the monitor's tables."""
        engine = self.monitor
        width = self.hosted.bare.memory.address_width
        offset = engine.binary(BinaryOp.SUB, address, self.start[TABLES], width)
        wide = engine.extend(offset, width, False, width + 1)
        last = engine.binary(BinaryOp.ADD, wide, size, width + 1)
        return engine.negate(engine.compare(CompareOp.ULE, last, self.hosted.tables, width + 1))

    def memories_differ(self, first: Term, second: Term) -> Truth:
        """The region has different contents."""
        if first is second:
            return False
        return self.monitor.both(
            self._in_region(self._place()), self._contents_differ(first, second)
        )

    def _place(self) -> Term:
        """Any cell of memory."""
        return self.terms.symbol("place", self.hosted.bare.memory.address_width)

    def _contents_differ(self, first: Term, second: Term) -> Truth:
        memory = self.hosted.bare.memory
        one, other = (self.monitor.load_cells(m, self._place(), 1) for m in (first, second))
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

    def guest_at_ends(self, guest: Iterable[str]) -> tuple[Substitution, Substitution]:
        """What is the guest's holds all zeros, and all ones."""
        scalars = [
            value
            for value in (self.start[name] for name in guest)
            if isinstance(value, Term) and value.op is Op.SYMBOL
        ]
        zeros: dict[Term, Value] = dict.fromkeys(scalars, 0)
        ones: dict[Term, Value] = {value: (1 << value.width) - 1 for value in scalars}
        return Substitution(self.monitor, zeros), Substitution(self.monitor, ones)

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
                content = evaluation.contents(value)
                arrays.append((element.name, tuple(sorted(content.items()))))
        memory = self.memory
        if self._entries is not None:
            for address, value in self._entries.found():
                memory = self.terms.make(Op.STORE, 0, memory, address, value, self._entries.size)
        cells = evaluation.contents(memory)
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


def _leaves(memory: Term) -> Iterator[Term]:
    left = [memory]
    while left:
        term = left.pop()
        if term.op is Op.ARRAY:
            yield term
        elif term.op is Op.SELECT_ARRAY:
            left.extend(term.args[1:])
        else:
            left.append(term.args[0])


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
