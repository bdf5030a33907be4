"""Emitted code that machines of one description share: it is the same until it is bound."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

from spec.compiled import Unbound
from spec.ir import Isa

_MOST = 4096


class _Entry(NamedTuple):
    isa: Isa  # kept, so that the identities in the key stay its own
    code: Unbound


class SharedCode:
    """The codes that were asked for last, by what they are code of.

    A description with more elements at the end, but the same text, has the same code.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def get(self, isa: Isa, what: Hashable, make: Callable[[], Unbound]) -> Unbound:
        """The code of `what`, which says all that `make` depends on but for the description."""
        text = id(isa.functions), id(isa.causes), isa.memory, isa.mode, isa.pc, isa.translate
        key = *text, what
        entry = self._entries.pop(key, None)
        if entry is None or not _begin_alike(entry.isa, isa):
            entry = _Entry(isa, make())
        self._entries[key] = entry
        if len(self._entries) > _MOST:
            del self._entries[next(iter(self._entries))]
        return entry.code


def _begin_alike(one: Isa, other: Isa) -> bool:
    pairs = zip(one.elements, other.elements, strict=False)
    return all(first is second for first, second in pairs)
