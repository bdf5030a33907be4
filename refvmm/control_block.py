"""The control block: where the monitor keeps the state of its virtual machine (P&G, section 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from refvmm.redirect import PREFIX
from spec.expressions import reads
from spec.ir import Configuration, Element, Expr, Isa, Literal, Local, Read, Role
from spec.lowering import extract
from spec.rewrite import transform

OWN = "vmm."
MARK = OWN + "mark."
UNIT = OWN + "unit"
"""Where the monitor puts a fetch unit of the guest's instruction."""
_OUTSIDE = (Role.CONTROL, Role.TIME, Role.DEVICE)


@dataclass(frozen=True, slots=True)
class ControlBlock:
    """`homes`: for every element that is not in place, the one that holds the virtual value. That
    is one of the block, or where the configuration says so another one of the real machine.

    In place are general registers, flags, the program counter, and what the configuration passes
    or mirrors; but a scalar that it mirrors and a constraint speaks of is `bound`: it has a home, and is
    mirrored while the virtual value satisfies the constraint. A virtual machine has as many cells
    as its region. A bank's member is never in
    place: whichever the virtual mode sees is in the real mode's member while the guest runs, and
    here while the monitor does.
    """

    homes: Mapping[str, str]
    held: Mapping[str, str]  # what another element of the real machine holds, bound or not
    elements: tuple[Element, ...]  # besides the real machine's
    clocks: tuple[Element, ...]  # time that is not in place: real, home, mark have its shape
    bound: tuple[Element, ...]

    def home(self, element: str) -> str:
        return self.homes.get(element, element)

    def place(self, element: str) -> str:
        """The real element that has the value of one that is passed or mirrored."""
        return self.held.get(element, element)


def control_block(
    isa: Isa, configuration: Configuration, virtual: tuple[Element, ...]
) -> ControlBlock:
    """The control block for one virtual machine with the elements `virtual`.

    They are the description's own, and those of a monitor that runs in the virtual machine.
    """
    constrained = {name for _, expr in configuration.constraints for name in reads(expr)}
    scalars = {element.name for element in virtual if element.length is None}
    held = dict(configuration.homes)
    mirrored = scalars & {*configuration.mirrored}
    bound = {name for name in mirrored if held.get(name, name) in constrained}
    kept = {*configuration.passed, *configuration.mirrored} - bound
    homes: dict[str, str] = {}
    added: list[Element] = []
    clocks: list[Element] = []
    for element in virtual:
        outside = element.role in _OUTSIDE and element.name not in kept
        if element.name == isa.memory.size:
            homes[element.name] = "region.size"
            continue
        if not (outside or element.bank is not None or element.role is Role.MODE):
            if element.name in held:
                homes[element.name] = held[element.name]
            continue
        homes[element.name] = PREFIX + element.name
        added.append(_copy(element, PREFIX))
        if element.role is Role.TIME:
            clocks.append(element)
            added.append(_copy(element, MARK))
    width = isa.memory.address_width
    places = (("region.base", width), ("region.size", width + 1), ("monitor.base", width))
    added += [Element(name, bits, Role.CONTROL) for name, bits in places]
    added.append(Element(UNIT, isa.fetch.unit_width, Role.CONTROL))
    bounded = tuple(element for element in virtual if element.name in bound)
    return ControlBlock(homes, held, tuple(added), tuple(clocks), bounded)


def _copy(element: Element, prefix: str) -> Element:
    return Element(
        prefix + element.name,
        element.width,
        Role.CONTROL,
        element.length,
        reset=element.reset,
        values=element.values,
    )


def composed(isa: Isa, configuration: Configuration) -> Iterator[tuple[str, Literal | None, Expr]]:
    """What `compose` gives: elements, for arrays the number of a member, and values."""
    elements = {element.name: element for element in isa.elements}
    for name, value in configuration.compose:
        length, width = elements[name].length, elements[name].width
        if length is None:
            yield name, None, value
            continue
        for i in range(length):
            yield name, Literal(i, 32), extract(value, width * (i + 1) - 1, width * i)


def placed(expr: Expr) -> Expr:
    """The expression with the names of the placement, which are locals to it, as elements."""

    def leaf(e: Expr) -> Expr | None:
        if isinstance(e, Local) and e.name in ("region.base", "region.size", "monitor.base"):
            return Read(e.name, e.width)
        return None

    return transform(expr, leaf)
