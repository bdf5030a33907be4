"""Encode instructions into memory cells and decode them, as the description's encodings say.

    encode(isa, instruction, fields) -> cells
    decode(isa, fetch) -> Decoded | None

Fields are flattened as `spec.ir` says: `p.tag` tells which alternative of operand `p` is meant,
`p.<alternative>.<parameter>` holds its parameters. A field that is not given is 0. Both functions
keep what they compute of a description in a `Codec`; a machine may hold its own `Codec(isa)`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from spec.form import ANY
from spec.ir import FieldType, Instruction, Isa
from spec.layout import Choice, FieldBits, FixedBits, Layout, Layouts, OperandPart, width_of
from spec.reading import Reading, begin

Fetch: TypeAlias = Callable[[int], int | None]
"""The i-th fetch unit from the instruction's address on, or None if fetching it traps."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An instruction in memory. `fields` has every flattened field; those of alternatives that
    do not occur are 0. `bits` are the units in the order of fetching, the first one highest.
    """

    instruction: Instruction
    fields: dict[str, int]
    length: int  # memory cells
    bits: int


def encode(isa: Isa, instruction: Instruction, fields: Mapping[str, int]) -> tuple[int, ...]:
    """The memory cells of an instruction, in address order.

    Fields of alternatives that `p.tag` does not select are ignored. Raises ValueError, saying
    what is wrong, for fields that the encoding cannot express.
    """
    return codec_of(isa).encode(instruction, fields)


def length(isa: Isa, instruction: Instruction, fields: Mapping[str, int]) -> int:
    """The memory cells that an instruction takes; only the tags in `fields` matter."""
    return codec_of(isa).length(instruction, fields)


def decode(isa: Isa, fetch: Fetch) -> Decoded | None:
    """The instruction that begins at unit 0.

    Units are fetched in order, each once, and only while those before may begin an instruction
    and are not one yet. None if no instruction begins so, or if `fetch` gave None (its caller
    knows which). An ambiguous encoding means the instruction declared first.
    """
    return codec_of(isa).decode(fetch)


def codec_of(isa: Isa) -> "Codec":
    """The codec of a description, made at its first use."""
    for known, codec in _codecs:
        if known is isa:
            return codec
    codec = Codec(isa)
    _codecs.append((isa, codec))
    del _codecs[:-_KEPT]
    return codec


_KEPT = 16  # codecs
_STEPS = 4096  # remembered per node
_codecs: list[tuple[Isa, "Codec"]] = []


class Codec:
    """Encoder and decoder of one description.

    The decoder is an automaton over fetch units that grows with what is decoded.
    """

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.layouts = Layouts(isa)
        self.unit_width = isa.fetch.unit_width
        self.cell_width = isa.memory.cell_width
        self.cells_per_unit, ragged = divmod(self.unit_width, self.cell_width)
        if ragged:
            raise ValueError("a fetch unit is not a whole number of memory cells")
        self._root: _Node | None = None
        self._steps: dict[tuple[int, ...], _Step] = {}

    def encode(self, instruction: Instruction, fields: Mapping[str, int]) -> tuple[int, ...]:
        """See `encode`."""
        bits, width = self.bits(instruction, fields)
        unit = self.unit_width
        return self.cells([bits >> at & ((1 << unit) - 1) for at in range(width - unit, -1, -unit)])

    def length(self, instruction: Instruction, fields: Mapping[str, int]) -> int:
        """See `length`."""
        layout, _ = self._layout(instruction, fields)
        return sum(width_of(item) for item in layout) // self.cell_width

    def bits(self, instruction: Instruction, fields: Mapping[str, int]) -> tuple[int, int]:
        """The units of an instruction, the first one highest, and their width together."""
        layout, choices = self._layout(instruction, fields)
        problem = self._problem(instruction, choices, fields)
        if problem is not None:
            raise ValueError(f"{instruction.name}: {problem}")
        bits = width = 0
        for item in layout:
            match item:
                case FixedBits(value, item_width):
                    bits, width = bits << item_width | value, width + item_width
                case FieldBits():
                    aligned = width % self.unit_width == 0
                    ordered = self.layouts.in_memory_order(item) if aligned else (item,)
                    for part in ordered:
                        assert isinstance(part, FieldBits)
                        part_width = part.high - part.low + 1
                        value = fields.get(part.field, 0) >> part.low & ((1 << part_width) - 1)
                        bits, width = bits << part_width | value, width + part_width
                case OperandPart():
                    raise AssertionError(item)
                case _:
                    assert_never(item)
        if width % self.unit_width:
            raise ValueError(f"{instruction.name}: {width} bits are not whole fetch units")
        return bits, width

    def cells(self, units: Sequence[int]) -> tuple[int, ...]:
        """The memory cells of fetch units."""
        shifts = range(0, self.unit_width, self.cell_width)
        ordered = tuple(reversed(shifts)) if self.layouts.big_endian else tuple(shifts)
        mask = (1 << self.cell_width) - 1
        return tuple(unit >> shift & mask for unit in units for shift in ordered)

    def unit(self, cells: Sequence[int]) -> int:
        """The fetch unit that lies in so many cells."""
        value = 0
        for cell in cells if self.layouts.big_endian else reversed(cells):
            value = value << self.cell_width | cell
        return value

    def decode(self, fetch: Fetch) -> Decoded | None:
        """See `decode`."""
        if self._root is None:
            self._root = self._begin()
        node = self._root
        units: list[int] = []
        while True:
            unit = fetch(len(units))
            if unit is None:
                return None
            units.append(unit)
            step = node.steps.get(unit)
            if step is None:
                if len(node.steps) >= _STEPS:
                    node.steps.clear()
                step = node.steps[unit] = self._step(node.readings(unit))
            if step.is_conditional:
                step = self._step([r for r in step.readings if r.agrees(units)])
            if step.complete is not None:
                return self._decoded(step.complete, units)
            if not step.readings:
                return None
            if step.node is None:
                step.node = self._grow(step.readings)
            node = step.node

    def decode_cells(self, cells: Sequence[int]) -> Decoded | None:
        """Decode what lies at the start of `cells`."""
        size = self.cells_per_unit

        def fetch(index: int) -> int | None:
            taken = cells[index * size : (index + 1) * size]
            return self.unit(taken) if len(taken) == size else None

        return self.decode(fetch)

    def _decoded(self, reading: Reading, units: list[int]) -> Decoded:
        instruction = reading.instruction
        fields = dict.fromkeys((field.name for field in instruction.fields), 0)
        fields.update(reading.fields(units))
        bits = 0
        for unit in units:
            bits = bits << self.unit_width | unit
        return Decoded(instruction, fields, len(units) * self.cells_per_unit, bits)

    def _begin(self) -> "_Node":
        return self._grow(
            [
                reading
                for order, instruction in enumerate(self.isa.instructions)
                for reading in begin(self.layouts, instruction, order)
            ]
        )

    def _step(self, readings: list[Reading]) -> "_Step":
        """The one step that leads to these readings."""
        key = tuple(map(id, readings))  # the step keeps them alive
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = _Step(readings)
        return step

    def _grow(self, readings: list[Reading]) -> "_Node":
        node = _Node()
        for reading in readings:
            for transition in self.layouts.advance(reading.rest):
                following = reading.read(self.layouts, transition)
                if following is not None:
                    node.add(transition.mask, transition.value, following)
        return node

    def _layout(
        self, instruction: Instruction, fields: Mapping[str, int]
    ) -> tuple[Layout, list[Choice]]:
        """The layout with every operand chosen as the tags say."""
        layout = self.layouts.whole(instruction)
        choices: list[Choice] = []
        while part := next((item for item in layout if isinstance(item, OperandPart)), None):
            tag = fields.get(f"{part.path}.tag", 0)
            alternative = next((a for a in self.layouts.alternatives(part) if a.tag == tag), None)
            if alternative is None:
                raise ValueError(f"{instruction.name}: `{part.path}` has no alternative {tag} here")
            choices.append(Choice(part.path, part.operand, alternative))
            layout = self.layouts.choose(layout, part, alternative, ANY)
        return layout, choices

    def _problem(
        self, instruction: Instruction, choices: list[Choice], fields: Mapping[str, int]
    ) -> str | None:
        """Why the encoding cannot express these fields."""
        unknown = set(fields) - {field.name for field in instruction.fields}
        if unknown:
            return f"no field `{min(unknown)}`"
        forms = [("", self.layouts.root(instruction))]
        forms += [(choice.scope, self.layouts.form(choice)) for choice in choices]
        for scope, form in forms:
            for name, type_ in form.types.items():
                value = fields.get(scope + name, 0)
                if isinstance(type_, FieldType) and not 0 <= value < 1 << type_.width:
                    return f"{value:#x} is not {type_.width} bits for `{scope}{name}`"
                lost = value & ~form.encoded.get(name, value)
                if lost:
                    return f"`{scope}{name}` cannot be {value:#x}: {lost:#x} is not encoded"
            for condition in form.conditions:
                if not condition.within(scope).holds(fields):
                    names = ", ".join(f"`{scope}{name}`" for name in condition.names)
                    return f"these values of {names} are excluded"
        return None


class _Step:
    """What may have been read after a unit: readings in the order of declaration.

    A conditional step is followed by another, to those of its readings whose conditions hold.
    """

    __slots__ = ("complete", "is_conditional", "node", "readings")

    def __init__(self, readings: list[Reading]) -> None:
        self.readings = sorted(readings, key=lambda reading: reading.order)
        self.is_conditional = any(r.ready or r.repeats for r in readings)
        self.complete = next((r for r in self.readings if not r.rest), None)
        self.node: _Node | None = None  # grown when it is needed


class _Node:
    """Where the decoder is after some units: the ways to read the next one."""

    __slots__ = ("steps", "ways")

    def __init__(self) -> None:
        self.ways: dict[int, dict[int, list[Reading]]] = {}  # mask -> value -> readings
        self.steps: dict[int, _Step] = {}  # by unit

    def add(self, mask: int, value: int, reading: Reading) -> None:
        self.ways.setdefault(mask, {}).setdefault(value, []).append(reading)

    def readings(self, unit: int) -> list[Reading]:
        """What may have been read if this is the next unit."""
        return [
            reading
            for mask, by_value in self.ways.items()
            for reading in by_value.get(unit & mask, ())
        ]
