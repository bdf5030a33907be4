"""The report of a check: frozen plain data.

`checker.check` produces a `Report`; the command line renders it. Nothing here holds a term, a path
of this machine or an object of the IR, so a report may be pickled, compared and kept.
`checker.report_json` is its one form as JSON.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from checker.answers import (
    Answer,
    Components,
    Fact,
    OperandSet,
    Traps,
    Undecided,
    Witness,
)
from spec.mode_map import ModeMap


class VerdictKind(Enum):
    """How a theorem's condition is read (formal model, section 4)."""

    LETTER = "letter"  # PG74's definitions, no constraint
    CONFIGURED = "configured"  # no escape, under the configuration's constraints
    SEMANTIC = "semantic"  # direct execution is a homomorphism


@dataclass(frozen=True, slots=True)
class Tool:
    """Which programs made the report."""

    popek: str
    z3: str
    python: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is no (or unknown): one sentence about one row of the table.

    `instruction` is empty where the reason is about the whole configuration.
    """

    instruction: str
    operands: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one theorem's condition; `reasons` is empty exactly for yes."""

    kind: VerdictKind
    theorem: int  # 1 VMM, 2 recursive, 3 hybrid
    answer: Answer
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class InstructionReport:
    """One row of the table: an instruction with the operand sets on which it behaves alike.

    `operands` is readable (`all csr but cycle, time`) and empty if the instruction has one
    set; `members` lists the sets. Witnesses are those of the first member.
    """

    instruction: str
    operands: str
    members: tuple[OperandSet, ...]
    traps: Traps
    traps_in_top: Traps
    privileged: Answer
    control_sensitive: Components
    behaviour_sensitive: Components
    result_sensitive: Components
    trap_sensitive: Components
    user_sensitive: Answer
    supervisor_sensitive: Answer
    user_mode_noop: Answer
    sensitive: Answer
    innocuous: Answer
    escape: Answer
    hybrid_escape: Answer
    semantic_violation: Answer
    hybrid_semantic_violation: Answer
    refused: bool = False
    witnesses: tuple[Witness, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    seconds: float = 0.0
    solver_seconds: float = 0.0
    solver_calls: int = 0
    cached: bool = False
    doc: str = ""
    page: str = ""

    @property
    def label(self) -> str:
        """`MRET`, or `CSRRW[mstatus]`."""
        return f"{self.instruction}[{self.operands}]" if self.operands else self.instruction


@dataclass(frozen=True, slots=True)
class Escape:
    """A row that breaks a VMM under the configuration, with the witnesses that show how.

    The first witness is the one to show. `semantic` and `hybrid` say whether it also breaks the
    semantic verdict and Theorem 3.
    """

    instruction: str
    operands: str
    reason: str
    witnesses: tuple[Witness, ...]
    semantic: Answer
    hybrid: Answer

    @property
    def replayed(self) -> bool:
        return bool(self.witnesses) and all(witness.replayed for witness in self.witnesses)


@dataclass(frozen=True, slots=True)
class LetterCounterexample:
    """A sensitive instruction that is not privileged: what makes the letter verdict no.

    `theorem3`: it is user sensitive too. `witnesses` show the sensitivity and the lack of
    privilege.
    """

    instruction: str
    operands: str
    reason: str
    witnesses: tuple[Witness, ...]
    theorem3: Answer


@dataclass(frozen=True, slots=True)
class ConfigurationReport:
    """All answers about one virtualization configuration."""

    name: str
    modes: ModeMap
    constraints: tuple[str, ...]  # as written
    shadowed: tuple[str, ...]
    mirrored: tuple[str, ...]
    passed: tuple[str, ...]
    assumptions: tuple[str, ...]
    verdicts: tuple[Verdict, ...]  # every kind with every theorem
    efficient: Fact
    instructions: tuple[InstructionReport, ...]
    escapes: tuple[Escape, ...] = ()
    letter_counterexamples: tuple[LetterCounterexample, ...] = ()
    letter_misses: tuple[Reason, ...] = ()  # where the letter says yes and the configuration no
    facts: tuple[Fact, ...] = ()  # constraints are satisfiable, and the like
    vacuity: tuple[str, ...] = ()  # assumptions that no state satisfies
    defects: tuple[str, ...] = ()  # what must not happen, vacuity included: no verdict to rely on
    notes: tuple[str, ...] = ()
    partial: bool = False  # only some instructions were asked for

    @property
    def real_mode(self) -> str:
        """That of the most privileged virtual mode: the one that classes of instructions are about."""
        return self.modes[0][1]

    def verdict(self, kind: VerdictKind, theorem: int) -> Verdict:
        """The verdict of that kind for Theorem 1, 2 or 3."""
        return next(v for v in self.verdicts if (v.kind, v.theorem) == (kind, theorem))


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """Whether a claim of the description holds, and why."""

    claim: str  # as written
    holds: Answer
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LiteratureReport:
    """What somebody has written, and whether it was found so; `but` is the description's word
    on why not."""

    author: str
    claim: ClaimReport
    but: str

    @property
    def settled(self) -> bool:
        """Found so, or not so and the description says why."""
        return self.claim.holds is (Answer.NO if self.but else Answer.YES)


@dataclass(frozen=True, slots=True)
class Timing:
    """What the check cost; left out of comparisons of reports."""

    seconds: float = 0.0
    solver_seconds: float = 0.0
    solver_calls: int = 0
    classified: int = 0  # instruction and operand set and configuration
    cached: int = 0  # how many of them came from the cache


@dataclass(frozen=True, slots=True)
class Report:
    """Everything `popek check` says about one description."""

    isa: str
    title: str
    source: str  # the description's file, as the user named it
    sources: tuple[str, ...]  # the manuals
    tool: Tool
    configurations: tuple[ConfigurationReport, ...]
    claims: tuple[ClaimReport, ...] = ()
    literature: tuple[LiteratureReport, ...] = ()
    facts: tuple[Fact, ...] = ()  # one for each invariant: reset and every instruction keep it
    defects: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # of the run: a cache that failed, claims left out
    description_notes: tuple[str, ...] = ()  # what the description says that it leaves out
    timing: Timing = Timing()

    @property
    def claims_hold(self) -> Answer:
        """Whether every claim holds; yes where there are none."""
        return conjunction(claim.holds for claim in self.claims)

    @property
    def all_defects(self) -> tuple[str, ...]:
        """Those of the description and of every configuration."""
        nested = (f"{c.name}: {d}" for c in self.configurations for d in c.defects)
        return (*self.defects, *nested)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `popek explain` shows: one instruction under one configuration."""

    instruction: str
    doc: str
    page: str
    configuration: ConfigurationReport  # restricted to the instruction

    @property
    def rows(self) -> tuple[InstructionReport, ...]:
        return self.configuration.instructions


def conjunction(answers: Iterable[Answer]) -> Answer:
    """No if one is no, else unknown if one is unknown, else yes."""
    result = Answer.YES
    for answer in answers:
        result = result & answer
    return result


# --------------------------------------------------------------------------- JSON
