"""The instructions and configurations that the command line names."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from popek.messages import complaint, show
from spec.ir import Isa


@dataclass(frozen=True, slots=True)
class Selection:
    """Names as the description spells them; empty means all."""

    instructions: tuple[str, ...]
    configurations: tuple[str, ...]


def selection(
    isa: Isa, instructions: Sequence[str], configurations: Sequence[str], color: str
) -> Selection | None:
    """What is meant, in any case of letters; None after unknown names were shown on stderr."""
    asked = (
        ("E0902", "instruction", instructions, [i.name for i in isa.instructions]),
        ("E0903", "configuration", configurations, [c.name for c in isa.configurations]),
    )
    found: list[tuple[str, ...]] = []
    unknown = []
    for code, kind, names, known in asked:
        spelled = {name.casefold(): name for name in known}
        found.append(tuple(spelled[n.casefold()] for n in names if n.casefold() in spelled))
        unknown += [
            complaint(code, f"there is no {kind} `{n}`", help=_meant(n, spelled))
            for n in names
            if n.casefold() not in spelled
        ]
    show(tuple(unknown), color)
    return None if unknown else Selection(*found)


def _meant(name: str, spelled: dict[str, str]) -> str:
    close = difflib.get_close_matches(name.casefold(), spelled, n=3, cutoff=0.5)
    names = [spelled[c] for c in close] or list(spelled.values())
    shown = ", ".join(f"`{n}`" for n in names[:12]) + (", ..." if len(names) > 12 else "")
    return f"did you mean {shown}?" if close else f"there are {shown}"
