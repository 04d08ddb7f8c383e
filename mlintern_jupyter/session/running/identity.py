"""Which session a magic cell belongs to: by the stamp in its text, else by its cell id."""

from __future__ import annotations

import difflib
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.record.durable import fallback_root

_STAMP = re.compile(r"\s--session[= ]([a-z0-9][a-z0-9-]{0,63})(?=\s|$)")
_AGAIN = re.compile(r"\s--again(?=\s|$)")


def new_session_id(goal: str) -> str:
    """A short name a person can type: a word of the goal and four random hex digits."""
    words = re.findall(r"[a-z0-9]+", goal.lower())
    word = words[-1] if words else "session"
    return f"{word[:20]}-{secrets.token_hex(2)}"


def stamped(source: str, session: str) -> str:
    """The magic cell's text with its session on the first line, and without ``--again``."""
    first, newline, rest = source.partition("\n")
    first = _AGAIN.sub("", _STAMP.sub("", first)).rstrip()
    return f"{first} --session {session}{newline}{rest}"


def unstamped(source: str) -> str:
    """What the person wrote, for telling a changed cell from one that was only run again."""
    first, _, rest = source.strip().partition("\n")
    first = " ".join(_AGAIN.sub("", _STAMP.sub("", first)).split())
    body = "\n".join(line.rstrip() for line in rest.strip().splitlines())
    return f"{first}\n{body}" if body else first


def difference(before: str, after: str) -> str:
    """What changed in the magic cell, as a unified diff without its header."""
    lines = difflib.unified_diff(
        unstamped(before).splitlines(), unstamped(after).splitlines(), lineterm="", n=1
    )
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


@dataclass(frozen=True)
class SessionFolder:
    """A record on disk, known by its first ledger line alone."""

    session: str
    path: Path
    cell_id: str
    goal: str


def session_folders(root: Path) -> list[SessionFolder]:
    """Every record of a folder, oldest first; what cannot be read is left out.

    Records that could not be written there went to the user's data folder; they are found too.
    """
    found: list[tuple[float, SessionFolder]] = []
    for ledger in (*root.glob("*/ledger.jsonl"), *fallback_root().glob("*/ledger.jsonl")):
        try:
            # As bytes: a damaged line further on must not hide the record.
            with ledger.open("rb") as lines:
                first: Any = json.loads(lines.readline())
            made = ledger.stat().st_mtime
        except (OSError, ValueError):
            continue
        if not isinstance(first, dict) or "session" not in first:
            continue
        known = cast("dict[str, Any]", first)
        folder = SessionFolder(
            str(known["session"]), ledger.parent, str(known["cell_id"]), str(known["goal"])
        )
        found.append((made, folder))
    return [folder for _, folder in sorted(found, key=lambda pair: pair[0])]


def find_session(root: Path, session: str | None, cell_id: str) -> SessionFolder | None:
    """The record a magic cell belongs to: the stamp decides, then the cell's id."""
    folders = session_folders(root)
    if session is not None:
        return next((f for f in folders if f.session == session), None)
    if not cell_id:
        return None
    return next((f for f in reversed(folders) if f.cell_id == cell_id), None)
