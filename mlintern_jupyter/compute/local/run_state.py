"""How a job on this machine stands, from its folder and the processes of this machine alone."""

from __future__ import annotations

import codecs
import os
import time
from pathlib import Path
from typing import Any

from mlintern_jupyter.compute import job_folder, processes
from mlintern_jupyter.jobs import JobReport, LogPart
from mlintern_jupyter.json_files import read_json, write_once
from mlintern_jupyter.protocols import JobPlace

PID = "pid.json"


class FolderJobs:
    """What both backends of this machine say of jobs, which work in their folders.

    A handle is the job's label.
    """

    def __init__(self, place: JobPlace) -> None:
        self._place = place

    def find(self, label: str) -> str | None:
        """The label, once a process has said that it runs the job."""
        return label if (self._place.folder(label) / PID).exists() else None

    def poll(self, handle: str) -> JobReport:
        """How a job stands; works in a process that did not start it."""
        return report(self._place.folder(handle))

    def logs(self, handle: str, after: int) -> LogPart:
        """What is behind a position of ``log.txt``, in bytes; a smoke's output is its cell's."""
        return read_log(self._place.folder(handle), after)

    def fetch(self, handle: str, into: Path) -> None:
        """Nothing to do: the job works in its folder."""


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
