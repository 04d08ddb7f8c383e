"""The intern in Notebook 7, which has no status bar and hides its side panels until asked."""

from __future__ import annotations

import pytest
from intern_page import Desk, proposes
from playwright.sync_api import expect

from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

NOTEBOOKS_OWN = {
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
}
"""What Notebook 7.6 says of its own parts when it starts; the second at times."""


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(lambda path: open_notebook(path, "notebook"), tmp_path)


def test_in_notebook_7_a_cell_is_proposed_reviewed_and_run_and_a_reload_finds_it_all_again(desk):
    script = [proposes("print(6 * 7)", "the answer"), proposes("print('next')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server, below=["# mine"])
        page = at.notebook.page
        first = at.proposed("print(6 * 7)")
        expect(at.bar(first)).to_contain_text("the answer")
        button = page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Intern")
        expect(button).to_have_accessible_name("Intern, Waits for you, step 1, 1 to review")
        at.press(first, "Run")
        assert "42" in at.answer(2)
        at.wait_mark(first, "done")
        at.notebook.wait_printed(first, "42\n")

        second = at.proposed("print('next')")
        expect(button).to_have_accessible_name("Intern, Waits for you, step 2, 1 to review")
        at.notebook.command("mlintern:open-sidebar")
        expect(at.sidebar.get_by_role("status")).to_have_text("Waits for you")
        expect(at.sidebar.get_by_role("button", name="Run: print('next')")).to_be_visible()

        # Nobody saved: both cells are in the page alone, and come back from the kernel.
        at.notebook.reload()
        assert at.proposed("print('next')") == second
        assert at.notebook.ids()[2:4] == [first, second]
        at.notebook.command("mlintern:open-sidebar")
        expect(at.sidebar.get_by_role("status")).to_have_text("Waits for you")
        at.click("Run: print('next')")
        assert "next" in at.answer(3)
        assert at.ended().status == "completed"
        expect(button).to_have_accessible_name("Intern, Finished, step 3")
        at.notebook.wait_printed(second, "next\n")
    assert at.notebook.ids()[2:4] == [first, second]
    assert at.notebook.cells()[-1].source == "# mine"
    assert [said for said in at.notebook.errors if said not in NOTEBOOKS_OWN] == []
