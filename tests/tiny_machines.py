"""Random machines of a handful of bits, each with one instruction and one configuration."""

from typing import Any

from hypothesis import strategies as st

from spec.ir import (
    Access,
    Assign,
    Bank,
    Binary,
    BinaryOp,
    BitsPiece,
    Block,
    Cause,
    Choose,
    Compare,
    CompareOp,
    Configuration,
    Element,
    Expr,
    Fetch,
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
    Wait,
    Write,
)
from tests.strategies import Draw, fitted

MOST_BITS = 8  # of state, memory included


class _Maker:
    """Draws the parts of one machine."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.address_width = self.pick(1, 1, 2)
        self.cell_width = 1 if self.address_width == 2 else self.pick(1, 1, 2)
        self.mode_width = self.pick(1, 1, 1, 2)
        elements = [
            Element("P", 1, Role.PC),
            Element("M", self.mode_width, Role.MODE, values=self.modes),
        ]
        bits = 1 + self.mode_width + (self.cell_width << self.address_width)
        self.banks: tuple[Bank, ...] = ()
        wanted = [
            ("G", Role.GENERAL),
            ("C", Role.CONTROL),
            ("R", Role.CONTROL),
            ("T", self.pick(Role.TIME, Role.DEVICE, Role.CONTROL, Role.FLAG)),
        ]
        if self.pick(False, False, True) and self.mode_width == 1:
            elements += [Element(n, 1, Role.GENERAL, bank="B") for n in ("B0", "B1")]
            self.banks = (Bank("B", 1, ((0, "B0"), (1, "B1"))),)
            bits += 2
        self.size: Element | None = None
        if self.pick(False, False, True):
            cells = 1 << self.address_width
            self.size = Element("E.size", self.address_width + 1, Role.GENERAL, reset=cells)
            elements.append(self.size)
            bits += self.size.width
        for name, role in wanted:
            width = self.pick(1, 1, 2)
            if bits + width <= MOST_BITS and self.pick(True, True, True, False):
                elements.append(Element(name, width, role))
                bits += width
        self.elements = elements
        self.locals: dict[str, int] = {}
        self.names = 0

    @property
    def modes(self) -> tuple[tuple[str, int], ...]:
        names = ("user", "middle", "top") if self.mode_width == 2 else ("user", "top")
        return tuple((name, number) for number, name in enumerate(names))

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def expr(self, width: int, depth: int = 2) -> Expr:
        """A random expression; `width` 0 is a truth value."""
        if width == 0:
            return self._condition(depth)
        kind = self.draw(st.integers(0, 7)) if depth else 0
        if kind >= 6:
            op = self.pick(BinaryOp.ADD, BinaryOp.XOR, BinaryOp.AND, BinaryOp.OR)
            return Binary(op, self.expr(width, depth - 1), self.expr(width, depth - 1), width)
        if kind == 5:
            return Select(
                self._condition(depth - 1),
                self.expr(width, depth - 1),
                self.expr(width, depth - 1),
                width,
            )
        sources: list[Expr] = [Literal(0, width), Literal((1 << width) - 1, width)]
        sources += [Local(name, w) for name, w in self.locals.items()]
        sources += [Read(e.name, e.width) for e in self.elements if e.bank is None]
        sources += [self._banked()] if self.banks else []
        return fitted(self.pick(*sources), width)

    def _banked(self) -> Expr:
        if self.pick(True, True, False):
            return Select(self._is_mode(0), Read("B0", 1), Read("B1", 1), 1)
        return Read(self.pick("B0", "B1"), 1)

    def _is_mode(self, mode: int) -> Expr:
        width = self.mode_width
        return Compare(CompareOp.EQ, Read("M", width), Literal(mode, width))

    def _condition(self, depth: int) -> Expr:
        match self.draw(st.integers(0, 4)):
            case 0:
                return self._is_mode(self.draw(st.integers(0, len(self.modes) - 1)))
            case 1 if depth:
                op = self.pick(LogicOp.AND, LogicOp.OR)
                return Logic(op, self._condition(depth - 1), self._condition(depth - 1))
            case 2 if depth:
                return Not(self._condition(depth - 1))
            case _:
                left = self.expr(self.pick(1, 1, 2), max(depth - 1, 0))
                op = self.pick(CompareOp.EQ, CompareOp.NE, CompareOp.ULT)
                return Compare(op, left, self.expr(left.width, 0))

    def _name(self, width: int) -> str:
        self.names += 1
        self.locals[f"v{self.names}"] = width
        return f"v{self.names}"

    def block(self, size: int, depth: int) -> Block:
        found: list[Stmt] = []
        for _ in range(self.draw(st.integers(0, size))):
            found += self._statement(depth)
            if isinstance(found[-1], Trap | Wait):
                break
        return tuple(found)

    def _statement(self, depth: int) -> list[Stmt]:
        cell, address = self.cell_width, self.address_width
        match self.draw(st.integers(0, 14)):
            case 0 | 1 | 2 | 3:
                return self._write()
            case 4 | 5 if depth:
                return [self._if(depth)]
            case 6:
                return [self._require()]
            case 7 | 8:
                place, mode = self.expr(address, 1), self._mode()
                size = self.pick(1, 1, 1, 2)
                access = self.pick(Access.READ, Access.READ, Access.FETCH)
                return [Load(self._name(size * cell), place, size * cell, access, mode)]
            case 9 | 10:
                place, value = self.expr(address, 1), self.expr(cell)
                return [Store(place, value, cell, self._mode())]
            case 11:
                place = self.expr(address, 1)
                return [LoadPhysical(self._name(cell), place, cell)]
            case 12:
                return [StorePhysical(self.expr(address, 1), self.expr(cell), cell)]
            case 13:
                place, mode, access = self.expr(address, 1), self._mode(), self.pick(*Access)
                if self.pick(True, False):
                    return [Translate(self._name(address), place, 1, access, mode, address)]
                return [Probe(self._name(0), place, 1, access, mode)]
            case _:
                value = self.expr(1)
                return [Assign(self._name(1), value)]

    def _mode(self) -> Expr | None:
        if self.pick(True, True, True, False):
            return None
        number = self.draw(st.integers(0, len(self.modes) - 1))
        return Literal(number, self.mode_width)

    def _write(self) -> list[Stmt]:
        element = self.pick(*(e for e in self.elements if e is not self.size))
        if element.role is Role.MODE:
            number = self.draw(st.integers(0, len(self.modes) - 1))
            return [Write("M", Literal(number, self.mode_width))]
        value = self.expr(element.width)
        if element.bank is not None and self.pick(True, True, False):
            user = (Write("B0", value),)
            return [If(self._is_mode(0), user, (Write("B1", value),))]
        return [Write(element.name, value)]

    def _if(self, depth: int) -> If:
        condition = self._condition(1)
        before = dict(self.locals)
        then = self.block(2, depth - 1)
        self.locals = dict(before)
        orelse = self.block(2, depth - 1)
        self.locals = before
        return If(condition, then, orelse)

    def _require(self) -> Stmt:
        trap: Stmt = self.pick(
            Trap("forbidden", TrapClass.PRIVILEGE),
            Trap("forbidden", TrapClass.PRIVILEGE),
            Trap("wrong", TrapClass.FAULT),
            Trap("call", TrapClass.CALL),
            Wait(),
        )
        if isinstance(trap, Trap) and self.pick(True, True, True, False):
            return If(self._is_mode(0), (trap,), ())
        return If(self._condition(1), (trap,), ())

    def translate(self) -> Function:
        """Bounds, relocation, bypass, or a walk; each perhaps."""
        address = self.address_width
        mode = Local("mode", self.mode_width)
        va = Local("va", address)
        self.locals = {"va": address, "mode": self.mode_width, "access": 2}
        controls = [Read(e.name, e.width) for e in self.elements if e.role is Role.CONTROL]
        base: Expr = fitted(self.pick(*controls), address) if controls else Literal(1, address)
        is_top = Compare(CompareOp.EQ, mode, Literal(len(self.modes) - 1, self.mode_width))
        body: list[Stmt] = []
        memory_trap = Trap("outside", TrapClass.MEMORY)
        if self.size is not None and self.pick(True, False):
            wide = fitted(va, self.size.width)
            inside = Compare(CompareOp.ULT, wide, Read(self.size.name, self.size.width))
            body.append(If(inside, (), (memory_trap,)))
        match self.draw(st.integers(0, 4)):
            case 0:
                body.append(If(Compare(CompareOp.ULT, va, base), (), (memory_trap,)))
            case 1:
                writes = Compare(CompareOp.EQ, Local("access", 2), Literal(Access.WRITE.value, 2))
                body.append(If(Logic(LogicOp.AND, writes, Not(is_top)), (memory_trap,), ()))
            case 2:
                body.append(If(self._condition(1), (memory_trap,), ()))
            case _:
                pass
        relocated: Expr
        match self.draw(st.integers(0, 4)):
            case 0:
                relocated = va
            case 1:
                body.append(LoadPhysical("entry", base, self.cell_width))
                entry = fitted(Local("entry", self.cell_width), address)
                relocated = Binary(BinaryOp.XOR, va, entry, address)
            case _:
                relocated = Binary(BinaryOp.ADD, va, base, address)
        if self.pick(True, False):
            relocated = Select(is_top, va, relocated, address)
        parameters = (va, Local("access", 2), Local("size", 8), mode)
        return Function("translate", parameters, (*body, Return(relocated)), address)

    def configuration(self) -> Configuration:
        controls = [
            e.name for e in self.elements if e.role in (Role.CONTROL, Role.TIME, Role.DEVICE)
        ]
        kinds = {name: self.pick("shadow", "shadow", "pass", "mirror") for name in controls}
        constraints: list[tuple[str, Expr]] = []
        plain = [e for e in self.elements if e.role is Role.CONTROL]
        if plain and self.pick(True, False):
            element = self.pick(*plain)
            value = self.draw(st.integers(0, (1 << element.width) - 1))
            constraint = Compare(
                CompareOp.EQ, Read(element.name, element.width), Literal(value, element.width)
            )
            constraints.append((f"{element.name} == {value}", constraint))
        names = [name for name, _ in self.modes]
        virtual = self.pick(names[::-1], names[::-1], names[-1:])
        modes = tuple((name, names[0]) for name in virtual)
        if self.pick(True, False):
            modes = tuple((name, self.pick(*names)) for name in virtual)
        homes: list[tuple[str, str]] = []
        alike = [
            (one.name, other.name)
            for one in self.elements
            for other in self.elements
            if one.name in controls and other.name in controls and one is not other
            if (one.width, one.role) == (other.width, other.role)
        ]
        if alike and self.pick(True, False):
            element, home = self.pick(*alike)
            kinds[element], kinds[home] = self.pick("pass", "mirror"), "shadow"
            homes.append((element, home))
        return Configuration(
            "c",
            modes,
            tuple(constraints),
            tuple(n for n in controls if kinds[n] == "shadow"),
            tuple(n for n in controls if kinds[n] == "pass"),
            tuple(n for n in controls if kinds[n] == "mirror"),
            homes=tuple(homes),
        )


@st.composite
def tiny_machines(draw: Draw) -> tuple[Isa, int]:
    """A machine, and how many one-bit choices its instruction makes at most."""
    maker = _Maker(draw)
    translate = maker.translate()
    maker.locals = {"next": 1}
    choices = maker.pick(0, 0, 0, 1)
    chosen: Block = ()
    if choices:
        chosen = (Choose("any", 1),)
        maker.locals["any"] = 1
    body = (*chosen, *maker.block(4, 2))
    causes = [
        Cause(name, trap_class, (), ())
        for name, trap_class in (
            ("outside", TrapClass.MEMORY),
            ("forbidden", TrapClass.PRIVILEGE),
            ("wrong", TrapClass.FAULT),
            ("call", TrapClass.CALL),
        )
    ]
    isa = Isa(
        name="tiny",
        title="tiny",
        sources=(),
        notes=(),
        elements=tuple(maker.elements),
        banks=maker.banks,
        mode=Mode("M", maker.mode_width, maker.modes),
        pc="P",
        memory=Memory(
            "E",
            maker.cell_width,
            maker.address_width,
            False,
            None if maker.size is None else maker.size.name,
        ),
        fetch=Fetch(maker.cell_width),
        translate="translate",
        functions=(translate,),
        operands=(),
        instructions=(Instruction("I", (), (), (BitsPiece(0, maker.cell_width),), "", body),),
        causes=tuple(causes),
        undecodable=Trap("wrong", TrapClass.FAULT),
        interrupts=(),
        invariants=(),
        configurations=(maker.configuration(),),
        claims=(),
    )
    return isa, choices
