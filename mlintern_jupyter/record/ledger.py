"""The one source of truth: an append-only file of facts, each durable before its effect happens.

``commit`` returns when the fact is on disk, or raises ``LedgerUnwritable`` and leaves the file as
it was. Secrets are taken out first, so the fact that everybody else sees is the fact on disk. A
record that is damaged, written by a newer version or held by another process can still be read
(``view``), and what is whole of it can be copied (``fork``).
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from mlintern_jupyter.errors import LedgerDamaged, LedgerUnwritable, RecordError
from mlintern_jupyter.event_json import fact_from_wire, to_wire
from mlintern_jupyter.events import Fact
from mlintern_jupyter.protocols import Scrub
from mlintern_jupyter.record.blobs import Blobs
from mlintern_jupyter.record.chain import (
    NumberedFact,
    Reading,
    dumps,
    read_chain,
    seal,
    written_by,
)
from mlintern_jupyter.record.durable import (
    fallback_root,
    make_folder,
    sync_folder,
    unwritable,
    writable_root,
    write_all,
    write_file,
)
from mlintern_jupyter.record.lock import Lock

__all__ = [
    "LEDGER_FILE",
    "Ledger",
    "NumberedFact",
    "fallback_root",
    "fork",
    "fsync",
    "writable_root",
]

LEDGER_FILE = "ledger.jsonl"
fsync = os.fsync
"""Looked up at every call, so that a test can end the process exactly there."""

_open_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()


class Ledger:
    """A record folder, open for one writer or for reading: ``create``, ``open`` or ``view``."""

    def __init__(self, folder: Path, reading: Reading, *, read_only: str = "") -> None:
        self.folder = folder
        self.damage = reading.damage
        """What is wrong with the first line that does not verify; empty if all do."""
        self.read_only = read_only
        """Why nothing can be committed; empty for the writer."""
        self.note = ""
        """What the person should know about how it was opened."""
        self._facts = reading.facts
        self._count: int = reading.count
        self._head = reading.head
        self._size: int = reading.size
        self._guard = threading.Lock()
        self._blobs = Blobs(folder / "blobs", _sync)
        self._descriptor = -1
        self._lock: Lock | None = None
        self._scrub: Scrub | None = None

    @classmethod
    def create(cls, folder: Path, scrub: Scrub) -> Ledger:
        """Start an empty record in a folder that has none yet.

        Raises:
            LedgerUnwritable: the folder cannot be made or written, or holds a record.
            LedgerLocked: another process is at work in it.
        """
        try:
            make_folder(folder, _sync)
        except OSError as error:
            raise unwritable(error, folder) from error
        ledger = cls(folder, Reading())
        ledger._start_writing(scrub, os.O_CREAT | os.O_EXCL)
        return ledger

    @classmethod
    def open(cls, folder: Path, scrub: Scrub) -> Ledger:
        """Go on with a record; one that a newer version wrote is opened ``read_only``.

        Raises:
            RecordError: there is no record.
            LedgerLocked: another process writes it; ``view`` still reads it.
            LedgerDamaged: a complete line does not verify; ``view`` shows what is before it.
            LedgerUnwritable: it can be read but not written.
        """
        _content(folder)
        lock = _lock(folder)
        try:
            reading = read_chain(_content(folder), Blobs(folder / "blobs", _sync).get)
            if reading.damage:
                raise _damaged(folder, reading)
            if reading.newer:
                lock.release()
                return cls(folder, reading, read_only=_needs_newer(reading))
            ledger = cls(folder, reading)
            ledger._start_writing(scrub, 0, lock)
            ledger._mend(unended=reading.unended)
        except BaseException:
            # A lock kept by a ledger that nobody holds would shut everybody out.
            lock.release()
            raise
        ledger.note = lock.note
        return ledger

    @classmethod
    def view(cls, folder: Path) -> Ledger:
        """Read a record without a lock and without changing a byte; stops before any damage.

        Raises:
            RecordError: there is no record, or it cannot be read.
        """
        reading = read_chain(_content(folder), Blobs(folder / "blobs", _sync).get)
        reason = "it was opened for reading only"
        if reading.damage:
            reason = f"it is damaged: {reading.damage}"
        elif reading.newer:
            reason = _needs_newer(reading)
        return cls(folder, reading, read_only=reason)

    @property
    def facts(self) -> tuple[NumberedFact, ...]:
        """Everything committed so far. A copy: use ``since`` to follow a long record."""
        with self._guard:
            return tuple(self._facts)

    def since(self, number: int) -> tuple[NumberedFact, ...]:
        """The facts after the one with this number."""
        with self._guard:
            first = len(self._facts)
            while first and self._facts[first - 1].number > number:
                first -= 1
            return tuple(self._facts[first:])

    def commit(self, fact: Fact) -> int:
        """Make a fact durable and return its number. May be called from any thread.

        Raises:
            LedgerUnwritable: it is not durable, and the file is as it was before.
        """
        scrub = self._scrub
        if scrub is None:
            self._refuse()
        try:
            content = dumps(scrub.data(to_wire(fact)))
            # Read back, so that nobody ever sees what the ledger does not say.
            data: dict[str, Any] = json.loads(content)
            kept = fact_from_wire(data)
        except (TypeError, ValueError, RecursionError, KeyError) as error:
            raise LedgerUnwritable(
                f"{type(fact).__name__} cannot be written down", why=str(error)
            ) from error
        with self._guard:
            if self._descriptor < 0:
                self._refuse()
            return self._append(data, kept)

    def close(self) -> None:
        """Give the record free for another writer. Closing twice is closing once."""
        with self._guard:
            if self._descriptor >= 0:
                self._shut("it was closed")

    def _append(self, data: dict[str, Any], fact: Fact) -> int:
        before = (self._count, self._head, self._size, len(self._facts))
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._check_undisturbed()
            line, head = seal(self._count + 1, at, data, self._head, self._blobs.put)
            write_all(self._descriptor, line)
            fsync(self._descriptor)
            self._facts.append(NumberedFact(self._count + 1, at, fact))
            self._count, self._head, self._size = self._count + 1, head, self._size + len(line)
        except BaseException as error:
            # KeyboardInterrupt too: cells commit in the main thread, where the person interrupts.
            self._count, self._head, self._size, known = before
            del self._facts[known:]
            self._roll_back()
            if isinstance(error, OSError):
                raise unwritable(error, self.folder) from error
            raise
        return self._count

    def _check_undisturbed(self) -> None:
        stat = os.fstat(self._descriptor)
        if stat.st_nlink == 0:
            self._shut("its file was deleted or replaced")
            self._refuse()
        if stat.st_size != self._size:
            self._shut("something else changed its file")
            self._refuse()

    def _roll_back(self) -> None:
        if self._descriptor < 0:
            return
        try:
            if os.fstat(self._descriptor).st_size > self._size:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._shut(f"part of a line could not be taken back: {error.strerror}")

    def _start_writing(self, scrub: Scrub, flags: int, lock: Lock | None = None) -> None:
        path = self.folder / LEDGER_FILE
        lock = lock or _lock(self.folder)
        try:
            mode = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags
            self._descriptor = os.open(path, mode, 0o644)
            sync_folder(self.folder, _sync)
        except OSError as error:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            lock.release()
            if isinstance(error, FileExistsError):
                raise LedgerUnwritable(
                    f"{self.folder} already holds a record", do="open it, or take another name"
                ) from None
            raise unwritable(error, path) from error
        self._lock = lock
        self._scrub = scrub
        _open_ledgers.add(self)

    def _mend(self, *, unended: bool) -> None:
        try:
            os.ftruncate(self._descriptor, self._size)
            if unended:
                write_all(self._descriptor, b"\n")
                self._size += 1
            fsync(self._descriptor)
        except OSError as error:
            self._shut("it cannot be written")
            raise unwritable(error, self.folder) from error

    def _shut(self, reason: str) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        if self._lock is not None:
            self._lock.release()
        self.read_only = reason

    def _after_fork(self) -> None:
        # The child must not write the parent's record; its copy of the guard may be held for ever,
        # and the lock is the parent's to release.
        self._guard = threading.Lock()
        self._lock = None
        if self._descriptor >= 0:
            self._shut("this process was forked from the one that writes it")

    def _refuse(self) -> NoReturn:
        raise LedgerUnwritable(
            f"the record {self.folder} cannot be written, so nothing more is done",
            why=self.read_only,
            do="open the session again; everything recorded so far is kept",
        )


def fork(folder: Path, to: Path) -> int:
    """Copy a record up to its last line that verifies, and return how many lines that is.

    Raises:
        RecordError: there is no record to copy.
        LedgerUnwritable: the new folder cannot be written, or holds a record.
    """
    content = _content(folder)
    source = Blobs(folder / "blobs", _sync)
    reading = read_chain(content, source.get)
    whole = content[: reading.size] + (b"\n" if reading.unended else b"")
    if (to / LEDGER_FILE).exists():
        raise LedgerUnwritable(f"{to} already holds a record", do="take another name")
    try:
        make_folder(to, _sync)
        target = Blobs(to / "blobs", _sync)
        for name in reading.blobs:
            target.put(source.get(name) or b"")
        write_file(to / LEDGER_FILE, whole, _sync)
    except OSError as error:
        raise unwritable(error, to) from error
    return reading.count


def _sync(descriptor: int) -> None:
    fsync(descriptor)


def _content(folder: Path) -> bytes:
    try:
        return (folder / LEDGER_FILE).read_bytes()
    except OSError as error:
        raise RecordError(
            f"there is no readable record in {folder}",
            why=error.strerror or str(error),
            do="`%intern sessions` lists the records there are",
        ) from error


def _lock(folder: Path) -> Lock:
    try:
        return Lock.acquire(folder / "lock")
    except OSError as error:
        raise unwritable(error, folder) from error


def _damaged(folder: Path, reading: Reading) -> LedgerDamaged:
    return LedgerDamaged(
        f"the record {folder} is damaged",
        why=reading.damage,
        do=f"the {reading.count} lines before it can be read, and copied to go on from there",
    )


def _needs_newer(reading: Reading) -> str:
    version = written_by(reading)
    started = f" (the record was started by version {version})" if version else ""
    return f"a newer version of mlintern-jupyter wrote it: {reading.newer}; install that{started}"


def _forget_after_fork() -> None:
    for ledger in list(_open_ledgers):
        ledger._after_fork()  # pyright: ignore[reportPrivateUsage]


os.register_at_fork(after_in_child=_forget_after_fork)
