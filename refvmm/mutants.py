"""Faults that real monitors had, put into a derived monitor mechanically.

Each fault is a change of IR that names no architecture; a monitor has a mutant for every place
where the change applies, of which some are taken.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from refvmm.derive import Monitor, derive
from refvmm.mutation import Drop, in_expr, in_expressions, in_statements
from refvmm.redirect import PREFIX
from refvmm.vocabulary import vocabulary
from spec import ir
from spec.effects import operands, statements
from spec.expressions import reads
from spec.rewrite import transform


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """A monitor with one fault. `name` is `fault@place`, and unique for the monitor."""

    name: str
    description: str
    monitor: Monitor


Site = tuple[str, Monitor]
"""Where a fault was put, and the monitor with it there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault; `sites` finds where a monitor can have it."""

    name: str
    description: str
    sites: Callable[[Monitor], Iterator[Site]]


def mutants(monitor: Monitor, most: int = 3, *, slow: bool = False) -> Iterator[Mutant]:
    """For every fault of the catalogue at most `most` mutants, at places far from each other.

    `slow`: also such as cost a guest time and nothing else, which no program can tell.
    """
    for fault in (*CATALOGUE, *SLOW) if slow else CATALOGUE:
        seen: dict[str, int] = {}
        for place, mutated in _spread(list(fault.sites(monitor)), most):
            seen[place] = seen.get(place, 0) + 1
            suffix = f"#{seen[place]}" if seen[place] > 1 else ""
            yield Mutant(f"{fault.name}@{place}{suffix}", fault.description, mutated)


def _spread(sites: list[Site], most: int) -> list[Site]:
    """Some of the sites, in order; places before repetitions of a place."""
    first: dict[str, Site] = {}
    for site in sites:
        first.setdefault(site[0], site)
    chosen = list(first.values())
    if len(chosen) < most:
        again = [site for site in sites if site is not first[site[0]]]
        chosen += again[: most - len(chosen)]
    if len(chosen) <= most:
        return chosen
    return [chosen[number * len(chosen) // most] for number in range(most)]


# --------------------------------------------------------------------------- the monitor's parts


@dataclass(frozen=True, slots=True)
class _Part:
    """A block of a monitor: what it is, and the monitor with another one in its place."""

    name: str
    block: ir.Block
    put: Callable[[ir.Block], Monitor]

    def sites(self, blocks: Iterable[ir.Block]) -> Iterator[Site]:
        for block in blocks:
            if block != self.block:
                yield self.name, self.put(block)


def _routines(monitor: Monitor) -> Iterator[_Part]:
    instructions = monitor.virtual.instructions
    sensitive = {i.name for i in vocabulary(monitor.description).sensitive}
    for number, routine in enumerate(instructions):
        if routine.name not in sensitive:
            continue

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(instructions[number], body=block)
            return _virtual(monitor, instructions=_at(instructions, number, changed))

        yield _Part(f"routine {routine.name}", routine.body, put)


def _reflections(monitor: Monitor) -> Iterator[_Part]:
    causes = monitor.virtual.causes
    for number, cause in enumerate(causes):

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(causes[number], delivery=block)
            return _virtual(monitor, causes=_at(causes, number, changed))

        yield _Part(f"reflection {cause.name}", cause.delivery, put)
    interrupts = monitor.virtual.interrupts
    for number, interrupt in enumerate(interrupts):

        def put_interrupt(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(interrupts[number], delivery=block)
            return _virtual(monitor, interrupts=_at(interrupts, number, changed))

        yield _Part(f"interrupt {interrupt.name}", interrupt.delivery, put_interrupt)


def _functions(monitor: Monitor, names: Iterable[str]) -> Iterator[_Part]:
    functions, wanted = monitor.virtual.functions, set(names)
    for number, function in enumerate(functions):
        if function.name not in wanted:
            continue

        def put(block: ir.Block, number: int = number) -> Monitor:
            changed = replace(functions[number], body=block)
            return _virtual(monitor, functions=_at(functions, number, changed))

        yield _Part(f"function {function.name}", function.body, put)


def _own_blocks(monitor: Monitor) -> Iterator[_Part]:
    yield _Part("save", monitor.save, lambda block: replace(monitor, save=block))
    yield _Part("resume", monitor.resume, lambda block: _resuming(monitor, block))


def _resuming(monitor: Monitor, block: ir.Block) -> Monitor:
    """With another `resume`; what ends it is also the upkeep of the shadow tables."""
    tables = monitor.shadow
    if tables is not None:
        own = len(monitor.resume) - len(tables.upkeep)
        if block[:own] == monitor.resume[:own]:
            tables = replace(tables, upkeep=block[own:])
    return replace(monitor, resume=block, shadow=tables)


def _virtual(monitor: Monitor, **parts: object) -> Monitor:
    return replace(monitor, virtual=replace(monitor.virtual, **parts))  # type: ignore[arg-type]  # by name


def _at(items: tuple[object, ...], number: int, item: object) -> tuple[object, ...]:
    return (*items[:number], item, *items[number + 1 :])


def _called(monitor: Monitor, parts: Iterable[ir.Block]) -> set[str]:
    """The functions that blocks call, and those call."""
    by_name = {f.name: f.body for f in monitor.virtual.functions}
    found: set[str] = set()
    left = list(parts)
    while left:
        for statement in statements(left.pop()):
            if isinstance(statement, ir.Call) and statement.function not in found:
                found.add(statement.function)
                left.append(by_name[statement.function])
    return found


def _routine_parts(monitor: Monitor) -> list[_Part]:
    """Routines of sensitive instructions and the description's functions that they call."""
    routines = list(_routines(monitor))
    called = _called(monitor, (part.block for part in routines))
    translation = _called(monitor, (_body(monitor, monitor.virtual.translate),))
    own = {
        n for n in called - translation if n.startswith(PREFIX) and n != monitor.virtual.translate
    }
    return [*routines, *_functions(monitor, own)]


def _trap_parts(monitor: Monitor) -> list[_Part]:
    """Reflections, virtual interrupts, and the functions that they and their conditions call."""
    parts = list(_reflections(monitor))
    called = _called(monitor, (part.block for part in parts))
    return [*parts, *_functions(monitor, (n for n in called if n.startswith(PREFIX)))]


def _translation_parts(monitor: Monitor) -> list[_Part]:
    body = _body(monitor, monitor.virtual.translate)
    names = {monitor.virtual.translate, *_called(monitor, (body,))}
    return list(_functions(monitor, (n for n in names if n.startswith(PREFIX))))


def _body(monitor: Monitor, name: str) -> ir.Block:
    (function,) = [f for f in monitor.virtual.functions if f.name == name]
    return function.body


def _homes(monitor: Monitor) -> set[str]:
    """Where the virtual control state is kept."""
    return set(monitor.block.homes.values())


def _in(
    parts: Callable[[Monitor], Iterable[_Part]],
    change: Callable[[Monitor], Callable[[ir.Block], Iterator[ir.Block]]],
) -> Callable[[Monitor], Iterator[Site]]:
    def sites(monitor: Monitor) -> Iterator[Site]:
        blocks = change(monitor)
        for part in parts(monitor):
            yield from part.sites(blocks(part.block))

    return sites


# --------------------------------------------------------------------------- the faults


def _relocators(monitor: Monitor) -> Iterator[_Part]:
    names = [f.name for f in monitor.virtual.functions]
    yield from _own_blocks(monitor)
    yield from _functions(
        monitor, (n for n in names if n.startswith(("vmm.load", "vmm.store", "vmm.fill")))
    )


def _offset(value: Callable[[ir.Read], ir.Expr]) -> Callable[[ir.Expr], Iterator[ir.Expr]]:
    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == "region.base":
            yield value(expr)

    return change


def _bound(expr: ir.Expr) -> Iterator[ir.Expr]:
    if isinstance(expr, ir.Read) and expr.element == "region.size":
        yield ir.Binary(ir.BinaryOp.ADD, expr, ir.Literal(1, expr.width), expr.width)


def _narrowed(monitor: Monitor) -> Iterator[Site]:
    """The relocation is composed for a region that is smaller by a cell."""

    def smaller(expr: ir.Expr) -> ir.Expr | None:
        if not isinstance(expr, ir.Local) or expr.name != "region.size":
            return None
        none = ir.Compare(ir.CompareOp.EQ, expr, ir.Literal(0, expr.width))
        less = ir.Binary(ir.BinaryOp.SUB, expr, ir.Literal(1, expr.width), expr.width)
        return ir.Select(none, expr, less, expr.width)

    configuration = monitor.configuration
    for number, (element, value) in enumerate(configuration.compose):
        narrow = transform(value, smaller)
        if narrow != value:
            before, after = configuration.compose[:number], configuration.compose[number + 1 :]
            changed = replace(configuration, compose=(*before, (element, narrow), *after))
            yield f"compose {element}", derive(monitor.description, changed)


def _unmasked(expr: ir.Expr) -> Iterator[ir.Expr]:
    """Low bits that are set to 0, or bits that a constant masks, are kept as they were."""
    match expr:
        case ir.Concat(ir.Extract(whole, high, low), ir.Literal(0, width)) if low == width:
            yield ir.Extract(whole, high, 0)
        case ir.Binary(ir.BinaryOp.AND, left, ir.Literal()):
            yield left
        case ir.Binary(ir.BinaryOp.AND, ir.Literal(), right):
            yield right
        case _:
            return


def _unmasking(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    homes = _homes(monitor)

    def blocks(block: ir.Block) -> Iterator[ir.Block]:
        def change(statement: ir.Stmt) -> Iterator[ir.Block]:
            if isinstance(statement, ir.Write) and statement.element in homes:
                for value in in_expr(statement.value, _unmasked):
                    yield (replace(statement, value=value),)

        return in_statements(block, change)

    return blocks


def _unfiltered(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """A factor of a conjunction that reads control state is left out."""
    homes = _homes(monitor)

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        match expr:
            case ir.Binary(ir.BinaryOp.AND, left, right) | ir.Logic(ir.LogicOp.AND, left, right):
                if reads(right) & homes:
                    yield left
                if reads(left) & homes:
                    yield right
            case _:
                return

    return lambda block: in_expressions(block, change)


def _decided(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """A decision by control state always goes one way."""
    homes = _homes(monitor)

    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if isinstance(statement, ir.If) and reads(statement.condition) & homes:
            yield statement.orelse
            yield statement.then

    return lambda block: in_statements(block, change)


def _modes(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """A mode that is computed is always the most, or the least, privileged one."""
    mode = monitor.virtual.mode

    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if isinstance(statement, ir.Write) and statement.element == mode.element:
            for _, encoding in (mode.members[-1], mode.members[0]):
                value = ir.Literal(encoding, mode.width)
                if statement.value != value:
                    yield (replace(statement, value=value),)

    return lambda block: in_statements(block, change)


def _former(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """The mode before a trap is saved as the least privileged one."""
    mode, homes = monitor.virtual.mode, _homes(monitor)

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == mode.element:
            yield ir.Literal(mode.members[0][1], mode.width)

    def blocks(block: ir.Block) -> Iterator[ir.Block]:
        def saved(statement: ir.Stmt) -> Iterator[ir.Block]:
            if isinstance(statement, ir.Write) and statement.element in homes:
                for value in in_expr(statement.value, change):
                    yield (replace(statement, value=value),)
            if isinstance(statement, ir.Call) and statement.function.startswith("vmm.store"):
                address, stored = statement.arguments
                for value in in_expr(stored, change):
                    yield (replace(statement, arguments=(address, value)),)

        return in_statements(block, saved)

    return blocks


def _following(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """What is saved is the address after the instruction instead of its own."""

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        if isinstance(expr, ir.Read) and expr.element == monitor.virtual.pc:
            yield ir.Binary(ir.BinaryOp.ADD, expr, ir.Literal(4, expr.width), expr.width)

    return lambda block: in_expressions(block, change)


def _dropping(
    which: Callable[[Monitor, ir.Stmt], bool],
) -> Callable[[Monitor], Callable[[ir.Block], Iterator[ir.Block]]]:
    def change(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
        return lambda block: in_statements(block, Drop(lambda s: which(monitor, s)))

    return change


def _is_privilege_check(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.If) and any(
        isinstance(s, ir.Trap) and s.trap_class is ir.TrapClass.PRIVILEGE
        for s in (*statement.then, *statement.orelse)
    )


def _is_memory_check(monitor: Monitor, statement: ir.Stmt) -> bool:
    if not isinstance(statement, ir.If) or not (statement.then or statement.orelse):
        return False
    arms = [arm for arm in (statement.then, statement.orelse) if arm]
    return len(arms) == 1 and not any(isinstance(s, ir.Return) for s in statements(arms[0]))


def _is_legalization(monitor: Monitor, statement: ir.Stmt) -> bool:
    """Only changes control state, and only sometimes."""
    homes = _homes(monitor)
    if not isinstance(statement, ir.If) or statement.orelse:
        return False
    return all(isinstance(s, ir.Write) and s.element in homes for s in statement.then)


def _is_control_write(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element in _homes(monitor)


def _is_mode_write(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element == monitor.virtual.mode.element


def _is_conditional_wait(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.If) and any(isinstance(s, ir.Wait) for s in statement.then)


def _waiting(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    def change(statement: ir.Stmt) -> Iterator[ir.Block]:
        if _is_conditional_wait(monitor, statement):
            yield (ir.Wait(),)
        if isinstance(statement, ir.Wait):
            yield ()

    return lambda block: in_statements(block, change)


def _swapped(monitor: Monitor) -> Callable[[ir.Block], Iterator[ir.Block]]:
    """Of two cases that are tried in order, the second is tried first."""

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        match expr:
            case ir.Select(first, a, ir.Select(second, b, c, _), width) if a != b:
                if _exclude_each_other(first, second):
                    return
                yield ir.Select(second, b, ir.Select(first, a, c, width), width)
            case _:
                return

    return lambda block: in_expressions(block, change)


def _exclude_each_other(first: ir.Expr, second: ir.Expr) -> bool:
    """Both ask whether the same is equal to some constant; then their order does not matter."""
    match first, second:
        case (
            ir.Compare(ir.CompareOp.EQ, one, ir.Literal()),
            ir.Compare(ir.CompareOp.EQ, other, ir.Literal()),
        ):
            return one == other
        case _:
            return False


def _missing(monitor: Monitor) -> Iterator[Site]:
    for part in _routines(monitor):
        if part.block:
            yield part.name, part.put(())


def _wrong_cause(monitor: Monitor) -> Iterator[Site]:
    causes = monitor.virtual.causes
    for number, cause in enumerate(causes):
        for other in (*causes[number + 1 :], *causes[:number]):
            same = [p.width for p in other.parameters] == [p.width for p in cause.parameters]
            names = [p.name for p in other.parameters] == [p.name for p in cause.parameters]
            if same and names and other.delivery != cause.delivery:
                changed = replace(cause, delivery=other.delivery)
                yield (
                    f"reflection {cause.name}",
                    _virtual(monitor, causes=_at(causes, number, changed)),
                )
                break


def _interrupts_swapped(monitor: Monitor) -> Iterator[Site]:
    interrupts = monitor.virtual.interrupts
    if len(interrupts) > 1:
        yield "interrupts", _virtual(monitor, interrupts=interrupts[::-1])


def _conditions(monitor: Monitor) -> Iterator[Site]:
    """A factor of an interrupt's condition is left out."""
    homes = _homes(monitor)

    def change(expr: ir.Expr) -> Iterator[ir.Expr]:
        match expr:
            case ir.Binary(ir.BinaryOp.AND, left, right) | ir.Logic(ir.LogicOp.AND, left, right):
                if reads(right) & homes:
                    yield left
                if reads(left) & homes:
                    yield right
            case _:
                return

    interrupts = monitor.virtual.interrupts
    for number, interrupt in enumerate(interrupts):
        for condition in in_expr(interrupt.condition, change):
            changed = replace(interrupt, condition=condition)
            yield (
                f"interrupt {interrupt.name}",
                _virtual(monitor, interrupts=_at(interrupts, number, changed)),
            )


def _shadow_functions(monitor: Monitor) -> Iterator[_Part]:
    yield from _functions(monitor, ("vmm.stored", "vmm.fill", "vmm.note"))


def _is_flush(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.If) and "vmm.stale" in reads(statement.condition)


def _is_staling(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element == "vmm.stale"


def _is_protection(monitor: Monitor, statement: ir.Stmt) -> bool:
    return (
        isinstance(statement, ir.If)
        and any(isinstance(s, ir.Assign) and s.name == "rights" for s in statement.then)
        and "vmm.slot.walks" in {n for e in operands(statement) for n in reads(e)}
    )


def _is_removal(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Call) and statement.function == "vmm.remove"


def _is_installation(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Call) and statement.function == "vmm.install"


def _is_touch(monitor: Monitor, statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Write) and statement.element == "vmm.touched.valid"


def _bank(monitor: Monitor, statement: ir.Stmt) -> bool:
    members = {name for bank in monitor.description.banks for _, name in bank.members}
    members |= {monitor.block.home(name) for name in members}
    return isinstance(statement, ir.If) and any(
        isinstance(s, ir.Write) and s.element in members for s in statement.then
    )


def _clock(monitor: Monitor, statement: ir.Stmt) -> bool:
    clocks = {monitor.block.home(clock.name) for clock in monitor.block.clocks}
    return isinstance(statement, ir.Write) and statement.element in clocks


CATALOGUE = (
    Fault(
        "offset dropped",
        "the guest's physical addresses are used as real ones",
        _in(
            _relocators,
            lambda m: lambda b: in_expressions(b, _offset(lambda e: ir.Literal(0, e.width))),
        ),
    ),
    Fault(
        "offset added twice",
        "an address that was relocated already is relocated again",
        _in(
            _relocators,
            lambda m: (
                lambda b: in_expressions(
                    b, _offset(lambda e: ir.Binary(ir.BinaryOp.ADD, e, e, e.width))
                )
            ),
        ),
    ),
    Fault(
        "bound off by one",
        "the first cell outside the region is taken for one inside",
        _in(_relocators, lambda m: lambda b: in_expressions(b, _bound)),
    ),
    Fault("routine missing", "a sensitive instruction is skipped when it traps", _missing),
    Fault("wrong cause", "a trap is reflected as another one", _wrong_cause),
    Fault(
        "wrong mode",
        "a return or a trap sets a mode that is not the one asked for",
        _in(lambda m: [*_routine_parts(m), *_trap_parts(m)], _modes),
    ),
    Fault(
        "wrong previous mode",
        "a trap saves another mode than it came from",
        _in(_trap_parts, _former),
    ),
    Fault(
        "mode kept by trap",
        "the virtual mode stays when a trap is reflected",
        _in(_trap_parts, _dropping(_is_mode_write)),
    ),
    Fault(
        "saved pc wrong",
        "a trap saves the address of another instruction",
        _in(_trap_parts, _following),
    ),
    Fault(
        "not masked",
        "bits of a register that read as 0 are kept (Miralis: low bits of a saved pc)",
        _in(_routine_parts, _unmasking),
    ),
    Fault(
        "not legalized",
        "a value that a register does not take is written (Miralis: a mode that is not writable)",
        _in(_routine_parts, _dropping(_is_legalization)),
    ),
    Fault(
        "not filtered",
        "bits are taken without the mask that another register is (delegation, enables)",
        _in(lambda m: [*_routine_parts(m), *_trap_parts(m)], _unfiltered),
    ),
    Fault(
        "decided wrongly",
        "a decision by control state always goes one way (delegation, vectored or not)",
        _in(_trap_parts, _decided),
    ),
    Fault(
        "privilege not checked",
        "a routine does for virtual user mode what it may do for supervisor mode only",
        _in(_routine_parts, _dropping(_is_privilege_check)),
    ),
    Fault(
        "control write lost",
        "a routine or a reflected trap leaves a control register as it was",
        _in(lambda m: [*_routine_parts(m), *_trap_parts(m)], _dropping(_is_control_write)),
    ),
    Fault("interrupts swapped", "the one of lower priority is taken first", _interrupts_swapped),
    Fault(
        "priority swapped",
        "of two cases that apply the wrong one is taken",
        _in(lambda m: [*_trap_parts(m), *_translation_parts(m)], _swapped),
    ),
    Fault("interrupt not masked", "an interrupt is taken although it is off", _conditions),
    Fault(
        "lost interrupt",
        "the wait for an interrupt does not see one that is pending, or does not wait",
        _in(_routine_parts, _waiting),
    ),
    Fault(
        "translation not checked",
        "an access that the guest's own translation refuses is done",
        _in(_translation_parts, _dropping(_is_memory_check)),
    ),
    Fault(
        "flush forgotten",
        "shadow entries stay when what they stand for has changed",
        _in(_own_blocks, _dropping(_is_flush)),
    ),
    Fault(
        "stale entry",
        "a change of the guest's tables, or of what selects them, is not noticed",
        _in(
            lambda m: [*_shadow_functions(m), *_routine_parts(m), *_trap_parts(m)],
            _dropping(_is_staling),
        ),
    ),
    Fault(
        "tables writable",
        "pages that the guest's tables lie in are mapped writable",
        _in(_shadow_functions, _dropping(_is_protection)),
    ),
    Fault(
        "entry not removed",
        "a flush forgets an entry but leaves it in the real tables",
        _in(lambda m: [*_own_blocks(m), *_shadow_functions(m)], _dropping(_is_removal)),
    ),
    Fault(
        "bank not switched",
        "a banked register is not saved, or not restored",
        _in(_own_blocks, _dropping(_bank)),
    ),
    Fault(
        "time stands still",
        "virtual time does not go on while the guest runs directly",
        _in(_own_blocks, _dropping(_clock)),
    ),
)

SLOW = (
    Fault(
        "relocation too narrow",
        "the composed relocation refuses what the region holds",
        _narrowed,
    ),
    Fault(
        "page not installed",
        "a page that the guest reached is noted, and not mapped",
        _in(lambda m: _functions(m, ("vmm.fill",)), _dropping(_is_installation)),
    ),
    Fault(
        "page not noted",
        "that the guest reached a page is forgotten before it is mapped",
        _in(lambda m: _functions(m, ("vmm.touch",)), _dropping(_is_touch)),
    ),
)
