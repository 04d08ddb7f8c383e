"""A page whose server is far away: a question and its answer take three seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from intern_page import LOAD, Desk, proposes
from notebook_page import write_notebook
from playwright.sync_api import expect

from mlintern_jupyter.events import CellStarted, Steered
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

FAR = Path(__file__).with_name("far_away.js")


@pytest.fixture
def far(page, open_notebook):
    page.add_init_script(path=FAR)
    return open_notebook


def test_a_turn_is_seen_from_its_beginning_and_goes_to_its_end(far, tmp_path):
    script = [proposes(f"print({n})") for n in range(3)]
    script += [proposes("!pip list", "what is installed"), Turn("done")]
    with ScriptedServer(script) as server:
        at = Desk(far, tmp_path).begin(server, options="--mode auto", run_all=True)
        waits = at.proposed("!pip list")
        # Three steps went by before the page heard of the session, which opens the sidebar still.
        expect(at.sidebar.get_by_role("status")).to_have_text("Waits for you")
        at.steer("be brief")
        at.until(lambda: at.facts(Steered), "it was told")
        at.press(waits, "Skip…")
        at.bar(waits).get_by_role("button", name="Skip", exact=True).click()
        assert at.ended().status == "completed"
        expect(at.sidebar.get_by_role("status")).to_have_text("Finished")
        ran = at.notebook.ids()[2:5]
        for number, cell_id in enumerate(ran):
            at.notebook.wait_printed(cell_id, f"{number}\n")
            at.wait_mark(cell_id, "done")
    assert [fact.cell_id for fact in at.facts(CellStarted)] == ran
    assert at.notebook.errors == []


def test_an_intern_that_does_nothing_yet_is_found_to_be_loaded(far, tmp_path):
    notebook = far(write_notebook(tmp_path / "n.ipynb", [LOAD]))
    notebook.command("mlintern:open-sidebar")
    sidebar = notebook.page.get_by_role("region", name="Intern")
    expect(sidebar.get_by_text("The intern is not loaded")).to_be_visible()
    notebook.run_cell(0)
    expect(sidebar.get_by_text("OPENAI_API_KEY")).to_be_visible()
    expect(sidebar.get_by_text("The intern is not loaded")).to_have_count(0)
