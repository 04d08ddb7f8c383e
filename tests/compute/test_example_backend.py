"""The backend of ``docs/extend/example-backend``: no file of ours knows it."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec
from mlintern_jupyter.notebook_api import job
from mlintern_jupyter.protocols import Backend, JobPlace
from mlintern_jupyter.testing.backend_contract import MAKES, DetachedBackendContract
from mlintern_magics.jobs import JobMagics

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "docs" / "extend" / "example-backend"
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package where Python finds it, with the entry point that pip would write."""
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(site))

    def write(name: str, value: str) -> None:
        info = site / f"{name}_backend-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-backend\nVersion: 1\n")
        text = f"[mlintern_jupyter.backends]\n{name} = {value}\n"
        (info / "entry_points.txt").write_text(text)
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("example_backend", None)


@pytest.fixture
def example(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"]
    (entry,) = said["mlintern_jupyter.backends"].items()
    install(*entry)
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.setenv("EXAMPLE_BACKEND_HOME", str(tmp_path / "engine"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


@pytest.mark.usefixtures("example")
class TestExample(DetachedBackendContract):
    on = "example"

    def backend(self, place: JobPlace) -> Backend:
        (entry,) = entry_points(group="mlintern_jupyter.backends", name="example")
        made: Any = entry.load()
        return made(place)


@pytest.mark.usefixtures("example")
def test_a_cell_runs_a_job_on_it_and_what_it_made_comes_home(tmp_path: Path) -> None:
    JobMagics(InteractiveShell()).job("sft-1 --on example", MAKES + "print('trained')\n")
    result = job("sft-1").result()
    assert (result.state, result.log_tail) == ("completed", "trained")
    assert [row["loss"] for row in result.metrics] == [0.5]
    assert (tmp_path / result.model / "config.json").exists()
    assert result.model.startswith("intern_runs/jobs/sft-1-")


@pytest.mark.usefixtures("example")
def test_what_it_refuses_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps no --timeout"):
        JobMagics(InteractiveShell()).job("sft-1 --on example --timeout 4h", "print(1)")
    with pytest.raises(UsageError, match="no place example:big") as wrong:
        JobMagics(InteractiveShell()).job("sft-1 --on example:big", "print(1)")
    assert wrong.value.do == "use --on example"
    with pytest.raises(UsageError, match="no place moon") as unknown:
        JobMagics(InteractiveShell()).job("sft-1 --on moon", "print(1)")
    assert "--on example" in unknown.value.do
    assert not (tmp_path / "intern_runs").exists()


def test_a_backend_that_cannot_be_loaded_is_named_with_its_package(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    install("broken", "no_such_module:Backend")
    with pytest.raises(UsageError, match="backend broken cannot be loaded from broken") as refused:
        JobMagics(InteractiveShell()).job("sft-1 --on broken", "print(1)")
    assert "no_such_module" in refused.value.why


def test_a_package_cannot_take_a_built_in_name(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    install("local", "no_such_module:Backend")
    JobMagics(InteractiveShell()).job("sft-1 --on local", "print(1)")
    assert job("sft-1").result().state == "completed"


def test_nothing_of_ours_knows_the_example() -> None:
    sources = [*(ROOT / "mlintern_jupyter").rglob("*.py"), *(ROOT / "magics").rglob("*.py")]
    assert [p for p in sources if re.search(r"example.backend", p.read_text())] == []


def test_its_page_is_executed_as_it_stands(tmp_path: Path) -> None:
    page = (PACKAGE / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    sys.path.insert(0, str(PACKAGE))
    try:
        names: dict[str, Any] = {}
        exec(compile(code, "README.md", "exec"), names)
    finally:
        sys.path.remove(str(PACKAGE))
        sys.modules.pop("example_backend", None)
    made = names["TestExample"]().backend(JobPlace(tmp_path, lambda label: tmp_path / label))
    assert made.check(JobSpec("a", "1", on="example")).backend == made.name
