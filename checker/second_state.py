"""The symbols of the second state of a pair: those of the first one where both must be equal."""

from collections.abc import Iterable, Mapping
from typing import cast

from checker.components import LOCATION, MEMORY, swapped_members
from checker.pairs import Pair
from checker.sides import PRIME
from checker.subject import Level, Subject
from checker.substitution import Substitution
from checker.symbolic import CHOICE_WIDTH, PHYSICAL_ADDRESS, PLACE_IN_VIEW
from checker.terms import Op, Term, Value


def related(
    pair: Pair,
    subject: Subject,
    first: int,
    second: int,
    differ_in: frozenset[str],
    equal: frozenset[str],
    homes: tuple[tuple[str, str], ...],
    level: Level,
) -> Substitution:
    """The symbols of the second state: those of the first one where they must be equal.

    `equal` elements are, even if `translate` reads them and the location may differ. `homes`:
    elements that equal another one of the first state.
    """
    machine = subject.machine
    start = subject.start(second)
    symbols: dict[Term, Term] = {}
    swapped = swapped_members(machine, first, second)
    home = dict(homes)
    free = set(differ_in)
    if LOCATION in differ_in:
        free |= machine.moving - equal
    size = () if machine.size is None else (machine.size,)
    for name in (*machine.control, *machine.outside, *machine.hidden(second), *size):
        symbol = cast(Term, start[name])
        twin = swapped.get(name, home.get(name, name))
        if name in free or (twin in free and name not in home):
            symbols[symbol] = primed(subject, symbol)
        elif twin != name:
            symbols[symbol] = cast(Term, subject.start(first)[twin])
    engine = subject.engines.engine(level)
    if LOCATION in differ_in or MEMORY in differ_in:
        memory = engine.physical if level else subject.memory
        symbols[memory] = primed(subject, memory)
    elsewhere = level and _may_lie_elsewhere(subject, first, second, differ_in, symbols)
    functions = _own_functions(_PLACING) if elsewhere else {}
    if level:
        return Substitution(engine, symbols, functions)
    viewed = subject.run(second, level).viewed

    def seen(load: Term) -> Value | None:
        """Where both runs see the same, the second one's is the first one's."""
        key = viewed.get(load)
        if key is None:
            return None
        address, size, access = key
        return pair.content((substitution.vector(address), size, access))

    substitution = Substitution(engine, symbols, functions, seen)
    return substitution


def literal(subject: Subject, first: int, second: int, level: Level) -> Substitution:
    """The second state equals the first one in every element; views and choices do not."""
    start, other = subject.start(first), subject.start(second)
    symbols = {
        cast(Term, other[name]): cast(Term, start[name])
        for name in subject.machine.members
        if other[name] is not start[name]
    }
    run = subject.run(second, level)
    for number in range(run.choices):
        choice = subject.engines.terms.symbol(f"choice {number}", CHOICE_WIDTH)
        symbols[choice] = primed(subject, choice)
    views = (n for n in subject.engines.terms.names(-1) if n.startswith(("refused ", "place ")))
    functions = _own_functions((*views, *_PLACING))
    return Substitution(subject.engines.engine(level), symbols, functions)


_PLACING = (PHYSICAL_ADDRESS, PLACE_IN_VIEW)


def _may_lie_elsewhere(
    subject: Subject,
    first: int,
    second: int,
    differ_in: frozenset[str],
    symbols: Mapping[Term, Term],
) -> bool:
    """Whether the second state, its symbols replaced, may place the same view elsewhere."""
    if LOCATION in differ_in:
        return True
    if MEMORY in differ_in and subject.machine.translation.reads_memory:
        return True
    one, two = subject.start(first), subject.start(second)
    return any(
        one[name] != symbols.get(value, value)
        if isinstance(value := two[name], Term)
        else one[name] != value
        for name in subject.placing(first) | subject.placing(second)
    )


def _own_functions(names: Iterable[str]) -> dict[str, str]:
    """The second state's own."""
    return {name: name + PRIME for name in names}


def primed(subject: Subject, symbol: Term) -> Term:
    """The second state's own symbol."""
    terms = subject.engines.terms
    if symbol.op is Op.ARRAY:
        name, index_width, value_width = symbol.args
        array = terms.array(name + PRIME, index_width, value_width)
        array.support |= symbol.support & subject.marks
        return array
    return terms.symbol(symbol.args[0] + PRIME, symbol.width)
