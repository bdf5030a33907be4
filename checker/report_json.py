"""A report as JSON (schema 1): names may be added, none renamed or removed."""

from collections.abc import Sequence
from typing import TypeAlias

from checker.answers import Components, Fact, Run, Value, Witness
from checker.report import (
    ClaimReport,
    ConfigurationReport,
    Escape,
    Explanation,
    InstructionReport,
    Reason,
    Report,
    VerdictKind,
)

SCHEMA = 1

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


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
        "claims": [_claim(c) for c in report.claims],
        "literature": [
            {"author": said.author, **_claim(said.claim), "but": said.but}
            for said in report.literature
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


def _claim(claim: ClaimReport) -> dict[str, JSON]:
    return {
        "claim": claim.claim,
        "holds": claim.holds.value,
        "line": claim.line,
        "reason": claim.reason,
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
        "virtual_modes": _texts([virtual for virtual, _ in configuration.modes]),
        "real_modes": _texts([real for _, real in configuration.modes]),
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
