"""From the declarations of a description to its IR."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from spec import ir, syntax
from spec.configurations import Configurations
from spec.declare import (
    States,
    constants,
    declare_cause,
    declare_memory,
    declare_type,
    declared_names,
    settle,
)
from spec.files import Files, problem
from spec.instructions import Encodings, Member
from spec.lint import contradictions, encoding_errors
from spec.loaded import Loaded
from spec.lower_state import memory_size
from spec.lower_statements import Body, ends, resolve_type
from spec.lowering import Names
from spec.scope import ACCESS, Globals, reject
from spec.source import Span
from spec.types import Address, Bits, Type, Value, width_of

_Of: TypeAlias = Callable[..., list[syntax.Declaration]]


def load(path: str) -> Loaded:
    """Read, parse and check the description at `path`. Never raises for bad input."""
    return _Loader(Files(Globals())).load(path)


@dataclass
class _Loader:
    files: Files

    @property
    def globals(self) -> Globals:
        return self.files.globals

    def load(self, path: str) -> Loaded:
        isa: ir.Isa | None = None
        try:
            self.files.read(path)
            if not self.globals.failed:
                isa = self._assemble(path)
            if isa is not None:
                self.globals.diagnostics += [*encoding_errors(isa), *contradictions(isa)]
        except RecursionError:
            self.globals.diagnostics.append(
                problem(
                    "E0104",
                    "an expression is too long or too deeply nested",
                    Span(path, 0, 1),
                    "name parts of it with `let`, or put them into functions",
                )
            )
        if self.globals.failed:
            isa = None
        found = tuple(dict.fromkeys(self.globals.diagnostics))
        return Loaded(isa, found, self.files.texts)

    # ----------------------------------------------------------------- assembly of the IR

    def _assemble(self, path: str) -> ir.Isa | None:
        known = self.globals
        known.types["access"] = ACCESS
        for member, value in ACCESS.members:
            known.members.setdefault(member, []).append((ACCESS, value))
        instructions = [d for d in self.files.declarations if isinstance(d, Member)]
        plain: list[syntax.Declaration] = [
            d for d in self.files.declarations if not isinstance(d, Member)
        ]

        def of(*kinds: type) -> list[syntax.Declaration]:
            return [d for d in plain if isinstance(d, kinds)]

        types = of(syntax.TypeDef, syntax.Enum, syntax.Struct, syntax.Names, syntax.Mode)
        settle(types, lambda d: declare_type(known, d), known)
        for memory in of(syntax.Memory):
            if isinstance(memory, syntax.Memory):
                with known.collecting():
                    if known.memory is not None:
                        raise reject("E0301", "memory is declared twice", memory.span)
                    declare_memory(known, memory)
        states = States(known)
        self._state(states, of)
        if self._required(path, of):
            return None
        unit = self._fetch_unit(of)
        encodings = Encodings(known, unit)
        self._functions(of)
        for cause in of(syntax.Cause):
            if isinstance(cause, syntax.Cause):
                with known.collecting(declared_names(cause)):
                    declare_cause(known, cause)
        settle(
            of(syntax.Operand, syntax.OperandSubset),
            lambda d: (
                encodings.operand(d)
                if isinstance(d, syntax.Operand)
                else encodings.subset(d)
                if isinstance(d, syntax.OperandSubset)
                else None
            ),
            known,
        )
        return self._lower(path, of, instructions, encodings, states, unit)

    def _state(self, states: States, of: _Of) -> None:
        known = self.globals
        for node in of(syntax.State, syntax.Mode, syntax.Bank, syntax.Alias):
            if isinstance(node, syntax.State) and node.role == "pc":
                with known.collecting():
                    states.declare(node)
        self._virtual_width(of)
        for node in of(syntax.State, syntax.Mode, syntax.Bank, syntax.Alias):
            with known.collecting(declared_names(node)):
                match node:
                    case syntax.State() if node.role != "pc":
                        states.declare(node)
                    case syntax.Mode():
                        states.mode(node)
                    case syntax.Bank():
                        states.bank(node)
                    case syntax.Alias():
                        states.alias(node)
                    case _:
                        pass
        for node in of(syntax.Alias):
            if isinstance(node, syntax.Alias):
                with known.collecting():
                    states.check_alias(node)

    def _virtual_width(self, of: _Of) -> None:
        known = self.globals
        known.virtual_width = (known.pc and width_of(known.pc.type)) or 0
        for node in of(syntax.Translate):
            if isinstance(node, syntax.Translate) and node.parameters:
                first = node.parameters[0].type
                if first is not None:
                    with known.collecting():
                        kind = resolve_type(known, first, {})
                        known.virtual_width = width_of(kind) or known.virtual_width

    def _required(self, path: str, of: _Of) -> bool:
        known = self.globals
        missing = [
            (known.mode is None, "mode", "mode M { user, supervisor }"),
            (known.pc is None, "program counter", "pc P : bits(32)"),
            (known.memory is None, "memory", "memory E : bits(8)[2^32] little"),
            (not of(syntax.Translate), "address translation", "translate(va, access, size, mode) { return paddr(va) }"),
            (not of(syntax.Undecodable), "trap for words that are no instruction", "undecodable trap CAUSE"),
        ]  # fmt: skip
        for absent, what, example in missing:
            if absent:
                known.diagnostics.append(
                    problem(
                        "E0302",
                        f"the description has no {what}",
                        Span(path, 0, 1),
                        f"declare one, for example `{example}`",
                    )
                )
        for kind in (
            syntax.Translate,
            syntax.Undecodable,
            syntax.Fetch,
            syntax.Mode,
            syntax.Before,
        ):
            for extra in of(kind)[1:]:
                what = (
                    "`before instruction`"
                    if kind is syntax.Before
                    else f"`{kind.__name__.lower()}`"
                )
                known.diagnostics.append(
                    problem("E0301", f"{what} is declared twice", extra.span, "remove one of them")
                )
        return any(absent for absent, _, _ in missing)

    def _fetch_unit(self, of: _Of) -> int:
        cell = self.globals.memory.cell_width if self.globals.memory else 1
        for node in of(syntax.Fetch):
            if isinstance(node, syntax.Fetch):
                with self.globals.collecting():
                    unit = constants(self.globals).integer(node.width)
                    if unit < 1 or unit % cell:
                        raise reject(
                            "E0214", f"{unit} bits are not a whole number of cells", node.width.span
                        )
                    return unit
        return cell

    def _functions(self, of: _Of) -> None:
        known = self.globals
        for node in of(syntax.Function, syntax.Accessor):
            with known.collecting():
                if isinstance(node, syntax.Function):
                    taken = node.name in known.functions or node.name in known.accessors
                    if taken or node.name in known.state:
                        raise reject("E0301", f"`{node.name}` is declared twice", node.span)
                    known.functions[node.name] = node
                elif isinstance(node, syntax.Accessor):
                    if node.name in known.accessors or node.name in known.functions:
                        raise reject("E0301", f"`{node.name}` is declared twice", node.span)
                    known.accessors[node.name] = node

    def _lower(
        self,
        path: str,
        of: _Of,
        listed: list[Member],
        encodings: Encodings,
        states: States,
        unit: int,
    ) -> ir.Isa | None:
        known = self.globals
        elements = tuple(states.elements)
        configure = Configurations(known, elements, self.files.texts)
        translate = self._translate(of)
        causes = self._causes(of)
        undecodable: ir.Trap | None = None
        for node in of(syntax.Undecodable):
            if isinstance(node, syntax.Undecodable):
                with known.collecting():
                    undecodable = constants(known).trap(node.trap)
        interrupts: list[ir.Interrupt] = []
        for node in of(syntax.Interrupt):
            if isinstance(node, syntax.Interrupt):
                with known.collecting():
                    _, condition = configure.condition(node.condition)
                    delivery = self._body(node.delivery, {}, [])
                    interrupts.append(ir.Interrupt(node.name, condition, delivery))
        instructions: dict[str, ir.Instruction] = {}
        for node in of(syntax.Before):
            if isinstance(node, syntax.Before):
                problems = len(known.diagnostics)
                self._body(node.body, {}, [])
                if len(known.diagnostics) == problems:  # else each instruction would repeat them
                    encodings.before = node.body
        for member in listed:
            with known.collecting():
                if member.name in instructions:
                    raise reject(
                        "E0301", f"instruction `{member.name}` is declared twice", member.span
                    )
                instructions[member.name] = encodings.instruction(member)
        self._unused_functions(of)
        invariants: list[tuple[str, ir.Expr]] = []
        for node in of(syntax.Invariant):
            if isinstance(node, syntax.Invariant):
                with known.collecting():
                    invariants.append(configure.condition(node.condition))
        configurations: dict[str, ir.Configuration] = {}
        for node in of(syntax.Virtualize):
            if isinstance(node, syntax.Virtualize):
                with known.collecting():
                    if node.name in configurations:
                        raise reject("E0301", f"`{node.name}` is declared twice", node.span)
                    configurations[node.name] = configure.configuration(node)
        claims: list[ir.Claim] = []
        literature: list[ir.Literature] = []
        if not self.globals.failed:
            for node in of(syntax.ClaimProperty, syntax.ClaimEscapes):
                if isinstance(node, syntax.ClaimProperty | syntax.ClaimEscapes):
                    with known.collecting():
                        claims.append(configure.claim(node, configurations, instructions))
            for node in of(syntax.Literature):
                if isinstance(node, syntax.Literature):
                    with known.collecting():
                        claim = configure.claim(node.claim, configurations, instructions)
                        literature.append(ir.Literature(node.author, claim, node.but))
        mode, pc, memory = known.mode, known.pc, known.memory
        if self.globals.failed or not (translate and undecodable and mode and pc and memory):
            return None
        functions = (translate, *(f for f in known.instances.values() if f.name))
        order = tuple(mode.members)
        if known.memory_size_read:
            memory = replace(memory, size=memory_size(memory))
            elements = (*elements, _size_element(memory))
        return ir.Isa(
            _isa_name(path),
            self.files.title,
            tuple(r.text for r in self.files.remarks if r.kind == "source"),
            tuple(r.text for r in self.files.remarks if r.kind == "note"),
            elements,
            tuple(states.banks),
            ir.Mode(known.mode_element, mode.width, order),
            pc.element,
            memory,
            ir.Fetch(unit),
            translate.name,
            functions,
            tuple(known.operands.values()),
            tuple(instructions.values()),
            causes,
            undecodable,
            tuple(interrupts),
            tuple(invariants),
            tuple(configurations.values()),
            tuple(claims),
            tuple(literature),
        )

    def _body(
        self, block: syntax.Block, scope: dict[str, Value], parameters: list[ir.Local]
    ) -> ir.Block:
        body = Body(self.globals, Names(), scope, {}, next_allowed=True)
        for parameter in parameters:
            body.names.fresh(parameter.name)
        body.block(block)
        return tuple(body.out)

    def _causes(self, of: _Of) -> tuple[ir.Cause, ...]:
        causes: list[ir.Cause] = []
        for node in of(syntax.Cause):
            if not isinstance(node, syntax.Cause):
                continue
            if node.name not in self.globals.causes:
                continue
            signature = self.globals.causes[node.name]
            parameters = [ir.Local(n, width_of(t) or 1) for n, t in signature.parameters]
            scope = {
                n: Value(t, local)
                for (n, t), local in zip(signature.parameters, parameters, strict=True)
            }
            delivery = self._body(node.delivery, scope, parameters)
            causes.append(
                ir.Cause(
                    node.name, signature.trap_class, tuple(parameters), delivery, span=node.span
                )
            )
        return tuple(causes)

    def _translate(self, of: _Of) -> ir.Function | None:
        known = self.globals
        node = of(syntax.Translate)[0]
        if not isinstance(node, syntax.Translate) or known.mode is None or known.memory is None:
            return None
        with known.collecting():
            if len(node.parameters) != 4:
                raise reject(
                    "E0206",
                    "`translate` has four parameters: address, access, size, mode",
                    node.span,
                    help="write `translate(va, access, size, mode) { ... }`",
                )
            kinds: list[Type] = [Address(False, known.virtual_width), ACCESS, Bits(8), known.mode]
            body = Body(known, Names(), {}, {}, next_allowed=False)
            parameters: list[ir.Local] = []
            for parameter, kind in zip(node.parameters, kinds, strict=True):
                local = ir.Local(body.names.fresh(parameter.name), width_of(kind) or 1)
                parameters.append(local)
                body.scope[parameter.name] = Value(kind, local)
            body.in_function = True
            body.result = Address(True, known.memory.address_width)
            body.block(node.body)
            if not ends(body.out):
                raise reject("E0211", "`translate` does not return on every path", node.span)
            width = known.memory.address_width
            return ir.Function(
                "translate", tuple(parameters), tuple(body.out), width, span=node.span
            )
        return None

    def _unused_functions(self, of: _Of) -> None:
        """Check functions that no one calls, where their types say everything."""
        known = self.globals
        used = {f.name.split("<")[0].rstrip("=") for f in known.instances.values()}
        for node in of(syntax.Function):
            if not isinstance(node, syntax.Function) or node.name in used:
                continue
            if known.functions.get(node.name) is not node:
                continue  # rejected already
            bound: dict[str, Value] = {}
            generic = False
            with known.collecting():
                for parameter in node.parameters:
                    written = parameter.type
                    if written is None:
                        raise reject(
                            "E0307", f"parameter `{parameter.name}` needs a type", parameter.span
                        )
                    free = isinstance(written.argument, syntax.Name) and (
                        written.argument.name not in known.numbers
                    )
                    if written.name == "int" or free:
                        generic = True
                        break
                    kind = resolve_type(known, written, {})
                    width = width_of(kind)
                    prefix = parameter.name if width is None else None
                    bound[parameter.name] = Value(
                        kind, ir.Local(parameter.name, width or 1), prefix=prefix
                    )
                if not generic:
                    result = None if node.result is None else resolve_type(known, node.result, {})
                    constants(known).instantiate(node.name, bound, result, None)


def _size_element(memory: ir.Memory) -> ir.Element:
    width, cells = memory.address_width + 1, 1 << memory.address_width
    return ir.Element(memory_size(memory), width, ir.Role.GENERAL, reset=cells)


def _isa_name(path: str) -> str:
    """The last folder and the file's stem: `riscv/rv32`."""
    file = Path(path)
    parent = file.resolve().parent.name
    return f"{parent}/{file.stem}" if parent else file.stem


def main(path: str) -> None:
    """Print what loading finds (a debugging aid; `popek lint` is for people)."""
    loaded = load(path)
    for d in loaded.diagnostics:
        line = loaded.texts.get(d.label.span.path, "").count("\n", 0, d.label.span.start) + 1
        print(
            f"{d.label.span.path}:{line}: {d.severity.value} {d.code}: {d.message} {d.label.text} {d.help}"
        )
    if loaded.isa:
        print(loaded.isa.name, len(loaded.isa.instructions), "instructions")


if __name__ == "__main__":
    main(sys.argv[1])
