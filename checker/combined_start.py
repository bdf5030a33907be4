"""The combined state of a monitor and its machine as symbols, and what is taken to hold of it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from checker import starts
from checker.answers import OperandSet
from checker.determined import determined, with_bits
from checker.hosted import Hosting, Plain
from checker.operand_sets import operands
from checker.statements import BASE, SIZE, TABLES, Hosted
from checker.storage import shape_of
from checker.terms import Op, Term, Terms, Truth, Value
from spec.ir import BinaryOp, Block, Expr, Local

State = dict[str, Value]

_LENGTH_WIDTH = 16


class CombinedStart:
    """One graph of terms over one start; `mode` is the virtual machine's, if it is settled."""

    def __init__(
        self,
        hosted: Hosted,
        mode: int | None,
        running: bool,
        constants: Mapping[str, int] | None = None,
        real_mode: int | None = None,
    ) -> None:
        """`running`: the real machine is in the guest's real mode, or in `real_mode`."""
        self.hosted = hosted
        self.terms = Terms()
        real = hosted.real
        if real_mode is None and running:
            real_mode = hosted.real_mode(mode)
        self.start: State = starts.start(real, self.terms, real_mode or 0)
        for bank in real.banks:  # here each member goes by its own name
            for _, member in bank.members:
                self.start[member] = self.terms.symbol(member, bank.width)
        element = real.mode.element
        if real_mode is None:
            self.start[element] = self.terms.symbol(element, real.mode.width)
        self.home_mode = hosted.homes[element]
        self.mode = mode
        if mode is not None:
            self.start[self.home_mode] = mode
        self._constants = dict(constants or {})
        self._settle()
        self.memory = starts.memory(real, self.terms)
        for name in (BASE, SIZE, TABLES):
            self.start[name] = self._aligned(name)
        base, size = self.start[BASE], self.start[SIZE]
        self.bare = Hosting(hosted.bare, self.terms, base, size)
        self.monitor = Plain(hosted.monitor, self.terms, base, size)
        self.real = Plain(real, self.terms, base, size)
        self.base, self.size = base, size
        self.length: Value | None = None  # of the instruction, in cells

    def _aligned(self, name: str) -> Value:
        """A symbol that is a multiple of the page."""
        whole = cast(Term, self.start[name])
        zeros = (self.hosted.page - 1).bit_length()
        if zeros == 0:
            return whole
        upper = self.terms.symbol(name, whole.width - zeros)
        return self.terms.make(Op.CONCAT, whole.width, upper, 0, zeros)

    def _settle(self) -> None:
        """Give elements the one value that they have at the start; to arrays, at each index."""
        engine = Plain(self.hosted.real, self.terms, 0, 0)
        for element in self.hosted.real.elements:
            value = self._constants.get(element.name)
            if value is None:
                continue
            if element.length is None:
                self.start[element.name] = value
                continue
            shape = shape_of(element)
            array = cast(Term, self.start[element.name])
            for index in range(element.length):
                array = engine.write_array(array, index, value, shape)
            self.start[element.name] = array

    def settle(self, conditions: Iterable[Expr], frame: dict[str, Value | Truth]) -> None:
        """Give elements and parameters the bits that conditions on the start determine."""
        engine = self.monitor
        known = determined(self.assumed(conditions, frame))
        own = {BASE, SIZE, TABLES, self.hosted.bare.pc}
        for element in self.hosted.real.elements:
            start = self.start[element.name]
            if not isinstance(start, Term) or element.name in own:
                continue
            if start in known:
                self.start[element.name] = with_bits(engine, start, *known[start])
            elif start.op is Op.ARRAY:
                shape = shape_of(element)
                array = start
                for term, bits in known.items():
                    if term.op is Op.READ and term.args[0] is start:
                        value = with_bits(engine, term, *bits)
                        array = engine.write_array(array, term.args[1], value, shape)
                self.start[element.name] = array
        for name, value in frame.items():
            if isinstance(value, Term) and value in known:
                frame[name] = with_bits(engine, value, *known[value])

    def define(self, elements: Iterable[tuple[str, Expr]]) -> None:
        """Elements whose value at the start is that of an expression over the others."""
        for name, expr in elements:
            self.start[name] = self.monitor.expression(self.start, expr, {})

    def frame(
        self, instruction: str | None, parameters: Iterable[Local]
    ) -> tuple[dict[str, Value | Truth], list[Truth]]:
        """Symbols for parameters and operands, and what holds of them."""
        isa = self.hosted.bare
        frame: dict[str, Value | Truth] = {
            p.name: self.terms.symbol(f"argument {p.name}", p.width) for p in parameters
        }
        pc = self.start[isa.pc]
        width = cast(Term, pc).width
        found = [i for i in isa.instructions if i.name == instruction]
        if not found:
            frame.setdefault("next", self.terms.symbol("argument next", width))
            return frame, []
        given = operands(self.bare, isa, found[0], OperandSet())
        self.length = length = given.length
        if width > _LENGTH_WIDTH:
            length = self.bare.extend(length, _LENGTH_WIDTH, False, width)
        else:
            length = self.bare.extract(length, _LENGTH_WIDTH, width - 1, 0)
        frame.update(given.fields)
        frame["next"] = self.bare.binary(BinaryOp.ADD, pc, length, width)
        return frame, list(given.conditions)

    def assumed(
        self, conditions: Iterable[Expr], frame: Mapping[str, Value | Truth]
    ) -> list[Truth]:
        """Conditions on the start, by the monitor's text."""
        return [
            cast(Truth, self.monitor.expression(self.start, condition, frame))
            for condition in conditions
        ]

    def well_formed(self, state: State) -> list[Truth]:
        """Elements with an enumeration type hold members."""
        isa = replace(self.hosted.real, invariants=())
        return starts.well_formed(isa, self.real, state)

    def bare_well_formed(self, state: State) -> list[Truth]:
        """The virtual machine is in a state that satisfies the invariants."""
        return starts.well_formed(self.hosted.bare, self.bare, state)

    def updated(self, state: State, block: Block, memory: Term | None = None) -> State:
        """The state after a block that only brings homes up to date."""
        if not block:
            return state
        run = self.monitor.run(state, memory or self.memory, block, {}, state[self.hosted.bare.pc])
        return {name: run.after(name) for name in state}

    def presented(self, state: State) -> State:
        """The virtual machine's elements, read from their homes."""
        homes = self.hosted.homes
        return {e.name: state[homes.get(e.name, e.name)] for e in self.hosted.bare.elements}
