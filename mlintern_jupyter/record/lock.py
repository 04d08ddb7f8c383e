"""One writer for a record: a POSIX lock on a file that is opened for nothing else.

The system itself gives the lock back when its process dies, so a stale lock cannot block. Two
traps shape this file: closing *any* descriptor of a file drops all locks this process has on it
(so nobody here may open the lock file just to look), and the same process may lock it twice (so
what is held here is remembered). File systems without locks (some Lustre and NFS mounts) are judged
by who the file names: pid, start time and boot id together tell a reused pid from a living holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from traitlets.config.application import Application

from mlintern_jupyter.errors import LedgerLocked
from mlintern_jupyter.reading import read
from mlintern_jupyter.record.durable import write_all

_BUSY = {errno.EACCES, errno.EAGAIN}
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TOLERANCE_S = 1.5

_guard = threading.Lock()
_locked_files: set[tuple[int, int]] = set()


@dataclass(frozen=True)
class Holder:
    """The process that writes a record."""

    host: str
    pid: int
    started: float
    """When the process started, in seconds since the epoch: tells a reused pid apart."""
    boot: str
    connection_file: str = field(default="", compare=False)
    """Of the kernel it is, so that a terminal can ask it: the path, never the key in it. Empty for
    a process that is no kernel."""

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        pid = os.getpid()
        started = psutil.Process(pid).create_time()
        return cls(socket.gethostname(), pid, started, boot_id(), _connection_file())

    def lives(self) -> bool:
        """Whether the process still runs; one on another machine is taken to."""
        if self.host != socket.gethostname():
            return True
        if self.boot != boot_id():
            return False
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
        return abs(started - self.started) < _START_TOLERANCE_S

    def as_text(self) -> str:
        """The process, for a person."""
        return f"process {self.pid} on {self.host}"


class Lock:
    """Held from ``acquire`` to ``release``."""

    def __init__(self, descriptor: int, key: tuple[int, int], note: str) -> None:
        self._descriptor = descriptor
        self._key = key
        self.note = note
        """Not empty when a holder that had not released the lock was found dead."""

    @classmethod
    def acquire(cls, path: Path) -> Lock:
        """Take the lock without waiting.

        Raises:
            LedgerLocked: another process, or this one, holds it; says which.
            OSError: the lock file cannot be made.
        """
        with _guard:
            with contextlib.suppress(FileNotFoundError):
                if _key(path.stat()) in _locked_files:
                    raise _locked(path, "this very process")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                earlier = _take(descriptor, path)
                content = json.dumps(asdict(Holder.here())).encode()
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                write_all(descriptor, content)
            except BaseException:
                # Closing is what gives the lock back.
                os.close(descriptor)
                raise
            key = _key(os.fstat(descriptor))
            _locked_files.add(key)
        if earlier is None:
            return cls(descriptor, key, "")
        note = f"taken over from {earlier.as_text()}, which ended without closing the record"
        return cls(descriptor, key, note)

    def release(self) -> None:
        """Give the lock back, once; an empty file says that nothing was left open."""
        with _guard:
            if self._descriptor < 0:
                return
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1
            _locked_files.discard(self._key)


def read_holder(path: Path) -> Holder | None:
    """Who holds a record now, by its lock file; ``None`` if nobody does.

    One on another machine cannot be checked and is taken to hold it.
    """
    with _guard:
        try:
            # Closing a descriptor of a file that is locked here would give that lock back.
            if _key(path.stat()) in _locked_files:
                return Holder.here()
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            holder = _read(descriptor)
        finally:
            os.close(descriptor)
    return holder if holder is not None and holder.lives() else None


def _connection_file() -> str:
    if not Application.initialized():
        return ""
    # A kernel is an application that has this; asking it loads nothing that is not there.
    path = str(getattr(Application.instance(), "abs_connection_file", ""))
    return str(Path(path).absolute()) if path else ""


def boot_id() -> str:
    """Differs after every start of the machine."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _take(descriptor: int, path: Path) -> Holder | None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _read(descriptor)
        if error.errno in _BUSY:
            raise _locked(path, holder.as_text() if holder else "another process") from None
        if error.errno not in _NO_LOCKS:
            raise
        if holder and holder != Holder.here() and holder.lives():
            raise _locked(path, holder.as_text()) from None
        return holder
    return _read(descriptor)


def _read(descriptor: int) -> Holder | None:
    try:
        return read(Holder, json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return None


def _locked(path: Path, holder: str) -> LedgerLocked:
    return LedgerLocked(
        f"the record {path.parent} is being written by {holder}",
        why="a record has one writer, or its order would mean nothing",
        do="go on there, or close that kernel and try again; here it can be read",
    )


def _key(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _forget_after_fork() -> None:
    # Locks are not inherited, and the guard may have been held by another thread.
    global _guard
    _guard = threading.Lock()
    _locked_files.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
