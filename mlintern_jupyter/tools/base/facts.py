"""What a settled cell established, as facts for whoever plans the next step.

Two sources: the records of evaluations, jobs and comparisons among its outputs, and the last line
``facts: {json}`` it printed. A cell cannot say by printing what only a record may say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from mlintern_jupyter.cells import RECORD_MIME, CellOutcome
from mlintern_jupyter.context.outputs import plain_text, stdout_of
from mlintern_jupyter.tools import catalog

MARK = "facts: "
_EVAL = [
    "name",
    "model",
    "task",
    "split",
    "n",
    "accuracy",
    "ci95",
    "chance",
    "rates",
    "errors",
    "voided",
]
_COMPARISON = [
    "baseline",
    "chosen",
    "task",
    "split",
    "n",
    "word",
    "difference",
    "ci95",
    "p",
    "mde",
    "tests",
    "looks",
    "reason",
    "voided",
]


def facts_of(outcome: CellOutcome) -> dict[str, Any]:
    """Everything the cell established, with its id and how it ended."""
    facts: dict[str, Any] = {**said_by(outcome.outputs), **from_records(outcome.records)}
    facts |= {"cell": outcome.cell_id, "state": outcome.state}
    if outcome.error:
        facts["error"] = outcome.error[:300]
    return facts


def from_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts of the records a cell showed; the last of a sort, and all of them if there are more."""
    facts: dict[str, Any] = {}
    evals = [_picked(r, _EVAL) for r in records if r.get("what") == "eval"]
    jobs = [_job(r) for r in records if r.get("what") == "job"]
    for one, many, found in (("eval", "evals", evals), ("job", "jobs", jobs)):
        if found:
            facts[one] = found[-1]
        if len(found) > 1:
            facts[many] = found
    for record in records:
        if record.get("what") == "comparison":
            facts["comparison"] = _picked(record, _COMPARISON)
    return facts


def said_by(outputs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The object of the last ``facts:`` line a cell printed, without the reserved keys."""
    lines = plain_text(stdout_of(outputs)).split("\n")
    said = next((line for line in reversed(lines) if line.startswith(MARK)), None)
    if said is None:
        return {}
    try:
        found = json.loads(said[len(MARK) :])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    reserved = catalog.fact_keys()
    return {k: v for k, v in cast("dict[str, Any]", found).items() if k not in reserved}


def sources_of(cell_id: str, outputs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Where untrusted text in a cell's outputs came from: from it, unless all it shows are scores.

    Whatever code prints may hold rows of somebody's data. Scores and verdicts are written by us; a
    job's record is not among them, since it quotes the log.
    """
    return () if all(map(_is_score, outputs)) else (f"cell {cell_id}",)


def _is_score(output: Mapping[str, Any]) -> bool:
    data = cast("Mapping[str, Any]", output.get("data") or {})
    record = data.get(RECORD_MIME)
    if not isinstance(record, Mapping):
        return False
    return cast("Mapping[str, Any]", record).get("what") in {"eval", "comparison"}


def _picked(record: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: record[key] for key in keys if record.get(key) not in (None, "")}


def _job(record: Mapping[str, Any]) -> dict[str, Any]:
    metrics = cast("list[dict[str, Any]]", record.get("metrics") or [])
    losses = [row["loss"] for row in metrics if _is_number(row.get("loss"))]
    facts = _picked(record, ["name", "state", "steps", "seconds", "voided"])
    if losses:
        facts |= {"first_loss": losses[0], "last_loss": losses[-1]}
    outputs = cast("dict[str, Any]", record.get("outputs") or {})
    if "model" in outputs:
        facts["model"] = outputs["model"]
    return facts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
