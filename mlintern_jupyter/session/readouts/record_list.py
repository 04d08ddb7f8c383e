"""The sessions of a folder, each in one line, without reading their ledgers at every look."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlintern_jupyter.errors import InternError
from mlintern_jupyter.record.durable import fallback_root
from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.views import RecordView

MOST = 50
READING_S = 0.2
"""Time one look spends on ledgers it does not know; the next look goes on."""
AGAIN_S = 30.0
"""A ledger that another kernel writes is read again at most this often."""


@dataclass(frozen=True)
class _CachedView:
    size: int
    mtime_ns: int
    read_at: float
    view: RecordView


_known: dict[Path, _CachedView] = {}


def record_views(root: Path, session: Session | None) -> tuple[RecordView, ...]:
    """Sessions of a folder and of the user's data folder, the newest first, at most 50.

    Never raises for a record that cannot be read: its line says so.
    """
    began = time.monotonic()
    return tuple(
        _live(session)
        if session is not None and folder == session.folder
        else _view(folder, size, mtime_ns, began)
        for mtime_ns, size, folder in _newest(root)
    )


def _newest(root: Path) -> list[tuple[int, int, Path]]:
    found: list[tuple[int, int, Path]] = []
    for ledger in _ledgers(root):
        try:
            stat = ledger.stat()
        except OSError:
            # It was moved away between the listing and the look.
            continue
        found.append((stat.st_mtime_ns, stat.st_size, ledger.parent))
    return sorted(found, reverse=True)[:MOST]


def _ledgers(root: Path) -> Iterable[Path]:
    folders = dict.fromkeys((root, fallback_root()))
    return [path for folder in folders for path in folder.glob(f"*/{LEDGER_FILE}")]


def _live(session: Session) -> RecordView:
    with session.reading() as state:
        return _summary(state)


def _view(folder: Path, size: int, mtime_ns: int, began: float) -> RecordView:
    known, now = _known.get(folder), time.monotonic()
    if known is not None:
        fresh = (known.size, known.mtime_ns) == (size, mtime_ns)
        if fresh or now - known.read_at < AGAIN_S:
            return known.view
    if now - began > READING_S:
        if known is not None:
            return known.view
        return RecordView(folder.name, "", f"{folder.name}: not read yet", finished=True)
    view = _read(folder)
    _known[folder] = _CachedView(size, mtime_ns, time.monotonic(), view)
    return view


def _read(folder: Path) -> RecordView:
    try:
        ledger = Ledger.view(folder)
        state = fold(ledger.facts)
    except (InternError, OSError, ValueError, KeyError, TypeError) as error:
        # Somebody else's file may hold anything; the list of the others must not suffer.
        what = error.what if isinstance(error, InternError) else f"{type(error).__name__}: {error}"
        return RecordView(folder.name, "", f"{folder.name}: cannot be read ({what})", True)
    if ledger.damage:
        line = f"{state.session or folder.name}: damaged ({ledger.damage})"
        return RecordView(state.session or folder.name, state.goal, line, finished=True)
    return _summary(state)


def _summary(state: SessionState) -> RecordView:
    finished = state.status == "completed" or not state.turn
    return RecordView(state.session, state.goal, state.summary_line(), finished)
