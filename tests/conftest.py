"""Every test runs without a network beyond this machine, without keys, and on one thread each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine that pauses is no defect of a property: neither its examples nor the making of them.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
# Two spinning threads on two shared cores are many times slower than one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


LONG = ("record_run", "kill", "faults")
"""Folders whose files take minutes: begun first, so that no process works on alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that share the work among processes are handed out in the order of their tests."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(autouse=True)
def no_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's own configuration and keys are not part of a test."""
    empty: Path = tmp_path_factory.getbasetemp() / "no-config.toml"
    monkeypatch.setenv("MLINTERN_CONFIG", str(empty))
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
