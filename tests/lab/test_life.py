"""What happens to a notebook while the intern is at work in it, seen from its page."""

from __future__ import annotations

import os
import re
import signal

import pytest
from intern_page import Desk, proposes
from life_page import (
    SAW_CLOSED,
    TRAINS,
    card,
    edge,
    id_of,
    let_go,
    magic_cell,
    open_sidebar,
    places,
    reload_at_once,
    wait_for_text,
    words_of_sidebar,
)
from playwright.sync_api import expect

from mlintern_jupyter.cells import CARD_MIME
from mlintern_jupyter.events import CellProposed, CellStarted, Decided, Steered
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

JOB = """%%job slow --on local
# /// script
# dependencies = []
# ///
import time
time.sleep(300)"""


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def test_a_reload_brings_an_unsaved_proposal_back_with_its_bar_the_card_and_the_sidebar(desk):
    with ScriptedServer([proposes("print(40 + 2)"), Turn("done")]) as server:
        at = desk.begin(server, below=["print('mine')"])
        cell_id = at.proposed("print(40 + 2)")
        before = at.notebook.ids()
        at.notebook.reload()
        assert at.proposed("print(40 + 2)") == cell_id
        assert at.notebook.ids() == before
        expect(at.bar(cell_id)).to_have_count(1)
        assert at.mark(cell_id)["state"] == "proposed"
        at.sees(at.sidebar.get_by_role("heading", name="do it"))
        at.sees(at.sidebar.get_by_role("status").get_by_text("Waits for you"))
        expect(card(at, magic_cell(at))).to_have_count(1)
        at.press(cell_id, "Run")
        assert "42" in at.answer(2)
        assert at.ended().status == "completed"
        # What changes an output does not reach a page that was loaded again; the card is kept.
        at.until(lambda: _saved_card(at)["status"] == "completed", "the card says how it ended")
    assert at.notebook.ids() == before
    assert at.notebook.errors == []


def test_after_a_reload_while_a_cell_trains_all_is_back_before_it_ends(desk):
    script = [proposes(TRAINS), proposes("print('next')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        cell_id = at.proposed(TRAINS)
        at.press(cell_id, "Run")
        wait_for_text(at, cell_id, "begun")
        reload_at_once(at)
        at.sees(at.sidebar.get_by_role("status").get_by_text("Working"))
        assert id_of(at, TRAINS) == cell_id
        expect(at.bar(cell_id)).to_have_count(0)
        at.steer("look at the loss")
        at.until(lambda: at.facts(Steered), "the words reach the kernel while it is busy")
        # Words wake the intern; its next cell is proposed while this one trains.
        following = at.proposed("print('next')")
        at.until_waiting(following)
        assert "trained" not in at.answer(2)
        let_go(at)
        at.wait_mark(cell_id, "done")
        # The page that was loaded again heard nothing of what the cell showed.
        wait_for_text(at, cell_id, "trained")
        assert at.notebook.cell(cell_id).text.startswith("begun")
        assert at.notebook.cell(cell_id).execution_count
        at.press(following, "Run")
        assert at.ended().status == "completed"
        at.notebook.reload()
        wait_for_text(at, following, "next")
        wait_for_text(at, cell_id, "trained")
    assert [c.source for c in at.notebook.cells()[2:]] == [TRAINS, "print('next')"]
    assert [fact.text for fact in at.facts(Steered)] == ["look at the loss"]


def test_what_was_proposed_while_the_notebook_was_closed_is_there_when_it_is_opened_again(desk):
    script = [proposes(TRAINS), proposes("print('meanwhile')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        cell_id = at.proposed(TRAINS)
        at.press(cell_id, "Run")
        wait_for_text(at, cell_id, "begun")
        at.notebook.save()
        at.notebook.page.evaluate("p => testing.panel(p).close()", at.notebook.path)
        at.notebook.wait_for("panel === null", "the notebook is closed")
        let_go(at)
        at.until(lambda: len(at.facts(CellProposed)) == 2, "the intern goes on")
        at.notebook.page.evaluate(
            "p => void jupyterapp.commands.execute('docmanager:open', { path: p })",
            at.notebook.path,
        )
        following = at.proposed("print('meanwhile')")
        assert [c.source for c in at.notebook.cells()[2:]] == [TRAINS, "print('meanwhile')"]
        assert at.notebook.ids()[2:] == [cell_id, following]
        at.wait_mark(cell_id, "done")
        at.press(following, "Run")
        assert at.ended().status == "completed"
    assert at.notebook.ids()[2:] == [cell_id, following]
    assert [fact.cell_id for fact in at.facts(CellStarted)] == [cell_id, following]


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_after_the_kernel_is_lost_the_session_is_resumed_from_the_sidebar(desk, how):
    script = [proposes("a = 1\nprint(a)"), proposes(TRAINS), proposes("print('on')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server, above=["import os\nprint(os.getpid())"], below=[JOB])
        first = at.proposed("a = 1\nprint(a)")
        at.notebook.run_to_end(id_of(at, JOB))
        at.press(first, "Run")
        trains = at.proposed(TRAINS)
        at.press(trains, "Run")
        wait_for_text(at, trains, "begun")
        session, kernel = at.state().session, int(at.notebook.cells()[0].text)
        with words_of_sidebar(at) as said:
            if how == "killed":
                # The server notices in a moment and starts another; Lab says so in dialogs.
                told = at.notebook.page.get_by_role("button", name="Ok", exact=True)
                at.notebook.page.add_locator_handler(told, lambda ok: ok.click())
                os.kill(kernel, signal.SIGKILL)
            else:
                at.notebook.restart_kernel()
            at.sees(at.sidebar.get_by_text("Records on disk"))
        assert any("The kernel of this session is gone" in words for words in said)
        at.click(f"Resume {session}")
        at.notebook.wait_for("cells.some(c => c.source === \"print('on')\")", "the session goes on")
        following = at.proposed("print('on')")
        assert at.state().session == session
        # The card is in the magic cell, the state of the job that outlived the kernel in the list.
        at.sees(card(at, magic_cell(at)).first)
        assert at.notebook.cell(first).execution_count is not None
        # A restart interrupts what runs; after a kill nobody knows how it ended.
        ended = {"restarted": "interrupted", "killed": "unknown"}[how]
        at.wait_mark(trains, ended)
        at.sees(at.sidebar.get_by_text("slow", exact=True))
        assert [job["state"] for job in _jobs(at)] == ["running"]
        at.press(following, "Run")
        assert at.ended().status == "completed"
        # The sidebar moves when the turn ends; a click during that may miss.
        at.sees(at.sidebar.get_by_role("status").get_by_text("Finished"))
        at.click("Cancel slow")
        at.until(lambda: _jobs(at)[0]["state"] == "cancelled", "the job is cancelled")
        asked = places(at)
    # What the model had said before was not asked for again, but for the answer that was on its way
    # when the kernel went; and no cell ran twice.
    assert asked in ([0, 1, 2, 3], [0, 1, 2, 2, 3])
    assert [fact.cell_id for fact in at.facts(CellStarted)] == [first, trains, following]
    sources = [cell.source for cell in at.notebook.cells()]
    assert sources[3:-1] == ["a = 1\nprint(a)", TRAINS, "print('on')"]


SLOW_TO_LOAD = """import time
from pathlib import Path
if Path('slow').exists():
    time.sleep(8)
def look(name: str) -> str:
    \"\"\"Look something up.\"\"\"
    return name"""


def test_a_cell_that_died_with_the_kernel_is_put_back_however_long_the_resume_takes(desk, tmp_path):
    (tmp_path / "slow_to_load.py").write_text(SLOW_TO_LOAD)
    script = [proposes("print('on')"), Turn("done")]
    with ScriptedServer(script) as server:
        at = desk.begin(server, options="--tool slow_to_load:look")
        lost = at.proposed("print('on')")
        (tmp_path / "slow").touch()
        # As if the kernel had gone before the cell reached the page.
        at.notebook.page.evaluate(
            """([p, id]) => {
                const { sharedModel } = testing.panel(p).content.model;
                const index = sharedModel.cells.findIndex(cell => cell.getId() === id);
                sharedModel.transact(() => sharedModel.deleteCell(index), false);
            }""",
            [at.notebook.path, lost],
        )
        at.notebook.restart_kernel()
        at.sees(at.sidebar.get_by_text("Records on disk"))
        at.click(f"Resume {at.state().session}")
        assert at.proposed("print('on')") == lost
        assert at.facts(Decided) == []
        at.press(lost, "Run")
        assert at.ended().status == "completed"
    assert [(fact.cell_id, fact.run) for fact in at.facts(Decided)] == [(lost, True)]


def _saved_card(at):
    """What a saved notebook holds of the card."""
    (output,) = at.notebook.cell(magic_cell(at)).outputs
    return output["data"][CARD_MIME]


def _jobs(at):
    reply = at.notebook.ask_kernel(kind="status", whole=True, tab="")
    return reply["view"]["jobs"]


def test_marks_of_a_session_that_is_not_open_say_so_and_start_nothing(desk):
    script = [proposes("print('one')"), proposes(TRAINS), Turn("never")]
    server = ScriptedServer(script)
    at = desk.begin(server, above=["import os\nprint(os.getpid())"])
    one = at.proposed("print('one')")
    at.press(one, "Run")
    trains = at.proposed(TRAINS)
    at.press(trains, "Run")
    wait_for_text(at, trains, "begun")
    session, kernel = at.state().session, int(at.notebook.cells()[0].text)
    at.notebook.save()
    at.notebook.page.goto("about:blank")
    os.kill(kernel, signal.SIGKILL)
    at.notebook.open()
    for cell_id in (one, trains):
        at.sees(edge(at, cell_id))
        expect(edge(at, cell_id)).to_have_attribute("title", re.compile(f"^{SAW_CLOSED}"))
        expect(at.bar(cell_id)).to_have_count(0)
    assert at.mark(one)["state"] == "done"
    assert at.mark(trains)["state"] in {"proposed", "queued", "running"}
    magic = magic_cell(at)
    expect(card(at, magic)).to_contain_text("do it")
    expect(card(at, magic)).to_contain_text("model openai/scripted")
    open_sidebar(at)
    at.sees(at.sidebar.get_by_role("button", name=f"Resume {session}"))

    for cell_id in at.notebook.ids()[1:3]:
        at.notebook.run_to_end(cell_id)
    at.notebook.wait_for(f"JSON.stringify(cells[2].outputs).includes('%intern resume {session}')")
    at.notebook.wait_until_settled()
    assert [c.source for c in at.notebook.cells()[3:]] == ["print('one')", TRAINS]
    assert at.state().outcome is None
    assert places(at) == [0, 1]
    at.sees(at.sidebar.get_by_role("button", name=f"Resume {session}"))
    expect(at.bar(trains)).to_have_count(0)
    server.stop()


def test_after_reload_ext_the_page_takes_what_the_new_extension_says(desk):
    reload_ext = "%reload_ext mlintern_jupyter"
    with ScriptedServer([proposes("print('a')"), Turn("done")]) as server:
        at = desk.begin(server, below=[reload_ext])
        at.press(at.proposed("print('a')"), "Run")
        at.ended()
    heard = at.notebook.page.evaluate("() => testing.lastSeq")
    assert heard > 0
    at.notebook.run_to_end(id_of(at, reload_ext))
    # No session is open now, and this page still leads.
    at.sees(at.sidebar.get_by_text("A task is a cell"))
    at.sees_no(at.sidebar.get_by_text("Another page leads"))
    with ScriptedServer([proposes("print('b')"), Turn("done")]) as again:
        source = f"%%intern more --model openai/scripted --api-base {again.base_url} --max-steps 9"
        at.notebook.page.evaluate(
            "([p, s]) => testing.panel(p).content.model.sharedModel.addCell("
            "{ cell_type: 'code', source: s })",
            [at.notebook.path, source],
        )
        at.notebook.run_cell(len(at.notebook.ids()) - 1)
        cell_id = at.proposed("print('b')")
        at.press(cell_id, "Run")
        at.wait_mark(cell_id, "done")
        at.until(lambda: len(again.requests) == 2, "the second session ends")
    assert [c.source for c in at.notebook.cells()].count("print('b')") == 1
