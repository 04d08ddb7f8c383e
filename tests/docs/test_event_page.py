"""The fact of ``docs/extend/event.md``, put into a copy of the package, is there after a reopen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, block

PAGE = "event.md"
UNION = "\n)  # fmt: skip\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as it is once the page was followed."""
    folder = tmp_path_factory.mktemp("copy")
    data = shutil.ignore_patterns("labextension", "nano", "__pycache__")
    copy = shutil.copytree(ROOT / "mlintern_jupyter", folder / "mlintern_jupyter", ignore=data)
    put(
        copy / "events.py",
        ("\n\nFact = (", f"\n\n{block(PAGE, 'events.py')}\n\nFact = ("),
        (UNION, f"\n    | CellBookmarked{UNION}"),
    )
    put(
        copy / "record" / "state.py",
        ("    AgentStarted,\n", "    AgentStarted,\n    CellBookmarked,\n"),
        ('    goal: str = ""\n', f'    goal: str = ""\n{block(PAGE, "state.py field")}'),
        ("\n}\n", f"\n{block(PAGE, 'state.py table')}}}\n"),
    )
    return folder


def put(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        before, found, after = text.rpartition(old)
        assert found, f"{path.name} has no {old!r} any more"
        text = before + new + after
    path.write_text(text, encoding="utf-8")


def test_the_fact_is_committed_read_again_and_folded(package: Path, tmp_path: Path):
    (tmp_path / "use.py").write_text(block(PAGE, "use.py"))
    done = subprocess.run(
        [sys.executable, tmp_path / "use.py", tmp_path],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_version_without_the_fact_shows_the_record_and_writes_nothing(
    package: Path, tmp_path: Path
):
    test_the_fact_is_committed_read_again_and_folded(package, tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from mlintern_jupyter.record.ledger import Ledger\n"
        "ledger = Ledger.view(Path(sys.argv[1]) / 'session-1')\n"
        "print(len(ledger.facts), ledger.read_only)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("1 ")
    assert "CellBookmarked" in said.stdout
