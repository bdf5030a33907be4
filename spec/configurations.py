"""Declarations of virtualization configurations and claims."""

from collections.abc import Iterable, Mapping
from typing import assert_never

from spec import ir, syntax
from spec.declare import constants
from spec.expressions import reads
from spec.hosting import Hosting, pure
from spec.lowering import as_truth
from spec.scope import Globals, StructState, reject
from spec.source import Span
from spec.types import Bits, Value

_OUTSIDE = (ir.Role.CONTROL, ir.Role.TIME, ir.Role.DEVICE)

INSTRUCTION_PROPERTIES = (
    "privileged",
    "sensitive",
    "control_sensitive",
    "behaviour_sensitive",
    "result_sensitive",
    "trap_sensitive",
    "user_sensitive",
    "supervisor_sensitive",
    "user_mode_noop",
    "innocuous",
    "escape",
)
CONFIGURATION_PROPERTIES = ("virtualizable", "recursive", "hybrid", "efficient")
EXTRA_COMPONENTS = ("mode", "location", "time", "memory")


class Configurations:
    """Lowers `virtualize` and `claim`."""

    def __init__(
        self, globals_: Globals, elements: tuple[ir.Element, ...], texts: dict[str, str]
    ) -> None:
        self.globals = globals_
        self.elements = {e.name: e for e in elements}
        self.texts = texts

    def condition(
        self, node: syntax.Expr, scope: Mapping[str, Value] | None = None
    ) -> tuple[str, ir.Expr]:
        """The text of a condition over state, and its meaning."""
        body = constants(self.globals)
        body.scope.update(scope or {})
        value = body.coerce(body.expr(node, Bits(1)), Bits(1), node.span)
        expr = as_truth(pure(self.globals, body, value, node.span))
        return self._text(node.span), expr

    def _text(self, span: Span) -> str:
        return " ".join(self.texts.get(span.path, "")[span.start : span.end].split())

    def _line(self, span: Span) -> int:
        return self.texts.get(span.path, "").count("\n", 0, span.start) + 1

    def _elements(self, name: str, span: Span) -> list[str]:
        state = self.globals.state.get(name)
        if name in self.elements:
            found = [name]
        elif isinstance(state, StructState):
            found = [f"{name}.{f.name}" for f in state.type.fields]
        else:
            raise self.globals.unknown(
                "component", name, span, [*self.elements, *self.globals.state]
            )
        for element in found:
            if self.elements[element].role not in _OUTSIDE:
                raise reject(
                    "E0402",
                    f"`{element}` is not control, time or device state",
                    span,
                    help="only such state is shadowed, passed or mirrored",
                )
        return found

    def configuration(self, node: syntax.Virtualize) -> ir.Configuration:
        """One configuration."""
        mode = self.globals.mode
        if mode is None:
            raise AssertionError("a mode is required before configurations are lowered")
        kept: dict[str, str] = {}
        rest: str | None = None
        modes: dict[str, str] = {}
        homes: dict[str, str] = {}
        constraints: list[tuple[str, ir.Expr]] = []
        compose: list[syntax.Compose] = []
        linked: tuple[str, ir.Expr] | None = None
        for item in node.items:
            match item:
                case syntax.AsModes(virtual, real):
                    for name in (*virtual, real):
                        if name not in dict(mode.members):
                            raise self.globals.unknown(
                                "mode", name, item.span, [m for m, _ in mode.members]
                            )
                    for name in virtual:
                        if name in modes:
                            raise reject(
                                "E0412",
                                f"virtual mode `{name}` runs in two real modes",
                                item.span,
                                f"it already runs as `{modes[name]}`",
                                help="give each virtual mode once",
                            )
                        modes[name] = real
                case syntax.Constrain(condition):
                    text, expr = self.condition(condition)
                    if expr != ir.Boolean(True):  # what always holds constrains nothing
                        constraints.append((text, expr))
                case syntax.Keep(kind, components):
                    for component, home in components:
                        if component == "rest" and home is None:
                            rest = kind
                            continue
                        named = self._elements(component, item.span)
                        if home is not None:
                            places = self._elements(home, item.span)
                            homes.update(self._in(kind, named, places, homes, item.span))
                        for element in named:
                            if element in kept:
                                raise reject(
                                    "E0403",
                                    f"`{element}` is kept in two ways",
                                    item.span,
                                    f"it is already in `{kept[element]}`",
                                )
                            kept[element] = kind
                case syntax.Compose():
                    compose.append(item)
                case syntax.Linked():
                    if linked is not None:
                        raise reject("E0301", "`linked` is given twice", item.span)
                    linked = self._linked(item)
                case syntax.PageSize() | syntax.MonitorSize() | syntax.TableRoutine():
                    pass  # Hosting reads them
                case _:
                    assert_never(item)
        if not modes:
            raise reject(
                "E0404",
                f"`{node.name}` does not say which modes it virtualizes",
                node.span,
                help="write for example `supervisor, user as user`",
            )
        missing: list[str] = []
        for each in self.elements.values():
            if each.role in _OUTSIDE and each.name not in kept:
                if each.bank is not None:
                    kept[each.name] = rest or "shadow"
                elif rest is not None:
                    kept[each.name] = rest
                else:
                    missing.append(each.name)
        if missing:
            names = ", ".join(f"`{m}`" for m in missing[:6]) + (" ..." if len(missing) > 6 else "")
            raise reject(
                "E0401",
                f"`{node.name}` leaves state neither shadowed, passed nor mirrored",
                node.span,
                names,
                help="name it, or write `shadow rest`",
            )

        for element, home in homes.items():
            if kept[home] != "shadow":
                raise reject(
                    "E0413",
                    f"`{home}` is to hold `{element}`, and is not shadowed itself",
                    node.span,
                    help=f"write `shadow {home}`: the virtual machine's own is then kept apart",
                )

        def having(kind: str) -> tuple[str, ...]:
            return tuple(e for e in self.elements if kept.get(e) == kind)

        own = [e for e in having("shadow") if e not in homes.values()] + list(homes)
        hosting = Hosting(self.globals, self.elements, own, having("shadow"), having("mirror"))
        composed = hosting.compose(compose)
        tables = hosting.tables(node)
        return ir.Configuration(
            node.name,
            tuple(modes.items()),
            tuple(constraints),
            having("shadow"),
            having("pass"),
            having("mirror"),
            composed,
            tables.page,
            tables.monitor_size,
            tables.install,
            tables.remove,
            linked,
            tuple(homes.items()),
            tables.monitor_fill,
            tables.second_stage,
            span=node.span,
        )

    def _in(
        self, kind: str, elements: list[str], places: list[str], taken: dict[str, str], span: Span
    ) -> Iterable[tuple[str, str]]:
        """The elements of a component, each with the one of another component that holds it."""
        if kind == "shadow":
            raise reject(
                "E0413",
                "what is shadowed is held by the monitor",
                span,
                help="write `pass` or `mirror` where an element of the real machine holds it",
            )
        if len(elements) != len(places):
            raise reject("E0413", "a component is held by one with the same fields", span)
        for element, place in zip(elements, places, strict=True):
            one, other = self.elements[element], self.elements[place]
            if (one.width, one.length, one.role) != (other.width, other.length, other.role):
                raise reject("E0413", f"`{place}` is of another type than `{element}`", span)
            if one.bank is not None or other.bank is not None:
                raise reject("E0413", "a banked register is always held by the monitor", span)
            if place in taken.values() or place == element:
                raise reject("E0413", f"`{place}` holds something already", span)
            yield element, place

    def _linked(self, node: syntax.Linked) -> tuple[str, ir.Expr]:
        width = self.globals.virtual_width
        address = Value(Bits(width), ir.Local("va", width))
        text, expr = self.condition(node.condition, {node.name: address})
        if reads(expr):
            raise reject(
                "E0218",
                "what a guest is linked to does not depend on state",
                node.condition.span,
                note="it is said of virtual addresses alone",
            )
        return text, expr

    # ----------------------------------------------------------------- claims

    def claim(
        self,
        node: syntax.ClaimProperty | syntax.ClaimEscapes,
        configurations: dict[str, ir.Configuration],
        instructions: dict[str, ir.Instruction],
    ) -> ir.Claim:
        """One claim, its names looked up."""
        text, line = self._text(node.span).removeprefix("claim "), self._line(node.span)
        if isinstance(node, syntax.ClaimEscapes):
            self._known("configuration", node.configuration, configurations, node.span)
            for name in node.instructions:
                self._known("instruction", name, instructions, node.span)
            return ir.EscapesClaim(
                node.configuration, node.instructions, node.exactly, text, line, span=node.span
            )
        if node.subject in configurations:
            return self._verdict_claim(node, text, line)
        self._known("instruction or configuration", node.subject, instructions, node.span)
        self._known("property", node.property, INSTRUCTION_PROPERTIES, node.span)
        if node.verdict is not None:
            raise reject("E0405", f"`{node.verdict}` is said of configurations", node.span)
        if node.configuration is not None:
            self._known("configuration", node.configuration, configurations, node.span)
        types = [p.type for p in instructions[node.subject].parameters]
        members = {r.name for t in types if isinstance(t, ir.FieldType) for r in t.reported}
        if node.operands is not None:
            self._known("operand", node.operands, members, node.span)
        components: list[str] = []
        for component in node.components:
            if component in EXTRA_COMPONENTS and component not in self.elements:
                components.append(component)
            else:
                mode_named = component == self.globals.mode_element
                components += ["mode"] if mode_named else self._elements(component, node.span)
        return ir.InstructionClaim(
            node.subject,
            node.operands,
            node.configuration,
            node.negated,
            node.property,
            tuple(components),
            text,
            line,
            span=node.span,
        )

    def _verdict_claim(self, node: syntax.ClaimProperty, text: str, line: int) -> ir.VerdictClaim:
        self._known("property", node.property, CONFIGURATION_PROPERTIES, node.span)
        if node.components or node.operands is not None or node.configuration is not None:
            raise reject("E0405", "this claim is about a whole configuration", node.span)
        return ir.VerdictClaim(
            node.subject,
            node.verdict or "configured",
            node.negated,
            node.property,
            text,
            line,
            span=node.span,
        )

    def _known(self, kind: str, name: str, known: Iterable[str], span: Span) -> None:
        names = list(known)
        if name not in names:
            raise self.globals.unknown(kind, name, span, names)
