"""What the checker finds out, as plain data: hashable, picklable, renderable; never holds a term.

`checker.classify` produces these; `checker.report` collects them. Component names are those of
state elements, and `mode`, `location` (where in physical memory the view lies) and `memory`
(physical memory outside the view). A set of components is its names joined by `+`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Answer(Enum):
    """Three answers; unknown is never counted as either of the others."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    @staticmethod
    def of(value: bool) -> "Answer":
        return Answer.YES if value else Answer.NO

    def __invert__(self) -> "Answer":
        return _NEGATED[self]

    def __or__(self, other: "Answer") -> "Answer":
        if Answer.YES in (self, other):
            return Answer.YES
        return Answer.UNKNOWN if Answer.UNKNOWN in (self, other) else Answer.NO

    def __and__(self, other: "Answer") -> "Answer":
        return ~(~self | ~other)


_NEGATED = {Answer.YES: Answer.NO, Answer.NO: Answer.YES, Answer.UNKNOWN: Answer.UNKNOWN}


class Traps(Enum):
    """Whether an instruction traps in the real mode, memory traps left out of account."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    NEVER = "never"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OperandSet:
    """The members that an instruction's enumeration fields hold; empty for most instructions."""

    members: tuple[tuple[str, str, int], ...] = ()  # field, name, its (first) encoding

    @property
    def text(self) -> str:
        """As in claims: `mstatus`, or `mstatus, swap` where there are several fields."""
        return ", ".join(name for _, name, _ in self.members)


@dataclass(frozen=True, slots=True)
class Components:
    """The components for which a property holds, and those for which it is undecided."""

    names: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """Whether the property holds for some component."""
        if self.names:
            return Answer.YES
        return Answer.UNKNOWN if self.undecided else Answer.NO


@dataclass(frozen=True, slots=True)
class Value:
    """One piece of state, or a memory cell, in a run; `after` is `before` where the run traps."""

    name: str  # `A[2]`, `mstatus.MIE`, `E[0x10]`
    width: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Run:
    """One side of a witness: what the instruction does in one state."""

    mode: str  # the name of the mode it starts in
    outcome: str  # retire | trap | wait
    cause: str = ""
    trap_class: str = ""
    values: tuple[Value, ...] = ()  # what the instruction touches and what differs between runs
    choices: tuple[int, ...] = ()  # what the manual leaves open, in order


@dataclass(frozen=True, slots=True)
class Witness:
    """States that show a property, replayed on the concrete machine.

    `property` is one of the report's names (`control_sensitive`, `escape`, `not_privileged` ...);
    for escapes and violations `clause` is how: `control`, `virtual control`, `behaviour`, `trap`.
    `components` is the set that explains it. `word` and `assembly` are filled in by whoever has
    an encoder; `fields` and `address` are what they need.
    """

    property: str
    clause: str
    components: tuple[str, ...]
    fields: tuple[tuple[str, int], ...]  # the instruction's flattened fields
    address: int  # of the instruction, in cells
    runs: tuple[Run, ...]
    differs: tuple[str, ...]  # names of the values that make it a witness
    replayed: bool = True
    word: str = ""
    assembly: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A question without an answer: the obligation's name and why."""

    obligation: str
    reason: str


@dataclass(frozen=True, slots=True)
class Classification:
    """All classes of one instruction with one operand set, under one configuration."""

    instruction: str
    operands: OperandSet
    configuration: str
    traps: Traps
    privileged: Answer
    control_sensitive: Components
    behaviour_sensitive: Components
    result_sensitive: Components
    trap_sensitive: Components
    user_sensitive: Answer
    supervisor_sensitive: Answer
    user_mode_noop: Answer
    escape: Answer
    hybrid_escape: Answer
    semantic_violation: Answer
    hybrid_semantic_violation: Answer
    traps_in_top: Traps = Traps.UNKNOWN  # in the most privileged virtual mode, unconstrained
    refused: bool = False  # in the real mode, constrained, it always traps, by privilege
    witnesses: tuple[Witness, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    defects: tuple[str, ...] = ()  # vacuous assumptions, witnesses that do not replay
    seconds: float = 0.0
    solver_seconds: float = 0.0
    solver_calls: int = 0

    @property
    def sensitive(self) -> Answer:
        """PG74: control sensitive or behavior sensitive."""
        return self.control_sensitive.answer | self.behaviour_sensitive.answer

    @property
    def innocuous(self) -> Answer:
        """PG74: not sensitive."""
        return ~self.sensitive


@dataclass(frozen=True, slots=True)
class Fact:
    """The answer to a question about a description or a configuration, with its reason."""

    question: str  # `invariant MPP != 2`, `efficient`, `constraints are satisfiable`
    answer: Answer
    reason: str = ""


Fixed: TypeAlias = tuple[str, int]
"""A control element, and the value that a VMM may keep in it on the real machine."""


@dataclass(frozen=True, slots=True)
class Repairs:
    """What a VMM may fix so that an instruction does not escape."""

    instruction: str
    operands: OperandSet
    escapes: Answer  # with nothing fixed
    ways: tuple[tuple[Fixed, ...], ...] = ()  # each is enough, and no smaller one was found
    witness: Witness | None = None  # of an escape with nothing fixed, where there is no way
    partly: tuple[str, ...] = ()  # elements of which only 0 and all ones were tried
    undecided: tuple[Undecided, ...] = ()
