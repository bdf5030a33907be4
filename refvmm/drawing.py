"""Numbers, addresses and operands for random guests, biased to what a description suggests."""

from collections.abc import Callable
from random import Random

from refvmm.vocabulary import Vocabulary
from spec.ir import Element, Field, Isa

_FAVOURITES = 3  # registers that the program uses most
_NARROW = 5  # bits; a field so narrow may number a register


class Drawing:
    """Draws for one guest of `size` cells; `spots` are addresses of interest, and may grow.

    `entry` gives a value of some bits that walks of tables take for an entry, if any is known.
    """

    def __init__(
        self,
        random: Random,
        isa: Isa,
        known: Vocabulary,
        size: int,
        spots: list[int],
        entry: Callable[[Random, int, int], int | None],
    ) -> None:
        self.random = random
        self.spots = spots
        self.registers = [random.getrandbits(_NARROW) for _ in range(_FAVOURITES)]
        self._known = known
        self._size = size
        self._entry = entry
        self._whole = isa.memory.address_width
        (self._pc_width,) = [e.width for e in isa.elements if e.name == isa.pc]

    def value(self, element: Element) -> int:
        """A value of an element, or of a member of an array."""
        if element.values:
            return self.random.choice(element.values)[1]
        return self.number(element.width)

    def number(self, width: int) -> int:
        """Any number of so many bits."""
        random = self.random
        if width == 1:
            return random.getrandbits(1)
        kind = random.random()
        if kind < 0.18:
            ones, sign = (1 << width) - 1, 1 << (width - 1)
            return random.choice((0, 1, ones, sign, ones - 1, sign - 1))
        if kind < 0.35:
            constants = self._known.constants.get(width)
            if constants:
                return random.choice(constants)
        if kind < 0.65:
            return self.pointer(width)
        if kind < 0.7:
            return self._room(width)
        if kind < 0.75:
            found = self._entry(random, width, self.address())
            if found is not None:
                return found
        if kind < 0.85:
            return random.randrange(min(1 << width, 16))
        if kind < 0.9:
            one = 1 << random.randrange(width)
            return random.choice((one, one ^ (1 << width) - 1))
        return random.getrandbits(width)

    def pointer(self, width: int) -> int:
        """An address of interest, or its upper bits if it does not fit."""
        address = self.address()
        if width < self._whole and (address >> width or self.random.random() < 0.3):
            address >>= self._whole - width
        elif width < self._pc_width and self.random.random() < 0.5:
            address >>= self._pc_width - width
        return address & ((1 << width) - 1)

    def _room(self, width: int) -> int:
        """What lies between an address of interest and the end of memory: nearly a bound."""
        room = self._size - self.random.choice(self.spots) + self.random.choice((0, 0, 1, -1))
        return room & ((1 << width) - 1)

    def address(self) -> int:
        """At, or just after, an address of interest."""
        return self.random.choice(self.spots) + self.random.choice((0, 0, 0, 0, 0, 4, 8, 1, 12, 2))

    def field(self, field: Field) -> int:
        """An operand of an instruction."""
        random, width = self.random, field.width
        if field.values:
            return random.choice(field.values)[1]
        if width <= _NARROW:
            if random.random() < 0.8:
                return random.choice(self.registers) & ((1 << width) - 1)
            return random.getrandbits(width)
        kind = random.random()
        if kind < 0.4:
            return random.choice((0, 4, 8, 1, 2, -4, -8, -1)) & ((1 << width) - 1)
        if kind < 0.75:
            return self.address() & ((1 << width) - 1)
        return random.getrandbits(width)
