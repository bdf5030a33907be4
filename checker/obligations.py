"""Obligations about an instruction: questions whether states exist, and what answers them.

An obligation is about one run, or about two runs in related states. Its answer is yes with states that
were replayed on the concrete machine, no, or unknown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from checker.answers import Answer, Undecided
from checker.assignment import Assignment
from checker.pairs import Pair
from checker.replay import Side as Replayed
from checker.states import Case
from checker.terms import Truth
from spec.ir import Expr

Goal: TypeAlias = Callable[[Pair], Truth]
Check: TypeAlias = Callable[[Sequence[Replayed]], Sequence[str]]
"""The property on replayed runs: names of what shows it, empty if it does not hold."""


class About(Enum):
    ONE = auto()  # a run of the first mode
    RELATED = auto()  # two runs in related states
    LITERAL = auto()  # two runs in states equal but for the mode, choices apart


@dataclass(frozen=True, slots=True)
class Obligation:
    """May states in these modes, with these conditions on the first one, reach the goal?"""

    scope: str  # the instruction and the configuration
    asks: str  # the property, components and modes
    about: About
    first: int
    second: int
    goal: Goal
    check: Check
    differ: frozenset[str] = frozenset()
    equal: frozenset[str] = frozenset()  # elements that a different location does not free
    constraints: tuple[Expr, ...] = ()
    homes: tuple[
        tuple[str, str], ...
    ] = ()  # elements of the second state, held by others in the first
    shared: bool = True  # the same under every configuration with these constraints

    @property
    def name(self) -> str:
        return f"{self.scope}/{self.asks}"


@dataclass(frozen=True, slots=True)
class Shown:
    """States, replayed, in which the goal is reached, and the values that gave them."""

    pair: Pair
    values: Assignment
    case: Case


@dataclass(frozen=True, slots=True)
class Found:
    """`shown` is given exactly for yes."""

    answer: Answer
    shown: Shown | None = None


@dataclass(slots=True)
class Log:
    """What was announced, left open and found wrong on the way."""

    announce: Callable[[str], None]
    skip: frozenset[str] = frozenset()
    undecided: list[Undecided] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
