"""What a machine asks of a decoder (`spec.encoding` has the one that descriptions imply)."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from spec.ir import Instruction


class Decoded(Protocol):
    """An instruction found in memory."""

    @property
    def instruction(self) -> Instruction: ...
    @property
    def fields(self) -> Mapping[str, int]: ...
    @property
    def length(self) -> int:
        """In cells."""
        ...


Decode: TypeAlias = Callable[[Callable[[int], int]], Decoded | None]
"""Decodes what lies at the pc, given the value of its n-th fetch unit; None: no instruction."""
