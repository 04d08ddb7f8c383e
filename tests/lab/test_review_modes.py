"""Modes and Run All in the page: what runs by itself, what waits, what did not wait."""

from __future__ import annotations

import pytest
from intern_page import Desk, proposes
from playwright.sync_api import expect

from mlintern_jupyter.events import CellStarted, Decided, OwnCellRan
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

PIP = "!pip install --dry-run --no-index nothing-of-this-name"


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def test_in_mode_auto_what_is_harmless_runs_and_what_is_not_waits_and_says_why(desk):
    script = [
        proposes("print('harmless')"),
        proposes(PIP, "needs a package"),
        proposes("print('waits')"),
        proposes("print('alone')"),
        Turn("done"),
    ]
    with ScriptedServer(script) as server:
        at = desk.begin(server, options="--mode auto")
        waits = at.proposed(PIP)
        harmless = next(c for c in at.notebook.cells() if c.source == "print('harmless')")
        at.notebook.wait_printed(harmless.id, "harmless\n")
        at.wait_mark(harmless.id, "done")
        asks = at.bar(waits).get_by_text("Not run unasked")
        expect(asks).to_be_visible()
        (pending,) = at.view()["pending"]
        assert pending["asks"]
        assert pending["asks"] in asks.inner_text()

        # Switched back while it waits; what comes next is asked for again.
        modes = at.sidebar.get_by_role("group", name="Mode")
        modes.get_by_text("Review").click()
        at.until(lambda: at.view()["mode"] == "review", "mode review")
        at.press(waits, "Skip…")
        at.bar(waits).get_by_role("button", name="Skip", exact=True).click()
        third = at.proposed("print('waits')")
        assert at.notebook.cell(third).execution_count is None
        # And on again: it runs by itself, and so does the next.
        modes.get_by_text("Auto").click()
        at.wait_mark(third, "done")
        assert at.ended().mode == "auto"
        fourth = next(c for c in at.notebook.cells() if c.source == "print('alone')")
        at.notebook.wait_printed(fourth.id, "alone\n")
    by = {d.cell_id: (d.run, d.by) for d in at.facts(Decided)}
    assert by == {
        harmless.id: (True, "mode"),
        waits: (False, "person"),
        third: (True, "mode"),
        fourth.id: (True, "mode"),
    }


def test_run_all_of_a_kind_runs_those_to_come_but_not_what_the_guard_holds(desk):
    script = [
        proposes("print('one')", kind="eval"),
        proposes("print('two')", kind="eval"),
        proposes(PIP, kind="eval"),
        proposes("print('other')", kind="plot"),
        Turn("done"),
    ]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        first = at.proposed("print('one')")
        at.press(first, "Run all “eval”")
        held = at.proposed(PIP)
        second = next(c for c in at.notebook.cells() if c.source == "print('two')")
        at.notebook.wait_printed(first, "one\n")
        at.notebook.wait_printed(second.id, "two\n")
        at.click(f"Skip: {PIP}")
        expect(at.bar(held).get_by_role("textbox")).to_be_focused()
        at.notebook.page.keyboard.type("no packages")
        at.notebook.press("Enter")
        assert "no packages" in at.answer(4)
        other = at.proposed("print('other')")
        assert at.notebook.cell(other).execution_count is None
        at.press(other, "Run")
        assert at.ended().mode == "review"


def test_cells_below_a_fresh_magic_cell_in_the_same_run_all_are_said_not_to_have_waited(desk):
    with ScriptedServer([proposes("print('ours')"), Turn("done")]) as server:
        at = desk.begin(server, below=["print('first')", "print('second')"], run_all=True)
        cell_id = at.proposed("print('ours')")
        at.until(lambda: len(at.facts(OwnCellRan)) == 2, "both cells ran")
        assert [fact.queued for fact in at.facts(OwnCellRan)] == [True, True]
        at.sees(at.sidebar.get_by_text("2 cells below did not wait"))
        at.press(cell_id, "Run")
        at.ended()
        magic = at.notebook.ids()[1]
        at.sees(at.node(magic).get_by_text("2 cells below were already in line"))
    assert at.notebook.ids()[2] == cell_id
    for own, text in zip(at.notebook.ids()[-2:], ("first\n", "second\n"), strict=True):
        at.notebook.wait_printed(own, text)


def test_run_all_over_proposals_aborts_those_after_a_failure_and_they_wait_again(desk):
    first, second, third = "raise ValueError('no rows')", "print('second')", "print('third')"
    with ScriptedServer([proposes(first), proposes(second), proposes(third)]) as server:
        at = desk.begin(server)
        # The intern proposes the next cell while one waits when the person speaks.
        failing = at.proposed(first)
        at.steer("show me more")
        middle = at.proposed(second)
        at.steer("and more")
        last = at.proposed(third)
        at.says_then(Turn("done"))
        at.until_waiting(failing, middle, last)
        at.notebook.run_all()
        at.wait_mark(failing, "failed")
        at.until_waiting(middle, last)
        for cell_id in (middle, last):
            expect(at.bar(cell_id)).to_be_visible()
            at.wait_mark(cell_id, "proposed")
            assert at.notebook.cell(cell_id).text == ""
        at.press(middle, "Run")
        at.wait_mark(middle, "done")
        at.press(last, "Run")
        told = at.asked(4)
        at.ended()
    assert [c.cell_id for c in at.facts(CellStarted)] == [failing, middle, last]
    assert "third" in next(m["content"] for m in reversed(told) if m["role"] == "tool")
    said = "\n".join(m["content"] for m in told if m["role"] == "user")
    assert f"[Your cell {failing} ended: failed" in said
    assert f"[Your cell {middle} ended: done" in said


def test_a_cell_run_by_its_bar_behind_a_cell_that_fails_waits_again_and_can_be_run(desk):
    fails = (
        "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.02)\n"
        "raise ValueError('mine')"
    )
    with ScriptedServer([proposes("print('ours')"), Turn("done")]) as server:
        at = desk.begin(server, below=[fails])
        cell_id = at.proposed("print('ours')")
        at.notebook.run_cell(len(at.notebook.ids()) - 1)
        at.press(cell_id, "Run")
        at.sees_no(at.bar(cell_id))
        (at.folder / "go").touch()
        at.sees(at.bar(cell_id))
        at.until_waiting(cell_id)
        assert at.facts(CellStarted) == []
        at.press(cell_id, "Run")
        assert "ours" in at.answer(2)
        at.ended()
    assert [c.cell_id for c in at.facts(CellStarted)] == [cell_id]
