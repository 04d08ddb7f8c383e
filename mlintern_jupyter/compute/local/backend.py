"""Jobs as processes of this machine, which outlive the kernel and are found from their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.local import processes, run_state, runner
from mlintern_jupyter.compute.local.environment import environment_for
from mlintern_jupyter.config import load_config
from mlintern_jupyter.jobs import FINISHED, JobReport, JobSpec, LogPart
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.protocols import JobPlace, Offer

_START_S = 60.0
_CANCEL_S = 4 * runner.GRACE_S
_POLL_S = 0.05


class LocalBackend:
    """Starts jobs as child processes in their own session, and reads where they stand from disk.

    A handle is the job's label; the job works in its folder.
    """

    name = "local"

    def __init__(self, place: JobPlace) -> None:
        self._place = place

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

    def find(self, label: str) -> str | None:
        """The label, once a runner has said that it runs the job."""
        return label if (self._place.folder(label) / run_state.PID).exists() else None

    def poll(self, handle: str) -> JobReport:
        """How a job stands; works in a process that did not start it."""
        return run_state.report(self._place.folder(handle))

    def logs(self, handle: str, after: int) -> LogPart:
        """What is behind a position of ``log.txt``, in bytes."""
        return run_state.read_log(self._place.folder(handle), after)

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

    def fetch(self, handle: str, into: Path) -> None:
        """Nothing to do: the job works in its folder."""
