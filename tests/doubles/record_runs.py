"""One real run of the nano path, made once, and ways to run its record again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.cells import RECORD_MIME
from mlintern_jupyter.testing.tripwires import guard_environment

TASK = "nano/mcq"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its notebook, and what the command answered."""

    folder: Path
    answer: dict[str, Any]

    @property
    def notebook(self) -> Path:
        return Path(self.answer["notebook"])

    @property
    def ledger(self) -> Path:
        return Path(self.answer["ledger"])

    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What ``make demo`` does, without the page."""
    folder = tmp_path_factory.mktemp("run")
    command = [
        sys.executable, "-m", "mlintern_jupyter", "run", f"improve {TASK}", "--notebook",
        str(folder / "run.ipynb"), "--model", "playbook", "--mode", "unattended",
        "--budget", "1", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Run(folder, json.loads(done.stdout.strip().splitlines()[-1]))


def copied(run: Run, to: Path) -> Path:
    """The run's folder somewhere else; returns its notebook there."""
    shutil.copytree(run.folder, to, dirs_exist_ok=True)
    return to / run.notebook.name


def guarded(folder: Path, *, jobs: bool) -> dict[str, str]:
    """An environment in which a connection, or a child process, or litellm is an offence."""
    hook = folder / "guard"
    hook.mkdir()
    env = {**os.environ, **guard_environment(hook, loopback=False, processes=jobs)}
    blocked = hook / "litellm"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError('litellm is not installed here')\n")
    env.pop("MLINTERN_RERUN", None)
    return env


def payloads(notebook: Path, what: str) -> list[dict[str, Any]]:
    """Records of a kind in a notebook's outputs."""
    found: list[dict[str, Any]] = []
    for cell in json.loads(notebook.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            record = output.get("data", {}).get(RECORD_MIME)
            if record and record["what"] == what:
                found.append(record)
    return found


def verdicts(notebook: Path) -> list[tuple[str, float, float]]:
    """Word, difference and p of every comparison, in order."""
    return [(r["word"], r["difference"], r["p"]) for r in payloads(notebook, "comparison")]
