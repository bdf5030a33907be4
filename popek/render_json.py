"""Results as JSON, one document per invocation."""

import json
from collections.abc import Sequence

from checker.report import Explanation, Report
from checker.report_json import JSON, explanation_to_json, to_json


def render_json(reports: Sequence[Report]) -> str:
    """One report as its schema-1 object; several as a list of such objects."""
    documents: list[JSON] = [to_json(report) for report in reports]
    return dumps(documents[0] if len(documents) == 1 else documents)


def dumps(document: JSON) -> str:
    """Indented, ends in a newline, ASCII only."""
    return json.dumps(document, indent=2) + "\n"


def explanations_json(explanations: Sequence[Explanation]) -> str:
    """One explanation for each configuration, as a list."""
    return dumps([explanation_to_json(explanation) for explanation in explanations])
