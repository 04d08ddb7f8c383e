"""The runner of a local job: ``python -m mlintern_jupyter.compute.local.runner FOLDER``.

Three processes, each forked from the one before::

    starter     the child of whoever submits; returns when pid.json is written, so that a job is
                either in its folder or was never started
    runner      session leader that outlives the kernel; keeps the timeout, is asked to cancel,
                ends what the script left behind, writes exit.json, also when the script is killed
    script      runs script.py as ``__main__``, with the tripwire for held-out items
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from mlintern_jupyter import heldout_watch
from mlintern_jupyter.compute import job_folder, processes
from mlintern_jupyter.compute.local import run_state
from mlintern_jupyter.jobs import JobState
from mlintern_jupyter.json_files import read_json

GRACE_S = 5.0
"""How long a script may take to end after it was asked to."""
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_WAIT_S = 3600.0


def main(folder: Path) -> None:
    """Start the runner of a job and return as soon as its folder says that it runs."""
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(writer)
        started = os.read(reader, 1)
        os._exit(0 if started else 1)
    os.close(reader)
    os.setsid()
    _adopt_orphans()
    # Before pid.json: a cancel that comes at once must find the signals kept, not fatal.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    if not run_state.write_pid(folder):
        sys.exit(f"{folder} already has a runner")
    if (folder / job_folder.EXIT).exists():
        sys.exit(f"{folder} was given up before its runner started")
    os.write(writer, b"1")
    os.close(writer)
    _supervise(folder)


def _supervise(folder: Path) -> None:
    spec = read_json(folder / job_folder.SPEC) or {}
    began = time.monotonic()
    script = os.fork()
    if script == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _run(folder, spec)
        return
    timeout_s = spec.get("timeout_s")
    state, code, reason = _wait(script, None if timeout_s is None else began + float(timeout_s))
    if state == "failed" and code is None:
        reason = f"stopped at its timeout of {float(timeout_s or 0):g} s"
    processes.end_children(GRACE_S)
    seconds = time.monotonic() - began
    job_folder.write_exit(folder, state, code=code, reason=reason, seconds=seconds)


def _wait(script: int, deadline: float | None) -> tuple[JobState, int | None, str]:
    """Wait for the script, for the deadline (monotonic seconds) or for a signal to cancel."""
    while True:
        left = _LONGEST_WAIT_S if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return "failed", None, ""
        got = signal.sigtimedwait(_SIGNALS, min(left, _LONGEST_WAIT_S))
        if got is not None and got.si_signo != signal.SIGCHLD:
            return "cancelled", None, "cancelled"
        code = _reap(script)
        if code is not None:
            return ("completed" if code == 0 else "failed"), code, _explained(code)


def _reap(script: int) -> int | None:
    """Collect whatever ended; the script's exit code when it was among it."""
    found: int | None = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == script:
                found = os.waitstatus_to_exitcode(status)
    return found


def _explained(code: int) -> str:
    if code >= 0:
        return "" if code == 0 else f"exit code {code}"
    name = signal.Signals(-code).name
    hint = ", perhaps because memory ran out" if -code == signal.SIGKILL else ""
    return f"the script was ended by {name}{hint}"


def _adopt_orphans() -> None:
    """Let processes whose parent ends become our children, so that none escapes a cancel."""
    # Only Linux has it; elsewhere descendants that leave their parent are not found.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _run(folder: Path, spec: dict[str, Any]) -> None:
    """Run the script in this process, and leave by its exit code."""
    for stream in (sys.stdout, sys.stderr):
        cast("Any", stream).reconfigure(line_buffering=True, errors="backslashreplace")
    path = folder / job_folder.SCRIPT
    by = f"job {folder.name}"

    def report(opened: str) -> None:
        for place in (folder, folder.parent.parent):
            heldout_watch.write_read(place, opened, by)

    heldout_watch.watch(report)
    sys.argv = [str(path)]
    sys.path.insert(0, str(spec.get("workdir", Path.cwd())))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except Exception as error:  # noqa: BLE001 whatever a script raises ends it, as in plain Python
        _print_traceback(error, str(path), sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _print_traceback(error: Exception, path: str, to: TextIO) -> None:
    """As Python prints it for ``python script.py``: without the frames of the runner."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__, file=to)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
