"""A configuration's own facts: its constraints can hold, and user mode reaches what it must."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from checker import starts
from checker.answers import Answer, Fact
from checker.assignment import Assignment, Evaluation
from checker.components import Machine, machine_of
from checker.solve import Proved, Refuted, Solver, Unknown
from checker.substitution import Substitution
from checker.symbolic import Symbolic
from checker.terms import Op, Term, Terms, Truth, Value, in_order, support
from spec.ir import Access, Configuration, Isa

SATISFIABLE = "constraints are satisfiable"
EFFICIENT = "efficient"
MOST_REGIONS = 40
FEW_REGIONS = 8  # before it is worth the time to look for larger ones
_TABLE = "table "  # names of symbols for what tables hold begin so


def check_configuration(
    isa: Isa,
    configuration: Configuration,
    *,
    timeout_ms: int = 1000,
    skip: frozenset[str] = frozenset(),
    announce: Callable[[str], None] = lambda name: None,
) -> tuple[Fact, ...]:
    """Whether some well-formed state in the real mode satisfies the constraints; and whether
    each address that the top virtual mode can reach can be reached in the real mode too."""
    search = _Search(machine_of(isa), configuration, timeout_ms, skip, announce)
    return search.satisfiable(), search.efficient()


class _Search:
    def __init__(
        self,
        machine: Machine,
        configuration: Configuration,
        timeout_ms: int,
        skip: frozenset[str],
        announce: Callable[[str], None],
    ) -> None:
        self._isa = machine.isa
        self._configuration = configuration
        self._terms = Terms()
        self._engine = Symbolic(machine.isa, self._terms, abstract=False)
        self._solver = Solver(self._terms, machine.isa.memory, timeout_ms)
        self._skip = skip
        self._announce = announce
        self._prefix = f"{machine.isa.name}/{configuration.name}"
        self._modes = dict(machine.isa.mode.members)
        first = {real: virtual for virtual, real in reversed(configuration.modes)}
        self._pairs = [(first[real], real) for real in configuration.real_modes]

    # -- vacuity

    def satisfiable(self) -> Fact:
        name = f"{self._prefix}/constraints"
        if name in self._skip:
            return Fact(SATISFIABLE, Answer.UNKNOWN, "time-out")
        self._announce(name)
        worst = Fact(SATISFIABLE, Answer.YES)
        for real in self._configuration.real_modes:
            state = starts.start(self._isa, self._terms, self._modes[real])
            match self._solver.solve(*self._real(state)):
                case Proved():
                    reason = f"no well-formed state in {real} satisfies them"
                    return Fact(SATISFIABLE, Answer.NO, reason)
                case Refuted():
                    pass
                case Unknown(reason):
                    worst = Fact(SATISFIABLE, Answer.UNKNOWN, reason)
        return worst

    def _real(self, state: Mapping[str, Value]) -> list[Truth]:
        """What holds of the real state while the guest runs."""
        conditions = starts.well_formed(self._isa, self._engine, state)
        for _, expr in self._configuration.constraints:
            conditions.append(cast(Truth, self._engine.expression(state, expr, {})))
        return conditions

    # -- efficiency

    def efficient(self) -> Fact:
        """No if some address that a virtual mode reaches, the most privileged one of those that
        share a real mode, is out of reach in the real mode."""
        worst = Fact(EFFICIENT, Answer.YES)
        for access in Access:
            name = f"{self._prefix}/efficient/{access.name.lower()}"
            if name in self._skip:
                worst = Fact(EFFICIENT, Answer.UNKNOWN, "time-out")
                continue
            self._announce(name)
            for top, user in self._pairs:
                found = self._reaches_all(access, top, user)
                if found.answer is Answer.NO:
                    return found
                if found.answer is Answer.UNKNOWN:
                    worst = found
        return worst

    def _reaches_all(self, access: Access, top: str, user: str) -> Fact:
        """Find an address that the top mode reaches, and widen it to all that one real state
        reaches, until none is left. What tables in memory hold is free: the VMM writes them."""
        (translate,) = [f for f in self._isa.functions if f.name == self._isa.translate]
        address = self._terms.symbol("address", translate.parameters[0].width)
        virtual, *from_top = self._reached(self._modes[top], address, access, "")
        real, *from_user = self._reached(self._modes[user], address, access, "'")
        wanted: list[Truth] = starts.well_formed(self._isa, self._engine, virtual)
        if self._configuration.linked is not None:
            _, used = self._configuration.linked
            wanted.append(cast(Truth, self._engine.expression(virtual, used, {"va": address})))
        allowed = self._real(real)
        for count in range(MOST_REGIONS):
            match self._first_model(from_top, wanted):
                case Proved():
                    return Fact(EFFICIENT, Answer.YES)
                case Unknown(reason):
                    return Fact(EFFICIENT, Answer.UNKNOWN, reason)
                case (_, assignment):
                    place = assignment.symbols.get("address", 0)
            here = self._engine.equal(address, place, address.width)
            match self._first_model(from_user, [here, *allowed]):
                case Proved():
                    return Fact(EFFICIENT, Answer.NO, self._out_of_reach(place, access, top, user))
                case Unknown(reason):
                    return Fact(EFFICIENT, Answer.UNKNOWN, reason)
                case (reached, assignment):
                    if count >= FEW_REGIONS and not self._tags(reached, address):
                        assignment = self._widest(reached, allowed, address, assignment)
                    region = self._region(reached, address, assignment)
            wanted.append(self._engine.negate(region))
        return Fact(EFFICIENT, Answer.UNKNOWN, f"more than {MOST_REGIONS} regions of addresses")

    def _first_model(
        self, ways: Sequence[Truth], others: Sequence[Truth]
    ) -> tuple[Truth, Assignment] | Proved | Unknown:
        """The first of several conditions that can hold with the others, and values for which it
        does; else what is said of the last one, the most general."""
        last: Proved | Unknown = Proved()
        for way in ways:
            match self._solver.solve(way, *others):
                case Refuted(assignment):
                    return way, assignment
                case Proved() | Unknown() as last:
                    pass
        return last

    def _out_of_reach(self, place: int, access: Access, top: str, user: str) -> str:
        return f"{access.name.lower()} of 0x{place:x}: {top} can reach it, {user} never"

    def _reached(
        self, mode: int, address: Term, access: Access, mark: str
    ) -> tuple[dict[str, Value], Truth, Truth]:
        """A state with symbols of its own, and when `translate` succeeds there: with the arrays as
        at reset, and with any contents."""
        state = dict(starts.start(self._isa, self._terms, mode))
        for name, value in state.items():
            if not isinstance(value, Term):
                continue
            if value.op is Op.ARRAY:
                state[name] = self._terms.array(value.args[0] + mark, *value.args[1:])
            else:
                state[name] = self._terms.symbol(value.args[0] + mark, value.width)
        memory = starts.memory(self._isa, self._terms)
        paths, _ = self._engine.look_up(state, memory, address, 1, access)
        refused = self._engine.any(*(path.condition for path in paths))
        return state, *self._with_free_tables(self._engine.negate(refused), mark)

    def _with_free_tables(self, condition: Truth, mark: str) -> tuple[Truth, Truth]:
        """Tables in memory and arrays (a TLB) hold anything, for each address afresh; first with
        arrays as at reset, which makes the condition much smaller where they are many."""
        resets = {element.name + mark: element.reset for element in self._isa.elements}
        seen: set[Term] = set()
        free: dict[Term, Value] = {}
        fixed: dict[Term, Value] = {}
        for term in in_order((condition,), seen.__contains__):
            seen.add(term)
            if term.op in (Op.LOAD, Op.READ):
                free[term] = self._terms.symbol(f"{_TABLE}{len(free)}{mark}", term.width)
                array = term.args[0]
                known = term.op is Op.READ and array.op is Op.ARRAY
                fixed[term] = resets[array.args[0]] if known else free[term]
        return (
            Substitution(self._engine, fixed).truth(condition),
            Substitution(self._engine, free).truth(condition),
        )

    def _widest(
        self, reached: Truth, allowed: Sequence[Truth], address: Term, found: Assignment
    ) -> Assignment:
        """A real state that still reaches the address, with as many of a sample of others as
        trying extreme values of one register after another can gain."""
        place = Evaluation(found, self._isa.memory).vector(address)
        spread = {v & ((1 << address.width) - 1) for k in range(address.width) for v in _around(k)}

        def reach(assignment: Assignment) -> int:
            evaluation = Evaluation(assignment, self._isa.memory)
            if not all(evaluation.truth(condition) for condition in allowed):
                return 0
            return sum(self._at(assignment, address, sample, reached) for sample in spread)

        symbols = [
            symbol
            for symbol in self._terms.symbols(support(reached))
            if symbol is not address and symbol.op is Op.SYMBOL
        ]
        most, gained = reach(found), True
        while gained:
            gained = False
            for symbol in symbols:
                for value in _extremes(max(symbol.width, 1)):
                    trial = found.copy()
                    trial.symbols[symbol.args[0]] = value
                    if not self._at(trial, address, place, reached):
                        continue
                    if (count := reach(trial)) >= most:
                        gained |= count > most
                        found, most = trial, count
        return found

    def _at(self, assignment: Assignment, address: Term, place: int, condition: Truth) -> bool:
        elsewhere = assignment.copy()
        elsewhere.symbols[address.args[0]] = place
        return Evaluation(elsewhere, self._isa.memory).truth(condition)

    def _region(self, reached: Truth, address: Term, assignment: Assignment) -> Truth:
        """Addresses that the real mode reaches: those that one state does, and if its tables hold
        tags (parts of an address), those that it does with the tags that each address needs."""
        symbols = [
            symbol
            for symbol in self._terms.symbols(support(reached))
            if symbol is not address and symbol.op is Op.SYMBOL
        ]
        tables = [symbol for symbol in symbols if symbol.args[0].startswith(_TABLE)]
        evaluation = Evaluation(
            self._plainer(reached, address, tables, assignment), self._isa.memory
        )
        place = evaluation.vector(address)
        values: dict[Term, Value] = {symbol: evaluation.vector(symbol) for symbol in symbols}
        for tag in self._tags(reached, address):
            value = evaluation.vector(tag)
            values[tag] = self._part(address, place, tag.width, value)
        if not any(isinstance(value, Term) for value in values.values()):
            evaluation = Evaluation(assignment, self._isa.memory)
            values = {symbol: evaluation.vector(symbol) for symbol in symbols}
        return Substitution(self._engine, values).truth(reached)

    def _tags(self, reached: Truth, address: Term) -> list[Term]:
        """What tables hold that is wide enough for the number of a page."""
        return [
            symbol
            for symbol in self._terms.symbols(support(reached))
            if symbol.args[0].startswith(_TABLE) and address.width <= 2 * symbol.width
        ]

    def _plainer(
        self, reached: Truth, address: Term, tables: Sequence[Term], assignment: Assignment
    ) -> Assignment:
        """As much of the tables as may be is the upper part of the address, or else 0."""
        place = Evaluation(assignment, self._isa.memory).vector(address)
        tags = [t for t in self._tags(reached, address) if t.width <= address.width]
        trials = [(tag, place >> address.width - tag.width) for tag in tags]
        for symbol, value in (*trials, *((table, 0) for table in tables)):
            name = symbol.args[0]
            if assignment.symbols.get(name, 0) != value:
                trial = assignment.copy()
                trial.symbols[name] = value
                if Evaluation(trial, self._isa.memory).truth(reached):
                    assignment = trial
        return assignment

    def _part(self, address: Term, place: int, width: int, value: int) -> Value:
        """The value, but its longest run of bits that is found in the address as it is at the
        place, and makes half of it or more, follows the address."""
        held, at = format(value, f"0{width}b"), format(place, f"0{address.width}b")
        for length in range(min(width, address.width), address.width // 2 - 1, -1):
            for start in range(address.width - length + 1):
                run = at[start : start + length]
                left = held.find(run) if "1" in run else -1
                if left >= 0:
                    low = address.width - start - length
                    part = self._engine.extract(address, address.width, low + length - 1, low)
                    high, after = int("0" + held[:left], 2), width - left - length
                    upper = self._engine.concat(high, part, length, left + length)
                    tail = value & ((1 << after) - 1)
                    return self._engine.concat(upper, tail, after, width)
        return value


def _extremes(width: int) -> tuple[int, ...]:
    return 0, 1 << width - 1, (1 << width) - 1


def _around(bit: int) -> tuple[int, ...]:
    """Addresses about a power of two."""
    return (1 << bit) - 1, 1 << bit, (1 << bit) + 4, -(1 << bit)
