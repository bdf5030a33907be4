"""Z3: whether a condition over terms can hold, and for which values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any, TypeAlias, assert_never

import z3

from checker import exporting
from checker.assignment import Assignment
from checker.cases import cases
from checker.cuts import cut, without_contents
from checker.flattening import Applied, Flattening, Read
from checker.meetings import Loose
from checker.storage import Storage
from checker.substitution import Substitution
from checker.terms import Op, Term, Terms, Truth, Value, in_order, support
from checker.z3_terms import Z3Terms
from spec.ir import Memory

PATIENCE = 5
"""How often a question is asked again that a busy machine kept from the processor."""

WHOLE, SOME, LITTLE, LEAST = 1.0, 0.1, 0.03, 0.01
"""Parts of the time: the smaller ones are spent on what may turn out hopeless."""

MOST_GIVEN_UP = 3
"""An instruction whose conditions were hopeless as often with arrays is asked about without."""

MOST_MEETINGS = 6
"""Ways for accesses to meet that are tried, of those that spots allow."""


@dataclass(frozen=True, slots=True)
class Proved:
    """The condition can never hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Refuted:
    """The condition holds for these values (a model of the condition)."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Unknown:
    reason: str


Verdict: TypeAlias = Proved | Refuted | Unknown


class Solver:
    """Decides conditions over one graph of terms; keeps what it translated."""

    def __init__(
        self,
        terms: Terms,
        memory: Memory,
        timeout_ms: int,
        fields: int = 0,
        plain: int = 0,
    ) -> None:
        """`fields` and `plain` are the supports of an instruction's fields and of the registers
        that its operands are made of."""
        self._terms = terms
        self.fields, self.plain = fields, plain
        self._memory = memory
        self._timeout = timeout_ms / 1000
        self._z3 = Z3Terms(memory)
        self._truth = self._z3.truth
        self._arrays = z3.SolverFor("QF_AUFBV")
        self._storage = Storage(terms, memory)
        self._exact = Flattening(terms, memory)
        self._apart = Flattening(terms, memory, apart=True)
        self._given_up = 0  # how much more often arrays were hopeless than quick
        self.seconds = 0.0
        self.calls = 0

    def solve(self, *conditions: Truth, part: float = WHOLE) -> Verdict:
        """Whether all conditions can hold together, in a part of the time.

        Z3's arrays are quick or hopeless, so they get little time before they are flattened.
        """
        started = perf_counter()
        self.calls += 1
        hard = self._uses_arrays(conditions)
        found: Verdict = Unknown("timeout")
        if not hard or part == WHOLE or self._given_up < MOST_GIVEN_UP:
            found = self._with_arrays(
                conditions, self._timeout * (SOME if hard and part == WHOLE else part)
            )
        if hard and part > LEAST:
            self._given_up += 1 if isinstance(found, Unknown) else -1
        if hard and part == WHOLE and isinstance(found, Unknown):
            found = self._flat(self._exact, conditions, self._timeout)
        self.seconds += perf_counter() - started
        self._keep(found, conditions)
        return found

    def _keep(self, found: Verdict, conditions: Sequence[Truth]) -> None:
        if isinstance(found, Proved) and exporting.wanted():
            exporting.write(self.benchmark(*conditions))

    def benchmark(self, *conditions: Truth) -> str:
        """The conditions as SMT-LIB 2."""
        solver = z3.Solver()
        solver.add(*(self._truth(condition) for condition in conditions))
        text: str = solver.to_smt2()
        return text

    def denies(self, condition: Term) -> bool:
        """Whether a condition soon turns out never to hold; for what is not worth a file."""
        self._arrays.push()
        try:
            self._arrays.add(self._truth(condition))
            found: bool = _check(self._arrays, self._timeout) == z3.unsat
            return found
        finally:
            self._arrays.pop()

    def contradict(self, *conditions: Truth) -> bool:
        """Whether the conditions are soon found to contradict each other whatever is read."""
        if not self._uses_arrays(conditions):
            return False
        started = perf_counter()
        self.calls += 1
        given = [self._truth(c) for c in without_contents(self._storage, conditions)]
        solver = z3.SolverFor("QF_BV")
        found = self._decide(solver, given, self._timeout * SOME * 3, lambda model: Assignment())
        self.seconds += perf_counter() - started
        self._keep(found, conditions)
        return isinstance(found, Proved)

    def meet(self, *conditions: Truth) -> Verdict:
        """Whether all conditions can hold together: each way of storing apart, and first of all
        where accesses to memory may meet at all."""
        if not self._uses_arrays(conditions):
            return Unknown("no memory")
        started = perf_counter()
        self.calls += 1
        found: Verdict = Proved()
        for case in cases(self._storage, conditions):
            verdict = self._meeting(case)
            if not isinstance(verdict, Proved):
                found = verdict
            if isinstance(verdict, Refuted):
                break
        self.seconds += perf_counter() - started
        self._keep(found, conditions)
        return found

    def _meeting(self, conditions: Sequence[Truth]) -> Verdict:
        """Find where accesses may meet, then decide with addresses that meet there."""
        inner = self.fields | self.plain
        own = [c for c in conditions if not support(c) & ~inner]
        rest = [c for c in conditions if support(c) & ~inner]
        short, cuts = cut(self._storage, rest, self.fields, self.plain)
        flattening = self._exact
        flat = [flattening.truth(condition) for condition in [*short, *own]]
        every = [*flat, *flattening.consequences(short, flat)]
        loose = flattening.meetings.loosened(every)
        if loose is None:
            return self._flat(flattening, conditions, self._timeout * SOME)
        solver = z3.SimpleSolver()
        solver.add(*(self._truth(condition) for condition in loose.conditions))
        equations = {term: self._truth(spots) for term, spots in loose.equations.items()}
        tried: list[Verdict] = []
        while len(tried) < MOST_MEETINGS:
            answer = _check(solver, self._timeout * SOME * 2)
            if answer == z3.unknown:
                break
            if answer == z3.unsat:
                if all(isinstance(verdict, Proved) for verdict in tried):
                    return Proved()
                break
            known, places = self._met(flattening, loose, solver.model())
            found = self._where(flattening, every, known, places)
            if isinstance(found, Refuted):
                whole = self._uncut(found.assignment, cuts, own, short)
                if whole is not None:
                    return Refuted(whole)
                found = Unknown("the operands are not found")
            tried.append(found)
            solver.add(z3.Or(*(spots != known[term] for term, spots in equations.items())))
        return Unknown("timeout")

    def _met(
        self, flattening: Flattening, loose: Loose, model: Any
    ) -> tuple[dict[Term, bool], list[Truth]]:
        """Which equations of addresses hold where spots are as in a model, and what makes them."""
        known = {
            term: z3.is_true(model.eval(self._truth(spots), model_completion=True))
            for term, spots in loose.equations.items()
        }
        places: list[Truth] = []
        for between, pair in loose.pairs.items():
            distance = model.eval(self._truth(between), model_completion=True).as_long()
            places.append(flattening.meetings.apart(pair, distance, between.width))
        return known, places

    def _where(
        self,
        flattening: Flattening,
        conditions: Sequence[Truth],
        known: Mapping[Term, bool],
        places: Sequence[Truth],
    ) -> Verdict:
        """Flat conditions where equations of addresses hold or not, as `places` say."""
        substitution = Substitution(self._storage, known)
        decided = [*(substitution.truth(condition) for condition in conditions), *places]
        if False in decided:
            return Proved()
        return self._decide(
            z3.SimpleSolver(),
            [self._truth(condition) for condition in decided],
            self._timeout * LITTLE,
            lambda model: self._flat_assignment(flattening, model, decided),
        )

    def _uncut(
        self,
        found: Assignment,
        cuts: Mapping[Term, Term],
        own: Sequence[Truth],
        short: Sequence[Truth],
    ) -> Assignment | None:
        """The values with operands that make the values of what was cut out."""
        if not cuts:
            return found
        storage = self._storage
        reached = 0
        for condition in short:
            reached |= support(condition)
        wanted: list[Truth] = list(own)
        for symbol, term in cuts.items():
            value = found.symbols.get(symbol.args[0])
            if value is not None:
                wanted.append(storage.equal(term, value, term.width))
        for leaf in self._terms.symbols((self.fields | self.plain) & reached):
            if leaf.op is Op.SYMBOL and leaf.width and leaf.args[0] in found.symbols:
                value = found.symbols[leaf.args[0]]
                wanted.append(storage.equal(leaf, value, leaf.width))
            elif leaf.op is Op.ARRAY:
                _, index_width, width = leaf.args
                for index, content in found.arrays.get(leaf.args[0], {}).items():
                    held = storage.read_place(leaf, index, index_width, width)
                    wanted.append(storage.equal(held, content, width))
        if False in wanted:
            return None
        verdict = self._flat(self._exact, wanted, self._timeout * SOME)
        if not isinstance(verdict, Refuted):
            return None
        more = verdict.assignment
        arrays = {
            name: {**found.arrays.get(name, {}), **more.arrays.get(name, {})}
            for name in {**found.arrays, **more.arrays}
        }
        symbols = {**found.symbols, **more.symbols}
        return Assignment(symbols, arrays, {**found.results, **more.results})

    def find(self, *conditions: Truth, part: float = SOME) -> Verdict:
        """Whether all conditions can hold, if that is found soon; for conditions that name most
        addresses as constants."""
        started = perf_counter()
        self.calls += 1
        found = self._flat(self._exact, conditions, self._timeout * part)
        self.seconds += perf_counter() - started
        return found

    def find_apart(self, *conditions: Truth) -> Assignment | None:
        """Values for which all conditions hold, if some are found soon where no two accesses to
        memory meet, unless their addresses are one term."""
        if not self._uses_arrays(conditions):
            return None
        started = perf_counter()
        self.calls += 1
        found = self._flat(self._apart, conditions, self._timeout * SOME * 2)
        self.seconds += perf_counter() - started
        return found.assignment if isinstance(found, Refuted) else None

    def _uses_arrays(self, conditions: Sequence[Truth]) -> bool:
        return any(support(condition) & self._terms.indirect for condition in conditions)

    def _with_arrays(self, conditions: Sequence[Truth], seconds: float) -> Verdict:
        given = [self._truth(condition) for condition in conditions]
        self._arrays.push()
        try:
            return self._decide(
                self._arrays, given, seconds, lambda model: self._assignment(model, conditions)
            )
        finally:
            self._arrays.pop()

    def _flat(self, flattening: Flattening, conditions: Sequence[Truth], seconds: float) -> Verdict:
        flat = [flattening.truth(condition) for condition in conditions]
        every = [*flat, *flattening.consequences(conditions, flat)]
        given = [self._truth(condition) for condition in every]
        solver = z3.SimpleSolver() if flattening is self._apart else z3.SolverFor("QF_BV")
        return self._decide(
            solver, given, seconds, lambda model: self._flat_assignment(flattening, model, flat)
        )

    def _decide(
        self,
        solver: Any,
        conditions: Sequence[Any],
        seconds: float,
        assignment: Callable[[Any], Assignment],
    ) -> Verdict:
        solver.add(*conditions)
        answer = _check(solver, seconds)
        if answer == z3.unsat:
            return Proved()
        if answer == z3.unknown:
            return Unknown(solver.reason_unknown())
        return Refuted(assignment(solver.model()))

    # -- models

    def _flat_assignment(
        self, flattening: Flattening, model: Any, conditions: Sequence[Truth]
    ) -> Assignment:
        found = Assignment()

        def value(given: Value | Truth) -> int:
            if not isinstance(given, Term):
                return given
            known = model.eval(self._z3.translate(given), model_completion=True)
            return int(z3.is_true(known)) if z3.is_bool(known) else known.as_long()

        reached = hidden = 0
        for condition in conditions:
            reached |= support(condition)
        for leaf in flattening.leaves(conditions):
            content = value(leaf.symbol)
            hidden |= leaf.symbol.support
            match leaf:
                case Read(array, place):
                    index = flattening.flat(place, array.args[1])
                    reached |= support(index)
                    found.arrays.setdefault(array.args[0], {})[value(index)] = content
                case Applied(name, arguments):
                    for argument in arguments:
                        reached |= support(argument)
                    found.results[name, tuple(value(a) for a in arguments)] = content
                case _:
                    assert_never(leaf)
        for symbol in self._terms.symbols(reached & ~hidden):
            found.symbols[symbol.args[0]] = value(symbol)
        return found

    def _assignment(self, model: Any, conditions: Sequence[Truth]) -> Assignment:
        """Values of all symbols, array elements and function results that the conditions use."""
        found = Assignment()
        seen: set[Term] = set()

        def visit(term: Term) -> bool:
            return term in seen

        def number(term: Any) -> int:
            value = model.eval(term, model_completion=True)
            return int(z3.is_true(value)) if z3.is_bool(value) else value.as_long()

        for term in in_order(tuple(conditions), visit):
            seen.add(term)
            match term.op:
                case Op.SYMBOL:
                    found.symbols[term.args[0]] = number(self._z3.known[term])
                case Op.APPLY:
                    given = tuple(
                        number(self._z3.known[a]) if isinstance(a, Term) else a
                        for a in term.args[2::2]
                    )
                    found.results[term.args[0], given] = number(self._z3.known[term])
                case Op.READ:
                    array, index, width = term.args
                    self._contents(found, number, array, self._z3.vector(index, width))
                case Op.LOAD | Op.STORE:
                    array, address = term.args[0], term.args[1]
                    size = term.args[3] if term.op is Op.STORE else term.args[2]
                    start = self._z3.vector(address, self._memory.address_width)
                    for i in range(size):
                        self._contents(found, number, array, start + i)
                case Op.WRITE:
                    array, index, _, width, _ = term.args
                    self._contents(found, number, array, self._z3.vector(index, width))
                case _:
                    pass
        return found

    def _contents(
        self, found: Assignment, number: Callable[[Any], int], array: Term, index: Any
    ) -> None:
        """Note what the leaves below an array hold at an index."""
        place = number(index)
        left = [array]
        while left:
            term = left.pop()
            if term.op is Op.ARRAY:
                content = found.arrays.setdefault(term.args[0], {})
                if place not in content:
                    content[place] = number(z3.Select(self._z3.known[term], index))
            elif term.op is Op.SELECT_ARRAY:
                left.extend(term.args[1:])
            else:
                left.append(term.args[0])


def _check(solver: Any, seconds: float) -> Any:
    """Z3's limit is wall time: a busy machine gets as much more as it kept the solver waiting."""
    left = seconds
    for _ in range(PATIENCE):
        started = process_time()
        solver.set("timeout", max(1, round(left * 1000)))
        answer = solver.check()
        left -= process_time() - started
        if answer != z3.unknown or left < seconds / 10:
            break
    return answer
