"""From the IR to text: functions, instructions, traps, interrupts and state as declarations."""

from collections.abc import Callable, Iterable

from spec import ir, syntax
from spec.raise_effects import parameter_types
from spec.raise_statements import Bodies
from spec.raising import number
from spec.scope import ACCESS
from spec.source import NOWHERE
from spec.syntax_text import COLUMNS, block_lines, expression_text, parameters_text, type_text
from spec.types import Address, Bits, Enumeration, Type
from spec.vocabulary import vocabulary


class Declarations:
    """Writes the declarations of one description, each as lines of text."""

    def __init__(
        self,
        isa: ir.Isa,
        mode_name: str | None = None,
        temporary: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`temporary` says which locals disappear where they are used once, besides lowering's."""
        self.isa = isa
        self.vocabulary = vocabulary(isa, mode_name)
        self.bodies = Bodies(self.vocabulary, temporary)

    def function(self, function: ir.Function) -> list[str]:
        """A function or procedure; `translate` has no written types."""
        if function.name == self.isa.translate:
            return self._translate(function)
        kinds = parameter_types(self.vocabulary, function)
        shown = self._shared(function, kinds)
        head = f"fn {self.vocabulary.called[function.name]}{parameters_text(shown)}"
        result: Type | None = None
        if function.result is not None:
            result = self.vocabulary.type_of_result(function.name)
            head += f" -> {type_text(written(result))}"
        return _braced(head, self.bodies.body(function.body, kinds, result))

    def _translate(self, function: ir.Function) -> list[str]:
        known = self.vocabulary
        kinds: list[Type] = [known.virtual, ACCESS, Bits(8), known.mode]
        names = [p.name for p in function.parameters]
        wide = "" if known.virtual_width == known.pc_width else f" : bits({known.virtual_width})"
        body = self.bodies.body(function.body, dict(zip(names, kinds, strict=True)), known.physical)
        return _braced(f"translate({', '.join([names[0] + wide, *names[1:]])})", body)

    def instruction(self, instruction: ir.Instruction) -> list[str]:
        """The head with parameters as they are declared, and the body."""
        shown = parameters_text(
            tuple(
                syntax.Parameter(p.name, self.parameter_type(p.type), span=NOWHERE)
                for p in instruction.parameters
            )
        )
        head = f"instruction {mnemonic(instruction.name)} {shown}"
        return _braced(head, self.bodies.body(instruction.body, self.fields(instruction)))

    def fields(self, instruction: ir.Instruction) -> dict[str, Type]:
        """The types of an instruction's fields, and of `next`."""
        found: dict[str, Type] = {
            f.name: self.vocabulary.enumeration(f.values) or Bits(f.width)
            for f in instruction.fields
        }
        tags = self.vocabulary.types_of_tags(found)
        return found | tags | {"next": Bits(self.vocabulary.pc_width)}

    def _shared(
        self, function: ir.Function, kinds: dict[str, Type]
    ) -> tuple[syntax.Parameter, ...]:
        """The parameters of a function, operands whole."""
        found: list[syntax.Parameter] = []
        for names in self.vocabulary.grouped(function.parameters):
            prefix = names[0].removesuffix(".tag")
            operand = self.vocabulary.operand(prefix, names) if len(names) > 1 else None
            if operand is not None:
                kind = syntax.Type(operand.name, None, None, span=NOWHERE)
                found.append(syntax.Parameter(prefix, kind, span=NOWHERE))
                continue
            found += [
                syntax.Parameter(n, written(kinds[n]), span=NOWHERE) for n in names if n in kinds
            ]
        return tuple(found)

    def parameter_type(self, kind: ir.FieldType | ir.OperandRef) -> syntax.Type:
        """The type of an instruction's parameter, as it is written."""
        match kind:
            case ir.FieldType(width, values):
                return written(self.vocabulary.enumeration(values) or Bits(width))
            case ir.OperandRef(operand):
                return syntax.Type(operand, None, None, span=NOWHERE)

    def cause(self, cause: ir.Cause) -> list[str]:
        kinds = {p.name: self.vocabulary.type_of_argument(cause.name, p) for p in cause.parameters}
        shown = self._parameters(kinds) if kinds else ""
        head = f"cause {cause.name}{shown} : {cause.trap_class.value}"
        return _braced(head, self.bodies.body(cause.delivery, self._with_next(kinds)))

    def interrupt(self, interrupt: ir.Interrupt) -> list[str]:
        condition = expression_text(self.bodies.condition(interrupt.condition))
        head = f"interrupt {interrupt.name} when {condition}"
        return _braced(head, self.bodies.body(interrupt.delivery, self._with_next({})))

    def block(self, block: ir.Block, kinds: dict[str, Type] | None = None) -> list[str]:
        """The statements of a block that stands for itself."""
        return [*block_lines(self.bodies.body(block, kinds or {}), 0)]

    def state(self, elements: Iterable[ir.Element]) -> list[str]:
        """Declarations of state, one element a line; fields of a struct by their dotted names."""
        return [self._element(element) for element in elements]

    def _element(self, element: ir.Element) -> str:
        kind = type_text(written(self.vocabulary.type_of_element(element.name)))
        length = "" if element.length is None else f"[{element.length}]"
        zero = self.vocabulary.zeros.get(element.name)
        text = f"{element.role.value} {element.name} : {kind}{length}"
        if zero is not None:
            text += f" zero {zero}"
        return text + (f" reset {self._value(element)}" if element.reset else "")

    def _value(self, element: ir.Element) -> str:
        names = [n for n, value in element.values if value == element.reset]
        return names[0] if names else expression_text(number(element.reset, mask=True))

    def _with_next(self, kinds: dict[str, Type]) -> dict[str, Type]:
        return kinds | {"next": Bits(self.vocabulary.pc_width)}

    def _parameters(self, kinds: dict[str, Type]) -> str:
        return parameters_text(
            tuple(syntax.Parameter(n, written(k), span=NOWHERE) for n, k in kinds.items())
        )


def written(kind: Type) -> syntax.Type:
    """A type as a description writes it."""
    match kind:
        case Bits(width):
            return syntax.Type("bits", number(width), None, span=NOWHERE)
        case Address() | Enumeration():
            return syntax.Type(str(kind), None, None, span=NOWHERE)
        case _:
            raise AssertionError(f"values of bodies have no type `{kind}`")


def mnemonic(name: str) -> str:
    """An instruction's name as a description writes it."""
    plain = all(word.isidentifier() and word.isascii() for word in name.split("."))
    return name if plain else f'"{name}"'


def _braced(head: str, block: syntax.Block) -> list[str]:
    lines = [*block_lines(block, 1)]
    short = f"{head} {{ {' '.join(line.strip() for line in lines)} }}"
    if len(lines) < 2 and len(short) <= COLUMNS:
        return [short.replace("  ", " ")]
    return [f"{head} {{", *lines, "}"]
