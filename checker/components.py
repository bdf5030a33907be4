"""The components of a machine: what instructions may be sensitive on (formal model, section 3)."""

from dataclasses import dataclass

from checker.translation import Translation, translation
from spec.ir import Compare, CompareOp, Configuration, Element, Expr, Isa, Literal, Read, Role

MODE = "mode"
LOCATION = "location"
MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts of a description by what they are to the definitions."""

    isa: Isa
    plain: tuple[str, ...]  # general registers and flags outside banks, but not `size`
    members: tuple[str, ...]  # of banks
    control: tuple[str, ...]  # outside banks
    outside: tuple[str, ...]  # time and devices
    translation: Translation
    size: str | None = None  # the element that says how many cells there are: part of the location

    @property
    def elements(self) -> tuple[str, ...]:
        """Components that are state elements; bank members count where they are hidden."""
        return (*self.control, *self.outside, *self.members)

    @property
    def moving(self) -> frozenset[str]:
        """Elements that may differ when only the location does."""
        return self.translation.control | ({self.size} if self.size is not None else frozenset())

    def visible(self, mode: int) -> dict[str, str]:
        """The bank member that a mode sees, by bank."""
        return {
            bank.name: element
            for bank in self.isa.banks
            for encoding, element in bank.members
            if encoding == mode
        }

    def hidden(self, mode: int) -> list[str]:
        seen = set(self.visible(mode).values())
        return [member for member in self.members if member not in seen]


def machine_of(isa: Isa) -> Machine:
    def with_role(*roles: Role) -> tuple[str, ...]:
        apart = {*members, isa.memory.size}
        return tuple(e.name for e in isa.elements if e.role in roles and e.name not in apart)

    members = tuple(dict.fromkeys(name for bank in isa.banks for _, name in bank.members))
    return Machine(
        isa=isa,
        plain=with_role(Role.GENERAL, Role.FLAG),
        members=members,
        control=with_role(Role.CONTROL),
        outside=with_role(Role.TIME, Role.DEVICE),
        translation=translation(isa),
        size=isa.memory.size,
    )


def assumptions(isa: Isa) -> tuple[Expr, ...]:
    """What holds of well-formed states besides enumerations: the invariants, and that there are no
    more cells than addresses."""
    invariants = tuple(expr for _, expr in isa.invariants)
    memory = isa.memory
    if memory.size is None:
        return invariants
    width = memory.address_width + 1
    cells = Literal(1 << memory.address_width, width)
    return (*invariants, Compare(CompareOp.ULE, Read(memory.size, width), cells))


def swapped_members(machine: Machine, first: int, second: int) -> dict[str, str]:
    """Hidden members of a state in mode `second`, with those of mode `first` that they equal.

    Where two modes see different members of a bank, each state hides what the other one sees.
    """
    if first == second:
        return {}
    seen_first, seen_second = machine.visible(first), machine.visible(second)
    return {
        seen_first[bank]: seen_second[bank]
        for bank in seen_first
        if seen_first[bank] != seen_second[bank]
    }


def may_differ(configuration: Configuration, machine: Machine, *, mirrored: bool) -> frozenset[str]:
    """What differs between the real and the virtual machine, besides what they must share.

    Bank members that the configuration does not name are kept by the VMM, like shadowed ones.
    """
    kept = {*configuration.passed, *configuration.mirrored}
    differ = {MODE, LOCATION, MEMORY, *configuration.shadowed}
    differ |= {member for member in machine.members if member not in kept}
    if mirrored:
        differ |= set(configuration.mirrored)
    return frozenset(differ)


def fixable(machine: Machine, configuration: Configuration) -> list[Element]:
    """The scalar control elements whose real value the VMM may choose. Where the configuration
    mirrors one, the guest runs directly only while its own value is that."""
    composed = {name for name, _ in configuration.compose}
    guests = {real for _, real in configuration.homes}
    kept = {*configuration.shadowed, *configuration.mirrored} - guests
    free = kept & set(machine.control) - composed
    return [e for e in machine.isa.elements if e.name in free and e.length is None]


def constraint(element: Element, value: int) -> tuple[str, Compare]:
    """As a configuration has it: the text, and the truth value over real state."""
    names = {encoding: name for name, encoding in element.values}
    width = element.width
    equal = Compare(CompareOp.EQ, Read(element.name, width), Literal(value, width))
    return f"{element.name} == {names.get(value, value)}", equal
