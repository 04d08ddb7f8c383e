"""The person's hands: what the intern does meanwhile takes nothing from them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from intern_page import LOAD, Desk, InternPage, proposes
from life_page import TRAINS, let_go, wait_for_text
from notebook_page import write_notebook
from playwright.sync_api import expect

from mlintern_jupyter.events import CellReturned, CellStarted, Decided
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

WORDS = "while the intern works the person writes on and on "
LINE = 80
LINES = 6
INSERTED = 20
TALL = "# a cell of the person\n" + "\n".join(f"# line {n}" for n in range(12))


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def watch(at):
    """Keep what each frame showed: mode, active cell, selection, whether keys reach the cell.

    And how far the active cell stood from where it stood at first, in pixels: after the frame was
    painted, because before it the browser has not yet made up for what changed above.
    """
    at.notebook.page.evaluate(
        """p => {
            const { content } = testing.panel(p);
            const scroller = content.outerNode ?? content.node;
            const top = () => content.activeCell.node.getBoundingClientRect().top
                - scroller.getBoundingClientRect().top;
            const stood = top();
            const painted = new MessageChannel();
            window.looks = new Set();
            window.moves = [];
            painted.port1.onmessage = () => window.moves.push(Math.abs(top() - stood));
            const look = () => {
                window.looks.add(JSON.stringify([
                    content.mode,
                    content.activeCell.model.id,
                    content.selectedCells.map(cell => cell.model.id),
                    content.activeCell.node.contains(document.activeElement)
                ]));
                painted.port2.postMessage(null);
                requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        }""",
        at.notebook.path,
    )


def seen(at):
    """What the frames showed, and how far the cell stood away in two of them in a row, at most."""
    looks, moves = at.notebook.page.evaluate("() => [[...window.looks], window.moves]")
    return [json.loads(look) for look in looks], max(map(min, pairwise(moves)))


def writes(place):
    """Four code cells of the model in one answer, each with a line of output."""
    numbers = range(4 * place, 4 * place + 4)
    return Turn(
        "",
        tuple(
            Call("write_cell", {"kind": "dataset", "source": f"print({n})", "why": "it is next"})
            for n in numbers
        ),
    )


@pytest.mark.parametrize("where", ["below", "above"])
def test_who_types_without_pause_loses_no_key_no_place_and_undoes_only_the_typing(desk, where):
    """The person's cell stands ``where`` the intern's cells are put above or below it."""
    script = [proposes(TRAINS), *(writes(n) for n in range(INSERTED // 4)), Turn("done")]
    mine = "# mine\n"
    with ScriptedServer(script) as server:
        at = desk.begin(
            server,
            options="--mode unattended --budget 1",
            above=[TALL, mine] if where == "above" else [TALL],
            below=[TALL, mine, TALL] if where == "below" else [TALL],
        )
        (cell_id,) = [cell.id for cell in at.notebook.cells() if cell.source == mine]
        at.notebook.wait_for("cells.some(c => c.source.includes('trained'))", "it is at work")
        trains = next(c.id for c in at.notebook.cells() if c.source == TRAINS)
        wait_for_text(at, trains, "begun")
        at.activate(cell_id, cursor=(1, 0))
        at.notebook.page.evaluate(
            "p => testing.panel(p).content.activeCell.node.scrollIntoView({ block: 'center' })",
            at.notebook.path,
        )
        at.node(cell_id).locator(".cm-content").focus()
        watch(at)
        let_go(at)
        typed = ""
        while at.state().outcome is None or len(typed) < 300:
            # The last line takes the rest: below the view, the editor would follow the cursor.
            is_full = len(typed.rpartition("\n")[2]) >= LINE and typed.count("\n") < LINES
            piece = "\n# " if is_full else WORDS
            at.notebook.page.keyboard.type(piece, delay=10)
            typed += piece
        looks, moved = seen(at)
        assert looks == [["edit", cell_id, [cell_id], True]]
        at.notebook.wait_until_settled()
        assert at.notebook.cell(cell_id).source == mine + typed
        lines = typed.split("\n")
        assert at.notebook.look().cursor == [len(lines), len(lines[-1])]
        assert at.notebook.look().mode == "edit"
        assert moved <= 2, f"its cell moved by {moved} px"

        ours = at.state().cells
        assert len(ours) == INSERTED + 1
        assert {at.mark(each)["state"] for each in ours} == {"done"}
        ids = at.notebook.ids()
        # Undo in the cell goes back to its text and no further.
        for _ in range(len(typed)):
            at.notebook.press("Control+z")
            if at.notebook.cell(cell_id).source == mine:
                break
        at.notebook.press("Control+z")
        assert at.notebook.cell(cell_id).source == mine
        assert at.notebook.ids() == ids
        assert {at.mark(each)["state"] for each in ours} == {"done"}
        at.notebook.press("Control+Shift+z")
        assert at.notebook.cell(cell_id).source != mine
        # Undo in the list of cells takes back the newest insertion alone.
        at.notebook.press("Escape")
        at.notebook.press("z")
        assert at.notebook.ids() == [each for each in ids if each != list(ours)[-1]]
        assert {at.mark(each)["state"] for each in list(ours)[:-1]} == {"done"}
    assert at.notebook.errors == []


def test_an_undone_insertion_is_withdrawn_and_comes_back_by_redo(desk):
    held = Turn("", (Call("write_cell", {}),), faults=(Fault(hold=True),))
    server = ScriptedServer([proposes("print('a')"), held])
    at = desk.begin(server, below=["print('mine')"])
    cell_id = at.proposed("print('a')")
    before = at.notebook.ids()
    at.notebook.undo()
    assert at.notebook.ids() == [each for each in before if each != cell_id]
    assert "the person deleted it" in at.answer(2)
    at.notebook.command("notebook:redo-cell-action")
    assert at.notebook.ids() == before
    at.until_waiting(cell_id)
    at.sees(at.bar(cell_id))
    at.wait_mark(cell_id, "proposed")
    assert [fact.run for fact in at.facts(Decided)] == [False]
    assert [fact.cell_id for fact in at.facts(CellReturned)] == [cell_id]
    at.press(cell_id, "Run")
    at.wait_mark(cell_id, "done")
    assert [fact.cell_id for fact in at.facts(CellStarted)] == [cell_id]
    at.click("Stop intern")
    assert at.ended().status == "interrupted"
    server.stop()


def test_in_a_notebook_of_a_thousand_cells_new_ones_out_of_sight_are_told_not_shown(
    open_notebook, tmp_path
):
    script = [proposes(TRAINS), proposes("print('far')"), proposes("print('b')"), Turn("done")]
    with ScriptedServer(script) as server:
        magic = f"%%intern do it --model openai/scripted --api-base {server.base_url}"
        rest = [f"# cell {n}\n{n}" for n in range(998)]
        cells = [*rest[:500], LOAD, magic, *rest[500:]]
        notebook = open_notebook(write_notebook(tmp_path / "n.ipynb", cells))
        at = InternPage(notebook, tmp_path, server)
        for name in notebook.ids()[500:502]:
            notebook.run_to_end(name)
        trains = at.proposed(TRAINS)
        at.press(trains, "Run")
        wait_for_text(at, trains, "begun")
        at.activate(notebook.ids()[0])
        notebook.scroll_to(0)
        let_go(at)
        notebook.wait_for("""cells.some(c => c.source === "print('far')")""", "it is inserted")
        far = next(cell.id for cell in notebook.cells() if cell.source == "print('far')")
        assert notebook.ids().index(far) == 503
        pill = notebook.page.locator(".jp-mlintern-Pill")
        expect(pill).to_have_text("1 new cell")
        assert notebook.look().scroll_px == 0
        assert notebook.look().active == notebook.ids()[0]

        # From the sidebar it runs where it is.
        at.sidebar.get_by_role("button", name="Run: print('far')").click()
        at.wait_mark(far, "done")
        notebook.wait_printed(far, "far\n")
        expect(pill).to_have_text("2 new cells")
        assert notebook.look().scroll_px == 0
        assert notebook.look().active == notebook.ids()[0]
        pill.click()
        expect(at.node(far)).to_be_in_viewport()
        notebook.wait_for(f"panel.content.activeCell.model.id === '{far}'", "it is the active one")
        expect(pill).to_have_count(0)
        at.press(at.proposed("print('b')"), "Run")
        assert at.ended().status == "completed"
    assert len(notebook.ids()) == 1003
    assert notebook.errors == []
