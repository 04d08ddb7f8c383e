"""The planner that needs no language model, in the page: its first cells, reviewed one by one."""

from __future__ import annotations

import pytest
from intern_page import LOAD, InternPage
from notebook_page import write_notebook
from playwright.sync_api import expect

from mlintern_jupyter.testing.scripted_server import ScriptedServer


@pytest.fixture
def at(open_notebook, tmp_path):
    magic = "%%intern improve nano/mcq --model playbook"
    notebook = open_notebook(write_notebook(tmp_path / "n.ipynb", [LOAD, magic]))
    # Nobody asks it: the playbook answers from the recipe book.
    server = ScriptedServer([])
    yield InternPage(notebook, tmp_path, server)
    server.close()


def test_its_first_cells_run_by_their_bars_and_the_plan_advances(at):
    at.notebook.run_all()
    at.notebook.wait_for("cells[1].execution_count", "the turn began")
    ran = []
    for number, kind in enumerate(("run", "eval", "dataset")):
        (cell_id,) = at.until(at.waiting, f"proposal {number + 1}")
        at.sees(at.bar(cell_id))
        assert at.mark(cell_id)["kind"] == kind
        at.press(cell_id, "Run")
        ran.append(cell_id)
        # The first evaluation imports torch and measures a model.
        at.until(lambda: at.mark(ran[-1])["state"] == "done", f"{kind} is done", seconds=300)
        done = at.sidebar.locator(".jp-mlintern-Plan").get_by_title("done", exact=True)
        expect(done).not_to_have_count(number)
    assert "nano-mcq" in at.notebook.cell(ran[0]).text
    steps = at.view()["plan"]
    assert steps[0]["state"] == "done"
    assert "active" in [step["state"] for step in steps]
    at.until(lambda: (at.view()["best"] or {}).get("name") == "base", "the base is the best")
    expect(at.sidebar.get_by_text("95% interval")).to_be_visible()
    at.click("Stop intern")
    assert at.ended().status == "interrupted"
    assert at.notebook.errors == []
