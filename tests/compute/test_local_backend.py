"""A job on this machine: real processes, known from disk alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlintern_jupyter.compute import job_folder, processes
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import FINISHED, JobSpec, JobStatus, JobTerms
from mlintern_jupyter.json_files import read_json

METRICS = """
import json, os
from pathlib import Path
folder = Path(os.environ.get("MLINTERN_JOB_DIR", "."))
"""


def until(condition: Callable[[], object], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def ended(jobs: Jobs, key: str) -> JobStatus:
    until(lambda: jobs.status(key).state in FINISHED, f"the end of {key}")
    return jobs.status(key)


def script(body: str) -> str:
    return METRICS + textwrap.dedent(body)


def folder_of(tmp_path: Path, spec: JobSpec) -> Path:
    return tmp_path / "intern_runs" / "jobs" / spec.key


def test_a_job_runs_and_its_metrics_outputs_and_log_are_read_from_its_folder(
    jobs: Jobs, tmp_path: Path
) -> None:
    spec = JobSpec(
        "sft-1",
        script("""
        with (folder / "metrics.jsonl").open("w") as rows:
            for step in (5, 10):
                rows.write(json.dumps({"step": step, "total_steps": 10, "loss": 1 / step}) + "\\n")
            rows.write('{"step": 1')
        (folder / "result.json").write_text(json.dumps({"model": "out"}))
        Path("beside.txt").write_text("the script runs in the notebook's folder")
        print("working 10%\\rworking 100%")
        """),
    )
    jobs.submit(spec)
    status = ended(jobs, spec.key)
    assert (status.state, status.exit_code, status.reason) == ("completed", 0, "")
    assert (status.step, status.total_steps, len(status.metrics)) == (10, 10, 2)
    assert status.outputs == {"model": "out"}
    assert status.log_tail == "working 100%"
    assert (tmp_path / "beside.txt").exists()
    assert (folder_of(tmp_path, spec) / "script.py").read_text() == spec.script


def test_a_job_can_be_followed_while_it_runs(jobs: Jobs) -> None:
    spec = JobSpec("slow", script('print("begun"); import time; time.sleep(600)'))
    assert jobs.submit(spec).state == "running"
    until(lambda: jobs.status(spec.key).log_tail == "begun", "the first line, unbuffered")
    assert jobs.status(spec.key).state == "running"
    assert jobs.cancel(spec.key).state == "cancelled"


def test_a_failing_script_shows_its_own_traceback_and_no_frame_of_the_runner(
    jobs: Jobs,
) -> None:
    spec = JobSpec("broken", "def train():\n    raise ValueError('no such column')\ntrain()\n")
    jobs.submit(spec)
    status = ended(jobs, spec.key)
    assert (status.state, status.exit_code) == ("failed", 1)
    assert "ValueError: no such column" in status.log_tail
    assert "line 2, in train" in status.log_tail
    assert "runner.py" not in status.log_tail
    assert "runpy" not in status.log_tail


def test_exit_codes_are_those_of_plain_python(jobs: Jobs) -> None:
    fine, bad = JobSpec("fine", "raise SystemExit(0)"), JobSpec("bad", "import sys; sys.exit(3)")
    jobs.submit(fine)
    jobs.submit(bad)
    assert ended(jobs, fine.key).state == "completed"
    assert (ended(jobs, bad.key).state, ended(jobs, bad.key).exit_code) == ("failed", 3)


def test_a_script_that_is_killed_is_failed_and_says_so(jobs: Jobs) -> None:
    spec = JobSpec("oom", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    jobs.submit(spec)
    status = ended(jobs, spec.key)
    assert (status.state, status.exit_code) == ("failed", -9)
    assert "memory" in status.reason


def test_a_job_is_stopped_at_its_timeout(jobs: Jobs) -> None:
    spec = JobSpec("long", "import time; time.sleep(600)", timeout_s=1.0)
    jobs.submit(spec)
    status = ended(jobs, spec.key)
    assert status.state == "failed"
    assert "timeout of 1 s" in status.reason


def test_a_cancel_ends_grandchildren_too_even_those_in_a_session_of_their_own(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The runner is given the time it needs to end them itself.
    monkeypatch.setattr("mlintern_jupyter.compute.local.backend._CANCEL_S", 120)
    spec = JobSpec(
        "family",
        script("""
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleeper = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        middle = (
            "import subprocess, sys; "
            "p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
            "stdout=subprocess.DEVNULL, start_new_session=True); "
            "print(p.pid)"
        )
        out = subprocess.run([sys.executable, "-c", middle, sleeper], stdout=subprocess.PIPE)
        (folder / "pids").write_bytes(out.stdout)
        time.sleep(600)
        """),
    )
    jobs.submit(spec)
    pids = folder_of(tmp_path, spec) / "pids"
    until(lambda: pids.exists() and pids.read_text().strip(), "the grandchild")
    grandchild = int(pids.read_text())
    assert psutil.pid_exists(grandchild)
    status = jobs.cancel(spec.key)
    assert (status.state, status.reason) == ("cancelled", "cancelled")
    assert not psutil.pid_exists(grandchild)


def test_what_a_finished_script_leaves_running_is_ended(jobs: Jobs, tmp_path: Path) -> None:
    spec = JobSpec(
        "leftover",
        script("""
        import subprocess, sys
        p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (folder / "pids").write_text(str(p.pid))
        """),
    )
    jobs.submit(spec)
    assert ended(jobs, spec.key).state == "completed"
    assert not psutil.pid_exists(int((folder_of(tmp_path, spec) / "pids").read_text()))


def test_a_cancel_of_a_runner_that_does_not_answer_kills_the_family(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlintern_jupyter.compute.local.backend._CANCEL_S", 0.5)
    spec = JobSpec("stuck", script("print(os.getpid()); import time; time.sleep(600)"))
    jobs.submit(spec)
    until(lambda: jobs.status(spec.key).log_tail, "the script's pid")
    child = psutil.Process(int(jobs.status(spec.key).log_tail))
    runner = read_json(folder_of(tmp_path, spec) / "pid.json")
    assert runner is not None
    os.kill(runner["pid"], signal.SIGSTOP)
    assert jobs.cancel(spec.key).state == "cancelled"
    until(lambda: not child.is_running() or child.status() == "zombie", "the end of the script")


def test_a_job_outlives_the_process_that_started_it_and_is_found_again(tmp_path: Path) -> None:
    source = (
        "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.05)\nprint('made it')\n"
    )
    starter = f"""
import os, signal
from pathlib import Path
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.jobs import JobSpec
Jobs(Path("intern_runs"), Path(".")).submit(JobSpec("orphan", {source!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", starter], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    jobs, spec = Jobs(tmp_path / "intern_runs", tmp_path), JobSpec("orphan", source)
    assert jobs.status(spec.key).state == "running"
    assert jobs.submit(spec).state == "running"
    (tmp_path / "go").touch()
    status = ended(jobs, spec.key)
    assert (status.state, status.log_tail) == ("completed", "made it")
    assert len(job_folder.submissions(tmp_path / "intern_runs" / "jobs")) == 1


def test_a_runner_killed_by_the_system_leaves_a_lost_job(jobs: Jobs, tmp_path: Path) -> None:
    spec = JobSpec("gone", "import time; time.sleep(600)")
    jobs.submit(spec)
    runner = read_json(folder_of(tmp_path, spec) / "pid.json")
    assert runner is not None
    # Stopped first: a runner that sees its script end would say how it ended.
    processes.signal_one(runner, signal.SIGSTOP)
    processes.signal_family(runner, signal.SIGKILL)
    until(lambda: jobs.status(spec.key).state == "lost", "the job to be seen as lost")
    assert "without saying how it ended" in jobs.status(spec.key).reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"boot": "another"}, "machine was restarted"), ({"started": 1.0}, "process is gone")],
)
def test_a_pid_of_another_boot_or_another_start_is_not_the_job(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    jobs, spec = Jobs(tmp_path, tmp_path), JobSpec("old", "pass")
    folder = job_folder.create(tmp_path / "jobs", spec, tmp_path, JobTerms())
    assert folder is not None
    mine = {**processes.identity(os.getpid()), "at": time.time()}
    (folder / "pid.json").write_text(json.dumps(mine))
    assert jobs.status(spec.key).state == "running"
    (folder / "pid.json").write_text(json.dumps({**mine, **change}))
    assert jobs.status(spec.key).state == "lost"
    assert reason in jobs.status(spec.key).reason


def test_a_job_whose_submitter_died_before_the_runner_started_is_lost_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, spec = Jobs(tmp_path, tmp_path), JobSpec("never", "pass")
    job_folder.create(tmp_path / "jobs", spec, tmp_path, JobTerms())
    assert jobs.status(spec.key).state == "running"
    monkeypatch.setattr("mlintern_jupyter.compute.jobs._STARTING_S", 0.0)
    status = jobs.status(spec.key)
    assert (status.state, "never started" in status.reason) == ("lost", True)


def test_of_many_that_submit_one_identity_exactly_one_starts_it(jobs: Jobs, tmp_path: Path) -> None:
    spec = JobSpec("once", "import os; open('starts', 'a').write('x')")
    threads = [threading.Thread(target=jobs.submit, args=(spec,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended(jobs, spec.key).state == "completed"
    assert jobs.submit(spec).state == "completed"
    assert (tmp_path / "starts").read_text() == "x"


def test_another_script_another_target_or_a_smoke_is_another_job() -> None:
    spec = JobSpec("a", "x = 1")
    others = [JobSpec("a", "x = 2"), JobSpec("a", "x = 1", max_steps=5), JobSpec("b", "x = 1")]
    assert len({spec.key, *(o.key for o in others)}) == 4
    assert JobSpec("a", "x = 1\n", timeout_s=60).key == spec.key


def test_again_keeps_the_earlier_attempt_and_starts_a_new_one(jobs: Jobs, tmp_path: Path) -> None:
    spec = JobSpec("twice", "open('starts', 'a').write('x')")
    jobs.submit(spec)
    ended(jobs, spec.key)
    jobs.submit(spec, again=True)
    ended(jobs, spec.key)
    assert (tmp_path / "starts").read_text() == "xx"
    assert (folder_of(tmp_path, spec).with_name(f"{spec.key}.1") / "exit.json").exists()


def test_again_is_refused_while_the_job_runs(jobs: Jobs) -> None:
    spec = JobSpec("busy", "import time; time.sleep(600)")
    jobs.submit(spec)
    with pytest.raises(UsageError, match="still running"):
        jobs.submit(spec, again=True)
    jobs.cancel(spec.key)


def test_the_script_gets_the_allowed_variables_and_no_token(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "HF_TOKEN": "hf_secret",
        "OPENAI_API_KEY": "sk-secret",
        "WANDB_API_KEY": "secret",
        "TRACKIO_SPACE_ID": "someone/secret",
        "HTTPS_PROXY": "http://me:secret@127.0.0.1:9",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    spec = JobSpec("env", "import json, os; print(json.dumps(dict(os.environ)))", max_steps=7)
    jobs.submit(spec)
    seen = json.loads(ended(jobs, spec.key).log_tail)
    assert "secret" not in json.dumps(seen)
    assert seen["MLINTERN_MAX_STEPS"] == "7"
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["PATH"] == os.environ["PATH"]


def test_opening_held_out_items_is_written_down_and_voids_the_job(
    jobs: Jobs, tmp_path: Path
) -> None:
    task = tmp_path / "my-task"
    task.mkdir()
    (task / "task.toml").touch()
    (task / "heldout.jsonl").write_text("{}")
    (tmp_path / "heldout.jsonl").write_text("not beside a task.toml: nobody's held-out items")
    peek = JobSpec("peek", "from pathlib import Path; Path('my-task/heldout.jsonl').read_text()")
    clean = JobSpec("clean", "open('heldout.jsonl').read(); open('my-task/train.jsonl', 'w')")
    for spec in (peek, clean):
        jobs.submit(spec)
        assert ended(jobs, spec.key).state == "completed"
    assert "job peek" in jobs.status(peek.key).voided
    assert jobs.status(clean.key).voided == ""
    line = json.loads((tmp_path / "intern_runs" / "heldout_reads.jsonl").read_text())
    assert line["path"] == str(task / "heldout.jsonl")


def test_the_packed_items_of_the_package_are_watched_through_its_own_loader(
    jobs: Jobs,
) -> None:
    spec = JobSpec(
        "loader",
        "from mlintern_jupyter.bench.task import load_items, open_task\n"
        "load_items(open_task('nano/mcq'), 'heldout')\n",
    )
    jobs.submit(spec)
    assert ended(jobs, spec.key).voided


def test_a_file_of_the_notebooks_folder_does_not_break_the_runner_but_the_script_can_import_it(
    jobs: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "psutil.py").write_text("raise RuntimeError('not the real one')")
    (tmp_path / "my_helpers.py").write_text("ANSWER = 42")
    spec = JobSpec("imports", "import my_helpers; print(my_helpers.ANSWER)")
    jobs.submit(spec)
    assert ended(jobs, spec.key).log_tail == "42"


def test_an_unknown_key_is_absent(jobs: Jobs) -> None:
    assert jobs.status("nobody-00000000").state == "absent"
    with pytest.raises(UsageError, match="no job named nobody-00000000"):
        jobs.cancel("nobody-00000000")
