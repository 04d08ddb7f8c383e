"""The folder of one job: all that is known of it, so that any process can tell where it stands.

::

    intern_runs/jobs/<name>-<sha8>/
    ├── script.py         the cell's body, byte for byte
    ├── spec.json         name, options, terms, working folder, when it was submitted
    ├── start.json        of a held job: who said yes, and which process starts it; made once
    ├── log.txt           standard output and error
    ├── pid.json          the runner: pid, start time, boot
    ├── metrics.jsonl     written by the script: {"step", "total_steps"?, name: number, ...}
    ├── result.json       written by the script when it made something: {"model": path, ...}
    ├── heldout_reads.jsonl   held-out files the script opened
    └── exit.json         how it ended; written once, whole, by whoever ends it first

``<key>.1``, ``<key>.2`` … are earlier attempts, moved aside by ``--again``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.compute.local import heldout_watch, processes
from mlintern_jupyter.errors import InternError
from mlintern_jupyter.jobs import JobSpec, JobState, JobStatus
from mlintern_jupyter.outputs import StreamText

SCRIPT, SPEC, LOG, PID, EXIT = "script.py", "spec.json", "log.txt", "pid.json", "exit.json"
METRICS, RESULT, START = "metrics.jsonl", "result.json", "start.json"

_KEY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)-[0-9a-f]{8}")
_STARTING_S = 60.0
"""How long a folder without ``pid.json`` counts as a job that is just starting."""
_TAIL_BYTES = 16_384
_TAIL_LINES = 40
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class JobTerms:
    """What a job may cost, and whether it waits for a yes to that."""

    usd_per_hour: float = 0.0
    quote_usd: float | None = None
    """The most it may cost; ``None`` for a job on a machine without a price."""
    held: bool = False


def jobs_root(record: Path) -> Path:
    """The folder that holds every job of a record."""
    return record / "jobs"


def create(root: Path, spec: JobSpec, workdir: Path, terms: JobTerms | None = None) -> Path | None:
    """Make the folder of a job that does not exist yet, complete or not at all.

    Returns:
        The folder, or ``None`` when a job of this identity is there already: of any number of
        processes that try, exactly one gets the folder.

    Raises:
        InternError: the record cannot be written.
    """
    about = {
        **{k: v for k, v in asdict(spec).items() if k != "script"},
        **asdict(terms or JobTerms()),
        "v": 1,
        "key": spec.key,
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
    return _KEY.fullmatch(name) is not None


def name_of(key: str) -> str:
    """The job's name in its key."""
    match = _KEY.fullmatch(key)
    return match["name"] if match else key


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or ``None`` when the file is missing or not (yet) one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def write_once(path: Path, data: dict[str, Any]) -> bool:
    """Write a JSON object whole, unless the file exists; False when somebody was first."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".", encoding="utf-8", delete=False
    ) as draft:
        json.dump(data, draft)
        draft.write("\n")
        draft.flush()
        os.fsync(draft.fileno())
    written = Path(draft.name)
    written.chmod(0o644)
    try:
        path.hardlink_to(written)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    return True


def write_exit(
    folder: Path, state: JobState, *, code: int | None = None, reason: str = "", seconds: float
) -> bool:
    """Say how a job ended; the first to say so wins."""
    end = {"state": state, "code": code, "reason": reason, "seconds": round(seconds, 3)}
    return write_once(folder / EXIT, {**end, "ended": time.time()})


def claim(folder: Path, by: str) -> bool:
    """Take the one right to start a held job; False when somebody has it.

    Never given back: if this process ends before the job runs, the job is lost, not started twice.
    """
    about = {**processes.identity(os.getpid()), "at": time.time(), "by": by}
    return write_once(folder / START, about)


def status_of(folder: Path) -> JobStatus:
    """Where a job stands, from its folder and the processes of this machine alone."""
    key = folder.name
    spec = read_json(folder / SPEC)
    if spec is None:
        return JobStatus(name_of(key), key, "absent")
    state, code, reason, seconds = standing(folder, spec)
    rows = read_metrics(folder)
    return JobStatus(
        name=str(spec.get("name", name_of(key))),
        key=key,
        state=state,
        seconds=seconds,
        exit_code=code,
        reason=reason,
        step=_newest(rows, "step"),
        total_steps=_newest(rows, "total_steps"),
        metrics=tuple(rows),
        log_tail=log_tail(folder),
        outputs=read_json(folder / RESULT) or {},
        cost_usd=cost_usd(spec, seconds),
        quote_usd=spec.get("quote_usd"),
        voided=heldout_watch.void_reason(folder),
    )


def cost_usd(spec: dict[str, Any], seconds: float) -> float:
    """What a job cost so far, at the price that held when it was submitted."""
    return float(spec.get("usd_per_hour", 0.0)) * seconds / 3600


def standing(folder: Path, spec: dict[str, Any]) -> tuple[JobState, int | None, str, float]:
    """State, exit code, reason and seconds of a job; the cheap part of ``status_of``."""
    runner, claimed = read_json(folder / PID), read_json(folder / START)
    held = bool(spec.get("held")) and claimed is None and runner is None
    began = float((runner or claimed or {}).get("at", spec.get("submitted", 0.0)))
    starting = runner is None and time.time() - began < _STARTING_S
    gone = not starting and (runner is None or not processes.is_alive(runner))
    # Read after the process: a runner that ends between the two has written it.
    end = read_json(folder / EXIT)
    if end is not None:
        code = end.get("code")
        return end["state"], code, str(end.get("reason", "")), float(end.get("seconds", 0.0))
    if held:
        return "held", None, "", 0.0
    if not gone:
        return "running", None, "", max(0.0, time.time() - began)
    last_sign = max(began, (folder / LOG).stat().st_mtime if (folder / LOG).exists() else began)
    return "lost", None, _why_lost(runner), last_sign - began


def _why_lost(runner: dict[str, Any] | None) -> str:
    if runner is None:
        return "it never started: the process that was to start it ended first"
    if runner.get("boot") != processes.boot_id():
        return f"the machine was restarted, or it ran on another one ({runner.get('host')})"
    return "its process is gone without saying how it ended (killed, or out of memory)"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Rows of ``metrics.jsonl``; a line being written is left for the next look."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(cast("dict[str, Any]", row))
    return rows


def _newest(rows: list[dict[str, Any]], name: str) -> int | None:
    for row in reversed(rows):
        value = row.get(name)
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    return None


def log_tail(folder: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of the log as plain text, progress bars reduced to their last state."""
    try:
        with (folder / LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    shown = StreamText(2 * _TAIL_BYTES)
    shown.write(_ESCAPES.sub("", text))
    return "\n".join(str(shown).strip("\n").split("\n")[-lines:])
