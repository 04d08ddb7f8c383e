"""JSON objects in files of their own: read if they are there, written whole and once."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, cast


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or ``None`` when the file is missing or not (yet) one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def write_once(path: Path, data: dict[str, Any]) -> bool:
    """Write a JSON object whole, unless the file exists; False when somebody was first."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".", encoding="utf-8", delete=False
    ) as draft:
        json.dump(data, draft)
        draft.write("\n")
        draft.flush()
        os.fsync(draft.fileno())
    written = Path(draft.name)
    written.chmod(0o644)
    try:
        path.hardlink_to(written)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    return True
