"""A backend in one file: ``%%job NAME --on example``.

Its "engine" is a folder with one subfolder a job, where a shell runs the script and writes down its
exit code. A real engine (a cluster, a cloud) has its own words for the same eight questions.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobReport, JobSpec, LogPart
from mlintern_jupyter.protocols import JobPlace, Offer

_RUN = """
echo $$
{ "$0" script.py >log.txt 2>&1; echo $? >code.part; mv code.part code; } >/dev/null 2>&1 &
"""


class ExampleBackend:
    """Runs jobs below ``$EXAMPLE_BACKEND_HOME``, else ``~/.example-backend``."""

    name = "example"

    def __init__(self, place: JobPlace) -> None:
        self._workdir = place.workdir
        home = os.environ.get("EXAMPLE_BACKEND_HOME") or Path.home() / ".example-backend"
        self._jobs = Path(home)

    def offers(self) -> tuple[Offer, ...]:
        """One place, which costs nothing."""
        return (Offer(title="the example engine"),)

    def check(self, spec: JobSpec) -> JobSpec:
        """Refuse what this engine cannot do, before anything is written."""
        if spec.timeout_s is not None:
            raise UsageError("--on example keeps no --timeout", do="leave it out")
        return spec

    def submit(self, spec: JobSpec, label: str) -> str:
        """Start a job. A label can be used once: a folder is made once, whoever tries."""
        job = self._jobs / label
        job.mkdir(parents=True)
        (job / "script.py").write_bytes(spec.script.encode())
        (job / "log.txt").touch()
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env |= {"MLINTERN_JOB_DIR": str(job), "PYTHONPATH": str(self._workdir)}
        if spec.max_steps is not None:
            env["MLINTERN_MAX_STEPS"] = str(spec.max_steps)
        run = ["sh", "-c", _RUN, sys.executable]
        group = subprocess.check_output(run, cwd=job, env=env, start_new_session=True)
        (job / "group").write_bytes(group)
        return label

    def find(self, label: str) -> str | None:
        """The engine is asked, not this process: another one may have submitted."""
        return label if (self._jobs / label / "group").exists() else None

    def poll(self, handle: str) -> JobReport:
        """How a job stands, from the files that its shell leaves."""
        job = self._jobs / handle
        alive = self._is_alive(handle)
        seconds = time.time() - (job / "script.py").stat().st_mtime
        # Read after the process: a shell that ends between the two has written it.
        if (job / "code").exists():
            code = int((job / "code").read_text(encoding="utf-8"))
            seconds = (job / "code").stat().st_mtime - (job / "script.py").stat().st_mtime
            if code == 0:
                return JobReport("completed", seconds, 0)
            return JobReport("failed", seconds, code, f"exit code {code}")
        if (job / "cancelled").exists():
            seconds = (job / "cancelled").stat().st_mtime - (job / "script.py").stat().st_mtime
            return JobReport("cancelled", seconds, reason="cancelled")
        if alive:
            return JobReport("running", seconds)
        return JobReport("lost", seconds, reason="its shell is gone without an exit code")

    def logs(self, handle: str, after: int) -> LogPart:
        """What is behind a position of the log, here in bytes."""
        data = (self._jobs / handle / "log.txt").read_bytes()
        start = min(len(data), after) if after >= 0 else max(0, len(data) + after)
        return LogPart(data[start:].decode("utf-8", "replace"), len(data))

    def cancel(self, handle: str) -> None:
        """End the shell, the script and its children: they are one process group."""
        if self.poll(handle).state != "running":
            return
        (self._jobs / handle / "cancelled").touch()
        os.killpg(self._group(handle), signal.SIGKILL)

    def fetch(self, handle: str, into: Path) -> None:
        """Bring everything the job wrote to its folder beside the notebook."""
        shutil.copytree(self._jobs / handle, into, dirs_exist_ok=True)

    def _group(self, handle: str) -> int:
        return int((self._jobs / handle / "group").read_text(encoding="utf-8"))

    def _is_alive(self, handle: str) -> bool:
        try:
            os.killpg(self._group(handle), 0)
        except ProcessLookupError:
            return False
        return True
