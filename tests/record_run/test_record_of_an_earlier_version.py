"""A record that an earlier version made, before modules moved: it opens, runs again and resumes.

``tests/fixtures/record_of_0_1_0`` is a whole run of ``make demo`` by commit 02dea33, its folder's
path replaced and its lines sealed again by that version.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from record_runs import guarded, payloads, verdicts

from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.record.state import SessionState, fold

FIXTURE = Path(__file__).parents[1] / "fixtures" / "record_of_0_1_0"
SESSION = "mcq-b3df"
BEFORE_THE_REPORT = 341
"""Lines of the ledger up to the last call before the report is written."""

pytestmark = [pytest.mark.timeout(600)]


def unpacked(name: str) -> bytes:
    return gzip.decompress((FIXTURE / f"{name}.gz").read_bytes())


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The notebook with its record beside it."""
    folder = tmp_path / "intern_runs" / SESSION
    (folder / "blobs").mkdir(parents=True)
    (folder / LEDGER_FILE).write_bytes(unpacked(LEDGER_FILE))
    for packed in FIXTURE.glob("blob-*.gz"):
        name = packed.name.removesuffix(".gz")
        (folder / "blobs" / name.removeprefix("blob-")).write_bytes(unpacked(name))
    notebook = tmp_path / "notebook.ipynb"
    notebook.write_bytes(unpacked("notebook.ipynb"))
    return notebook


def state_of(notebook: Path) -> SessionState:
    return fold(Ledger.view(notebook.parent / "intern_runs" / SESSION).facts)


def mlintern(notebook: Path, *words: str) -> str:
    command = [sys.executable, "-m", "mlintern_jupyter", *words]
    done = subprocess.run(command, cwd=notebook.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_ledger_is_read_to_the_same_end(record: Path) -> None:
    state = state_of(record)
    assert state.status == "completed"
    assert state.outcome is not None
    assert state.outcome.summary.startswith("**improved**: `sft-option-by-option-heldout`")
    assert [item["state"] for item in state.plan] == ["done"] * 8
    assert len(state.cells) == 21
    assert (state.spent.steps, state.spent.usd) == (46, 0.0)
    assert SESSION in mlintern(record, "status")


def test_its_notebook_runs_again_to_the_same_verdict(record: Path, tmp_path: Path) -> None:
    before = verdicts(record)
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace", str(record)],
        cwd=record.parent, env=guarded(tmp_path, jobs=False), capture_output=True, check=True,
    )  # fmt: skip
    assert before
    assert verdicts(record) == before


def test_it_is_resumed_where_it_stopped_and_comes_to_the_same_verdict(record: Path) -> None:
    ledger = record.parent / "intern_runs" / SESSION / LEDGER_FILE
    whole = state_of(record)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:BEFORE_THE_REPORT]))
    assert state_of(record).status != "completed"
    answer = json.loads(
        mlintern(record, "run", "--resume", "--notebook", str(record), "--json").splitlines()[-1]
    )
    assert answer["status"] == "completed"
    state = state_of(record)
    assert state.outcome is not None
    assert whole.outcome is not None
    assert state.outcome.summary == whole.outcome.summary
    *known, report = whole.cells
    assert list(state.cells)[:-1] == known
    assert state.cells[list(state.cells)[-1]].source == whole.cells[report].source
    assert payloads(record, "comparison")
