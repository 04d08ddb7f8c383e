"""Jobs as processes of this machine, which outlive the kernel and are found from their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from mlintern_jupyter.compute import job_folder, processes
from mlintern_jupyter.compute.local import run_state, runner
from mlintern_jupyter.compute.local.environment import environment_for
from mlintern_jupyter.config import load_config
from mlintern_jupyter.jobs import FINISHED, JobSpec
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.protocols import Offer

_START_S = 60.0
_CANCEL_S = 4 * runner.GRACE_S
_POLL_S = 0.05


class LocalBackend(run_state.FolderJobs):
    """Starts jobs as child processes in their own session, and reads where they stand from disk."""

    name = "local"

    def offers(self) -> tuple[Offer]:
        """This machine, at ``usd_per_hour`` of the configuration."""
        config = load_config()
        do = "correct usd_per_hour in the configuration file and run this cell again"
        return (Offer(usd_per_hour=config.usd_per_hour, problem=config.problem, do=do),)

    def check(self, spec: JobSpec) -> JobSpec:
        """Every script can run here."""
        return spec

    def submit(self, spec: JobSpec, label: str) -> str:
        """Start the runner of a job. Never raises: one that cannot start is a failed job."""
        folder = self._place.folder(label)
        # -P: a file of the notebook's folder must not stand in for a module the runner needs.
        command = [sys.executable, "-P", "-m", runner.__name__, str(folder)]
        try:
            with (folder / job_folder.LOG).open("ab") as log:
                done = subprocess.run(
                    command,
                    cwd=self._place.workdir,
                    env=environment_for(spec, folder, os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    timeout=_START_S,
                    check=False,
                )
            started = done.returncode == 0 or (folder / run_state.PID).exists()
            problem = "" if started else "the runner could not start; see its log"
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = f"the runner could not start: {error}"
        if problem:
            # A runner that comes late finds this and gives up.
            job_folder.write_exit(folder, "failed", reason=problem, seconds=0.0)
        return label

    def cancel(self, handle: str) -> None:
        """End the job and every child of it; asks first, kills after a bounded wait."""
        folder = self._place.folder(handle)
        about = read_json(folder / run_state.PID) or {}
        # Only the runner is asked: it ends its family and says how that went.
        processes.signal_one(about, signal.SIGTERM)
        deadline = time.monotonic() + _CANCEL_S
        while time.monotonic() < deadline:
            if self.poll(handle).state in FINISHED:
                return
            time.sleep(_POLL_S)
        seconds = self.poll(handle).seconds
        processes.signal_family(about, signal.SIGKILL)
        why = "killed: it did not end when asked"
        job_folder.write_exit(folder, "cancelled", reason=why, seconds=seconds)
