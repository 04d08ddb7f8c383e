"""One rig for every case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import engine_rig
import pytest
from outside_world import CANARY


@pytest.fixture
def intern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engine_rig.Engine]:
    with engine_rig.engine(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def outside(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file outside the workspace, with a link to its folder inside."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x").write_text(CANARY)
    (tmp_path / "link").symlink_to(outside)
    return outside
