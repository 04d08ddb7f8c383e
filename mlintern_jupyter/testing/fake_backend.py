"""An engine that runs no script: a test says how each one goes. Strict, as all doubles here.

``FakeEngine`` is the far side, where jobs live on when the process that submitted them is gone;
``FakeBackend`` is what ``Jobs`` talks to. A script that was not foreseen, a bad label, a label that
was used before and a handle that the engine never gave are errors of the caller, and raise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.jobs import JobReport, JobSpec, LogPart
from mlintern_jupyter.protocols import JobPlace, Offer

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class Outcome:
    """What one script does on the fake engine."""

    log: str = ""
    exit_code: int | None = 0
    """``None``: it runs until it is cancelled, or ended by ``FakeEngine.end``."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it leaves behind, by name: ``metrics.jsonl``, ``result.json`` and the like."""


@dataclass
class _Job:
    outcome: Outcome
    report: JobReport


class FakeEngine:
    """Holds jobs by their handles; what may go wrong on the way to it is switched on by a test."""

    def __init__(self, outcomes: Mapping[str, Outcome], offers: tuple[Offer, ...] = ()) -> None:
        """An engine without jobs.

        Args:
            outcomes: what each script does; any other script is refused by raising.
            offers: its places; one free place if left out.
        """
        self.outcomes = outcomes
        self.offers = offers or (Offer(title="the fake engine"),)
        self.refuses = ""
        """Why the engine takes no job; empty if it does."""
        self.loses_reply = False
        """A job is taken, and the answer that says so does not arrive."""
        self.is_down = False
        """It cannot be asked."""
        self.labels: dict[str, str] = {}
        """Handles by label."""
        self._jobs: dict[str, _Job] = {}

    def end(self, label: str, exit_code: int = 0) -> None:
        """Let a job end that runs on."""
        job = self._jobs[self.labels[label]]
        assert job.report.state == "running", f"{label} has ended"
        job.report = _ended(exit_code)

    def take(self, spec: JobSpec, label: str) -> str:
        """Submit a job; see ``Backend.submit``."""
        self._reached()
        assert _LABEL.fullmatch(label), f"an engine refuses the label {label!r}"
        assert label not in self.labels, f"{label} was submitted twice"
        if self.refuses:
            raise UsageError(self.refuses, do="use --on local")
        outcome = self.outcomes[spec.script]
        handle = f"job/{len(self._jobs) + 1}"
        runs = outcome.exit_code is None
        report = JobReport("running", 1.0) if runs else _ended(outcome.exit_code or 0)
        self.labels[label], self._jobs[handle] = handle, _Job(outcome, report)
        if self.loses_reply:
            raise InternError("the connection broke before the engine answered")
        return handle

    def job(self, handle: str) -> _Job:
        """A job; raises ``KeyError`` for a handle that was never given."""
        self._reached()
        return self._jobs[handle]

    def find(self, label: str) -> str | None:
        """The handle of a label's job."""
        self._reached()
        return self.labels.get(label)

    def close(self) -> None:
        """Raises if a test leaves jobs running."""
        left = [label for label, handle in self.labels.items() if self._runs(handle)]
        assert not left, f"jobs were left running: {', '.join(left)}"

    def _runs(self, handle: str) -> bool:
        return self._jobs[handle].report.state == "running"

    def _reached(self) -> None:
        if self.is_down:
            raise InternError("the fake engine cannot be reached")


class FakeBackend:
    """The near side of a ``FakeEngine``."""

    name = "fake"

    def __init__(self, place: JobPlace, engine: FakeEngine) -> None:
        self._place = place
        self._engine = engine

    def offers(self) -> tuple[Offer, ...]:
        """The places of the engine."""
        return self._engine.offers

    def check(self, spec: JobSpec) -> JobSpec:
        """Every script that was foreseen can run."""
        return spec

    def submit(self, spec: JobSpec, label: str) -> str:
        """Hand a job to the engine."""
        return self._engine.take(spec, label)

    def find(self, label: str) -> str | None:
        """Ask the engine for a label."""
        return self._engine.find(label)

    def poll(self, handle: str) -> JobReport:
        """Ask the engine how a job stands."""
        return self._engine.job(handle).report

    def logs(self, handle: str, after: int) -> LogPart:
        """What the job wrote, positions counted in characters."""
        text = self._engine.job(handle).outcome.log
        start = min(len(text), after) if after >= 0 else max(0, len(text) + after)
        return LogPart(text[start:], len(text))

    def cancel(self, handle: str) -> None:
        """End a job that runs."""
        job = self._engine.job(handle)
        if job.report.state == "running":
            job.report = JobReport("cancelled", 1.0, reason="cancelled")

    def fetch(self, handle: str, into: Path) -> None:
        """Write the job's log and files into its folder here."""
        outcome = self._engine.job(handle).outcome
        for name, text in {**outcome.files, "log.txt": outcome.log}.items():
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _ended(exit_code: int) -> JobReport:
    if exit_code == 0:
        return JobReport("completed", 1.0, 0)
    return JobReport("failed", 1.0, exit_code, f"exit code {exit_code}")
