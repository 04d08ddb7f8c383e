"""Reading ``metrics.jsonl`` while a script writes it: of each look only what is new is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

_CHECKED_BYTES = 64
"""So much before the place that was reached is read again: is this still the same file?"""


class MetricsFile:
    """A growing file of JSON objects, one a line, and how far it was read."""

    def __init__(self, path: Path, most_bytes: int | None = None) -> None:
        """Begin at the start.

        Args:
            path: the file; it need not be there yet.
            most_bytes: of a file that grew by more than this, the part before it is passed over.
        """
        self._path = path
        self._most_bytes = most_bytes
        self._offset = 0
        self._inode = 0
        self._before = b""

    def new_rows(self) -> tuple[bool, list[dict[str, Any]]]:
        """What was added since the last call.

        A line that is being written is left for the next call; one that is no JSON object is passed
        over.

        Returns:
            Whether the file begins anew (replaced, cut or written over), so that what was read
            before does not count, and the rows.
        """
        try:
            with self._path.open("rb") as file:
                return self._read(file)
        except OSError:
            # A new attempt has a new folder, and no file in it at first.
            anew, self._offset, self._before = self._offset > 0, 0, b""
            return anew, []

    def _read(self, file: BinaryIO) -> tuple[bool, list[dict[str, Any]]]:
        about = os.fstat(file.fileno())
        size, inode = about.st_size, about.st_ino
        anew = self._offset > 0 and not self._continues(file, size, inode)
        if anew:
            self._offset, self._before = 0, b""
        self._inode = inode
        start = self._offset
        if self._most_bytes is not None:
            start = max(start, size - self._most_bytes)
        if size <= start:
            return anew, []
        file.seek(start)
        data = file.read(size - start)
        rows, whole = _rows(data)
        self._offset = start + whole
        self._before = (self._before + data[:whole])[-_CHECKED_BYTES:]
        return anew, rows

    def _continues(self, file: BinaryIO, size: int, inode: int) -> bool:
        if inode != self._inode or size < self._offset:
            return False
        if size == self._offset:
            return True
        file.seek(self._offset - len(self._before))
        return file.read(len(self._before)) == self._before


def _rows(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The rows in these bytes, and how many of the bytes they and odd lines between them are."""
    whole = data.rfind(b"\n") + 1
    rows = [row for line in data[:whole].split(b"\n") if (row := _row(line)) is not None]
    # A script that ended need not have ended its last line; an object is whole when it is closed.
    last = _row(data[whole:])
    return (rows, whole) if last is None else ([*rows, last], len(data))


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", row) if isinstance(row, dict) else None


class MetricsRows:
    """Every row of a metrics file, for a job that is followed."""

    def __init__(self, path: Path) -> None:
        self._file = MetricsFile(path)
        self._reset()

    def _reset(self) -> None:
        self.rows: tuple[dict[str, Any], ...] = ()
        self.newest: dict[str, float] = {}
        """The newest value of each number."""
        self.step: int | None = None
        self.total_steps: int | None = None

    def read(self) -> None:
        """Take in what was added."""
        anew, added = self._file.new_rows()
        if anew:
            self._reset()
        if not added:
            return
        self.rows = (*self.rows, *added)
        # Another object: a status that was handed out keeps its own.
        self.newest = self.newest | _numbers(added)
        self.step = _newest_whole(added, "step", self.step)
        self.total_steps = _newest_whole(added, "total_steps", self.total_steps)


def _numbers(rows: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = value
    return found


def _newest_whole(rows: list[dict[str, Any]], name: str, before: int | None) -> int | None:
    for row in reversed(rows):
        value = row.get(name)
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    return before
