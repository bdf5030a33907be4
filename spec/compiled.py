"""From what the emitter wrote to a Python function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import cast

from spec.emit import Emitter
from spec.emitted_state import STEPS
from spec.folding import Value
from spec.ir import Role
from spec.path import Path
from spec.python_code import INDENT, Branch, Do, Node, Save, free, render, tidy


@dataclass(frozen=True, slots=True)
class Code:
    """`run(S, A, pg, wp, budget, *parameters)` runs on scalars `S`, arrays `A` and pages, and gives
    the number of steps it did. A loop goes round while `budget` leaves room for a whole round.

    `variables` are those of the entry that it uses.
    """

    run: Callable[..., int]
    source: str
    variables: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unbound:
    """What becomes `Code` in the surroundings of a machine; any number of machines may share it."""

    compiled: CodeType
    source: str
    variables: frozenset[str]

    def bind(self, names: dict[str, object]) -> Code:
        """The function, with `names` as its global ones."""
        space = dict(names)
        exec(self.compiled, space)
        return Code(cast(Callable[..., int], space["code"]), self.source, self.variables)


@dataclass(frozen=True, slots=True)
class Round:
    """A place where the code goes back to its beginning after `steps` steps."""

    out: list[Node]
    path: Path
    steps: int


def compile_code(
    emitter: Emitter,
    body: list[Node],
    rounds: Sequence[Round] = (),
    parameters: Sequence[str] = (),
) -> Unbound:
    """Make the function, but for its global names."""
    source, variables = _source(emitter, body, rounds, parameters)
    return Unbound(compile(source, "<emitted>", "exec"), source, variables)


def _source(
    emitter: Emitter, body: list[Node], rounds: Sequence[Round], parameters: Sequence[str]
) -> tuple[str, frozenset[str]]:
    carried = _Carried(emitter, rounds)
    whole_round = max((exit.steps for exit in emitter.exits), default=0)
    whole_round = max([whole_round, *(r.steps for r in rounds)])
    for leaving in emitter.exits:
        leaving.out.extend(carried.saves(leaving.path, leaving.steps))
        if leaving.signal is not None:
            leaving.out.append(Do(f"SIGNALS.append({leaving.signal})"))
        given = f"{STEPS} + {leaving.steps}" if leaving.value is None else f"{leaving.value}"
        leaving.out.append(Do(f"return {given}"))
    for back in rounds:
        back.out.append(Save(STEPS, f"{STEPS} + {back.steps}"))
        done: list[Node] = [*carried.saves(back.path, 0), Do(f"return {STEPS}")]
        back.out.append(Branch(f"{STEPS} > budget - {whole_round}", done, []))
        back.out.extend(carried.next_round(back.path))
    tidy(body)
    routines: list[str] = []
    depth = 2 if rounds else 1
    lines = list(render(body, depth, routines))
    heads = ["def code(S, A, pg, wp, budget" + "".join(f", {p}" for p in parameters) + "):"]
    heads += [f"{INDENT}{STEPS} = 0", f"{INDENT}dirty = False"]
    needed = free(body)
    needed |= {base for base, _ in (name.split("_") for name in needed if "_" in name)}
    heads += [f"{INDENT}{n} = {text}" for n, text in emitter.entries.items() if n in needed]
    if rounds:
        heads.append(f"{INDENT}while True:")
    return "\n".join([*routines, *heads, *lines]) + "\n", frozenset(needed)


class _Carried:
    """What state an exit must write back, given what earlier rounds may have changed."""

    def __init__(self, emitter: Emitter, rounds: Sequence[Round]) -> None:
        self.emitter = emitter
        self.scalars: dict[str, None] = {}
        self.members: dict[tuple[str, int], None] = {}
        internal = {emitter.resume, emitter.isa.pc}
        for back in rounds:
            for element, value in back.path.scalars.items():
                if element not in internal and not self._as_at_entry(element, value):
                    self.scalars[element] = None
            for element, array in back.path.arrays.items():
                for index, value in array.known.items():
                    if value != emitter.member_entry(element, index):
                        self.members[element, index] = None

    def _as_at_entry(self, element: str, value: Value) -> bool:
        if isinstance(value, int):
            return self.emitter.constants.get(element) == value
        return value == self.emitter.entry(element)

    def saves(self, path: Path, steps: int) -> list[Node]:
        """Write back what differs from the state at the entry."""
        emitter = self.emitter
        nodes: list[Node] = []
        scalars = {e: v for e, v in path.scalars.items() if e != emitter.resume}
        for element in self.scalars:
            scalars.setdefault(element, emitter.entry(element))
        for element, value in scalars.items():
            if element not in self.scalars and self._as_at_entry(element, value):
                continue
            text = str(value)
            if emitter.elements[element].role is Role.TIME:
                limit = (1 << emitter.elements[element].width) - 1
                text = f"{value} - {STEPS} - {steps - 1} & {limit}"
            nodes.append(Save(f"S[{element!r}]", text))
        members: dict[tuple[str, int], Value] = {}
        for element, array in path.arrays.items():
            if array.base != emitter.list_entry(element):
                nodes.append(Save(f"A[{element!r}][:]", array.base))
            for index, value in array.known.items():
                members[element, index] = value
        for element, index in self.members:
            members.setdefault((element, index), emitter.member_entry(element, index))
        for (element, index), value in members.items():
            entry = emitter.member_entry(element, index)
            if (
                value != entry
                or (element, index) in self.members
                or _rebased(emitter, path, element)
            ):
                nodes.append(Save(f"A[{element!r}][{index}]", str(value)))
        return nodes

    def next_round(self, path: Path) -> list[Node]:
        """Give the variables of the entry the values that the next round begins with."""
        emitter = self.emitter
        targets: list[str] = []
        values: list[str] = []
        for element in self.scalars:
            value = path.scalars.get(element, emitter.entry(element))
            targets.append(emitter.entry(element))
            values.append(str(value))
        for element, index in self.members:
            entry = emitter.member_entry(element, index)
            array = path.arrays.get(element)
            targets.append(entry)
            values.append(str(entry if array is None else array.known.get(index, entry)))
        changed = [(t, v) for t, v in zip(targets, values, strict=True) if t != v]
        nodes: list[Node] = []
        if changed:
            nodes.append(Save(", ".join(t for t, _ in changed), ", ".join(v for _, v in changed)))
        return [*nodes, Do("continue")]


def _rebased(emitter: Emitter, path: Path, element: str) -> bool:
    array = path.arrays.get(element)
    return array is not None and array.base != emitter.list_entry(element)
