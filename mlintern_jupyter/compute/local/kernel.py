"""Smokes: the first steps of a script inside the kernel, where its errors are easiest to read.

The cell is busy meanwhile, the output is the cell's own, and there is no tripwire (an audit hook
would stay in the kernel for good).
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlintern_jupyter.compute.local import job_folder, processes
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec, JobStatus

MOST_STEPS = 20


class KernelBackend:
    """Runs a job of at most 20 steps in this process, while the caller waits."""

    name = "kernel"

    def __init__(self, record: Path, workdir: Path) -> None:
        """Work on the jobs of a record; ``workdir`` is only written down."""
        self._jobs = job_folder.jobs_root(record).absolute()
        self._workdir = workdir.absolute()

    @staticmethod
    def limited(spec: JobSpec) -> JobSpec:
        """The job with its steps capped.

        Raises:
            UsageError: more steps than a smoke may have were asked for.
        """
        steps = MOST_STEPS if spec.max_steps is None else spec.max_steps
        if steps > MOST_STEPS:
            raise UsageError(
                f"--on kernel is for smokes of at most {MOST_STEPS} steps, not {steps}",
                do="set MLINTERN_MAX_STEPS lower, or use --on local",
            )
        return replace(spec, max_steps=steps)

    def submit(self, spec: JobSpec, *, again: bool = False) -> JobStatus:
        """Run the script and return when it ended, or find the smoke already done.

        Raises:
            UsageError: too many steps.
            BaseException: what the script raises, after its end is written down.
        """
        spec = self.limited(spec)
        if again and (self._jobs / spec.key).exists():
            job_folder.move_aside(self._jobs / spec.key)
        folder = job_folder.create(self._jobs, spec, self._workdir)
        if folder is not None:
            self._run(spec, folder)
        return self.status(spec.key)

    def _run(self, spec: JobSpec, folder: Path) -> None:
        about = {**processes.identity(os.getpid()), "at": time.time()}
        job_folder.write_once(folder / job_folder.PID, about)
        began = time.monotonic()
        steps = {"MLINTERN_JOB_DIR": str(folder), "MLINTERN_MAX_STEPS": str(spec.max_steps)}
        try:
            with _environment(steps):
                runpy.run_path(str(folder / job_folder.SCRIPT), run_name="__main__")
        except BaseException as error:
            # However a script leaves, exits and interrupts included, is an outcome to record.
            ended_well = isinstance(error, SystemExit) and error.code in (None, 0)
            state = "completed" if ended_well else "failed"
            if isinstance(error, KeyboardInterrupt):
                state = "cancelled"
            reason = "" if ended_well else f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - began
            job_folder.write_exit(folder, state, reason=reason, seconds=seconds)
            if not ended_well:
                raise
        else:
            job_folder.write_exit(folder, "completed", code=0, seconds=time.monotonic() - began)

    def status(self, key: str) -> JobStatus:
        """Where a smoke stands."""
        return job_folder.status_of(self._jobs / key)

    def cancel(self, key: str) -> JobStatus:
        """Nothing to do: a smoke is ended by interrupting its cell."""
        return self.status(key)


@contextmanager
def _environment(values: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
