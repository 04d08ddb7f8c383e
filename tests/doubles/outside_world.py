"""Places that are none of an intern's business, and what shows that it was there."""

from __future__ import annotations

from pathlib import Path

PATHS = ["../../x", "/etc/passwd", "~", "~/x", "link/x", "a\0b", "..", "C:\\x"]
CANARY = "root:x:0:0:canary-4711"


def tree(*folders: Path) -> set[str]:
    """Everything in and beside the folders, except the record."""
    found = [p for f in folders for p in (*f.rglob("*"), *f.parent.glob("*"))]
    return {str(p) for p in found if "intern_runs" not in p.parts}
