"""A record's jobs on a machine without a price, and a way to give it one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlintern_jupyter.compute.jobs import Jobs


@pytest.fixture(autouse=True)
def priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say what an hour of this machine costs; nothing as long as this is not called."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("MLINTERN_CONFIG", str(path))
    return lambda usd: path.write_text(f"usd_per_hour = {usd}\n") and None


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path / "intern_runs", tmp_path)
