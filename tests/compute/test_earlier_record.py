"""Jobs that an earlier version submitted, to the byte: found, shown, ended, started here.

``earlier_record`` was written by commit 8920d01; only paths, host and boot were made neutral.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.compute import processes
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.jobs import FINISHED, JobSpec
from mlintern_jupyter.notebook_api import job
from mlintern_magics.jobs import JobMagics

EARLIER = Path(__file__).parent / "earlier_record" / "jobs"
KEYS = sorted(folder.name for folder in EARLIER.iterdir())


def script(key: str) -> str:
    return (EARLIER / key / "script.py").read_text()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record beside a notebook, in which nothing was run yet by this version."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shutil.copytree(EARLIER, tmp_path / "intern_runs" / "jobs")
    return tmp_path


@pytest.fixture
def magics() -> JobMagics:
    return JobMagics(InteractiveShell())


@pytest.mark.parametrize("key", KEYS)
def test_a_new_option_at_its_default_leaves_an_earlier_key_unchanged(key: str) -> None:
    about = json.loads((EARLIER / key / "spec.json").read_text())
    spec = JobSpec.from_json(about, script(key))
    assert (spec.key, spec.sha256) == (key, about["sha256"])


def test_what_ended_is_shown_as_it_was(jobs: Jobs) -> None:
    status = jobs.status("sft-1-5516c3b9")
    assert (status.state, status.exit_code, status.seconds) == ("completed", 0, 0.158)
    assert (status.step, status.total_steps, len(status.metrics)) == (20, 20, 2)
    assert (status.log_tail, status.outputs) == ("trained", {"model": "model"})
    ended = jobs.status("ended-6c9d09b3")
    assert (ended.state, ended.reason, ended.log_tail) == ("cancelled", "cancelled", "begun")
    assert jobs.status("sft-1-78126dbe").state == "completed"
    assert {view.key for view in jobs.views()} == set(KEYS)


def test_the_cell_of_a_finished_job_starts_nothing_and_shows_it(
    magics: JobMagics, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    magics.job("sft-1 --on local --timeout 2h", script("sft-1-5516c3b9"))
    magics.job("sft-1 --on kernel", script("sft-1-78126dbe"))
    magics.job("ended", script("ended-6c9d09b3"))
    assert capsys.readouterr().out.count("finished before") == 3
    assert sorted(p.name for p in (here / "intern_runs" / "jobs").iterdir()) == KEYS
    assert job("ended").status().state == "cancelled"


def test_a_held_job_keeps_its_quote_and_starts(jobs: Jobs, here: Path) -> None:
    held = jobs.status("waits-5516c3b9")
    assert (held.state, held.quote_usd) == ("held", 4.8)
    # The folder its cell ran in is not on this machine.
    path = here / "intern_runs" / "jobs" / held.key / "spec.json"
    path.write_text(path.read_text().replace("/home/ada/notebooks", str(here)))
    jobs.start("waits")
    while (status := jobs.status(held.key)).state not in FINISHED:
        time.sleep(0.05)
    assert (status.state, status.log_tail, status.quote_usd) == ("completed", "trained", 4.8)
    assert status.cost_usd == pytest.approx(2.4 * status.seconds / 3600)


RUNNER = """
import json, os, signal, sys, time
from pathlib import Path

folder = Path(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
end = {"state": "cancelled", "code": None, "reason": "cancelled", "seconds": 5.0, "ended": 0.0}
(folder / "exit.json").write_text(json.dumps(end))
"""
"""The runner of an earlier version as it looks from outside: a process under a module's name that
is gone, which keeps SIGTERM and then says how the job ended."""


@pytest.fixture
def running(here: Path) -> Iterator[subprocess.Popen[str]]:
    """The fixture's job that runs, with a living process of an earlier module behind it."""
    folder = here / "intern_runs" / "jobs" / "runs-304e1c0e"
    old = here / "mlintern_jupyter_before" / "backends"
    old.mkdir(parents=True)
    (old / "child.py").write_text(RUNNER)
    command = [sys.executable, "-m", "mlintern_jupyter_before.backends.child", str(folder)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    about = {**processes.identity(process.pid), "at": time.time() - 60}
    (folder / "pid.json").write_text(json.dumps(about))
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.usefixtures("running")
def test_a_job_that_runs_while_the_package_is_upgraded_is_found_again(
    magics: JobMagics, capsys: pytest.CaptureFixture[str], jobs: Jobs
) -> None:
    status = jobs.status("runs-304e1c0e")
    assert (status.state, status.log_tail) == ("running", "begun")
    assert status.seconds >= 60
    magics.job("runs", script("runs-304e1c0e"))
    assert "already running" in capsys.readouterr().out
    assert job("runs").result(timeout_s=0.1).state == "running"
    assert jobs.cancel("runs").state == "cancelled"
    assert jobs.status("runs-304e1c0e").seconds == 5.0


def test_a_folder_of_this_version_has_what_an_earlier_one_reads(jobs: Jobs) -> None:
    key = jobs.submit(JobSpec("new", "print('made')", max_steps=3)).key
    while jobs.status(key).state not in FINISHED:
        time.sleep(0.05)
    now, before = jobs.folder(key), EARLIER / "sft-1-5516c3b9"
    for name in ("spec.json", "pid.json", "exit.json"):
        then = json.loads((before / name).read_text())
        assert set(then) <= set(json.loads((now / name).read_text())), name
    assert (now / "log.txt").read_text() == "made\n"
    assert os.access(now / "script.py", os.R_OK)
