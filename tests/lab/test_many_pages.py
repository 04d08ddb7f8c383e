"""One kernel with two pages, and notebooks that were renamed, copied, moved or never told."""

from __future__ import annotations

import re

import pytest
from intern_page import LOAD, Desk, InternPage, proposes
from life_page import (
    SAW_CLOSED,
    TRAINS,
    another_page,
    copied,
    edge,
    id_of,
    let_go,
    magic_cell,
    open_sidebar,
    places,
    wait_for_text,
)
from notebook_page import write_notebook
from playwright.sync_api import expect

from mlintern_jupyter.events import CellProposed, CellStarted
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.wire import WIRE_VERSION

FOLLOWS = "Another page leads"


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def test_of_two_pages_one_inserts_and_the_other_shows_until_it_is_told_to_follow(desk):
    script = [proposes(f"print({n})") for n in range(4)] + [Turn("done")]
    with ScriptedServer(script) as server:
        one = desk.begin(server)
        first = one.proposed("print(0)")
        one.notebook.save()
        two = another_page(one)
        # It has the cell from the file, with a bar that only shows.
        two.sees(two.bar(first).get_by_text(FOLLOWS))
        expect(two.bar(first).get_by_role("button", name="Run", exact=True)).to_have_count(0)
        two.sees(two.sidebar.get_by_text(FOLLOWS))
        two.sees(two.sidebar.get_by_role("status").get_by_text("Waits for you"))
        expect(two.sidebar.get_by_role("button", name="Run: print(0)")).to_have_count(0)
        one.press(first, "Run")
        second = one.proposed("print(1)")
        two.sees(two.sidebar.get_by_text("print(1)"))
        assert second not in two.notebook.ids()

        # What the other page inserted meanwhile is here as well, and nothing twice.
        two.sidebar.get_by_role("button", name="Follow here").click()
        two.sees(two.bar(two.proposed("print(1)")))
        assert two.notebook.ids() == one.notebook.ids()
        one.sees(one.sidebar.get_by_text(FOLLOWS))
        one.sees(one.bar(second).get_by_text(FOLLOWS))
        two.press(second, "Run")
        third = two.proposed("print(2)")
        assert third not in one.notebook.ids()

        # The page that leads is closed: the other brings what it lacks and goes on.
        two.notebook.close()
        one.press(one.proposed("print(2)"), "Run")
        one.sees_no(one.sidebar.get_by_text(FOLLOWS))
        fourth = one.proposed("print(3)")
        one.press(fourth, "Run")
        assert one.ended().status == "completed"
    assert one.notebook.ids()[2:] == [first, second, third, fourth]
    assert [fact.cell_id for fact in one.facts(CellStarted)] == [first, second, third, fourth]


def test_without_its_magic_cell_the_turn_is_held_until_it_is_put_back(desk):
    with ScriptedServer([proposes("print('a')"), proposes("print('b')"), Turn("done")]) as server:
        at = desk.begin(server, below=["print('mine')"])
        first = at.proposed("print('a')")
        magic = magic_cell(at)
        before, source = at.notebook.ids(), at.notebook.cell(magic).source
        at.activate(magic)
        at.notebook.command("notebook:delete-cell")
        deleted = at.sidebar.get_by_text("The cell of this session was deleted")
        at.sees(deleted)
        at.until(lambda: at.view()["held"], "the turn is held")
        # The same button stands in the head of the sidebar, too.
        expect(at.sidebar.get_by_role("button", name="Stop intern")).to_have_count(2)
        at.press(first, "Run")
        at.wait_mark(first, "done")
        assert places(at) == [0]
        at.click("Put back")
        at.sees_no(deleted)
        # The next proposal may stand among them already.
        assert [name for name in at.notebook.ids() if name in before] == before
        assert at.notebook.cell(magic).source == source
        at.press(at.proposed("print('b')"), "Run")
        assert at.ended().status == "completed"
    assert at.notebook.ids()[-1] == before[-1]


def test_a_renamed_notebook_goes_on_and_its_copies_start_nothing(desk):
    script = [proposes(TRAINS), proposes("print('next')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        cell_id = at.proposed(TRAINS)
        at.press(cell_id, "Run")
        wait_for_text(at, cell_id, "begun")
        session, magic = at.state().session, magic_cell(at)
        at.notebook.save()

        # A copy beside it finds the same record, and the kernel that writes it.
        copy = copied(at, at.folder / "copy.ipynb")
        expect(edge(copy, cell_id)).to_have_attribute("title", re.compile(f"^{SAW_CLOSED}"))
        for name in copy.notebook.ids()[:2]:
            copy.notebook.run_to_end(name)
        shown = str(copy.notebook.cell(magic).outputs)
        assert f"%intern resume {session}" in shown
        expect(copy.bar(cell_id)).to_have_count(0)
        copy.notebook.page.close()

        # One in another folder has no record to look into.
        moved = copied(at, at.folder / "elsewhere" / "n.ipynb")
        for name in moved.notebook.ids()[:2]:
            moved.notebook.run_to_end(name)
        shown = str(moved.notebook.cell(magic).outputs)
        assert "a record made elsewhere" in shown
        assert "Nothing was started" in shown
        assert not (moved.folder / "intern_runs").exists()
        moved.notebook.page.close()

        renamed = at.notebook.path.replace("n.ipynb", "renamed.ipynb")
        at.notebook.page.evaluate(
            "([p, n]) => testing.panel(p).context.rename(n)", [at.notebook.path, "renamed.ipynb"]
        )
        at.notebook.path = renamed
        at.notebook.wait_for("panel !== null", "it has its new name")
        assert places(at) == [0]
        let_go(at)
        at.press(at.proposed("print('next')"), "Run")
        assert at.ended().status == "completed"
    assert [cell.source for cell in at.notebook.cells()[2:]] == [TRAINS, "print('next')"]
    assert len(list((at.folder / "intern_runs").glob("*/ledger.jsonl"))) == 1
    assert (at.folder / "renamed.ipynb").exists()


def test_a_page_and_a_kernel_of_two_versions_are_both_named_and_what_to_do(desk):
    older = (
        "import mlintern_jupyter.hosts.replies as answers\n"
        f"answers.WIRE_VERSION, answers.__version__ = {WIRE_VERSION - 1}, '0.0.7'"
    )
    with ScriptedServer([proposes("print('a')")]) as server:
        at = desk.begin(server, above=[older])
        open_sidebar(at)
        at.sees(at.sidebar.get_by_text("This page and the kernel are of different versions"))
        at.sees(at.sidebar.get_by_text(f"wire {WIRE_VERSION}; the kernel has"))
        at.sees(at.sidebar.get_by_text(f"mlintern-jupyter 0.0.7, wire {WIRE_VERSION - 1}"))
        at.sees(at.sidebar.get_by_text("pip install -U"))
        # The intern begins without the page, which puts no cell in.
        at.until(lambda: at.facts(CellProposed), "a cell is proposed")
        assert at.notebook.ids()[3:] == []


def test_where_the_intern_is_not_loaded_the_sidebar_says_how_to_begin(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "n.ipynb", ["print('mine')"]))
    with ScriptedServer([]) as server:
        at = InternPage(notebook, tmp_path, server)
        open_sidebar(at)
        at.sees(at.sidebar.get_by_text("The intern is not loaded in the kernel"))
        at.sees(at.sidebar.get_by_text("%pip install mlintern-jupyter"))
        at.click("Insert the first cells")
        at.notebook.wait_for("cells.length === 3", "two cells more")
        load, begin = at.notebook.cells()[1:]
        assert load.source == LOAD
        assert begin.source.startswith("%%intern improve")
        assert [cell.execution_count for cell in at.notebook.cells()] == [None] * 3
        at.notebook.run_to_end(load.id)
        # It is heard of at once, with the names of the keys and whether they are set.
        at.sees(at.sidebar.get_by_text("A task is a cell"))
        at.sees_no(at.sidebar.get_by_text("The intern is not loaded"))
        at.sees(at.sidebar.get_by_text("OPENAI_API_KEY"))
        expect(at.sidebar.get_by_text("not set", exact=True).first).to_be_visible()
        assert at.notebook.cell(begin.id).execution_count is None
    assert id_of(at, "print('mine')") == at.notebook.ids()[0]
    assert not (tmp_path / "intern_runs").exists()
