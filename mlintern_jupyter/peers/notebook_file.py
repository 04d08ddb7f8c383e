# pyright: basic
"""The notebook on disk: opened only when it is sound, saved whole or not at all.

A file that somebody else changed meanwhile is never overwritten: the rest goes into a copy beside
it (``name-1.ipynb``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, ValidationError, reader
from nbformat.v4 import new_code_cell, new_notebook

from mlintern_jupyter.errors import InternError, UsageError

_PYTHON = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class NotebookFile:
    """A notebook in memory and the file it is saved to."""

    def __init__(self, path: Path, nb: NotebookNode, say: Callable[[str], None]) -> None:
        self.path = path
        self.nb = nb
        self._say = say
        self._seen = _Seen.of(path)
        self._trouble = ""

    @classmethod
    def create(cls, path: Path, sources: Sequence[str], say: Callable[[str], None]) -> NotebookFile:
        """A new notebook of code cells, saved at once.

        Raises:
            UsageError: there is a file already, or the folder cannot be written.
        """
        path = path.absolute()
        if path.exists():
            raise UsageError(
                f"{path} is there already and was not changed",
                do="name another file, or run the existing one",
            )
        _probe(path)
        cells = [new_code_cell(source) for source in sources]
        file = cls(path, new_notebook(cells=cells, metadata={"kernelspec": _PYTHON}), say)
        file.save()
        return file

    @classmethod
    def open(cls, path: Path, say: Callable[[str], None]) -> NotebookFile:
        """An existing notebook; cells without an id of their own get one.

        Raises:
            UsageError: it cannot be read or written, or is not a notebook of format 4.
        """
        path = path.resolve()
        nb = _read(path)
        _probe(path)
        return cls(path, nb, say)

    def index(self, cell_id: str) -> int | None:
        """Where a cell is."""
        return next((i for i, c in enumerate(self.nb.cells) if c["id"] == cell_id), None)

    def cell(self, cell_id: str) -> NotebookNode | None:
        """A cell by its id."""
        index = self.index(cell_id)
        return None if index is None else self.nb.cells[index]

    def insert(self, cell: NotebookNode, anchors: Sequence[str]) -> None:
        """Put a cell after the last of ``anchors`` that exists, else at the end."""
        found = [index for index in map(self.index, anchors) if index is not None]
        self.nb.cells.insert(max(found) + 1 if found else len(self.nb.cells), cell)

    def save(self) -> bool:
        """Write the file; what went wrong is said once and tried again at the next call."""
        data = (nbformat.writes(self.nb, version=nbformat.NO_CONVERT) + "\n").encode()
        try:
            while (seen := _replace(self.path, data, self._seen)) is None:
                copy = _free_name(self.path)
                self._say(f"{self.path.name} was changed by somebody else; going on in {copy.name}")
                self.path = copy
            self._seen = seen
        except OSError as error:
            if str(error) != self._trouble:
                self._say(f"could not save {self.path.name}: {error}; trying again")
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True

    def save_or_raise(self) -> None:
        """The last save. Raises InternError with what to do."""
        if not self.save():
            raise InternError(
                f"{self.path} could not be saved",
                why=self._trouble,
                do="make room or change its permissions, then run `mlintern export`: "
                "the record holds every cell of the intern",
            )


class _Seen:
    """The file as it was last read or written here."""

    def __init__(self, stamp: tuple[int, int], sha256: str) -> None:
        self._stamp = stamp
        self._sha256 = sha256

    @classmethod
    def of(cls, path: Path) -> _Seen:
        try:
            stamp, data = _stamp(path), path.read_bytes()
        except FileNotFoundError:
            return cls((0, 0), "")
        return cls(stamp, hashlib.sha256(data).hexdigest())

    def changed(self, path: Path) -> bool:
        try:
            if _stamp(path) == self._stamp:
                return False
            return hashlib.sha256(path.read_bytes()).hexdigest() != self._sha256
        except OSError:
            # Deleted or out of reach: writing it again overwrites nothing.
            return False


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _replace(path: Path, data: bytes, before: _Seen) -> _Seen | None:
    """Put the data in the file's place; ``None`` where it is not as it was seen ``before``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        seen = _Seen(_stamp(temporary), hashlib.sha256(data).hexdigest())
        # Only now: a busy disk may have taken seconds over what is above.
        if before.changed(path):
            return None
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return seen


def _free_name(path: Path) -> Path:
    number = 1
    while (copy := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    return copy


def _probe(path: Path) -> None:
    """Find out now, not after hours, whether the file can be saved."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f"{path.name} is read-only")
        temporary.touch(exist_ok=True)
        temporary.unlink()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written",
            why=error.strerror or str(error),
            do="name a file in a folder that exists and can be written",
        ) from None


def _read(path: Path) -> NotebookNode:
    try:
        # Not ``nbformat.read``: it warns about doubled ids and gives them new ones by itself.
        nb: Any = reader.reads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", why=error.strerror or str(error), do="check the name"
        ) from None
    except (ValueError, AttributeError, TypeError, KeyError, ValidationError) as error:
        raise _not_sound(path, f"{type(error).__name__}: {error}".splitlines()[0]) from None
    if nb.get("nbformat") != 4:
        raise UsageError(
            f"{path} is in notebook format {nb.get('nbformat')}, not 4",
            do=f"convert a copy: jupyter nbconvert --to notebook --output converted {path.name}",
        )
    nb.nbformat_minor = max(nb.nbformat_minor, 5)
    _give_ids(nb)
    try:
        nbformat.validate(nb)
    except ValidationError as error:
        raise _not_sound(path, str(error).splitlines()[0]) from None
    return nb


def _not_sound(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} is not a sound notebook; it was not changed",
        why=why,
        do="open and save it in Jupyter, or name another file",
    )


def _give_ids(nb: Any) -> None:
    taken: set[str] = set()
    for cell in nb.get("cells", ()):
        if not cell.get("id") or cell["id"] in taken:
            cell["id"] = uuid.uuid4().hex[:8]
        taken.add(cell["id"])
