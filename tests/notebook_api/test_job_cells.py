"""``%%job`` cells and ``job(name).result()``: run once, shown ever after."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient.exceptions import CellExecutionError

from mlintern_jupyter.cells import RECORD_MIME, source_sha256
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.errors import JobFailed, UsageError
from mlintern_jupyter.jobs import JobSpec, parse_job_line
from mlintern_jupyter.notebook_api import job
from mlintern_jupyter.notebook_api import jobs as notebook_jobs
from mlintern_jupyter.notebook_api.text import thinned
from mlintern_magics.jobs import JobMagics

SCRIPT = """\
# /// script
# dependencies = []
# ///
import json, os
from pathlib import Path

folder = Path(os.environ.get("MLINTERN_JOB_DIR", "."))
steps = int(os.environ.get("MLINTERN_MAX_STEPS", 40))
with Path("starts").open("a") as starts:
    starts.write("x")
with (folder / "metrics.jsonl").open("w") as rows:
    for step in range(10, steps + 1, 10):
        rows.write(json.dumps({"step": step, "total_steps": steps, "loss": 4 / step}) + "\\n")
(folder / "model").mkdir(exist_ok=True)
(folder / "result.json").write_text(json.dumps({"model": "model"}))
print("trained")
"""
JOB = f"%%job sft-1 --on local\n{SCRIPT}"
WAIT = (
    "from mlintern_jupyter import job\n"
    'sft = job("sft-1").result()\n'
    "print(sft.state, sft.model, len(sft.metrics))"
)


@pytest.fixture
def magics() -> JobMagics:
    return JobMagics(InteractiveShell())


def starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text()) if path.exists() else 0


def text_of(cell: Any) -> str:
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts)


def record_of(cell: Any) -> dict[str, Any]:
    found = [o.data[RECORD_MIME] for o in cell.outputs if RECORD_MIME in o.get("data", {})]
    assert len(found) == 1
    return dict(found[0])


def test_a_notebook_runs_its_job_once_and_shows_it_when_run_again(
    run_notebook: Callable[..., Any], folder: Path
) -> None:
    first = run_notebook(JOB, WAIT)
    _, card, waited = first.cells
    model = f"intern_runs/jobs/{JobSpec('sft-1', SCRIPT).key}/model"
    assert "job sft-1 · completed" in text_of(card)
    assert "step 40/40 · loss 0.1" in text_of(card)
    assert set(card.outputs[0].data) == {"text/plain", "text/markdown"}
    assert f"completed {model} 4" in text_of(waited)
    record = record_of(waited)
    assert (record["what"], record["name"], record["state"]) == ("job", "sft-1", "completed")
    assert record["outputs"] == {"model": model}
    assert [row["step"] for row in record["metrics"]] == [10, 20, 30, 40]

    second = run_notebook(JOB, WAIT)
    assert "finished before" in text_of(second.cells[1])
    assert f"completed {model} 4" in text_of(second.cells[2])
    assert starts(folder) == 1


def test_a_card_that_ends_between_two_cells_is_not_left_behind(
    run_notebook: Callable[..., Any],
) -> None:
    async def slow(kernel: Any, cell: Any) -> None:
        """Come to the last cell only when the card was given its end, and do not hear that."""
        while cell.source == WAIT:
            message = await kernel.iopub_channel.get_msg(timeout=60)
            if "completed" in message["content"].get("data", {}).get("text/plain", ""):
                break

    ran = run_notebook(JOB, WAIT, before=slow)
    assert "job sft-1 · completed" in text_of(ran.cells[1])


def test_a_record_that_travelled_alone_starts_nothing_and_shows_what_it_holds(
    run_notebook: Callable[..., Any], folder: Path
) -> None:
    run_notebook(JOB, WAIT)
    path = folder / "record.ipynb"
    notebook = nbformat.read(path, as_version=4)
    mark = {"v": 1, "session": "mcq-1", "proposed_sha256": source_sha256(JOB)}
    notebook.cells[1].metadata["mlintern"] = mark
    nbformat.write(notebook, path)
    (folder / "intern_runs").rename(folder / "elsewhere")
    again = run_notebook(JOB, WAIT)
    assert "not run here" in text_of(again.cells[1])
    assert "MLINTERN_RERUN=1" in text_of(again.cells[1])
    assert "recorded result (the job is not here)" in text_of(again.cells[2])
    assert "completed" in text_of(again.cells[2])
    assert record_of(again.cells[2])["state"] == "completed"
    assert starts(folder) == 1


def test_a_job_without_any_trace_is_absent_in_a_batch_run_and_raises_nothing(
    run_notebook: Callable[..., Any],
) -> None:
    ran = run_notebook(WAIT)
    assert "job sft-1 · absent" in text_of(ran.cells[1])
    assert "absent  0" in text_of(ran.cells[1])


def test_a_rerun_really_runs_each_job_once(
    run_notebook: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook(JOB, WAIT)
    monkeypatch.setenv("MLINTERN_RERUN", "1")
    run_notebook(JOB, WAIT, JOB, WAIT)
    assert starts(folder) == 2


def test_a_failed_job_raises_where_it_was_watched_and_is_shown_ever_after(
    magics: JobMagics, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    body = "raise ValueError('no such column')"
    magics.job("sft-1", body)
    with pytest.raises(JobFailed, match="failed") as failed:
        job("sft-1").result()
    assert "ValueError: no such column" in failed.value.why
    fresh = (
        "from mlintern_jupyter import job; r = job('sft-1').result(); print(r.state, repr(r.model))"
    )
    done = subprocess.run(
        [sys.executable, "-c", fresh], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "ValueError: no such column" in done.stdout
    assert done.stdout.splitlines()[-1] == "failed ''"


def test_an_interrupted_wait_leaves_the_job_running(
    magics: JobMagics,
    capsys: pytest.CaptureFixture[str],
    waiting: threading.Event,
    once: Callable[..., None],
    interrupt: Callable[[], None],
) -> None:
    magics.job("sft-1", "import time; time.sleep(600)")
    once(waiting.is_set, interrupt)
    with pytest.raises(KeyboardInterrupt):
        job("sft-1").result()
    assert "it goes on" in capsys.readouterr().out
    assert job("sft-1").status().state == "running"


def test_a_wait_with_a_limit_says_that_the_job_is_still_running(magics: JobMagics) -> None:
    magics.job("sft-1", "import time; time.sleep(600)")
    assert job("sft-1").result(timeout_s=0.2).state == "running"


def test_a_job_that_nobody_ran_says_which_cell_runs_it() -> None:
    with pytest.raises(UsageError, match="no job named sft-9") as missing:
        job("sft-9").result()
    assert "%%job sft-9" in missing.value.do


def test_the_newest_submission_of_a_name_is_meant(magics: JobMagics) -> None:
    magics.job("sft", "print('first')")
    job("sft").result()
    magics.job("sft-2", "print('another name')")
    magics.job("sft", "print('second')")
    assert job("sft").result().log_tail == "second"


def test_again_submits_a_finished_job_again_and_nothing_else_does(
    magics: JobMagics, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ("sft-1", "sft-1", "sft-1 --again"):
        magics.job(line, SCRIPT)
        job("sft-1").result()
    assert starts(folder) == 2
    assert capsys.readouterr().out.count("finished before") == 1


def test_a_running_job_is_joined_not_started_again(
    magics: JobMagics, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "import time; time.sleep(600)"
    magics.job("sft-1", body)
    notebook_jobs._begun.clear()
    magics.job("sft-1", body)
    assert "already running" in capsys.readouterr().out


def test_a_smoke_is_the_same_script_under_another_identity(
    magics: JobMagics, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magics.job("sft-1 --on kernel", SCRIPT)
    smoke = job("sft-1").result()
    assert [row["step"] for row in smoke.metrics] == [10, 20]
    assert "MLINTERN_MAX_STEPS" not in os.environ
    magics.job("sft-1 --on local", SCRIPT)
    assert len(job("sft-1").result().metrics) == 4
    monkeypatch.setenv("MLINTERN_MAX_STEPS", "10")
    magics.job("sft-1 --on local", SCRIPT)
    assert len(job("sft-1").result().metrics) == 1
    assert starts(folder) == 3
    monkeypatch.setenv("MLINTERN_MAX_STEPS", "21")
    with pytest.raises(UsageError, match="at most 20 steps"):
        magics.job("sft-1 --on kernel", SCRIPT)


def test_a_smoke_that_fails_raises_its_own_error_and_is_recorded(magics: JobMagics) -> None:
    with pytest.raises(ZeroDivisionError):
        magics.job("sft-1 --on kernel", "1 / 0")
    status = job("sft-1").status()
    assert (status.state, status.reason) == ("failed", "ZeroDivisionError: division by zero")


def test_a_job_that_opened_held_out_items_says_void(
    magics: JobMagics, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "task.toml").touch()
    (folder / "heldout.jsonl").touch()
    magics.job("peek", "open('heldout.jsonl').read()")
    assert "job peek-" in job("peek").result().voided
    assert "VOID: held-out items were opened" in capsys.readouterr().out


def test_jobs_are_listed_read_and_ended_by_name(
    magics: JobMagics, capsys: pytest.CaptureFixture[str]
) -> None:
    magics.jobs("")
    magics.job("long", "print('line one'); import time; time.sleep(600)")
    deadline = time.monotonic() + 60
    while not job("long").status().log_tail:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    capsys.readouterr()
    magics.jobs("log long")
    magics.jobs("cancel long")
    magics.jobs("")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "line one"
    assert shown[1].startswith("job long · cancelled")
    assert shown[2].split() == ["NAME", "STATE", "STEP", "TIME", "LAST"]
    assert shown[3].split()[:2] == ["long", "cancelled"]
    with pytest.raises(UsageError, match="no job named shrot"):
        magics.jobs("cancel shrot")
    with pytest.raises(UsageError, match="no `%jobs pause`"):
        magics.jobs("pause long")


def test_a_script_that_does_not_parse_is_refused_with_its_line(
    magics: JobMagics, folder: Path
) -> None:
    with pytest.raises(UsageError, match="line 2"):
        magics.job("sft-1", "x = 1\nif x\n")
    with pytest.raises(UsageError, match="does not parse"):
        magics.job("sft-1", "!pip install trl\n")
    with pytest.raises(UsageError, match="no script"):
        magics.job("sft-1", "\n")
    assert not (folder / "intern_runs").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "needs one name"),
        ("a b", "needs one name"),
        ("../a", "cannot be a job's name"),
        ("a_b", "cannot be a job's name"),
        ("a --gpu", "no option --gpu"),
        ("a --timeout soon", "not a duration"),
        ("a --timeout 0h", "not a duration"),
        ("a --on", "needs a value"),
        ("a --on moon", "no place moon"),
        ("a --on hf:a10g-large --timeout 4h", "not in this version"),
        ("a --on slurm:gpu", "not in this version"),
        ("a --max-usd", "needs a value"),
        ("a --max-usd six", "not a sum above zero"),
        ("a --max-usd 0", "not a sum above zero"),
        ("a --max-usd -6", "not a sum above zero"),
        ("a --max-usd 1e3", "not a sum above zero"),
        ("a --max-usd inf", "not a sum above zero"),
        ("a --max-usd 1,000", "not a sum above zero"),
    ],
)
def test_a_bad_line_is_refused_with_the_way_to_write_it(
    magics: JobMagics, folder: Path, line: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        magics.job(line, SCRIPT)
    assert refused.value.do
    assert not (folder / "intern_runs").exists()


def test_a_line_holds_place_timeout_cap_and_again() -> None:
    asked = parse_job_line("sft-1 --on=kernel --timeout 1.5h --again --max-usd=$4.80")
    spec = JobSpec("sft-1", "", on="kernel", timeout_s=5400.0, max_usd=4.8)
    assert (asked.spec, asked.again) == (spec, True)


def test_a_record_carries_at_most_sixty_rows_with_first_and_last() -> None:
    rows = thinned([{"step": i} for i in range(1000)])
    assert (len(rows), rows[0]["step"], rows[-1]["step"]) == (60, 0, 999)


def test_a_job_started_elsewhere_is_found_by_its_cell(
    run_notebook: Callable[..., Any], folder: Path
) -> None:
    Jobs(folder / "intern_runs", folder).submit(JobSpec("sft-1", SCRIPT))
    ran = run_notebook(JOB, WAIT)
    assert "completed" in text_of(ran.cells[2])
    assert starts(folder) == 1


def test_a_refusal_is_shown_in_the_notebook_without_a_traceback(
    run_notebook: Callable[..., Any],
) -> None:
    with pytest.raises(CellExecutionError) as refused:
        run_notebook("%%job sft-1 --on moon\nprint(1)")
    assert refused.value.ename == "UsageError"
    assert "no place moon" in refused.value.evalue
    assert "Traceback" not in refused.value.traceback
    assert "do:  use --on local" in refused.value.traceback
