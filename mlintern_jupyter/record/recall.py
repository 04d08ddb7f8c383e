"""What the notebooks of a folder already hold, so that a notebook that travels alone still answers.

Evaluations, jobs and comparisons lie in outputs (``RECORD_MIME``), provenance in cell metadata. A
folder is read once per process. A file that cannot be read is passed over: it is not ours to judge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.cells import RECORD_MIME, source_sha256

MAX_BYTES = 50 * 1024 * 1024


@dataclass
class _FolderRecords:
    records: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    marks: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


_known: dict[Path, _FolderRecords] = {}


def find_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Every record payload in the folder's notebooks by key, the newest file's last.

    Where several notebooks hold a key, the newest file wins; a voided one wins over all.
    """
    return _folder_records(folder).records


def find_mark(folder: Path, source: str) -> dict[str, Any] | None:
    """The mark of the cell that ran or was proposed with exactly this text."""
    return _folder_records(folder).marks.get(source_sha256(source))


def find_session_mark(folder: Path, session: str) -> dict[str, Any] | None:
    """The mark that sums up a session (its ``%%intern`` cell's), with ``notebook``, its file."""
    return _folder_records(folder).sessions.get(session)


def forget() -> None:
    """Read every folder anew when it is asked for next."""
    _known.clear()


def _folder_records(folder: Path) -> _FolderRecords:
    key = folder.resolve()
    if key not in _known:
        known_records = _FolderRecords()
        for path in _notebooks(key):
            _read(known_records, path)
        _known[key] = known_records
    return _known[key]


def _notebooks(folder: Path) -> list[Path]:
    """The folder's notebooks, the oldest first."""
    found: list[tuple[int, Path]] = []
    try:
        for path in folder.glob("*.ipynb"):
            stat = path.stat()
            if path.is_file() and not path.name.startswith(".") and stat.st_size <= MAX_BYTES:
                found.append((stat.st_mtime_ns, path))
    except OSError:
        return [path for _, path in sorted(found)]
    return [path for _, path in sorted(found)]


def _read(known_records: _FolderRecords, path: Path) -> None:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    for cell in _dicts(_dict(notebook).get("cells")):
        for output in _dicts(cell.get("outputs")):
            _keep_record(known_records, _dict(_dict(output.get("data")).get(RECORD_MIME)))
        mark = _dict(_dict(cell.get("metadata")).get("mlintern"))
        if mark:
            _keep_mark(known_records, mark, cell, path)


def _keep_record(known_records: _FolderRecords, record: dict[str, Any]) -> None:
    key = record.get("key")
    if not isinstance(key, str):
        return
    earlier = known_records.records.get(key)
    if earlier and earlier.get("voided") and not record.get("voided"):
        return
    known_records.records.pop(key, None)
    known_records.records[key] = record


def _keep_mark(
    known_records: _FolderRecords, mark: dict[str, Any], cell: dict[str, Any], path: Path
) -> None:
    for name in ("proposed_sha256", "run_sha256"):
        if isinstance(mark.get(name), str) and mark[name]:
            known_records.marks[mark[name]] = mark
    session = mark.get("session")
    if isinstance(session, str) and mark.get("summary"):
        known_records.sessions[session] = {**mark, "notebook": str(path)}
        # The magic's own cell: stamping it changed its text after the mark was made.
        known_records.marks[source_sha256(_source(cell))] = mark


def _source(cell: dict[str, Any]) -> str:
    """A file holds a text as one string or as a list of lines."""
    source = cell.get("source")
    if isinstance(source, list):
        return "".join(str(line) for line in cast("list[Any]", source))
    return source if isinstance(source, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [_dict(item) for item in items if isinstance(item, dict)]
