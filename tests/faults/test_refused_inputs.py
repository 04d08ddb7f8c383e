"""Inputs that are refused before a model is asked: of the cases B14, B18, B20, B21 and B23."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from engine_rig import Engine
from nbformat.v4 import new_code_cell, new_notebook
from outside_world import CANARY, PATHS, tree

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.peers.headless import HeadlessNotebook
from mlintern_jupyter.policy.rules import WORKSPACE_FILE, load_rules, stricter
from mlintern_jupyter.testing.tripwires import no_network


@pytest.mark.parametrize("path", PATHS)
def test_B14_paths_are_no_names(intern: Engine, outside: Path, path: str) -> None:
    before = tree(intern.folder, outside)
    magics = (
        f"%%intern go --model playbook --session {path}\n",
        f"%intern resume {path}",
        f"%intern cost {path}",
        f"%%job {path}\nprint(1)",
        f"%jobs start {path}",
    )
    for magic in magics:
        shown = intern.type(magic)
        assert "Error" in shown or "there is no" in shown, (magic, shown)
        assert "Traceback" not in shown
        assert CANARY not in shown
    assert tree(intern.folder, outside) == before
    assert not (intern.folder / "intern_runs" / "jobs").exists()


def notebook(**changes: Any) -> str:
    """A sound notebook of two cells, changed."""
    cells = [new_code_cell("a = 1"), new_code_cell("b = 2")]
    return json.dumps(json.loads(nbformat.writes(new_notebook(cells=cells))) | changes)


def two_cells(**changes: Any) -> list[dict[str, Any]]:
    """Both cells of it, changed alike."""
    return [{**cell, **changes} for cell in json.loads(notebook())["cells"]]


BAD_NOTEBOOKS = {
    "0 bytes": "",
    "half": notebook()[:200],
    "format 3": json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}),
    "metadata is a list": notebook(metadata=[1]),
    "cells are a text": notebook(cells="all of them"),
    "metadata of a cell is a text": notebook(cells=two_cells(metadata="none")),
    "a cell that is no cell": notebook(cells=[3]),
}


@pytest.mark.parametrize("what", BAD_NOTEBOOKS)
def test_B18_a_bad_notebook_is_named_and_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(BAD_NOTEBOOKS[what])
    with pytest.raises(UsageError) as caught:
        HeadlessNotebook(path, cells=None, on_event=print, say=print)
    assert str(path) in str(caught.value)
    assert caught.value.do
    assert path.read_text() == BAD_NOTEBOOKS[what]


@pytest.mark.parametrize("id_", ["same", None])
def test_B18_doubled_and_missing_cell_ids_are_mended_in_memory(
    tmp_path: Path, id_: str | None
) -> None:
    cells = two_cells(id=id_)
    for cell in cells:
        if id_ is None:
            del cell["id"]
    text = notebook(cells=cells)
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    opened = HeadlessNotebook(path, cells=None, on_event=print, say=print)
    assert len({cell["id"] for cell in opened._file.nb.cells}) == 2
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("opnai/gpt-5.1", "openai/gpt-5.1"),
        ("antropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("playbok", "playbook"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("vlm/qwen3", "vllm/qwen3"),
    ],
)
def test_B20_a_model_with_a_typo_offers_the_nearest(intern: Engine, typed: str, meant: str) -> None:
    with no_network(loopback=False):
        shown = intern.type(f"%%intern go --model {typed}\n")
    assert f"did you mean {meant}?" in shown
    assert not (intern.folder / "intern_runs").exists()


@pytest.mark.parametrize("text", ["[[rule]\n", 'allow = "everything"\n', "\x00", "[[allow]]\nx=1"])
def test_B21_broken_rules_of_the_folder_widen_nothing(intern: Engine, text: str) -> None:
    before = load_rules(intern.folder)
    (intern.folder / WORKSPACE_FILE).write_text(text)
    after = load_rules(intern.folder)
    assert WORKSPACE_FILE in after.problem
    for effect in ("read", "execute", "network-write", "spend", "publish", "delete"):
        (now, _), (then, _) = after.verdict("t", effect), before.verdict("t", effect)
        assert not stricter(then, now)


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("%%intern go --modle playbook\n", "--model"),
        ("%%intern go --model\n", "--model needs a value"),
        ("%%intern go --model playbook --budget lots\n", "--budget"),
        ("%%intern go --model playbook\n%%intern stay --model playbook\n", "%%intern"),
        ("%%intern go --model playbook\n%%job sft\nprint(1)\n", "%%job"),
    ],
)
def test_B23_an_option_or_magic_too_many_is_a_usage_error(
    intern: Engine, cell: str, named: str
) -> None:
    shown = intern.type(cell)
    assert "UsageError" in shown
    assert named in shown
    assert not (intern.folder / "intern_runs").exists()
