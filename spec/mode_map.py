"""Mode maps: each virtual mode of a configuration with the real mode that it runs in."""

from collections import Counter
from itertools import groupby
from typing import TypeAlias

ModeMap: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of a virtual mode and its real one, the most privileged virtual mode first."""


def evident(modes: ModeMap) -> ModeMap:
    """The virtual modes that can be told from the real one: no other runs in theirs."""
    shared = Counter(real for _, real in modes)
    return tuple((virtual, real) for virtual, real in modes if shared[real] == 1)


def mode_map_text(modes: ModeMap) -> str:
    """As a description writes it: `kernel as supervisor; user as user`."""
    return "; ".join(
        f"{', '.join(virtual for virtual, _ in group)} as {real}"
        for real, group in groupby(modes, lambda pair: pair[1])
    )
