"""The words in which jobs are shown: one plain line, a table, Markdown for a card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlintern_jupyter.jobs import FINISHED, JobStatus
from mlintern_jupyter.usage import dollars

MOST_ROWS = 60
"""Metric rows a record carries; the job's folder has them all."""
_NOT_SHOWN = ("step", "total_steps", "epoch", "runtime", "per_second", "samples", "time", "flos")
_MOST_NUMBERS = 3


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def how_to_start(status: JobStatus) -> str:
    """What a held job waits for."""
    return (
        f"nothing runs yet: Start on its card in the sidebar, or `%jobs start {status.name}`, is"
        " the yes to this sum"
    )


def job_line(status: JobStatus) -> str:
    """Where a job stands, in one line."""
    return " · ".join([f"job {status.name}", status.state, *_details(status)])


def job_markdown(status: JobStatus, note: str = "") -> str:
    """The same for a card, with the end of the log when it went wrong."""
    head = " · ".join([f"**job {status.name}**", status.state, *_details(status)])
    parts = [f"{head} · {note}" if note else head]
    if status.state in {"failed", "lost"} and status.log_tail:
        fence = "~" * 4
        while fence in status.log_tail:
            fence += "~"
        parts.append(f"{fence}text\n{status.log_tail}\n{fence}")
    return "\n\n".join(parts)


def job_table(statuses: Sequence[JobStatus]) -> str:
    """All jobs, one line each."""
    rows = [("NAME", "STATE", "STEP", "TIME", "LAST")]
    rows += [(s.name, s.state, _step(s) or "-", duration(s.seconds), _last(s)) for s in statuses]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = (
        "  ".join([*(text.ljust(w) for text, w in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most 60 rows, evenly spaced, the first and the last among them."""
    if len(rows) <= MOST_ROWS:
        return rows
    last = len(rows) - 1
    return [rows[round(i * last / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]


def _last(status: JobStatus) -> str:
    if status.state == "held":
        return f"{_money(status)}; `%jobs start {status.name}`"
    return " · ".join(part for part in (_numbers(status) or status.reason, _money(status)) if part)


def _money(status: JobStatus) -> str:
    """What a job costs; empty where this machine has no price."""
    if status.quote_usd is None or status.cost_usd is None:
        return ""
    quote = dollars(status.quote_usd)
    if status.state == "held":
        return f"costs up to {quote}"
    spent = dollars(status.cost_usd)
    return spent if status.state in FINISHED else f"{spent} of at most {quote}"


def _details(status: JobStatus) -> list[str]:
    said = [
        status.reason,
        "" if status.state == "held" else duration(status.seconds),
        f"step {_step(status)}" if _step(status) else "",
        _numbers(status),
        _money(status),
        f"VOID: {status.voided}" if status.voided else "",
    ]
    return [text for text in said if text]


def _step(status: JobStatus) -> str:
    if status.step is None:
        return ""
    return f"{status.step}/{status.total_steps}" if status.total_steps else str(status.step)


def _numbers(status: JobStatus) -> str:
    newest = status.newest
    shown = [name for name in newest if not any(word in name for word in _NOT_SHOWN)]
    shown.sort(key=lambda name: "loss" not in name)
    return " · ".join(f"{name} {_number(newest[name])}" for name in shown[:_MOST_NUMBERS])


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)
