"""Cells as the intern knows them, and the provenance mark in their metadata."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

CellKind = Literal[
    "plan", "literature", "dataset", "script", "run", "eval", "plot", "note", "report"
]
CellState = Literal[
    "proposed", "queued", "running", "done", "failed", "interrupted", "skipped", "unknown"
]
CellType = Literal["code", "markdown"]
SETTLED: frozenset[str] = frozenset({"done", "failed", "interrupted", "skipped", "unknown"})

CARD_MIME = "application/vnd.mlintern.card+json"
"""The run card: what the magic cell shows of its session, drawn live by an open page."""

RECORD_MIME = "application/vnd.mlintern.record+json"
"""An evaluation or a job's outcome, inside an ordinary cell output, so that a notebook that
travels alone still holds its results."""


def source_sha256(source: str) -> str:
    """Hash of a cell's text, line ends and outer blank space folded (front ends differ there)."""
    folded = "\n".join(line.rstrip() for line in source.strip().splitlines())
    return hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class CellMark:
    """``cell.metadata.mlintern``: small, written when proposed and when settled, never after.

    A cache for people and for git; where it and the ledger differ, the ledger wins.
    """

    session: str
    call: str
    kind: CellKind
    state: CellState
    model: str
    proposed_sha256: str
    run_sha256: str = ""
    parents: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    setup: bool = False
    """Run again after a kernel restart, before anything else."""
    summary: str = ""
    """On the magic's own cell: the outcome in one line, for a copy without its ledger."""
    v: int = 1


@dataclass(frozen=True)
class NewCell:
    """A cell to be inserted. The kernel chooses its id, so inserting twice is inserting once."""

    id: str
    cell_type: CellType
    source: str
    mark: CellMark
    why: str = ""
    """The intern's expectation, for a front end that shows it beside the proposal."""


@dataclass(frozen=True)
class CellView:
    """A cell as it stands in the notebook now."""

    id: str
    cell_type: CellType
    source: str
    mark: dict[str, Any] | None = None


@dataclass(frozen=True)
class CellOutcome:
    """How a cell settled, with what it showed."""

    cell_id: str
    state: CellState
    source: str
    """The text that ran, which may differ from the text proposed."""
    outputs: tuple[dict[str, Any], ...] = ()
    """nbformat outputs as captured in the kernel."""
    error: str = ""
    """``Name: value`` of the exception, or why it was skipped or aborted."""
    seconds: float = 0.0
    records: tuple[dict[str, Any], ...] = field(default=())
    """Payloads of ``RECORD_MIME`` among the outputs."""
    execution_count: int | None = None
