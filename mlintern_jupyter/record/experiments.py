"""The table behind ``%intern experiments``: what was tried, what came of it, what was kept.

A training's row shows the evaluation of the model it made. Verdicts are those of a lab book: *keep*
when nothing before it on the same items scored as high, *discard* when something did, *crash* when
there is no result. A comparison keeps its own words. Nothing here is a claim: claims are made by
``compare``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, cast

_CRASHED = frozenset({"failed", "lost", "cancelled"})
_DATA_KEYS = ("recipe", "data", "rows", "examples")
HEADINGS = ("name", "what", "data", "score", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    data: str
    score: str
    verdict: str


def rows_from(runs: Iterable[dict[str, Any]]) -> list[Row]:
    """The rows of the records in a session's state, in order."""
    records = list(runs)
    best: dict[tuple[str, str], float] = {}
    verdicts = {id(r): _eval_verdict(r, best) for r in records if r.get("what") == "eval"}
    made = {_model(r): r for r in records if r.get("what") == "job" and _model(r)}
    rows: list[Row] = []
    for record in records:
        what = record.get("what")
        if what == "job":
            rows.append(_job_row(record, records, verdicts))
        elif what == "comparison":
            rows.append(_comparison_row(record))
        elif what == "eval" and str(record.get("model", "")) not in made:
            verdict = verdicts[id(record)]
            rows.append(Row(_name(record), "eval", _data(record), _score(record), verdict))
    return rows


def experiments_text(runs: Iterable[dict[str, Any]]) -> str:
    """The table as plain text, one line a row; says so when there is nothing to show."""
    rows = rows_from(runs)
    if not rows:
        return "no experiments yet"
    lines = [HEADINGS, *(cast("tuple[str, ...]", astuple(row)) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    padded = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def before_and_after(
    runs: Iterable[dict[str, Any]],
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str]:
    """The baseline's and the chosen model's evaluation, and the verdict of the last comparison.

    Each is the evaluation's own numbers with ``text``, one line for people. Without a comparison
    that stands, the verdict is empty and the chosen one is the best after the first.
    """
    records = list(runs)
    evals = [r for r in records if r.get("what") == "eval" and not r.get("voided")]
    compared = [r for r in records if r.get("what") == "comparison" and not r.get("voided")]
    if compared:
        last = compared[-1]
        before = _named(evals, last, str(last.get("baseline", "")))
        after = _named(evals, last, str(last.get("chosen", "")))
        return _shown(before), _shown(after), str(last.get("word", ""))
    scored = [r for r in evals if _number(r.get("accuracy")) is not None]
    if not scored:
        return None, None, ""
    later = [r for r in scored[1:] if _items(r) == _items(scored[0])]
    after = max(later, key=lambda r: _number(r["accuracy"]) or 0.0, default=None)
    return _shown(scored[0]), _shown(after), ""


def _named(
    evals: list[dict[str, Any]], comparison: dict[str, Any], name: str
) -> dict[str, Any] | None:
    """The evaluation a comparison speaks of: by name, on the compared items if there is one."""
    mine = [r for r in evals if name and name in (r.get("name"), r.get("key"))]
    same = [r for r in mine if _items(r) == _items(comparison)]
    return (same or mine or [None])[-1]


def _shown(record: dict[str, Any] | None) -> dict[str, Any] | None:
    if record is None:
        return None
    kept = ("name", "model", "task", "split", "n", "k", "accuracy", "ci95", "rates")
    shown = {key: record[key] for key in kept if key in record}
    n = record.get("n")
    return {**shown, "text": f"{_name(record)} {_score(record)}" + (f" n={n}" if n else "")}


def _items(record: dict[str, Any]) -> tuple[str, str]:
    return str(record.get("task", "")), str(record.get("split", ""))


def _job_row(job: dict[str, Any], records: list[dict[str, Any]], verdicts: dict[int, str]) -> Row:
    evaluations = [
        r
        for r in records
        if r.get("what") == "eval" and r.get("model") and _model(job) == r["model"]
    ]
    state = str(job.get("state", ""))
    if job.get("voided"):
        return Row(_name(job), "job", _data(job), "", "void")
    if state in _CRASHED:
        return Row(_name(job), "job", _data(job), state, "crash")
    if not evaluations:
        return Row(_name(job), "job", _data(job), "not evaluated", state)
    score = "; ".join(_score(r) for r in evaluations)
    return Row(_name(job), "job", _data(job), score, verdicts[id(evaluations[-1])])


def _comparison_row(record: dict[str, Any]) -> Row:
    name = f"{record.get('chosen', '?')} vs {record.get('baseline', '?')}"
    difference = _number(record.get("difference"))
    score = "" if difference is None else f"{difference:+.3f}{_interval(record)}"
    p = _number(record.get("p"))
    if p is not None:
        score += f" p={p:.2g}"
    verdict = "void" if record.get("voided") else str(record.get("word", ""))
    return Row(name, "compare", _data(record), score, verdict)


def _eval_verdict(record: dict[str, Any], best: dict[tuple[str, str], float]) -> str:
    accuracy = _number(record.get("accuracy"))
    if record.get("voided"):
        return "void"
    if accuracy is None:
        return "crash"
    items = _items(record)
    if items in best and accuracy <= best[items]:
        return "discard"
    best[items] = accuracy
    return "keep"


def _score(record: dict[str, Any]) -> str:
    accuracy = _number(record.get("accuracy"))
    if accuracy is None:
        return ""
    return f"{accuracy:.3f}{_interval(record)} {record.get('split', '')}".rstrip()


def _interval(record: dict[str, Any]) -> str:
    ends = record.get("ci95")
    if not isinstance(ends, list | tuple):
        return ""
    low, high = (_number(end) for end in [*cast("Sequence[Any]", ends), None, None][:2])
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def _data(record: dict[str, Any]) -> str:
    if record.get("what") != "job":
        n = record.get("n")
        return f"{record.get('task', '')}" + (f" n={n}" if n is not None else "")
    outputs = record.get("outputs")
    fields = cast("dict[str, Any]", outputs) if isinstance(outputs, dict) else {}
    shown = [f"{key}={fields[key]}" for key in _DATA_KEYS if isinstance(fields.get(key), str | int)]
    return " ".join(shown)


def _model(job: dict[str, Any]) -> str:
    outputs = job.get("outputs")
    return (
        str(cast("dict[str, Any]", outputs).get("model", "")) if isinstance(outputs, dict) else ""
    )


def _name(record: dict[str, Any]) -> str:
    return str(record.get("name") or record.get("key") or "?")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
