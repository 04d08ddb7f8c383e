"""One rig for every case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import engine_rig
import pytest


@pytest.fixture
def intern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engine_rig.Engine]:
    with engine_rig.engine(tmp_path, monkeypatch) as made:
        yield made
