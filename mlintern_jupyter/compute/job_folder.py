"""The folder of one job: all that is known of it, so that any process can tell where it stands.

::

    intern_runs/jobs/<name>-<sha8>/
    ├── script.py         the cell's body, byte for byte
    ├── spec.json         name, options, terms, label, working folder, when it was submitted
    ├── start.json        of a held job: who said yes, and which process starts it; made once
    ├── handle.json       the engine's name for the job, where that is not its label
    ├── log.txt           standard output and error
    ├── pid.json          of a job on this machine: the runner's pid, start time, boot
    ├── metrics.jsonl     written by the script: {"step", "total_steps"?, name: number, ...}
    ├── result.json       written by the script when it made something: {"model": path, ...}
    ├── heldout_reads.jsonl   held-out files the script opened
    └── exit.json         how it ended; written once, whole, by whoever ends it first

``<key>.1``, ``<key>.2`` … are earlier attempts, moved aside by ``--again``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlintern_jupyter.compute import processes
from mlintern_jupyter.errors import InternError
from mlintern_jupyter.jobs import KEY, JobReport, JobSpec, JobState, JobTerms, name_of
from mlintern_jupyter.json_files import read_json, write_once
from mlintern_jupyter.outputs import StreamText

SCRIPT, SPEC, LOG, EXIT = "script.py", "spec.json", "log.txt", "exit.json"
METRICS, RESULT, START, HANDLE = "metrics.jsonl", "result.json", "start.json", "handle.json"
TAIL_BYTES = 16_384
TAIL_LINES = 40
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]")


def jobs_root(record: Path) -> Path:
    """The folder that holds every job of a record."""
    return record / "jobs"


def create(root: Path, spec: JobSpec, workdir: Path, terms: JobTerms) -> Path | None:
    """Make the folder of a job that does not exist yet, complete or not at all.

    Returns:
        The folder, or ``None`` when a job of this identity is there already: of any number of
        processes that try, exactly one gets the folder.

    Raises:
        InternError: the record cannot be written.
    """
    about = {
        **spec.to_json(),
        **asdict(terms),
        "v": 1,
        "key": spec.key,
        # A new one for each attempt: no engine may take one for the other.
        "label": f"{spec.key}_{secrets.token_hex(4)}",
        "sha256": spec.sha256,
        "script_sha256": hashlib.sha256(spec.script.encode()).hexdigest(),
        "workdir": str(workdir),
        "submitted": time.time(),
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
        (draft / SCRIPT).write_bytes(spec.script.encode())
        (draft / SPEC).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (draft / LOG).touch()
        draft.chmod(0o755)
    except OSError as error:
        raise InternError(
            f"the job's folder cannot be written in {root}",
            why=error.strerror or str(error),
            do="set record_dir in the configuration to a folder that can be written",
        ) from error
    try:
        # Renaming onto a folder that is not empty fails on every POSIX file system, NFS too.
        draft.rename(root / spec.key)
    except OSError:
        for file in draft.iterdir():
            file.unlink()
        draft.rmdir()
        return None
    return root / spec.key


def move_aside(folder: Path) -> None:
    """Keep an earlier attempt under a number, so that the job can be submitted again."""
    number = 1
    while folder.with_name(f"{folder.name}.{number}").exists():
        number += 1
    folder.rename(folder.with_name(f"{folder.name}.{number}"))


def submissions(root: Path) -> list[Path]:
    """The folders of all jobs, oldest submission first."""
    if not root.is_dir():
        return []
    found = [p for p in root.iterdir() if is_key(p.name) and (p / SPEC).is_file()]
    return sorted(found, key=lambda p: (read_json(p / SPEC) or {}).get("submitted", 0.0))


def newest(root: Path, name: str) -> Path | None:
    """The folder of the newest submission of a job's name."""
    mine = [p for p in submissions(root) if name_of(p.name) == name]
    return mine[-1] if mine else None


def is_key(name: str) -> bool:
    """Whether a folder's name is a job's: no draft, no attempt that was moved aside."""
    return KEY.fullmatch(name) is not None


def read_spec(folder: Path) -> JobSpec:
    """The job of a folder, as it was submitted.

    Raises:
        InternError: the folder does not hold what it is named after, e.g. because a newer version
            wrote an option that this one does not know.
    """
    try:
        data = read_json(folder / SPEC) or {}
        # Bytes: reading text would change line ends, and with them the hash.
        spec = JobSpec.from_json(data, (folder / SCRIPT).read_bytes().decode())
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise InternError(f"the job in {folder} cannot be read: {error!r}") from error
    if spec.key != folder.name:
        raise InternError(
            f"the job {spec.name} is not started: its folder says another thing than its name",
            why="its script was changed, or a newer version of this package wrote it",
            do=f"run its %%job cell again, or %jobs cancel {spec.name}",
        )
    return spec


def label_of(folder: Path) -> str:
    """What an engine knows a job by; in records from before there were labels, the job's key."""
    return str((read_json(folder / SPEC) or {}).get("label") or folder.name.partition(".")[0])


def folder_of(root: Path, label: str) -> Path:
    """The folder of the attempt with a label, also after it was moved aside."""
    folder = root / label.partition("_")[0]
    attempts = [folder, *root.glob(f"{folder.name}.*")]
    return next((each for each in attempts if label_of(each) == label), folder)


def write_exit(
    folder: Path, state: JobState, *, code: int | None = None, reason: str = "", seconds: float
) -> bool:
    """Say how a job ended; the first to say so wins."""
    end = {"state": state, "code": code, "reason": reason, "seconds": round(seconds, 3)}
    return write_once(folder / EXIT, {**end, "ended": time.time()})


def read_exit(folder: Path) -> JobReport | None:
    """How a job ended, once that was written down."""
    end = read_json(folder / EXIT)
    if end is None:
        return None
    reason = str(end.get("reason", ""))
    return JobReport(end["state"], float(end.get("seconds", 0.0)), end.get("code"), reason)


def claim(folder: Path, by: str) -> bool:
    """Take the one right to start a held job; False when somebody has it.

    Never given back: if this process ends before the job runs, the job is lost, not started twice.
    """
    about = {**processes.identity(os.getpid()), "at": time.time(), "by": by}
    return write_once(folder / START, about)


def is_held(folder: Path, about: dict[str, Any]) -> bool:
    """Whether a job that did not end waits for a yes; ``about`` is its ``spec.json``."""
    return bool(about.get("held")) and not (folder / START).exists()


def cost_usd(about: dict[str, Any], seconds: float) -> float:
    """What a job cost so far, at the price that held when it was submitted."""
    return float(about.get("usd_per_hour", 0.0)) * seconds / 3600


def read_log(folder: Path) -> str:
    """The last 16 kB of ``log.txt``."""
    try:
        with (folder / LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def plain_tail(log: str, lines: int) -> str:
    """The last lines of a log as plain text, progress bars reduced to their last state."""
    shown = StreamText(2 * TAIL_BYTES)
    shown.write(_ESCAPES.sub("", log))
    return "\n".join(str(shown).strip("\n").split("\n")[-lines:])
