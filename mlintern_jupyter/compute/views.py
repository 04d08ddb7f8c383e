"""The jobs of a folder as a page shows them, cheap enough to be asked for every two seconds.

Of a metrics file only what was added since the last look is read, and of a job that ended nothing
is read twice. What is remembered is per process and safe between threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.metrics import MetricsFile
from mlintern_jupyter.jobs import JobReport, JobState, name_of
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.views import JobView

MOST_JOBS = 20
MOST_POINTS = 60
_OPEN: tuple[JobState, ...] = ("running", "held")
_READ_BYTES = 4_000_000
"""Of a file that grew by more than this since the last look, the part before it is not drawn."""


@dataclass
class _Curve:
    """What was read of a metrics file so far."""

    every: int = 1
    """Each so many-th row is kept; doubles whenever too many were."""
    seen: int = 0
    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    last: tuple[float, float] | None = None
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    step: int | None = None
    total_steps: int | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Take in the next row; what is no finite number in it is passed over."""
        numbers = _numbers(row)
        if numbers:
            self._add(numbers)

    def _add(self, row: dict[str, float]) -> None:
        self.metrics = row
        if "step" in row:
            self.step = int(row["step"])
        if "total_steps" in row:
            self.total_steps = int(row["total_steps"])
        if "step" not in row or "loss" not in row:
            return
        self.last = (row["step"], row["loss"])
        if self.seen % self.every == 0:
            self.points.append(self.last)
        self.seen += 1
        if len(self.points) >= 2 * MOST_POINTS:
            del self.points[1::2]
            self.every *= 2

    def shown(self) -> tuple[tuple[float, float], ...]:
        """At most 60 points, evenly spaced, the first and the newest among them."""
        points = self.points
        if self.last is not None and points[-1] != self.last:
            points = [*points, self.last]
        if len(points) <= MOST_POINTS:
            return tuple(points)
        end = len(points) - 1
        return tuple(points[round(i * end / (MOST_POINTS - 1))] for i in range(MOST_POINTS))


class _Drawn:
    """A metrics file and the curve that was made of it."""

    def __init__(self, path: Path) -> None:
        self._file = MetricsFile(path, _READ_BYTES)
        self.curve = _Curve()

    def read(self) -> _Curve:
        anew, rows = self._file.new_rows()
        if anew:
            self.curve = _Curve()
        for row in rows:
            self.curve.add(row)
        return self.curve


class JobViews:
    """The jobs of one folder, as they were seen last. Safe between threads."""

    def __init__(self, jobs: Path, report: Callable[[Path, dict[str, Any]], JobReport]) -> None:
        """Nothing is read yet.

        Args:
            jobs: the folder of the jobs.
            report: how the job of a folder stands, which is given with its ``spec.json``.
        """
        self._jobs = jobs
        self._report = report
        self._ended: dict[tuple[str, int | None], JobView] = {}
        self._curves: dict[str, _Drawn] = {}
        self._guard = threading.Lock()

    def read(self) -> tuple[JobView, ...]:
        """The jobs that run or are held, newest first, then those that ended last; at most 20."""
        with self._guard:
            return self._read(self._jobs)

    def _read(self, jobs: Path) -> tuple[JobView, ...]:
        ended: list[tuple[int, Path]] = []
        others: list[tuple[float, JobView]] = []
        for folder in _folders(jobs):
            stamp = _ended_at(folder)
            if stamp is not None:
                ended.append((stamp, folder))
                continue
            spec = read_json(folder / job_folder.SPEC)
            if spec is not None:
                others.append((float(spec.get("submitted", 0.0)), self._view(folder, spec)))
        others.sort(key=lambda pair: pair[0], reverse=True)
        open_now = [view for _, view in others if view.state in _OPEN][:MOST_JOBS]
        # A lost job has no file that says so: it is placed by when it was submitted.
        closed: list[tuple[float, JobView | Path]] = [
            *((at / 1e9, folder) for at, folder in ended),
            *((at, view) for at, view in others if view.state not in _OPEN),
        ]
        closed.sort(key=lambda pair: pair[0], reverse=True)
        newest = [
            self._finished(item) if isinstance(item, Path) else item
            for _, item in closed[: MOST_JOBS - len(open_now)]
        ]
        return (*open_now, *(view for view in newest if view is not None))

    def _finished(self, folder: Path) -> JobView | None:
        known = (folder.name, _ended_at(folder))
        view = self._ended.get(known)
        if view is None:
            spec = read_json(folder / job_folder.SPEC)
            if spec is None:
                return None
            view = self._ended[known] = self._view(folder, spec)
        return view

    def _view(self, folder: Path, spec: dict[str, Any]) -> JobView:
        report = self._report(folder, spec)
        seconds = report.seconds
        curve = self._curve(folder)
        return JobView(
            name=str(spec.get("name", name_of(folder.name))),
            key=folder.name,
            state=report.state,
            seconds=seconds,
            step=curve.step,
            total_steps=curve.total_steps,
            curve=curve.shown(),
            metrics=curve.metrics,
            cost_usd=job_folder.cost_usd(spec, seconds),
            quote_usd=spec.get("quote_usd"),
            reason=report.reason,
        )

    def _curve(self, folder: Path) -> _Curve:
        path = folder / job_folder.METRICS
        return self._curves.setdefault(folder.name, _Drawn(path)).read()


def _folders(jobs: Path) -> list[Path]:
    try:
        return [folder for folder in jobs.iterdir() if job_folder.is_key(folder.name)]
    except OSError:
        return []


def _ended_at(folder: Path) -> int | None:
    """When a job ended, in nanoseconds since the epoch; ``None`` if it did not say."""
    try:
        return (folder / job_folder.EXIT).stat().st_mtime_ns
    except OSError:
        return None


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a row."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        # NaN is no JSON, and an int may be larger than any float.
        if math.isfinite(value) if isinstance(value, float) else abs(value) < 1e300:
            found[name] = float(value)
    return found
