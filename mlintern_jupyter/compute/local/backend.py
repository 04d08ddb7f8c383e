"""Jobs as processes of this machine, which outlive the kernel and are found from their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlintern_jupyter.compute.local import job_folder, processes, runner
from mlintern_jupyter.compute.local.environment import environment_for
from mlintern_jupyter.compute.local.job_folder import JobTerms
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import FINISHED, JobSpec, JobStatus

_START_S = 60.0
_CANCEL_S = 4 * runner.GRACE_S
_POLL_S = 0.05


class LocalBackend:
    """Starts jobs as child processes in their own session, and reads where they stand from disk."""

    name = "local"

    def __init__(self, record: Path, workdir: Path) -> None:
        """Work on the jobs of a record.

        Args:
            record: The record's folder (``intern_runs``).
            workdir: Where scripts run, so that their relative paths are the notebook's.
        """
        self.jobs = job_folder.jobs_root(record).absolute()
        """The folder of all jobs."""
        self._workdir = workdir.absolute()

    def submit(
        self, spec: JobSpec, *, again: bool = False, terms: JobTerms | None = None
    ) -> JobStatus:
        """Start a job, or find the one that already has this identity.

        Args:
            spec: What is to run.
            again: Move a finished attempt aside and start a new one.
            terms: What it may cost; a held job is written down and not started.

        Raises:
            UsageError: ``again`` for a job that still runs.
            InternError: the record cannot be written.
        """
        if again and self.status(spec.key).state == "running":
            raise UsageError(
                f"the job {spec.name} is still running",
                do=f"wait for it, or end it first: %jobs cancel {spec.name}",
            )
        if again and (self.jobs / spec.key).exists():
            job_folder.move_aside(self.jobs / spec.key)
        folder = job_folder.create(self.jobs, spec, self._workdir, terms)
        if folder is not None and not (terms and terms.held):
            self.start(spec, folder)
        return self.status(spec.key)

    def start(self, spec: JobSpec, folder: Path) -> None:
        """Start the job of a folder; for a held one the caller has the claim. Never raises."""
        # -P: a file of the notebook's folder must not stand in for a module the runner needs.
        command = [sys.executable, "-P", "-m", runner.__name__, str(folder)]
        try:
            with (folder / job_folder.LOG).open("ab") as log:
                done = subprocess.run(
                    command,
                    cwd=self._workdir,
                    env=environment_for(spec, folder, os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    timeout=_START_S,
                    check=False,
                )
            started = done.returncode == 0 or (folder / job_folder.PID).exists()
            problem = "" if started else "the runner could not start; see its log"
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = f"the runner could not start: {error}"
        if problem:
            job_folder.write_exit(folder, "failed", reason=problem, seconds=0.0)

    def status(self, key: str) -> JobStatus:
        """Where a job stands; works in a process that did not start it."""
        return job_folder.status_of(self.jobs / key)

    def cancel(self, key: str) -> JobStatus:
        """End the job and every child of it; asks first, kills after a bounded wait."""
        folder = self.jobs / key
        status = self.status(key)
        if status.state not in {"held", "running"}:
            return status
        if not (folder / job_folder.PID).exists():
            # A runner that starts meanwhile finds this and gives up, or is found below.
            why = "cancelled before it was started; nothing ran"
            job_folder.write_exit(folder, "cancelled", reason=why, seconds=0.0)
        runner = job_folder.read_json(folder / job_folder.PID)
        if runner is None:
            return self.status(key)
        # Only the runner is asked: it ends its family and says how that went.
        processes.signal_one(runner, signal.SIGTERM)
        deadline = time.monotonic() + _CANCEL_S
        while time.monotonic() < deadline:
            status = self.status(key)
            if status.state in FINISHED:
                return status
            time.sleep(_POLL_S)
        processes.signal_family(runner, signal.SIGKILL)
        job_folder.write_exit(
            folder, "cancelled", reason="killed: it did not end when asked", seconds=status.seconds
        )
        return self.status(key)
