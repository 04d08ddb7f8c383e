"""How a job on this machine stands, from its folder and the processes of this machine alone."""

from __future__ import annotations

import codecs
import os
import time
from pathlib import Path
from typing import Any

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.local import processes
from mlintern_jupyter.jobs import JobReport, LogPart
from mlintern_jupyter.json_files import read_json, write_once

PID = "pid.json"


def write_pid(folder: Path) -> bool:
    """Say that this process runs the job; False when another one does."""
    about = {**processes.identity(os.getpid()), "at": time.time()}
    return write_once(folder / PID, about)


def report(folder: Path) -> JobReport:
    """How the job of a folder that has a ``pid.json`` stands."""
    runner = read_json(folder / PID) or {}
    began = float(runner.get("at", 0.0))
    alive = processes.is_alive(runner)
    # Read after the process: a runner that ends between the two has written it.
    end = job_folder.read_exit(folder)
    if end is not None:
        return end
    if alive:
        return JobReport("running", max(0.0, time.time() - began))
    log = folder / job_folder.LOG
    last_sign = max(began, log.stat().st_mtime if log.exists() else began)
    return JobReport("lost", last_sign - began, reason=_why_lost(runner))


def _why_lost(runner: dict[str, Any]) -> str:
    if runner.get("boot") != processes.boot_id():
        return f"the machine was restarted, or it ran on another one ({runner.get('host')})"
    return "its process is gone without saying how it ended (killed, or out of memory)"


def read_log(folder: Path, after: int) -> LogPart:
    """The bytes of ``log.txt`` behind a position, as ``Backend.logs`` gives them."""
    try:
        with (folder / job_folder.LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = min(size, after) if after >= 0 else max(0, size + after)
            file.seek(start)
            data = file.read(size - start)
    except OSError:
        return LogPart("", max(0, after))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    # Half a character at the end is left for the next part.
    return LogPart(text, size - len(decoder.getstate()[0]))
