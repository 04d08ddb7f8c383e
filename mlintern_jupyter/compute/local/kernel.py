"""Smokes: the first steps of a script inside the kernel, where its errors are easiest to read.

The cell is busy meanwhile, the output is the cell's own, and there is no tripwire (an audit hook
would stay in the kernel for good).
"""

from __future__ import annotations

import contextlib
import os
import runpy
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.local import run_state
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec
from mlintern_jupyter.protocols import Offer

MOST_STEPS = 20


class KernelBackend(run_state.FolderJobs):
    """Runs a job of at most 20 steps in this process, while the caller waits."""

    name = "kernel"

    def offers(self) -> tuple[Offer]:
        """This kernel, at no price: it runs anyway."""
        return (Offer(title="this kernel"),)

    def check(self, spec: JobSpec) -> JobSpec:
        """The job with its steps capped.

        Raises:
            UsageError: more steps than a smoke may have were asked for, or a cap on its cost.
        """
        steps = MOST_STEPS if spec.max_steps is None else spec.max_steps
        if steps > MOST_STEPS:
            raise UsageError(
                f"--on kernel is for smokes of at most {MOST_STEPS} steps, not {steps}",
                do="set MLINTERN_MAX_STEPS lower, or use --on local",
            )
        if spec.max_usd is not None:
            raise UsageError(
                "--max-usd does not go with --on kernel",
                why="a smoke runs in this kernel at once and cannot be held",
                do="use --on local, or leave --max-usd out",
            )
        return replace(spec, max_steps=steps)

    def submit(self, spec: JobSpec, label: str) -> str:
        """Run the script and return when it ended.

        Raises:
            BaseException: what the script raises, after its end is written down.
        """
        folder = self._place.folder(label)
        run_state.write_pid(folder)
        began = time.monotonic()
        steps = {"MLINTERN_JOB_DIR": str(folder), "MLINTERN_MAX_STEPS": str(spec.max_steps)}
        try:
            # A smoke is the same bytes as the full run, so its paths mean the same files.
            with _environment(steps), contextlib.chdir(self._place.workdir):
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
        return label

    def cancel(self, handle: str) -> None:
        """Nothing to do: a smoke is ended by interrupting its cell."""


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
