"""A job: one submission of a script to a backend."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

JobState = Literal["held", "running", "completed", "failed", "cancelled", "lost", "absent"]
FINISHED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "lost"})


@dataclass(frozen=True)
class JobSpec:
    """What is asked to run. Its identity is its name and the hash of script and options."""

    name: str
    script: str
    on: str = "local"
    timeout_s: float | None = None
    max_steps: int | None = None
    """``MLINTERN_MAX_STEPS`` of a smoke: the same bytes, another identity than the full run."""
    max_usd: float | None = None
    """The most this job may cost; with it, or where the place has a price, the job is held first.
    Not part of the identity: the same run under another cap is the same run."""

    @property
    def sha256(self) -> str:
        """Hash of the script and of every option that changes what runs."""
        options: dict[str, Any] = {"script": self.script.strip(), "on": self.on}
        if self.max_steps is not None:
            options["max_steps"] = self.max_steps
        body = json.dumps(options, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    @property
    def key(self) -> str:
        """``name-sha8``: names the job's folder and its record."""
        return f"{self.name}-{self.sha256[:8]}"


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands."""

    name: str
    key: str
    state: JobState
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""
    """Why it ended, where the exit code does not say: timeout, cancelled, machine restarted."""
    step: int | None = None
    """The optimizer's ``global_step``, from the newest metrics row."""
    total_steps: int | None = None
    metrics: tuple[dict[str, Any], ...] = ()
    """Rows of ``metrics.jsonl``: {"step": int, name: float, ...}."""
    log_tail: str = ""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the script said it made: ``{"model": path, ...}`` from ``result.json``."""
    cost_usd: float | None = 0.0
    """So far; ``None`` where no price is known. A job on this machine costs 0 unless it is rented
    (``usd_per_hour`` of the configuration)."""
    quote_usd: float | None = None
    """The most it may cost: price per hour times timeout. A held job starts when a person says yes
    to this sum."""
    voided: str = ""
    """Why no claim may rest on this job, e.g. it opened held-out items."""
