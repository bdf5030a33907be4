"""Types that the IR does not keep: of parameters and results, as their uses suggest them.

A wrong guess would cost a conversion in the text, never its meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spec import ir
from spec.effects import statements
from spec.scope import ACCESS
from spec.types import Address, Bits, Enumeration, Type

_ROUNDS = 6
"""Calls deeper than this pass their types no further."""


@dataclass(slots=True)
class Inferred:
    """By function, the types of its parameters and result; by cause, those of its parameters.

    What is missing is plain bits.
    """

    parameters: dict[tuple[str, str], Type] = field(default_factory=dict)
    results: dict[str, Type] = field(default_factory=dict)
    causes: dict[tuple[str, str], Type] = field(default_factory=dict)


def infer(isa: ir.Isa, enumerations: Mapping[tuple[tuple[str, int], ...], Enumeration]) -> Inferred:
    """What calls, traps and returns of a description suggest."""
    inference = _Inference(isa, enumerations)
    for _ in range(_ROUNDS):
        before = dict(inference.found.parameters), dict(inference.found.results)
        inference.round()
        if before == (inference.found.parameters, inference.found.results):
            break
    return inference.found


class _Inference:
    def __init__(
        self, isa: ir.Isa, enumerations: Mapping[tuple[tuple[str, int], ...], Enumeration]
    ) -> None:
        self.isa = isa
        self.functions = {f.name: f for f in isa.functions}
        self.causes = {c.name: c for c in isa.causes}
        self.elements = {e.name: enumerations[e.values] for e in isa.elements if e.values}
        self.enumerations = enumerations
        self.physical = Address(True, isa.memory.address_width)
        self.found = Inferred()
        self._seen: dict[tuple[str, str, str], set[Type | None]] = {}

    def round(self) -> None:
        self._seen = {}
        for function in self.isa.functions:
            known = {
                p.name: kind
                for p in function.parameters
                if (kind := self.found.parameters.get((function.name, p.name))) is not None
            }
            if function.name == self.isa.translate:
                address, access, _, mode = function.parameters
                known[address.name] = Address(False, address.width)
                known[access.name] = ACCESS
                known[mode.name] = self.enumerations[self.isa.mode.members]
            self._body(function.body, known, function.name)
        for instruction in self.isa.instructions:
            fields = {f.name: self.enumerations[f.values] for f in instruction.fields if f.values}
            self._body(instruction.body, dict(fields), None)
        for cause in self.isa.causes:
            self._body(cause.delivery, {}, None)
        for interrupt in self.isa.interrupts:
            self._body(interrupt.delivery, {}, None)
        for (what, owner, name), types in self._seen.items():
            if self.physical in types:
                types.discard(None)  # numbers become addresses by `paddr` anyhow
            only = types.pop() if len(types) == 1 else None
            if only is None:
                continue
            match what:
                case "parameter":
                    self.found.parameters[owner, name] = only
                case "cause":
                    self.found.causes[owner, name] = only
                case _:
                    self.found.results[owner] = only

    def _body(self, body: ir.Block, known: dict[str, Type], function: str | None) -> None:
        for statement in statements(body):
            match statement:
                case ir.Assign(local, value):
                    self._note_local(known, local, self._type(value, known))
                case ir.Translate(target):
                    known[target] = self.physical
                case ir.Call(result, called, arguments):
                    for parameter, argument in zip(
                        self.functions[called].parameters, arguments, strict=True
                    ):
                        self._note("parameter", called, parameter, argument, known)
                    if result is not None and called in self.found.results:
                        known[result] = self.found.results[called]
                case ir.Trap(cause, _, arguments):
                    for parameter, argument in zip(
                        self.causes[cause].parameters, arguments, strict=True
                    ):
                        self._note("cause", cause, parameter, argument, known)
                case ir.Return(value) if function is not None:
                    self._note("result", function, ir.Local("", value.width), value, known)
                case _:
                    pass

    def _note_local(self, known: dict[str, Type], local: str, kind: Type | None) -> None:
        if kind is None:
            known.pop(local, None)
        else:
            known[local] = kind

    def _note(
        self, kind: str, owner: str, place: ir.Local, value: ir.Expr, known: Mapping[str, Type]
    ) -> None:
        if isinstance(value, ir.Literal):
            return  # fits any type
        self._seen.setdefault((kind, owner, place.name), set()).add(self._type(value, known))

    def _type(self, value: ir.Expr, known: Mapping[str, Type]) -> Type | None:
        match value:
            case ir.Local(local):
                return known.get(local)
            case ir.Read(element):
                return self.elements.get(element)
            case ir.Select(_, then, orelse):
                kinds = {
                    self._type(arm, known)
                    for arm in (then, orelse)
                    if not isinstance(arm, ir.Literal)
                }
                only = kinds.pop() if len(kinds) == 1 else None
                return only if isinstance(only, Enumeration) else None
            case _:
                return None


def bits_or(kind: Type | None, width: int) -> Type:
    return Bits(width or 1) if kind is None else kind
