"""Runs that told machines apart, as files to be run again."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from checker.report_json import JSON
from checker.version import digest
from refvmm.multiplexing import Joint
from refvmm.replay_file import FORMAT, Unusable, from_json, joint_from_json, joint_to_json, to_json
from refvmm.scenario import Scenario
from refvmm.strategy import Strategy
from spec.ir import Isa


@dataclass(frozen=True, slots=True)
class SavedRun:
    """What is needed to run it again; `nest`: how many monitors there were."""

    configuration: str
    strategy: Strategy
    nest: int
    tried: Scenario | Joint


def meaning(isa: Isa) -> str:
    """A hash of the description; places, claims and titles do not count."""
    return digest(repr(replace(isa, title="", sources=(), notes=(), claims=(), literature=())))


def save_run(isa: Isa, run: SavedRun, path: Path) -> None:
    """Write a run; OSError if the file cannot be written."""
    tried = run.tried
    document: dict[str, JSON] = {
        "popek replay": FORMAT,
        "isa": isa.name,
        "meaning": meaning(isa),
        "configuration": run.configuration,
        "strategy": run.strategy.value,
        "nest": run.nest,
    }
    if isinstance(tried, Joint):
        document["guests"] = joint_to_json(tried)
    else:
        document["scenario"] = to_json(tried)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def saved_run(isa: Isa, path: Path) -> SavedRun:
    """What a file says; raises `Unusable`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise Unusable((problem.strerror or str(problem)).lower()) from None
    except (ValueError, RecursionError):
        raise Unusable("it is no JSON document") from None
    if not isinstance(document, dict) or document.get("popek replay") != FORMAT:
        raise Unusable("it is not what `popek test` writes")
    if document.get("meaning") != meaning(isa):
        raise Unusable(
            f"it was saved for another description than this `{isa.name}`, or for an earlier state of it"
        )
    names = [c.name for c in isa.configurations]
    strategies = {s.value: s for s in Strategy}
    configuration, nest = document.get("configuration"), document.get("nest")
    if configuration not in names or document.get("strategy") not in strategies:
        raise Unusable("it names no configuration and strategy of this description")
    if not isinstance(nest, int) or not 1 <= nest <= 8:
        raise Unusable("it does not say how many monitors there were")
    tried: Scenario | Joint
    if "guests" in document:
        tried = joint_from_json(isa, document["guests"])
    else:
        tried = from_json(isa, document.get("scenario"))
    return SavedRun(configuration, strategies[document["strategy"]], nest, tried)
