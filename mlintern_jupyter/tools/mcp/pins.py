"""The manifests a person said yes to, kept in the user's data folder."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.tools.mcp.manifest import Manifest


def pins_path(env: Mapping[str, str]) -> Path:
    """Where the pins are kept unless somebody says otherwise."""
    base = env.get("XDG_DATA_HOME")
    root = Path(base) if base else Path.home() / ".local" / "share"
    return root / "mlintern" / "mcp_pins.json"


class Pins:
    """One manifest a server; a file that cannot be read pins nothing, so everything asks again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, server: str) -> Manifest | None:
        """What was said yes to last."""
        try:
            return Manifest.from_data(self._read()[server])
        except (KeyError, TypeError):
            return None

    def put(self, server: str, manifest: Manifest) -> None:
        """Keep a yes. Raises OSError where it cannot be written: then it is asked again."""
        pins = self._read() | {server: manifest.data()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes a file for this user alone; the other kernels see the old file or the new.
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".mcp_pins")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(pins, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def _read(self) -> dict[str, Any]:
        try:
            read = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
