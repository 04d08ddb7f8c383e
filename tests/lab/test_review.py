"""A person reviews cells in the page: by running, editing, skipping and deleting them."""

from __future__ import annotations

import json

import nbformat
import pytest
from intern_page import Desk, proposes
from playwright.sync_api import expect

from mlintern_jupyter.events import CellReturned, CellStarted, Decided, OwnCellRan
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def facts_in(text):
    """What the last line of a tool's answer says to the model."""
    return json.loads(text.rpartition("facts: ")[2])


def test_a_cell_is_run_by_its_bar_the_next_is_edited_and_the_third_skipped_with_a_reason(desk):
    script = [
        proposes("print(40 + 2)", "the answer, to begin with"),
        proposes("rows = 10\nprint(rows)"),
        proposes("print('third')"),
        Turn("I see."),
    ]
    with ScriptedServer(script) as server:
        at = desk.begin(server, below=["print('mine')"])
        first = at.proposed("print(40 + 2)")
        bar = at.bar(first)
        expect(bar).to_contain_text("the answer, to begin with")
        for name in ("Run", "Skip…", "Run all “dataset”"):
            expect(bar.get_by_role("button", name=name, exact=True)).to_be_visible()
        assert at.mark(first)["state"] == "proposed"
        # An impatient click is one click too many, and no second run.
        bar.get_by_role("button", name="Run", exact=True).dblclick()
        assert "42" in at.answer(2)
        assert facts_in(at.answer(2))["state"] == "done"
        at.wait_mark(first, "done")
        expect(bar).to_have_count(0)

        second = at.proposed("rows = 10\nprint(rows)")
        at.rewrite(second, "rows = 20\nprint(rows)")
        at.notebook.press("Shift+Enter")
        told = at.answer(3)
        assert "-rows = 10\n+rows = 20\n print(rows)" in told
        assert facts_in(told)["edited"]
        at.wait_mark(second, "done")
        assert at.notebook.cell(second).source == "rows = 20\nprint(rows)"
        at.notebook.wait_printed(second, "20\n")
        mark = at.mark(second)
        assert mark["run_sha256"] != mark["proposed_sha256"]

        third = at.proposed("print('third')")
        at.press(third, "Skip…")
        reason = at.bar(third).get_by_role("textbox", name="Why is this cell skipped?")
        expect(reason).to_be_focused()
        reason.fill("we have seen it")
        reason.press("Enter")
        assert "we have seen it" in at.answer(4)
        assert facts_in(at.answer(4))["state"] == "skipped"
        at.wait_mark(third, "skipped")
        expect(at.bar(third)).to_have_count(0)
        assert at.ended().status == "completed"

    ids = at.notebook.ids()
    assert ids[2:5] == [first, second, third]
    assert at.notebook.cell(third).execution_count is None
    # The person's own cell is where it was, and was not run for them.
    assert at.notebook.cells()[-1].source == "print('mine')"
    assert at.notebook.cells()[-1].execution_count is None
    assert [d.by for d in at.facts(Decided)] == ["person"] * 3
    assert [fact.cell_id for fact in at.facts(CellStarted)] == [first, second]
    at.notebook.save()
    saved = {c.id: c for c in nbformat.read(at.folder / "n.ipynb", as_version=4).cells}
    states = [saved[i].metadata["mlintern"]["state"] for i in (first, second, third)]
    assert states == ["done", "done", "skipped"]
    assert at.notebook.errors == []


def test_a_cell_that_is_away_for_a_moment_is_no_refusal(desk):
    with ScriptedServer([proposes("print('kept')"), Turn("done")]) as server:
        at = desk.begin(server, below=["print('mine')"])
        cell_id = at.proposed("print('kept')")
        magic, own = at.notebook.ids()[1], at.notebook.ids()[-1]
        at.activate(cell_id)
        at.notebook.command("notebook:delete-cell")
        at.notebook.undo()
        at.sees(at.bar(cell_id))
        at.activate(cell_id)
        at.notebook.command("notebook:move-cell-down")
        assert at.notebook.ids()[-2:] == [own, cell_id]
        at.sees(at.bar(cell_id))
        at.notebook.command("notebook:move-cell-up")
        at.activate(cell_id)
        at.notebook.command("notebook:cut-cell")
        assert cell_id not in at.notebook.ids()
        at.activate(own)
        at.notebook.command("notebook:paste-cell-below")
        assert at.notebook.ids()[-2:] == [own, cell_id]
        # The magic cell goes after it, and its absence is told when five seconds are over.
        at.activate(magic)
        at.notebook.command("notebook:delete-cell")
        at.until(lambda: at.view()["held"], "the turn is held for its magic cell")
        at.until_waiting(cell_id)
        assert at.facts(Decided) == []
        at.notebook.undo()
        at.until(lambda: not at.view()["held"], "the magic cell is back")
        at.press(cell_id, "Run")
        assert "kept" in at.answer(2)
        at.ended()
    assert [(d.cell_id, d.run) for d in at.facts(Decided)] == [(cell_id, True)]


def test_a_deleted_proposal_is_refused_and_proposed_again_when_it_returns(desk):
    with ScriptedServer([proposes("print('back')"), proposes("print('next')"), Turn("done")]) as s:
        at = desk.begin(s)
        deleted = at.proposed("print('back')")
        # Held, so that nothing is inserted which an undo would take back first.
        at.click("Pause")
        at.until(lambda: at.view()["held"], "held")
        at.activate(deleted)
        at.notebook.command("notebook:delete-cell")
        at.until(lambda: at.state().state_of(deleted) == "skipped", "its absence is a refusal")
        at.until_waiting()
        at.notebook.undo()
        at.sees(at.bar(deleted))
        at.wait_mark(deleted, "proposed")
        at.until_waiting(deleted)
        assert len(s.requests) == 1
        at.click("Continue")
        told = at.asked(2)
        refusal = at.answer(2)
        assert "the person deleted it" in refusal
        assert facts_in(refusal)["state"] == "skipped"
        said = [m["content"] for m in told if m["role"] == "user"]
        assert any(text.startswith(f"[The person put your cell {deleted} back") for text in said)
        following = at.proposed("print('next')")
        at.press(deleted, "Run")
        at.wait_mark(deleted, "done")
        at.press(following, "Run")
        said = [m["content"] for m in at.asked(3) if m["role"] == "user"]
        assert any(text.startswith(f"[Your cell {deleted} ended: done") for text in said)
        at.ended()
    assert [fact.cell_id for fact in at.facts(CellReturned)] == [deleted]


def test_a_copy_is_the_persons_own_and_parts_of_a_proposal_are_its_edit(desk):
    script = [
        proposes("a = 1\nb = 2\nprint(a + b)"),
        proposes("c = 3\nprint(c)"),
        Turn("done"),
    ]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        first = at.proposed("a = 1\nb = 2\nprint(a + b)")
        at.activate(first)
        at.notebook.command("notebook:copy-cell")
        at.notebook.command("notebook:paste-cell-below")
        ids = at.notebook.ids()
        copy = ids[ids.index(first) + 1]
        assert at.notebook.cell(copy).source == at.notebook.cell(first).source
        at.notebook.run_cell(ids.index(copy))
        at.until(lambda: at.facts(OwnCellRan), "the copy ran")
        (own,) = at.facts(OwnCellRan)
        assert (own.cell_id, own.state) == (copy, "done")
        at.until_waiting(first)
        expect(at.bar(copy)).to_have_count(0)
        expect(at.bar(first)).to_be_visible()

        at.activate(first, cursor=(2, 0))
        at.notebook.command("notebook:split-cell-at-cursor")
        at.notebook.press("Escape")
        ids = at.notebook.ids()
        part = ids[ids.index(first) - 1]
        assert at.notebook.cell(part).source == "a = 1\nb = 2"
        assert at.notebook.cell(first).source == "print(a + b)"
        at.sees(at.bar(first))
        expect(at.bar(part)).to_have_count(0)
        at.until_waiting(first)
        at.press(first, "Run")
        told = at.answer(2)
        assert "-a = 1\n-b = 2\n print(a + b)" in told
        assert facts_in(told)["edited"]

        # The copy, which is the person's own, is merged into the next proposal.
        second = at.proposed("c = 3\nprint(c)")
        ids = at.notebook.ids()
        assert ids[ids.index(second) + 1] == copy
        at.activate(second)
        at.notebook.command("notebook:merge-cell-below")
        assert "print(c)" in at.notebook.cell(second).source
        assert "print(a + b)" in at.notebook.cell(second).source
        assert copy not in at.notebook.ids()
        at.sees(at.bar(second))
        at.press(second, "Run")
        told = at.answer(3)
        assert "+print(a + b)" in told
        assert facts_in(told)["edited"]
        at.ended()
    assert [d.run for d in at.facts(Decided)] == [True, True]


def test_the_persons_own_cells_stay_as_they_are_and_are_told_in_one_line(desk):
    with ScriptedServer([proposes("print('ours')"), Turn("done")]) as server:
        at = desk.begin(server, below=["# by hand\nrows = [1, 2]\nrows", "2 + 2"])
        cell_id = at.proposed("print('ours')")
        mine, untouched = at.notebook.cells()[-2:]
        at.notebook.run_cell(at.notebook.ids().index(mine.id))
        at.until(lambda: at.facts(OwnCellRan), "the own cell is told")
        own_cells = at.sidebar.get_by_text("Your cells it was told of")
        at.sees(own_cells)
        own_cells.click()
        at.sees(at.sidebar.get_by_role("button", name="rows = [1, 2]"))
        at.click("Run: print('ours')")
        told = [m["content"] for m in at.asked(2) if m["role"] == "user"]
        at.ended()
    lines = [line for text in told for line in text.splitlines() if mine.id in line]
    assert len(lines) == 1
    assert "rows" in lines[0]
    assert [fact.names for fact in at.facts(OwnCellRan)] == [("rows",)]
    now = {c.id: c for c in at.notebook.cells()}
    assert now[untouched.id] == untouched
    assert now[mine.id].source == mine.source
    assert "mlintern" not in now[mine.id].metadata
    assert [fact.cell_id for fact in at.facts(CellStarted)] == [cell_id]
    assert at.notebook.ids()[-2:] == [mine.id, untouched.id]
