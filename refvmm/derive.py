"""Derives the monitor of a configuration from the description: P&G's <D, A, {v_i}> as IR.

The dispatcher D is the same for every machine: on any trap of the guest, before it is delivered,
save; do one instruction of the virtual machine by its interpreter routine; if that traps, deliver
the trap in the virtual machine (reflection); resume. The allocator A is what resume does with
the relocation. `save` and `resume` are blocks over the real machine's state and the control block.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from refvmm.control_block import MARK, ControlBlock, composed, control_block, placed
from refvmm.redirect import PREFIX, Noted, Redirect, relocation
from refvmm.second_stage import second_stage
from refvmm.shadow import Shadow, shadow
from spec import ir
from spec.effects import statements
from spec.expressions import reads
from spec.rewrite import transform
from spec.told_modes import told_modes


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """A virtual machine monitor; all of it runs on states that have the elements of `real`.

    `real` executes the guest directly; `virtual` has the interpreter routines as instructions,
    the reflection of each trap as its delivery, and the virtual interrupts. `direct`: the
    encodings of the virtual modes that the configuration lets run on the real machine.
    """

    description: ir.Isa  # of the virtual machine: with the state of a monitor that runs in it
    configuration: ir.Configuration
    real: ir.Isa
    virtual: ir.Isa
    own: tuple[ir.Function, ...]  # of the shadow tables, and the description's on real state
    redirect: Redirect
    block: ControlBlock
    shadow: Shadow | None
    real_modes: tuple[tuple[int, int], ...]  # by virtual mode, those that do not run included
    told: tuple[tuple[int, int], ...]  # virtual modes that `save` knows by their real mode
    direct: tuple[int, ...]  # the most privileged first
    save: ir.Block  # run by `virtual` when the guest has trapped
    resume: ir.Block  # run by `virtual` before the guest runs
    constraints: tuple[tuple[str, ir.Expr], ...]  # over `real`, while the guest runs
    fixed: tuple[tuple[str, int], ...]  # real elements that constraints determine
    guard: ir.Expr | None  # the guest runs directly only while it holds; over `real`

    def real_mode(self, virtual: int) -> int:
        """The real mode that a virtual mode runs in."""
        return dict(self.real_modes)[virtual]


def derive(
    isa: ir.Isa,
    configuration: ir.Configuration,
    slots: int = 8,
    virtual: tuple[ir.Element, ...] | None = None,
) -> Monitor:
    """The monitor for one virtual machine.

    `slots`: how many pages the shadow tables map at a time, where the configuration has such
    tables; twice as many where they are a second stage, which also maps the guest's own tables.
    `virtual`: the elements of the virtual machine, if a monitor runs in it.
    """
    virtual = virtual or isa.elements
    block = control_block(isa, configuration, virtual)
    tables = None
    if configuration.install is not None:
        if configuration.second_stage:
            tables = second_stage(isa, configuration, 2 * slots)
        else:
            tables = shadow(isa, configuration, block, slots)
    watched = tables.watched if tables else frozenset[str]()
    noted = tables.noted if tables else Noted.NOTHING
    redirect = Redirect(block.homes, isa.memory, noted, watched)
    elements = (*isa.elements, *block.elements, *(tables.elements if tables else ()))
    bare = redirect.isa(isa, elements)
    routines = relocation(isa.memory, redirect.widths, redirect.noted)
    own = (*(tables.functions if tables else ()), *isa.functions)
    translation = _reachable(isa, isa.translate)
    modes = dict(isa.mode.members)
    default = modes[configuration.real_mode]
    given = {modes[name]: modes[real] for name, real in configuration.modes}
    real_modes = tuple((mode, given.get(mode, default)) for mode in modes.values())
    told = tuple(
        (modes[name], modes[real]) for name, real in told_modes(configuration, isa.mode.element)
    )
    direct = tuple(given)
    guard = _guard(configuration, block)
    return Monitor(
        description=replace(isa, elements=virtual),
        configuration=configuration,
        real=replace(isa, elements=elements),
        virtual=replace(bare, functions=(*_noting(bare, translation, tables), *routines, *own)),
        own=own,
        redirect=redirect,
        block=block,
        shadow=tables,
        real_modes=real_modes,
        told=told,
        direct=direct,
        save=(
            *_mode(isa, block, told, direct),
            *_clocks(block),
            *_banks(isa, block, real_modes, saving=True),
        ),
        resume=(
            ir.Write(isa.mode.element, _real_mode(isa, block, real_modes)),
            *_compose(isa, configuration, redirect),
            *_mirror(block, guard),
            *_banks(isa, block, real_modes, saving=False),
            *(tables.upkeep if tables else ()),
        ),
        constraints=configuration.constraints,
        fixed=tuple(_fixed(configuration)),
        guard=guard,
    )


def under(outer: Monitor, isa: ir.Isa) -> ir.Isa:
    """The text of a monitor that runs in the virtual machine of `outer`.

    `isa` is the inner monitor's, over the state of the machine that `outer` presents.
    """
    moved = outer.redirect.isa(isa, outer.virtual.elements)
    routines = relocation(isa.memory, outer.redirect.widths, outer.redirect.noted)
    return replace(moved, functions=(*moved.functions, *routines, *outer.own))


def _reachable(isa: ir.Isa, function: str) -> frozenset[str]:
    by_name = {f.name: f for f in isa.functions}
    found: set[str] = set()
    left = [function]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        left += [s.function for s in statements(by_name[name].body) if isinstance(s, ir.Call)]
    return frozenset(found)


def _noting(
    bare: ir.Isa, translation: frozenset[str], tables: Shadow | None
) -> Iterator[ir.Function]:
    """The redirected functions; those that translate note which cells their walks read."""
    for function in bare.functions:
        walks = tables is not None and tables.noted is Noted.VIEW
        walks = walks and function.name.removeprefix(PREFIX) in translation
        yield replace(function, body=_note(function.body, bare.memory)) if walks else function


def _note(block: ir.Block, memory: ir.Memory) -> ir.Block:
    noted: list[ir.Stmt] = []
    for statement in block:
        match statement:
            case ir.Call(_, function, arguments) if function.startswith("vmm.load"):
                (address,) = arguments
                width = int(function.removeprefix("vmm.load"))
                more = ir.Literal(width // memory.cell_width - 1, memory.address_width)
                noted += [ir.Call(None, "vmm.note", (address, more)), statement]
            case ir.If(condition, then, orelse):
                noted.append(ir.If(condition, _note(then, memory), _note(orelse, memory)))
            case _:
                noted.append(statement)
    return tuple(noted)


# --------------------------------------------------------------------------- save and resume


def _clocks(block: ControlBlock) -> Iterator[ir.Stmt]:
    """Virtual time advances by what the real clock did since it was last looked at."""
    for clock in block.clocks:
        width, home, mark = clock.width, PREFIX + clock.name, MARK + clock.name
        for number in (None,) if clock.length is None else range(clock.length):
            index = None if number is None else ir.Literal(number, 32)
            now = ir.Read(clock.name, width, index)
            passed = ir.Binary(ir.BinaryOp.SUB, now, ir.Read(mark, width, index), width)
            sum_ = ir.Binary(ir.BinaryOp.ADD, ir.Read(home, width, index), passed, width)
            yield ir.Write(home, sum_, index)
            yield ir.Write(mark, now, index)


def _real_mode(
    isa: ir.Isa, block: ControlBlock, real_modes: tuple[tuple[int, int], ...]
) -> ir.Expr:
    """The real mode that the virtual mode runs in."""
    width = isa.mode.width
    mode = ir.Read(block.home(isa.mode.element), width)
    (_, default), *others = real_modes
    found: ir.Expr = ir.Literal(default, width)
    for virtual, real in others:
        if real != default:
            here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(virtual, width))
            found = ir.Select(here, ir.Literal(real, width), found, width)
    return found


def _mode(
    isa: ir.Isa,
    block: ControlBlock,
    told: tuple[tuple[int, int], ...],
    direct: tuple[int, ...],
) -> Iterator[ir.Stmt]:
    """The guest may have changed its mode together with the real one, which tells it."""
    width, home = isa.mode.width, block.home(isa.mode.element)
    now, known = ir.Read(isa.mode.element, width), ir.Read(home, width)
    others = {encoding for _, encoding in isa.mode.members} - set(direct)
    for virtual, real in told:
        found: ir.Expr = ir.Compare(ir.CompareOp.EQ, now, ir.Literal(real, width))
        for other in sorted(others):  # it does not run, whatever the real mode is
            runs = ir.Compare(ir.CompareOp.NE, known, ir.Literal(other, width))
            found = ir.Logic(ir.LogicOp.AND, found, runs)
        yield ir.If(found, (ir.Write(home, ir.Literal(virtual, width)),), ())


def _banks(
    isa: ir.Isa, block: ControlBlock, real_modes: tuple[tuple[int, int], ...], saving: bool
) -> Iterator[ir.Stmt]:
    """What the virtual mode sees of a bank is in the real mode's member while the guest runs."""
    mode = ir.Read(block.home(isa.mode.element), isa.mode.width)
    for bank in isa.banks:
        members, reals = dict(bank.members), dict(real_modes)
        for encoding, member in bank.members:
            home, real = block.home(member), members[reals[encoding]]
            here = ir.Compare(ir.CompareOp.EQ, mode, ir.Literal(encoding, mode.width))
            if saving:
                moved = ir.Write(home, ir.Read(real, bank.width))
            else:
                moved = ir.Write(real, ir.Read(home, bank.width))
            yield ir.If(here, (moved,), ())


def _compose(isa: ir.Isa, configuration: ir.Configuration, redirect: Redirect) -> Iterator[ir.Stmt]:
    for element, index, value in composed(isa, configuration):
        yield ir.Write(element, placed(redirect.expr(value)), index)


def _mirror(block: ControlBlock, guard: ir.Expr | None) -> Iterator[ir.Stmt]:
    """What constraints speak of is mirrored if the virtual values satisfy them."""
    if guard is not None:
        writes = tuple(
            ir.Write(block.place(element.name), ir.Read(block.home(element.name), element.width))
            for element in block.bound
        )
        yield ir.If(guard, writes, ())


# --------------------------------------------------------------------------- constraints


def _guard(configuration: ir.Configuration, block: ControlBlock) -> ir.Expr | None:
    """The constraints on what is mirrored, of the virtual values; None if there are none."""
    bound = {block.place(element.name): element.name for element in block.bound}

    def home(expr: ir.Expr) -> ir.Expr | None:
        if isinstance(expr, ir.Read) and expr.element in bound:
            return ir.Read(block.home(bound[expr.element]), expr.width)
        return None

    guard: ir.Expr | None = None
    for _, constraint in configuration.constraints:
        if reads(constraint) & bound.keys():
            virtual = transform(constraint, home)
            guard = virtual if guard is None else ir.Logic(ir.LogicOp.AND, guard, virtual)
    return guard


def _fixed(configuration: ir.Configuration) -> Iterator[tuple[str, int]]:
    """Values of elements that constraints of the form `X == constant` determine."""
    computed = {element for element, _ in configuration.compose}
    for _, constraint in configuration.constraints:
        for element, value in _equations(constraint):
            if element not in computed:
                yield element, value


def _equations(condition: ir.Expr) -> Iterator[tuple[str, int]]:
    match condition:
        case ir.Logic(ir.LogicOp.AND, left, right):
            yield from _equations(left)
            yield from _equations(right)
        case ir.Compare(ir.CompareOp.EQ, side, ir.Literal(value, _)):
            yield from _parts(side, value)
        case ir.Truth(side):
            yield from _parts(side, 1)
        case ir.Not(ir.Truth(side)):
            yield from _parts(side, 0)
        case _:
            return


def _parts(side: ir.Expr, value: int) -> Iterator[tuple[str, int]]:
    match side:
        case ir.Read(element, _, None):
            yield element, value
        case ir.Extend(operand, False, _):
            yield from _parts(operand, value)
        case ir.Concat(high, low, _):
            yield from _parts(high, value >> low.width)
            yield from _parts(low, value & ((1 << low.width) - 1))
        case _:
            return
