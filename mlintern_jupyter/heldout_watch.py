"""Tells when held-out items are opened by anything but the scorer.

A held-out file is one named ``heldout.bin`` or ``heldout.jsonl`` beside a ``task.toml``. The wire
is Python's audit event ``open``: it sees ``open``, ``Path.read_text``, ``shutil.copy``, pandas and
datasets. It does *not* see other programs (``cat``), C++ readers (parquet) or a second Python: a
guard against accidents, which voids a claim, and no lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlintern_jupyter.errors import InternError

READS = "heldout_reads.jsonl"
_NAMES = ("heldout.bin", "heldout.jsonl")


def watch(report: Callable[[str], None]) -> None:
    """From now on call ``report(path)`` when this process opens a held-out file, once per file.

    An audit hook cannot be taken back: it stays for the life of the process.
    """
    seen: set[str] = set()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        # An int is a descriptor that is open already.
        if event != "open" or args[0] is None or isinstance(args[0], int):
            return
        path = os.fsdecode(args[0])
        if not path.endswith(_NAMES) or path in seen or not _is_held_out(path, args):
            return
        seen.add(path)
        # A hook that raises would break the script's open, which is not ours to forbid.
        with contextlib.suppress(OSError, InternError):
            report(str(Path(path).absolute()))

    sys.addaudithook(hook)


def _is_held_out(path: str, args: tuple[Any, ...]) -> bool:
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
    for_reading = flags & os.O_ACCMODE != os.O_WRONLY
    file = Path(path)
    return for_reading and file.name in _NAMES and (file.parent / "task.toml").exists()


def write_read(folder: Path, path: str, by: str) -> None:
    """Add one opening of a held-out file to a folder's list.

    Args:
        folder: A job's folder, or the record's.
        path: The file that was opened.
        by: Who opened it, e.g. ``job sft-1-0a1b2c3d``.
    """
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"at": at, "path": path, "by": by})
    with (folder / READS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def void_reason(folder: Path) -> str:
    """Why no claim may rest on what is in this folder; empty when nothing was opened."""
    try:
        lines = (folder / READS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            read = json.loads(line)
            return f"held-out items were opened by {read['by']} ({Path(read['path']).name})"
    return f"{READS} cannot be read" if lines else ""
