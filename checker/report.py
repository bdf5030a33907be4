"""The report of a check: frozen plain data, and its one rendering as JSON (schema 1).

`checker.check` produces a `Report`; the command line renders it. Nothing here holds a term, a path
of this machine or an object of the IR, so a report may be pickled, compared and kept. The names
in the JSON form are fixed by the schema: names may be added, none renamed or removed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from checker.answers import (
    Answer,
    Components,
    Fact,
    OperandSet,
    Run,
    Traps,
    Undecided,
    Value,
    Witness,
)

SCHEMA = 1

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


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
    real_mode: str
    virtual_modes: tuple[str, ...]
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


def to_json(report: Report) -> dict[str, JSON]:
    """The report in schema 1; state values are hexadecimal strings, as they may exceed 53 bits."""
    return {
        "schema": SCHEMA,
        "tool": {
            "popek": report.tool.popek,
            "z3": report.tool.z3,
            "python": report.tool.python,
        },
        "isa": report.isa,
        "title": report.title,
        "source": report.source,
        "sources": _texts(report.sources),
        "configurations": [_configuration(c) for c in report.configurations],
        "claims": [
            {"claim": c.claim, "holds": c.holds.value, "line": c.line, "reason": c.reason}
            for c in report.claims
        ],
        "facts": [_fact(f) for f in report.facts],
        "defects": _texts(report.defects),
        "notes": _texts(report.notes),
        "description_notes": _texts(report.description_notes),
        "timing": {
            "seconds": round(report.timing.seconds, 4),
            "solver_seconds": round(report.timing.solver_seconds, 4),
            "solver_calls": report.timing.solver_calls,
            "classified": report.timing.classified,
            "cached": report.timing.cached,
        },
    }


def explanation_to_json(explanation: Explanation) -> dict[str, JSON]:
    """One instruction under one configuration, in the same names."""
    return {
        "schema": SCHEMA,
        "instruction": explanation.instruction,
        "doc": explanation.doc,
        "page": explanation.page,
        "configuration": _configuration(explanation.configuration),
    }


def _texts(texts: Sequence[str]) -> list[JSON]:
    return list(texts)


def _fact(fact: Fact) -> dict[str, JSON]:
    return {"question": fact.question, "answer": fact.answer.value, "reason": fact.reason}


def _reason(reason: Reason) -> dict[str, JSON]:
    return {
        "instruction": reason.instruction,
        "operands": reason.operands,
        "sentence": reason.sentence,
    }


def _configuration(configuration: ConfigurationReport) -> dict[str, JSON]:
    return {
        "name": configuration.name,
        "real_mode": configuration.real_mode,
        "virtual_modes": _texts(configuration.virtual_modes),
        "constraints": _texts(configuration.constraints),
        "shadowed": _texts(configuration.shadowed),
        "mirrored": _texts(configuration.mirrored),
        "passed": _texts(configuration.passed),
        "assumptions": _texts(configuration.assumptions),
        "verdicts": {
            kind.value: {
                f"theorem{v.theorem}": v.answer.value
                for v in configuration.verdicts
                if v.kind is kind
            }
            for kind in VerdictKind
        },
        "reasons": {
            kind.value: {
                f"theorem{v.theorem}": [_reason(r) for r in v.reasons]
                for v in configuration.verdicts
                if v.kind is kind
            }
            for kind in VerdictKind
        },
        "efficient": configuration.efficient.answer.value,
        "efficient_reason": configuration.efficient.reason,
        "escapes": [_escape(e) for e in configuration.escapes],
        "letter_counterexamples": [
            {
                "instruction": c.instruction,
                "operands": c.operands,
                "reason": c.reason,
                "theorem3": c.theorem3.value,
                "witnesses": [_witness(w) for w in c.witnesses],
            }
            for c in configuration.letter_counterexamples
        ],
        "letter_misses": [_reason(r) for r in configuration.letter_misses],
        "instructions": [_instruction(i) for i in configuration.instructions],
        "facts": [_fact(f) for f in configuration.facts],
        "vacuity": _texts(configuration.vacuity),
        "defects": _texts(configuration.defects),
        "notes": _texts(configuration.notes),
        "partial": configuration.partial,
    }


def _escape(escape: Escape) -> dict[str, JSON]:
    return {
        "instruction": escape.instruction,
        "operands": escape.operands,
        "reason": escape.reason,
        "witness": _witness(escape.witnesses[0]) if escape.witnesses else None,
        "replayed": escape.replayed,
        "semantic": escape.semantic.value,
        "hybrid": escape.hybrid.value,
        "more_witnesses": [_witness(w) for w in escape.witnesses[1:]],
    }


def _instruction(row: InstructionReport) -> dict[str, JSON]:
    lists: dict[str, Components] = {
        "control_sensitive": row.control_sensitive,
        "behaviour_sensitive": row.behaviour_sensitive,
        "result_sensitive": row.result_sensitive,
        "trap_sensitive": row.trap_sensitive,
    }
    result: dict[str, JSON] = {
        "instruction": row.instruction,
        "operands": row.operands,
        "members": [m.text for m in row.members],
        "traps": row.traps.value,
        "traps_in_top": row.traps_in_top.value,
        "privileged": row.privileged.value,
    }
    result |= {name: _texts(components.names) for name, components in lists.items()}
    result |= {
        "user_sensitive": row.user_sensitive.value,
        "supervisor_sensitive": row.supervisor_sensitive.value,
        "user_mode_noop": row.user_mode_noop.value,
        "sensitive": row.sensitive.value,
        "innocuous": row.innocuous.value,
        "escape": row.escape.value,
        "hybrid_escape": row.hybrid_escape.value,
        "semantic_violation": row.semantic_violation.value,
        "hybrid_semantic_violation": row.hybrid_semantic_violation.value,
        "undecided_components": {n: _texts(c.undecided) for n, c in lists.items() if c.undecided},
        "undecided": [{"obligation": u.obligation, "reason": u.reason} for u in row.undecided],
        "witnesses": [_witness(w) for w in row.witnesses],
        "seconds": round(row.seconds, 4),
        "solver_seconds": round(row.solver_seconds, 4),
        "solver_calls": row.solver_calls,
        "cached": row.cached,
        "doc": row.doc,
        "page": row.page,
    }
    return result


def _witness(witness: Witness) -> dict[str, JSON]:
    return {
        "property": witness.property,
        "clause": witness.clause,
        "components": _texts(witness.components),
        "assembly": witness.assembly,
        "word": witness.word,
        "fields": {name: hex(value) for name, value in witness.fields},
        "address": hex(witness.address),
        "runs": [_run(r) for r in witness.runs],
        "differs": _texts(witness.differs),
        "replayed": witness.replayed,
    }


def _run(run: Run) -> dict[str, JSON]:
    return {
        "mode": run.mode,
        "outcome": run.outcome,
        "cause": run.cause,
        "trap_class": run.trap_class,
        "values": [_value(v) for v in run.values],
        "choices": [hex(c) for c in run.choices],
    }


def _value(value: Value) -> dict[str, JSON]:
    return {
        "name": value.name,
        "width": value.width,
        "before": hex(value.before),
        "after": hex(value.after),
    }
