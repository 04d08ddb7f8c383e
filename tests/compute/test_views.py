"""The jobs of a folder as the sidebar shows them."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.compute import job_folder, processes
from mlintern_jupyter.compute import views as module
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.compute.local.run_state import PID
from mlintern_jupyter.compute.views import MOST_JOBS
from mlintern_jupyter.jobs import JobSpec, JobTerms
from mlintern_jupyter.json_files import write_once
from mlintern_jupyter.views import JobView

FREE = JobTerms()


def made(record: Path, name: str, terms: JobTerms = FREE) -> Path:
    folder = job_folder.create(record / "jobs", JobSpec(name, "1"), record, terms)
    assert folder is not None
    return folder


def running(record: Path, name: str = "sft", terms: JobTerms = FREE) -> Path:
    """A job whose runner is this process."""
    folder = made(record, name, terms)
    if terms.held:
        job_folder.claim(folder, "a person")
    about = {**processes.identity(os.getpid()), "at": time.time() - 60}
    write_once(folder / PID, about)
    return folder


def finished(record: Path, name: str, ended: float = 0.0) -> Path:
    folder = made(record, name)
    job_folder.write_exit(folder, "completed", code=0, seconds=30.0)
    os.utime(folder / job_folder.EXIT, (ended, ended))
    return folder


def rows(folder: Path, *more: Any) -> None:
    with (folder / job_folder.METRICS).open("a") as file:
        for row in more:
            file.write(row if isinstance(row, str) else json.dumps(row) + "\n")


def job_views(record: Path) -> tuple[JobView, ...]:
    return Jobs(record).views()


def only(record: Path) -> JobView:
    (view,) = job_views(record)
    return view


def test_no_folder_is_no_jobs(tmp_path: Path) -> None:
    assert job_views(tmp_path / "nothing") == ()


def test_what_runs_and_what_is_held_comes_first_then_what_ended_last(tmp_path: Path) -> None:
    for index in range(MOST_JOBS + 5):
        finished(tmp_path, f"old-{index}", ended=1000.0 + index)
    running(tmp_path, "now")
    made(tmp_path, "waits", JobTerms(2.0, 8.0, held=True))
    views = job_views(tmp_path)
    assert len(views) == MOST_JOBS
    assert [(v.name, v.state) for v in views[:3]] == [
        ("waits", "held"),
        ("now", "running"),
        (f"old-{MOST_JOBS + 4}", "completed"),
    ]
    assert [v.name for v in views][-1] == "old-7"


def test_drafts_and_attempts_that_were_moved_aside_are_not_shown(tmp_path: Path) -> None:
    job_folder.move_aside(finished(tmp_path, "again"))
    (tmp_path / "jobs" / ".new-x").mkdir()
    assert job_views(tmp_path) == ()


def test_money_is_shown_as_it_grows_and_what_was_agreed(tmp_path: Path) -> None:
    running(tmp_path, terms=JobTerms(36.0, 72.0, held=True))
    view = only(tmp_path)
    assert view.quote_usd == 72.0
    assert view.cost_usd == pytest.approx(36.0 * view.seconds / 3600)
    assert view.seconds >= 60


def test_a_free_job_costs_nothing_and_has_no_quote(tmp_path: Path) -> None:
    finished(tmp_path, "free")
    view = only(tmp_path)
    assert (view.cost_usd, view.quote_usd, view.seconds) == (0.0, None, 30.0)


def test_a_growing_curve_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    folder = running(tmp_path)
    rows(folder, {"step": 10, "total_steps": 30, "loss": 2.0, "note": "warm", "ok": True})
    assert only(tmp_path).curve == ((10.0, 2.0),)
    rows(folder, {"step": 20, "loss": 1.5}, '{"step": 30, "lo')
    view = only(tmp_path)
    assert view.curve == ((10.0, 2.0), (20.0, 1.5))
    assert (view.step, view.total_steps, view.metrics) == (20, 30, {"step": 20.0, "loss": 1.5})
    rows(folder, 'ss": 1.0}\n', {"step": 30, "eval_loss": 1.25})
    view = only(tmp_path)
    assert view.curve[-1] == (30.0, 1.0)
    assert view.metrics == {"step": 30.0, "eval_loss": 1.25}


@pytest.mark.parametrize(
    "odd",
    [
        '{"step": 15, "loss"\n',
        "[1, 2]\n",
        "null\n",
        "\n",
        "\xff\xfe not json\n",
        '{"step": 15, "loss": NaN}\n',
        '{"step": 15, "loss": Infinity}\n',
        '{"step": 15, "loss": "1.0"}\n',
        '{"step": 15, "loss": true}\n',
        '{"step": 15, "loss": 1' + "0" * 400 + "}\n",
    ],
)
def test_a_torn_or_odd_line_is_no_point_and_breaks_nothing(tmp_path: Path, odd: str) -> None:
    folder = running(tmp_path)
    rows(folder, {"step": 10, "loss": 2.0}, odd, {"step": 20, "loss": 1.0})
    view = only(tmp_path)
    assert view.curve == ((10.0, 2.0), (20.0, 1.0))
    json.dumps(view.metrics, allow_nan=False)


def test_a_long_curve_has_sixty_points_with_the_first_and_the_newest(tmp_path: Path) -> None:
    folder = running(tmp_path)
    for start in range(0, 5000, 500):
        rows(folder, *({"step": step, "loss": -step} for step in range(start, start + 500)))
        curve = only(tmp_path).curve
        steps = [step for step, _ in curve]
        assert len(curve) <= 60
        assert (steps[0], steps[-1]) == (0, start + 499)
        assert steps == sorted(set(steps))
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert max(gaps) <= 3 * 5000 / 60, "evenly spaced, as far as halving allows"


def test_of_a_file_that_is_huge_only_the_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 100)
    folder = running(tmp_path)
    rows(folder, *({"step": step, "loss": 1.0} for step in range(1000)))
    curve = only(tmp_path).curve
    assert 0 < len(curve) < 10
    assert curve[-1][0] == 999


def test_a_finished_job_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished(tmp_path, "done")
    rows(folder, {"step": 10, "loss": 2.0})
    first = only(tmp_path)
    read: list[Path] = []
    monkeypatch.setattr(module, "read_json", lambda path: read.append(path))
    assert only(tmp_path) == first
    assert read == []


def test_a_new_attempt_does_not_show_the_curve_of_the_one_before(tmp_path: Path) -> None:
    old = finished(tmp_path, "sft")
    rows(old, {"step": 10, "loss": 2.0})
    assert only(tmp_path).curve == ((10.0, 2.0),)
    job_folder.move_aside(old)
    new = running(tmp_path)
    assert only(tmp_path).curve == ()
    rows(new, {"step": 5, "loss": 3.0}, {"step": 6, "loss": 2.9})
    assert only(tmp_path).curve == ((5.0, 3.0), (6.0, 2.9))


def test_a_lost_job_is_shown_with_its_reason(tmp_path: Path) -> None:
    folder = made(tmp_path, "gone")
    about = {**processes.identity(os.getpid()), "at": time.time(), "started": 1.0}
    write_once(folder / PID, about)
    view = only(tmp_path)
    assert (view.state, "process is gone" in view.reason) == ("lost", True)
