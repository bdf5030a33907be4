"""What a configuration says about hosting a guest: composed state, pages, shadow tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spec import ir, syntax
from spec.declare import constants
from spec.effects import operands, statements
from spec.expressions import reads
from spec.lower_state import memory_size
from spec.lower_statements import Body
from spec.lowering import Names, concat, extract
from spec.rewrite import substitute
from spec.scope import Globals, Scalar, StructState, reject
from spec.source import Span
from spec.types import Address, Bits, Struct, StructField, Type, Value, number, width_of

Composed = tuple[tuple[str, ir.Expr], ...]

_GUESTS = (ir.Role.GENERAL, ir.Role.FLAG, ir.Role.PC)
_PARAMETERS = {"install": "(va, pa, rights, slot)", "remove": "(va, slot)"}
_KEYS = "a page of the guest's is named by a virtual address, or of a second stage by a `paddr`"


@dataclass(frozen=True, slots=True)
class Tables:
    """What a configuration says about pages; the fields are those of `ir.Configuration`."""

    page: int | None
    monitor_size: int
    install: ir.Function | None
    remove: ir.Function | None
    monitor_fill: int
    second_stage: bool


def pure(globals_: Globals, body: Body, value: Value, span: Span) -> ir.Expr:
    """A value without effects; state may be read, functions that only compute are written out."""
    if not body.out:
        return value.expr
    settled = substitute(value.expr, body.out, globals_.instances, state=True)
    if settled is None:
        raise reject("E0218", "this may only compute: no memory, no assignment", span)
    return settled


class Hosting:
    """Lowers `compose`, `page`, `monitor`, `install` and `remove` of one configuration.

    `shadowed` and `mirrored` are the elements that the configuration keeps so. `own`: those that
    hold nothing of the guest's on the real machine.
    """

    def __init__(
        self,
        globals_: Globals,
        elements: dict[str, ir.Element],
        own: Sequence[str],
        shadowed: Sequence[str],
        mirrored: Sequence[str],
    ) -> None:
        if globals_.memory is None:
            raise AssertionError("memory is required before configurations are lowered")
        self._globals = globals_
        self._memory = globals_.memory
        self._elements = elements
        control = {
            e.name for e in elements.values() if e.role is ir.Role.CONTROL and e.bank is None
        }
        self._own = control & set(own)  # what the VMM alone decides about
        self._kept = control & {*shadowed, *mirrored}  # no guest changes it behind the VMM's back

    # ----------------------------------------------------------------- composed state

    def compose(self, nodes: Sequence[syntax.Compose]) -> Composed:
        """Elements of the real state, each with its value over the virtual one."""
        found: dict[str, ir.Expr] = {}
        for node in nodes:
            for element, value in self._composed(node):
                if element in found:
                    raise reject("E0410", f"`{element}` is composed twice", node.span)
                found[element] = value
        return tuple(found.items())

    def _composed(self, node: syntax.Compose) -> Iterator[tuple[str, ir.Expr]]:
        state = self._globals.state.get(node.component)
        element = self._elements.get(node.component)
        struct = state.type if isinstance(state, StructState) else None
        kind: Type
        if struct is not None:
            kind, names = struct, [f"{node.component}.{f.name}" for f in struct.fields]
            if isinstance(state, StructState) and state.length is not None:
                raise reject("E0410", "an array of structs is not composed", node.span)
        elif element is not None:
            kind = state.type if isinstance(state, Scalar) else Bits(element.width)
            names = [element.name]
        else:
            known = list(self._elements)
            raise self._globals.unknown("component", node.component, node.span, known)
        for name in names:
            if name not in self._own:
                raise reject(
                    "E0410",
                    f"`{name}` is composed but not shadowed",
                    self._globals.within(node.span, node.component),
                    help="a VMM decides about the real value of shadowed control state only",
                )
        length = None if element is None else element.length
        if (length is None) != (node.member is None):
            raise reject(
                "E0410",
                f"`{node.component}` is {'not ' if length is None else ''}an array",
                node.span,
                help="write `compose x[i] = ...`: `i` is the number of each member of an array",
            )
        if length is not None and node.member is not None:
            numbers = [{node.member: number(i)} for i in range(length)]
            members = [self._composed_value(node.value, kind, scope) for scope in numbers]
            yield names[0], concat(members[::-1])
            return
        expr = self._composed_value(node.value, kind, {})
        if struct is None:
            yield names[0], expr
        else:
            for name, f in zip(names, struct.fields, strict=True):
                yield name, extract(expr, f.high, f.low)

    def _composed_value(self, value: syntax.Expr, kind: Type, scope: dict[str, Value]) -> ir.Expr:
        body = self._body(scope)
        expr = pure(self._globals, body, body.typed(value, kind), value.span)
        self._reads_what_stays(expr, value.span)
        return expr

    def _reads_what_stays(self, expr: ir.Expr, span: Span) -> None:
        for name in sorted(reads(expr)):
            constant = name == memory_size(self._memory)
            mode = name == self._globals.mode_element
            if name not in self._kept and not (mode or constant):
                raise reject(
                    "E0411",
                    f"`{name}` may change while the guest runs",
                    self._globals.within(span, name),
                    help="compose from the mode and from shadowed or mirrored control state",
                )

    def _body(self, scope: dict[str, Value]) -> Body:
        """A body in which the region and the monitor's memory have names."""
        base, size = self._memory.address_width, self._memory.address_width + 1
        region = Struct(
            "region",
            base + size,
            (
                StructField("base", base + size - 1, size, Bits(base)),
                StructField("size", size - 1, 0, Bits(size)),
            ),
        )
        monitor = Struct("monitor", base, (StructField("base", base - 1, 0, Bits(base)),))
        both = ir.Concat(ir.Local("region.base", base), ir.Local("region.size", size), base + size)
        named = {
            "region": Value(region, both),
            "monitor": Value(monitor, ir.Local("monitor.base", base)),
        }
        return Body(self._globals, Names(), {**named, **scope}, {}, next_allowed=False)

    # ----------------------------------------------------------------- shadow tables

    def tables(self, node: syntax.Virtualize) -> Tables:
        """Pages, the monitor's memory, and the routines that keep shadow tables."""
        page: int | None = None
        monitor: int | None = None
        fill = 0
        routines: dict[str, ir.Function] = {}
        second: bool | None = None
        for item in node.items:
            match item:
                case syntax.PageSize(cells):
                    page = self._once("page", page, self._page(cells), item.span)
                case syntax.MonitorSize(cells, filled):
                    fill = 0 if filled is None else self._filled(filled)
                    monitor = self._once("monitor", monitor, self._cells(cells), item.span)
                case syntax.TableRoutine(kind):
                    if kind in routines:
                        raise reject("E0301", f"`{kind}` is given twice", item.span)
                    physical = self._names_places(item)
                    if second not in (None, physical):
                        raise reject(
                            "E0414",
                            "`install` and `remove` name pages differently",
                            item.span,
                            _KEYS,
                        )
                    second = physical
                    routines[kind] = self._routine(item, physical)
                case _:
                    pass
        if routines:
            self._complete(node, {*routines, *(() if page is None else ("page",))})
        if monitor is not None and page is not None and monitor % page:
            raise reject("E0408", f"{monitor} cells are not whole pages of {page}", node.span)
        install, remove = routines.get("install"), routines.get("remove")
        return Tables(page, monitor or 0, install, remove, fill, bool(second))

    def _complete(self, node: syntax.Virtualize, given: set[str]) -> None:
        for needed in ("page", "install", "remove"):
            if needed not in given:
                raise reject(
                    "E0407",
                    f"`{node.name}` has shadow tables but no `{needed}`",
                    self._globals.within(node.span, node.name),
                    help="they need `page`, `install` and `remove`",
                )

    def _once(self, what: str, before: int | None, now: int, span: Span) -> int:
        if before is not None:
            raise reject("E0301", f"`{what}` is given twice", span)
        return now

    def _cells(self, node: syntax.Expr) -> int:
        cells = constants(self._globals).integer(node)
        most = 1 << self._memory.address_width
        if not 1 <= cells <= most:
            raise reject("E0408", f"the memory has {most} cells, not {cells}", node.span)
        return cells

    def _filled(self, node: syntax.Expr) -> int:
        value = constants(self._globals).integer(node)
        most = (1 << self._memory.cell_width) - 1
        if not 0 <= value <= most:
            raise reject("E0408", f"a cell holds 0 to {most}, not {value}", node.span)
        return value

    def _page(self, node: syntax.Expr) -> int:
        cells = self._cells(node)
        if cells & (cells - 1):
            raise reject("E0408", "the size of a page is a power of two", node.span)
        return cells

    def _names_places(self, node: syntax.TableRoutine) -> bool:
        """Whether the pages are those of what the guest takes for physical addresses."""
        written = node.parameters[0].type if node.parameters else None
        if written is None:
            return False
        kind = constants(self._globals).type_of(written, {})
        if not isinstance(kind, Address):
            raise reject("E0414", "the first parameter is an address", written.span, _KEYS)
        return kind.physical

    def _routine(self, node: syntax.TableRoutine, physical: bool) -> ir.Function:
        virtual = Address(False, self._globals.virtual_width)
        place = Address(True, self._memory.address_width)
        kinds: list[Type] = [place if physical else virtual, Bits(8)]
        if node.kind == "install":
            kinds[1:1] = [place, Bits(3)]
        if len(node.parameters) != len(kinds):
            raise reject(
                "E0206",
                f"`{node.kind}` has {len(kinds)} parameters",
                node.span,
                help=f"write `{node.kind}{_PARAMETERS[node.kind]} {{ ... }}`",
            )
        body = self._body({})
        body.in_function = True
        parameters: list[ir.Local] = []
        for parameter, kind in zip(node.parameters, kinds, strict=True):
            written = parameter.type
            if written is not None and constants(self._globals).type_of(written, {}) != kind:
                raise reject("E0414", f"`{parameter.name}` is of another type", parameter.span)
            local = ir.Local(body.names.fresh(parameter.name), width_of(kind) or 1)
            parameters.append(local)
            body.scope[parameter.name] = Value(kind, local)
        body.block(node.body)
        block = tuple(body.out)
        self._only_keeps_tables(node, block, set())
        return ir.Function(node.kind, tuple(parameters), block, None, span=node.span)

    def _only_keeps_tables(
        self, node: syntax.TableRoutine, block: ir.Block, seen: set[str]
    ) -> None:
        by_name = {f.name: f for f in self._globals.instances.values()}
        for statement in statements(block):
            match statement:
                case ir.Write(element) if element not in self._own:
                    raise self._not_here(node, f"writes `{element}`", element)
                case ir.Load() | ir.Store() | ir.Translate() | ir.Probe():
                    raise self._not_here(node, "uses virtual addresses")
                case ir.Trap() | ir.Choose():
                    raise self._not_here(node, "traps or leaves something open")
                case ir.Call(function=name) if name in by_name and name not in seen:
                    seen.add(name)
                    self._only_keeps_tables(node, by_name[name].body, seen)
                case _:
                    pass
            for expr in operands(statement):
                for name in sorted(reads(expr)):
                    found = self._elements.get(name)  # the size of memory is none of them
                    if found is not None and found.role in _GUESTS:
                        raise self._not_here(node, f"reads `{name}`", name)

    def _not_here(self, node: syntax.TableRoutine, what: str, name: str = "") -> Exception:
        return reject(
            "E0409",
            f"`{node.kind}` {what}",
            self._globals.within(node.span, name),
            help="it may compute, access physical memory, and write shadowed control state",
        )
