"""The nano path for real, and its record run again in four states by three programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from record_runs import Run, copied, guarded, payloads, verdicts

from mlintern_jupyter.testing.tripwires import offences

pytestmark = pytest.mark.timeout(1800)


def test_the_run_improves_the_model_and_says_so(finished: Run) -> None:
    metrics = finished.answer["metrics"]
    assert finished.answer["status"] == "completed"
    assert metrics["verdict"] == "improved"
    assert metrics["before"]["split"] == "heldout"
    assert metrics["after"]["accuracy"] - metrics["before"]["accuracy"] > 0.3


def test_the_notebook_is_valid_and_holds_the_whole_story_in_order(finished: Run) -> None:
    notebook = nbformat.read(finished.notebook, as_version=4)
    nbformat.validate(notebook)
    kinds = [c.metadata.mlintern.kind for c in notebook.cells if "mlintern" in c.metadata][1:]
    story = ["plan", "eval", "literature", "dataset", "script", "eval", "plot", "report"]
    places = iter(kinds)
    assert all(kind in places for kind in story), kinds
    assert kinds.count("script") >= 2, "one more idea follows the first training"
    assert not any(o.output_type == "error" for c in notebook.cells for o in c.get("outputs", ()))


def test_the_baseline_is_measured_before_anything_else(finished: Run) -> None:
    proposed = [f for f in finished.facts() if f["type"] == "CellProposed"]
    scripts = [f["n"] for f in proposed if f["kind"] == "script"]
    assert next(f["n"] for f in proposed if f["kind"] == "eval") < min(scripts)


def test_held_out_items_are_looked_at_once_each_and_never_shown(finished: Run) -> None:
    looks = [r for r in payloads(finished.notebook, "eval") if r["split"] == "heldout"]
    assert len({r["key"] for r in looks}) == 2
    lines = (finished.folder / "intern_runs" / "looks.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert not (finished.folder / "intern_runs" / "heldout_reads.jsonl").exists()
    assert list(finished.folder.rglob("heldout*")) == []


def test_saved_records_hold_no_widgets_no_html_and_no_path_of_this_machine(finished: Run) -> None:
    text = finished.notebook.read_text()
    assert "application/vnd.jupyter.widget-view+json" not in text
    assert "text/html" not in text
    assert str(finished.folder) not in text


def cut(notebook: Path, ledger: Path) -> None:
    """Leave what a kill inside the last training's wait would have left."""
    lines = ledger.read_text().splitlines(keepends=True)
    facts = [json.loads(line) for line in lines]
    started = [f for f in facts if f["type"] == "CellStarted" and ".result()" in f["source"]]
    scripts = {f["cell_id"] for f in facts if f["type"] == "CellProposed" and f["kind"] == "script"}
    first = next(f["n"] for f in facts if f["type"] == "CellStarted" and f["cell_id"] in scripts)
    at = next(f["n"] for f in started if f["n"] > first)
    ledger.write_text("".join(lines[:at]))
    kept = {f["cell_id"] for f in facts[:at] if f["type"] in {"CellProposed", "SessionStarted"}}
    content = json.loads(notebook.read_text())
    marked = [c for c in content["cells"] if c["metadata"].get("mlintern")]
    gone = {c["id"] for c in marked if c["id"] not in kept}
    content["cells"] = [c for c in content["cells"] if c["id"] not in gone]
    content["cells"][-1]["outputs"] = []
    notebook.write_text(json.dumps(content))


def execute(notebook: Path, env: dict[str, str]) -> Path:
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(notebook)]
    _run(command, notebook, env)
    return notebook


def papermill(notebook: Path, env: dict[str, str]) -> Path:
    out = notebook.with_name("out.ipynb")
    _run([sys.executable, "-m", "papermill", str(notebook), str(out)], notebook, env)
    return out


def nbval(notebook: Path, env: dict[str, str]) -> Path:
    command = [
        sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider",
        "--rootdir", str(notebook.parent), "-c", "/dev/null", str(notebook),
    ]  # fmt: skip
    _run(command, notebook, env)
    return notebook


def _run(command: list[str], notebook: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=notebook.parent, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", [execute, papermill, nbval])
@pytest.mark.parametrize("state", ["finished", "cut off", "without its ledger"])
def test_a_record_runs_again_without_model_job_or_network(
    finished: Run, tmp_path: Path, state: str, program
) -> None:
    folder = tmp_path / "copy"
    notebook = copied(finished, folder)
    if state == "cut off":
        cut(notebook, folder / finished.ledger.relative_to(finished.folder))
    if state == "without its ledger":
        for other in folder.iterdir():
            if other != notebook and other.is_dir():
                shutil.rmtree(other)
    expected = verdicts(notebook)
    assert (state == "cut off") == (expected == [])
    env = guarded(tmp_path, jobs=False)
    result = program(notebook, env)
    assert offences(tmp_path / "guard") == []
    assert verdicts(result) == expected


def test_rerun_trains_again_and_gets_the_same_numbers(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    notebook = copied(finished, folder)
    before = {r["key"]: r["correct"] for r in payloads(notebook, "eval")}
    looks = (folder / "intern_runs" / "looks.jsonl").read_text().splitlines()
    env = guarded(tmp_path, jobs=True) | {"MLINTERN_RERUN": "1"}
    execute(notebook, env)
    assert offences(tmp_path / "guard") == []
    assert verdicts(notebook) == verdicts(finished.notebook)
    after = {r["key"]: r["correct"] for r in payloads(notebook, "eval")}
    assert after == before
    again = (folder / "intern_runs" / "looks.jsonl").read_text().splitlines()
    assert len(again) == 2 * len(looks), "held-out items were really looked at again"
