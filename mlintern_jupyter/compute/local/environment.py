"""What a job's process gets of the kernel's environment, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.jobs import JobSpec


def environment_for(spec: JobSpec, folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The variables of a job's process.

    Args:
        spec: The job.
        folder: Its folder, told to the script as ``MLINTERN_JOB_DIR``.
        given: The environment of the process that submits.
    """
    kept = allowed(given)
    if spec.max_steps is not None:
        kept["MLINTERN_MAX_STEPS"] = str(spec.max_steps)
    return kept | {"MLINTERN_JOB_DIR": str(folder)}
