"""Benchmark files, jobs and records lie beside the notebook, wherever ``%cd`` went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.config import from_notebook, notebook_folder

SCRIPT = """\
import json, os
from pathlib import Path

folder = Path(os.environ["MLINTERN_JOB_DIR"])
(folder / "result.json").write_text(json.dumps({"model": "nano-mcq/base"}))
print(Path("nano-mcq/train.jsonl").exists())
"""
BENCHMARK = """\
from mlintern_jupyter import benchmark

files = benchmark("nano/mcq")
print(files.train.exists(), files.train, files.base_model)
"""
WAIT = """\
from mlintern_jupyter import job

sft = job("sft-1").result()
print(sft.state, sft.log_tail, sft.model)
"""
WHERE = """\
from mlintern_jupyter.notebook_api import benchmark, evaluate
from mlintern_jupyter.config import from_notebook, notebook_folder, record_root
from mlintern_jupyter.session.wiring.briefing import near

print(notebook_folder(), record_root(), near("nano-mcq/base"), near("Qwen/Qwen3"))
print(benchmark("nano-mcq").folder)
"""


def text_of(cell: Any) -> str:
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_a_kernel_that_went_elsewhere_still_works_beside_its_notebook(
    run_notebook: Callable[..., Any], folder: Path
) -> None:
    (folder / "elsewhere").mkdir()
    ran = run_notebook("%cd elsewhere", BENCHMARK, f"%%job sft-1\n{SCRIPT}", WAIT, WHERE)
    _, _, files, _, waited, where = ran.cells
    assert f"True {folder}/nano-mcq/train.jsonl {folder}/nano-mcq/base" in text_of(files)
    assert "· nano-mcq, base model nano-mcq/base" in text_of(files)
    assert "completed True nano-mcq/base" in text_of(waited)
    assert f"{folder} {folder}/intern_runs nano-mcq/base Qwen/Qwen3" in text_of(where)
    assert f"{folder}/nano-mcq" in text_of(where)
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == [
        "elsewhere",
        "intern_runs",
        "nano-mcq",
    ]
    assert list((folder / "elsewhere").iterdir()) == []


def test_a_smoke_and_its_full_run_mean_the_same_files(
    run_notebook: Callable[..., Any], folder: Path
) -> None:
    (folder / "elsewhere").mkdir()
    ran = run_notebook(
        BENCHMARK, "%cd elsewhere", f"%%job sft-1 --on kernel\n{SCRIPT}", "import os; os.getcwd()"
    )
    assert "True" in text_of(ran.cells[3])
    assert text_of(ran.cells[4]).strip("'\n") == str(folder / "elsewhere"), "and goes back"


def test_a_benchmarks_paths_are_relative_where_nobody_went_elsewhere(
    run_notebook: Callable[..., Any],
) -> None:
    ran = run_notebook(BENCHMARK)
    assert "True nano-mcq/train.jsonl nano-mcq/base" in text_of(ran.cells[1])


def test_the_servers_word_for_the_notebook_comes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "notebooks").mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "notebooks" / "a.ipynb"))
    assert notebook_folder() == folder / "notebooks"
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    assert notebook_folder() == folder


def test_a_terminal_has_no_notebook_and_stays_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("IPython.core.getipython.get_ipython", InteractiveShell)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert notebook_folder() == folder / "elsewhere"


def test_a_path_is_meant_from_the_notebook_or_else_from_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "notebooks" / "both").mkdir(parents=True)
    (folder / "both").mkdir()
    (folder / "here").mkdir()
    assert from_notebook("both") == Path("both"), "as it was said, where there is one folder"
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "notebooks" / "a.ipynb"))
    assert from_notebook("both") == folder / "notebooks" / "both"
    assert from_notebook("here") == folder / "here"
    assert from_notebook("nowhere") == folder / "notebooks" / "nowhere"
    assert from_notebook(folder / "here") == folder / "here"
