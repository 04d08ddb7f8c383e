"""Which process is meant, beyond its number, and how a whole family of them is ended.

A process is known by pid, start time and boot: pids are reused, and after a restart of the machine
none of them means anything. A zombie counts as gone.
"""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path
from typing import Any

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAME_START_S = 2.0
"""Two readings of one start time differ by rounding, and by corrections of the clock."""


def boot_id() -> str:
    """A name for the time since this machine was started."""
    if _BOOT_ID.is_file():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{psutil.boot_time():.0f}"


def identity(pid: int) -> dict[str, Any]:
    """What tells this process from any other, on this machine and over restarts.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    return {
        "pid": pid,
        "started": _start_time(psutil.Process(pid)),
        "boot": boot_id(),
        "host": platform.node(),
    }


def is_alive(known: dict[str, Any]) -> bool:
    """Whether exactly the process of ``identity`` still runs."""
    return known.get("boot") == boot_id() and _find(known) is not None


def signal_one(known: dict[str, Any], number: int) -> None:
    """Send a signal to exactly the process of ``identity``; nothing happens when it is gone."""
    process = _find(known) if known.get("boot") == boot_id() else None
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def signal_family(known: dict[str, Any], number: int) -> None:
    """Send a signal to the process of ``identity`` and all its descendants."""
    process = _find(known) if known.get("boot") == boot_id() else None
    for member in [] if process is None else [*_children(process), process]:
        with contextlib.suppress(psutil.Error):
            member.send_signal(number)


def end_children(grace_s: float) -> None:
    """End every descendant of this process: ask, wait at most ``grace_s``, then kill."""
    me = psutil.Process()
    children = _children(me)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.terminate()
    psutil.wait_procs(children, timeout=grace_s)
    # A family that was asked to end may have grown meanwhile; three rounds bound the chase.
    for _ in range(3):
        left = _children(me)
        if not left:
            return
        for child in left:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(left, timeout=grace_s)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _find(known: dict[str, Any]) -> psutil.Process | None:
    try:
        process = psutil.Process(int(known["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        same = abs(_start_time(process) - float(known["started"])) < _SAME_START_S
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same else None


def _start_time(process: psutil.Process) -> float:
    """Seconds since boot where Linux tells them: a wall-clock time moves when the clock is set."""
    try:
        line = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(line.rpartition(")")[2].split()[19]) / 100
    except (OSError, ValueError, IndexError):
        return process.create_time()
