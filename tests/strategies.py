"""Random descriptions, instructions and states, for tests that compare engines."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from spec.ir import (
    Access,
    Assign,
    Binary,
    BinaryOp,
    Bit,
    Block,
    Boolean,
    Call,
    Cause,
    Choose,
    Compare,
    CompareOp,
    Concat,
    Element,
    Expr,
    Extend,
    Extract,
    Fetch,
    Field,
    Function,
    If,
    Instruction,
    Isa,
    Literal,
    Load,
    LoadPhysical,
    Local,
    Logic,
    LogicOp,
    Memory,
    Mode,
    Not,
    Probe,
    Read,
    Return,
    Role,
    Select,
    Stmt,
    Store,
    StorePhysical,
    Translate,
    Trap,
    TrapClass,
    Truth,
    Unary,
    UnaryOp,
    Wait,
    Write,
)
from spec.state import MachineState

MAX_WIDTH = 128
IN_CI = bool(os.environ.get("CI"))
widths = st.one_of(
    st.integers(1, 9), st.sampled_from((16, 31, 32, 33, 64)), st.integers(1, MAX_WIDTH)
)

Draw = Callable[[Any], Any]


def vectors(width: int) -> st.SearchStrategy[int]:
    """Values of `width` bits, those near the ends more often."""
    top = (1 << width) - 1
    sign = 1 << (width - 1)
    edges = sorted({0, 1, top, top - 1, sign, sign - 1})
    return st.one_of(st.sampled_from(edges), st.integers(0, top))


@dataclass
class Scope:
    """What a piece of random IR may name."""

    elements: Sequence[Element]
    memory: Memory
    address_width: int
    mode: Mode
    functions: Sequence[Function] = ()
    causes: Sequence[Cause] = ()
    locals: dict[str, int] = field(default_factory=dict)  # assigned on every path to here
    result: int | None = None  # in a function with a result: its width
    translates: bool = True  # whether virtual memory can be used (not inside `translate`)
    counter: list[int] = field(default_factory=lambda: [0])

    def name(self) -> str:
        self.counter[0] += 1
        return f"v{self.counter[0]}"

    def inner(self) -> "Scope":
        return replace(self, locals=dict(self.locals))


def expression(draw: Draw, scope: Scope, width: int, depth: int) -> Expr:
    """A random expression; `width` 0 asks for a truth value."""

    def sub(w: int) -> Expr:
        return expression(draw, scope, w, depth - 1)

    if depth <= 0:
        return _leaf(draw, scope, width)
    if width == 0:
        match draw(st.integers(0, 6)):
            case 0:
                return _leaf(draw, scope, 0)
            case 1 | 2 | 3:
                w = draw(widths)
                return Compare(draw(st.sampled_from(CompareOp)), sub(w), sub(w))
            case 4:
                return Logic(draw(st.sampled_from(LogicOp)), sub(0), sub(0))
            case 5:
                return Not(sub(0))
            case _:
                return Truth(sub(1)) if draw(st.booleans()) else Select(sub(0), sub(0), sub(0), 0)
    match draw(st.integers(0, 8)):
        case 0:
            return _leaf(draw, scope, width)
        case 1:
            op = draw(st.sampled_from(UnaryOp))
            if op is UnaryOp.REVERSE_BYTES and width % 8:
                op = UnaryOp.NOT
            return Unary(op, sub(width), width)
        case 2 | 3 | 4:
            return Binary(draw(st.sampled_from(BinaryOp)), sub(width), sub(width), width)
        case 5:
            wider = draw(st.integers(width, min(MAX_WIDTH + 8, width + 40)))
            low = draw(st.integers(0, wider - width))
            return Extract(sub(wider), low + width - 1, low)
        case 6 if width >= 2:
            low = draw(st.integers(1, width - 1))
            return Concat(sub(width - low), sub(low), width)
        case 7:
            return Extend(sub(draw(st.integers(1, width))), draw(st.booleans()), width)
        case _:
            if width == 1 and draw(st.booleans()):
                return Bit(sub(0))
            return Select(sub(0), sub(width), sub(width), width)


def _leaf(draw: Draw, scope: Scope, width: int) -> Expr:
    sources: list[Expr] = [Local(name, w) for name, w in scope.locals.items()]
    sources += [Read(e.name, e.width) for e in scope.elements if e.length is None]
    for element in scope.elements:
        if element.length is not None:
            sources.append(Read(element.name, element.width, _index(draw, scope, element)))
    chosen = draw(st.integers(-1 if len(sources) < 2 else -2, len(sources) - 1))
    if chosen < 0 or not sources:
        return Literal(draw(vectors(width)), width) if width else Boolean(draw(st.booleans()))
    return fitted(sources[chosen], width)


def fitted(expr: Expr, width: int) -> Expr:
    """The expression, made as wide as asked for."""
    if expr.width == width:
        return expr
    if expr.width == 0:
        return fitted(Bit(expr), width)
    if width == 0:
        return Compare(CompareOp.NE, expr, Literal(0, expr.width))
    if expr.width > width:
        return Extract(expr, width - 1, 0)
    return Extend(expr, False, width)


def _index(draw: Draw, scope: Scope, element: Element) -> Expr:
    width = draw(st.integers(1, 4))
    scalars = [Read(e.name, e.width) for e in scope.elements if e.length is None]
    if draw(st.booleans()):
        return Literal(draw(st.integers(0, (1 << width) - 1)), width)
    return fitted(draw(st.sampled_from(scalars)), width)


def block(draw: Draw, scope: Scope, size: int, depth: int) -> Block:
    """Random statements; what they declare is in `scope` afterwards."""
    statements: list[Stmt] = []
    for _ in range(draw(st.integers(0, size))):
        statements += _statement(draw, scope, depth)
        if isinstance(statements[-1], Trap | Wait | Return):
            break
    return tuple(statements)


def _statement(draw: Draw, scope: Scope, depth: int) -> list[Stmt]:
    def value(width: int) -> Expr:
        return expression(draw, scope, width, draw(st.integers(0, 2)))

    def physical() -> Expr:
        return value(scope.memory.address_width)

    def mode() -> Expr | None:
        return None if draw(st.booleans()) else value(scope.mode.width)

    def declare(width: int) -> str:
        name = scope.name()
        scope.locals[name] = width
        return name

    kind = draw(st.integers(0, 17 if scope.translates else 13))
    cells = draw(st.integers(1, 4))
    bits = cells * scope.memory.cell_width
    match kind:
        case 0 | 1:
            width = draw(st.one_of(st.just(0), widths))
            e = value(width)
            return [Assign(declare(width), e)]
        case 2 if variables := sorted(scope.locals.keys() - {"n", "next"}):
            name = draw(st.sampled_from(variables))
            return [Assign(name, value(scope.locals[name]))]
        case 2 | 3 | 4 | 5:
            element = draw(st.sampled_from(scope.elements))
            index = None if element.length is None else _index(draw, scope, element)
            return [Write(element.name, value(element.width), index)]
        case 6 | 7 | 8 if depth > 0:
            return [_if(draw, scope, depth)]
        case 9 | 10:
            address = physical()
            return [LoadPhysical(declare(bits), address, bits)]
        case 11:
            return [StorePhysical(physical(), value(bits), bits)]
        case 12 if scope.functions:
            function = draw(st.sampled_from(scope.functions))
            arguments = tuple(value(p.width) for p in function.parameters)
            if function.result is None:
                return [Call(None, function.name, arguments)]
            return [Call(declare(function.result), function.name, arguments)]
        case 13:
            width = draw(widths)
            return [Choose(declare(width), width)]
        case 14:
            address, m = value(scope.address_width), mode()
            access = draw(st.sampled_from((Access.READ, Access.FETCH)))
            return [Load(declare(bits), address, bits, access, m)]
        case 15:
            return [Store(value(scope.address_width), value(bits), bits, mode())]
        case 16:
            address, m = value(scope.address_width), mode()
            access = draw(st.sampled_from(Access))
            width = scope.memory.address_width
            return [Translate(declare(width), address, cells, access, m, width)]
        case 17:
            address, m = value(scope.address_width), mode()
            return [Probe(declare(0), address, cells, draw(st.sampled_from(Access)), m)]
        case _:
            e = value(8)
            return [Assign(declare(8), e)]


def _if(draw: Draw, scope: Scope, depth: int) -> If:
    condition = expression(draw, scope, 0, draw(st.integers(0, 2)))
    arms: list[Block] = []
    scopes: list[Scope] = []
    common, width = scope.name(), draw(widths)
    for _ in range(2):
        inner = scope.inner()
        arm = block(draw, inner, 3, depth - 1)
        ending = draw(st.integers(0, 9))
        if ending == 0 and scope.causes:
            arm = (*_unended(arm), _trap(draw, inner))
        elif ending == 1 and scope.translates:
            arm = (*_unended(arm), Wait())
        elif ending == 2 and scope.result is not None:
            arm = (*_unended(arm), Return(expression(draw, inner, scope.result, 1)))
        elif not (arm and isinstance(arm[-1], Trap | Wait | Return)):
            arm = (*arm, Assign(common, expression(draw, inner, width, 1)))
        arms.append(arm)
        scopes.append(inner)
    if all(arm and isinstance(arm[-1], Assign) and arm[-1].name == common for arm in arms):
        scope.locals[common] = width
    return If(condition, arms[0], arms[1])


def _unended(arm: Block) -> Block:
    return arm[:-1] if arm and isinstance(arm[-1], Trap | Wait | Return) else arm


def _trap(draw: Draw, scope: Scope) -> Trap:
    cause = draw(st.sampled_from(scope.causes))
    arguments = tuple(expression(draw, scope, p.width, 1) for p in cause.parameters)
    return Trap(cause.name, draw(st.sampled_from(TrapClass)), arguments)


def _function(draw: Draw, scope: Scope, name: str, parameters: tuple[Local, ...]) -> Function:
    inner = replace(scope, locals={p.name: p.width for p in parameters}, counter=[0])
    body = block(draw, inner, 4, 2)
    if inner.result is not None and not (body and isinstance(body[-1], Trap | Wait | Return)):
        body = (*body, Return(expression(draw, inner, inner.result, 2)))
    return Function(name, parameters, body, inner.result)


NAMES = ("t1", "a1", "A", "sr.T", "s0", "p1_2", "x")


@st.composite
def descriptions(draw: Draw) -> Isa:
    """A description with a random state, memory, `translate`, functions and one instruction."""
    elements = [
        Element("P", draw(st.integers(2, 20)), Role.PC),
        Element("M", draw(st.integers(1, 3)), Role.MODE, values=(("user", 0), ("supervisor", 1))),
        Element("clock", draw(st.integers(1, 9)), Role.TIME),
    ]
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        length = draw(st.one_of(st.none(), st.none(), st.integers(1, 5)))
        role = draw(st.sampled_from((Role.GENERAL, Role.FLAG, Role.CONTROL, Role.DEVICE)))
        elements.append(Element(name, draw(widths), role, length))
    memory = Memory(
        "E",
        draw(st.sampled_from((8, 8, 8, 1, 3, 16, 32))),
        draw(st.integers(2, 14)),
        draw(st.booleans()),
    )
    mode = Mode("M", elements[1].width, (("user", 0), ("supervisor", 1)))
    causes = (
        Cause("gone", TrapClass.MEMORY, (Local("va", 8),), ()),
        Cause("forbidden", TrapClass.PRIVILEGE, (), ()),
        Cause("odd", TrapClass.FAULT, (Local("flag", 0), Local("code", 65)), ()),
    )
    va = draw(st.integers(1, 20))
    scope = Scope(elements, memory, va, mode, (), causes, translates=False)
    functions: list[Function] = []
    for number in range(draw(st.integers(0, 2))):
        result = draw(st.one_of(st.none(), st.just(0), widths))
        parameters = tuple(Local(f"q{i}", draw(st.integers(0, 33))) for i in range(number + 1))
        scope = replace(scope, result=result, functions=tuple(functions))
        functions.append(_function(draw, scope, f"f{number}", parameters))
    arguments = (Local("va", va), Local("access", 2), Local("size", 8), Local("mode", mode.width))
    scope = replace(scope, result=memory.address_width, functions=tuple(functions))
    translate = _function(draw, scope, "translate", arguments)
    scope = replace(scope, result=None, translates=True, locals={"n": 7, "next": elements[0].width})
    body = block(draw, scope, 7, 3)
    return Isa(
        name="random",
        title="random",
        sources=(),
        notes=(),
        elements=tuple(elements),
        banks=(),
        mode=mode,
        pc="P",
        memory=memory,
        fetch=Fetch(memory.cell_width),
        translate="translate",
        functions=(*functions, translate),
        operands=(),
        instructions=(Instruction("I", (), (Field("n", 7),), (), "", body),),
        causes=causes,
        undecodable=Trap("forbidden", TrapClass.FAULT),
        interrupts=(),
        invariants=(),
        configurations=(),
        claims=(),
    )


@st.composite
def states(draw: Draw, isa: Isa) -> MachineState:
    """A random state; a few cells, near the ends of memory, are not 0."""
    state = MachineState(isa)
    for element in isa.elements:
        if element.length is None:
            state.scalars[element.name] = draw(vectors(element.width))
        else:
            values = [draw(vectors(element.width)) for _ in range(element.length)]
            state.own_array(element.name)[:] = values
    cells = st.one_of(st.integers(-9, 9), st.integers(0, (1 << isa.memory.address_width) - 1))
    for address in draw(st.lists(cells, max_size=6)):
        state.cells[address] = draw(vectors(isa.memory.cell_width))
    return state


@st.composite
def expressions(draw: Draw) -> tuple[Isa, Expr]:
    """A pure expression over the state of a description."""
    isa = draw(descriptions())
    scope = Scope(isa.elements, isa.memory, 8, isa.mode)
    return isa, expression(draw, scope, draw(st.one_of(st.just(0), widths)), 4)
