"""Trained for real on rows whose answers belong to other rows, nothing may be claimed.

Sums, because there nothing can be won back: of random letters in multiple choice the playbook finds
the contradictions, keeps each question's majority, and really does improve the model.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from record_runs import payloads

from mlintern_jupyter.bench.task import load_rows, materialise, open_task

pytestmark = pytest.mark.timeout(1800)


def test_shuffled_labels_end_in_no_evidence(tmp_path: Path) -> None:
    files = materialise(open_task("nano/sum"), tmp_path / "shuffled")
    rows = load_rows(files.train)
    answers = [row["answer"] for row in rows]
    random.Random(0).shuffle(answers)
    mixed = [{**row, "answer": answer} for row, answer in zip(rows, answers, strict=True)]
    files.train.write_text("".join(json.dumps(row) + "\n" for row in mixed))
    description = files.description.read_text().replace('"nano/sum"', '"shuffled"')
    files.description.write_text(description)

    command = [
        sys.executable, "-m", "mlintern_jupyter", "run", "improve ./shuffled", "--notebook",
        "run.ipynb", "--model", "playbook", "--mode", "unattended", "--budget", "1", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["metrics"]["verdict"] in {"", "no evidence"}
    notebook = Path(answer["notebook"])
    trained = [r for r in payloads(notebook, "job") if r["state"] == "completed"]
    assert trained, "it did train"
    cells = json.loads(notebook.read_text())["cells"]
    report = next(c for c in cells if c["metadata"].get("mlintern", {}).get("kind") == "report")
    assert "no evidence" in "".join(report["source"])
