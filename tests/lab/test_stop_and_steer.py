"""A person speaks to the intern, holds it and stops it from the sidebar, while a cell runs."""

from __future__ import annotations

import pytest
from intern_page import Desk, proposes, waits_for
from playwright.sync_api import expect

from mlintern_jupyter.events import Steered
from mlintern_jupyter.testing.script import Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

SLEEPS = (
    "import pathlib, time\nprint('begun', flush=True)\n"
    "while not pathlib.Path('go').exists():\n    time.sleep(0.02)\nprint('went on')"
)


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def run_until_it_sleeps(at, source=SLEEPS):
    cell_id = at.proposed(source)
    at.press(cell_id, "Run")
    at.notebook.wait_for(
        f"cells.find(c => c.id === '{cell_id}').outputs[0]?.text.includes('begun')", "it runs"
    )
    return cell_id


def test_words_and_stop_are_received_while_a_cell_sleeps_and_the_cell_goes_on(desk):
    with ScriptedServer([proposes(SLEEPS)]) as server:
        at = desk.begin(server)
        cell_id = run_until_it_sleeps(at)
        at.says_then(waits_for(cell_id))
        at.steer("look at the loss, please")
        # Below it, in the same message, stands what is left of the budget.
        said = at.asked(2)[-1]
        assert said["role"] == "user"
        assert said["content"].startswith("look at the loss, please\n\n[Standing: ")
        assert "has not ended yet" in at.answer(2)
        expect(at.sidebar.get_by_role("textbox", name="Steer the intern")).to_have_value("")
        at.until(lambda: len(at.state().pending) == 1, "the intern waits for the cell again")

        at.click("Stop intern")
        state = at.ended()
        assert (state.status, state.outcome.reason) == ("interrupted", "stopped by the person")
        expect(at.sidebar.get_by_role("status")).to_contain_text("Stopped")
        expect(at.sidebar.get_by_role("button", name="Resume", exact=True)).to_be_visible()
        assert at.notebook.cell(cell_id).is_running
        assert at.notebook.kernel_status() == "busy"

        (at.folder / "go").touch()
        at.notebook.wait_for(f"!cells.find(c => c.id === '{cell_id}').is_running", "it ended")
        at.notebook.wait_printed(cell_id, "begun\nwent on\n")
        at.wait_mark(cell_id, "done")
    assert [fact.text for fact in at.facts(Steered)] == ["look at the loss, please"]
    assert at.state().state_of(cell_id) == "done"
    assert len(server.requests) == 2


def test_a_cell_is_interrupted_and_the_intern_goes_on_and_is_held_and_goes_on(desk):
    with ScriptedServer([proposes(SLEEPS), proposes("print('next')"), Turn("done")]) as server:
        at = desk.begin(server)
        cell_id = run_until_it_sleeps(at)
        at.click("Interrupt cell")
        told = at.answer(2)
        assert "KeyboardInterrupt" in told
        assert f"cell {cell_id} interrupted" in told
        at.wait_mark(cell_id, "interrupted")
        at.notebook.wait_for(
            f"cells.find(c => c.id === '{cell_id}').outputs.at(-1).ename === 'KeyboardInterrupt'"
        )

        following = at.proposed("print('next')")
        at.click("Pause")
        expect(at.sidebar.get_by_role("status")).to_contain_text("Held")
        at.press(following, "Run")
        at.wait_mark(following, "done")
        at.until(lambda: at.view()["activity"] == "held", "it holds before its next model call")
        assert len(server.requests) == 2
        at.click("Continue")
        assert "next" in at.answer(3)
        assert at.ended().status == "completed"
        expect(at.sidebar.get_by_role("status")).to_contain_text("Finished")
    assert at.notebook.errors == []


def test_the_intern_is_stopped_while_it_waits_for_the_model(desk):
    server = ScriptedServer([proposes("print('first')")])
    at = desk.begin(server)
    cell_id = at.proposed("print('first')")
    at.says_then(Turn("late", faults=(Fault(hold=True),)))
    at.press(cell_id, "Run")
    at.asked(2)
    at.click("Stop intern")
    assert at.ended().status == "interrupted"
    assert server.wait_until_unconnected(60)
    server.stop()
    at.notebook.wait_printed(cell_id, "first\n")
