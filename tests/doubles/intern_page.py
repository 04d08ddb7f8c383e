"""A notebook page in which the intern is at work, as a test of review speaks of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notebook_page import WAIT_S, NotebookPage, write_notebook
from playwright.sync_api import Locator

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

LOAD = "%load_ext mlintern_jupyter"


def proposes(source: str, why: str = "to see the answer", kind: str = "dataset") -> Turn:
    """The model writes one cell."""
    return Turn("", (Call("write_cell", {"kind": kind, "source": source, "why": why}),))


def waits_for(cell_id: str) -> Turn:
    """The model waits on for a cell."""
    return Turn("", (Call("wait_cell", {"cell_id": cell_id}),))


@dataclass
class InternPage:
    """A page, the folder of its notebook, and the model's side of the conversation."""

    notebook: NotebookPage
    folder: Path
    server: ScriptedServer

    # The model --------------------------------------------------------------------------------

    def asked(self, number: int) -> list[dict[str, Any]]:
        """The messages of the model's request of this number, once it is made."""
        self.until(lambda: len(self.server.requests) >= number, f"request {number} of the model")
        return self.server.requests[number - 1].body["messages"]

    def answer(self, number: int) -> str:
        """What that request says to the model's last call."""
        said = (m["content"] for m in reversed(self.asked(number)) if m["role"] == "tool")
        return next(said)

    def says_then(self, *turns: Turn) -> None:
        """More answers of the model, which name what only this run knows."""
        self.server._state.script += turns

    # Cells ------------------------------------------------------------------------------------

    def proposed(self, source: str) -> str:
        """Id of the cell that was proposed with this text, once it waits with its bar."""
        self.notebook.wait_for(f"cells.some(c => c.source === {json.dumps(source)})", source)
        cell_id = next(c.id for c in self.notebook.cells() if c.source == source)
        widget = f"panel.content.widgets.find(c => c.model.id === '{cell_id}')"
        self.notebook.wait_for(
            f"{widget}?.node.querySelector('.jp-mlintern-CellBar')", f"a bar at {source!r}"
        )
        self.sees(self.bar(cell_id))
        return cell_id

    def node(self, cell_id: str) -> Locator:
        """A cell on the page, once it is there."""
        found = f"panel?.content.widgets.find(c => c.model.id === '{cell_id}')"
        self.notebook.wait_for(
            f"(cell => cell && (cell.node.dataset.testCell = '{cell_id}'))({found})",
            f"{cell_id} is in the notebook",
        )
        return self.notebook.page.locator(f'[data-test-cell="{cell_id}"]')

    def bar(self, cell_id: str) -> Locator:
        """The bar at a cell that waits."""
        return self.node(cell_id).get_by_role("group", name="The intern proposes this cell")

    def press(self, cell_id: str, button: str) -> None:
        """Click a button of the bar of a cell."""
        self.bar(cell_id).get_by_role("button", name=button, exact=True).click()

    def activate(self, cell_id: str, cursor: tuple[int, int] | None = None) -> None:
        """Make a cell the active one; with a place, the cursor is put there."""
        self.notebook.page.evaluate(
            """([p, id, at]) => {
                const { content } = testing.panel(p);
                content.activeCellIndex = content.widgets.findIndex(c => c.model.id === id);
                content.deselectAll();
                if (at) {
                    content.mode = 'edit';
                    content.activeCell.editor.setCursorPosition({ line: at[0], column: at[1] });
                }
            }""",
            [self.notebook.path, cell_id, cursor],
        )

    def rewrite(self, cell_id: str, source: str) -> None:
        """Type another text into a cell, in place of its own; the cursor stays in it."""
        self.node(cell_id).locator(".cm-content").click()
        self.notebook.press("Control+A")
        self.notebook.page.keyboard.insert_text(source)

    def mark(self, cell_id: str) -> dict[str, Any]:
        """The mark in the metadata of a cell."""
        return self.notebook.cell(cell_id).metadata["mlintern"]

    def wait_mark(self, cell_id: str, state: str) -> None:
        """Wait until the mark of a cell says this."""
        self.notebook.wait_for(
            f"cells.find(c => c.id === '{cell_id}')?.metadata.mlintern?.state === '{state}'",
            f"{cell_id} is {state}",
        )

    # The sidebar ------------------------------------------------------------------------------

    @property
    def sidebar(self) -> Locator:
        """It opens when a session begins."""
        return self.notebook.page.get_by_role("region", name="Intern")

    def click(self, button: str) -> None:
        """Click a button of the sidebar."""
        self.sidebar.get_by_role("button", name=button, exact=True).click()

    def steer(self, words: str) -> None:
        """Say something to the intern, as typed into its box."""
        box = self.sidebar.get_by_role("textbox", name="Steer the intern")
        box.fill(words)
        box.press("Enter")

    def sees(self, what: Locator) -> None:
        """Wait until something is in sight of whoever scrolls to it."""
        what.wait_for(state="visible")

    def sees_no(self, what: Locator) -> None:
        """Wait until something is not there."""
        what.wait_for(state="hidden")

    # The record -------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """What the page is given to draw of the session."""
        reply = self.notebook.ask_kernel(kind="status", whole=True, tab="")
        assert reply is not None, "the kernel does not answer"
        return reply["view"]["session"]

    def waiting(self) -> list[str]:
        """Ids of the cells that wait for the person."""
        return [pending["cell_id"] for pending in self.view()["pending"]]

    def until_waiting(self, *cell_ids: str) -> None:
        """Wait until these cells, and no others, wait for the person."""
        self.until(lambda: self.waiting() == list(cell_ids), f"{cell_ids} wait")

    def state(self) -> SessionState:
        """The fold over the ledger as it is on disk."""
        found = list((self.folder / "intern_runs").glob("*/ledger.jsonl"))
        return fold(Ledger.view(found[0].parent).facts) if found else SessionState()

    def facts(self, kind: type[Any]) -> list[Any]:
        """The facts of a kind in the ledger, in order."""
        found = (self.folder / "intern_runs").glob("*/ledger.jsonl")
        written = [w.fact for ledger in found for w in Ledger.view(ledger.parent).facts]
        return [fact for fact in written if isinstance(fact, kind)]

    def ended(self) -> SessionState:
        """The fold, once the turn is over."""
        self.until(lambda: self.state().outcome is not None, "the end of the turn")
        return self.state()

    def until(self, condition: Callable[[], Any], what: str = "it", seconds: float = WAIT_S) -> Any:
        """Wait for something outside of the page; the page goes on meanwhile."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                asked = [r.problems or r.served for r in self.server.requests]
                raise AssertionError(f"never: {what}; requests {asked}\n{self.notebook._story()}")
            self.notebook.page.wait_for_timeout(20)
        return found


class Desk:
    """Opens notebooks and sets the intern to work in them."""

    def __init__(self, open_notebook: Callable[[Path], NotebookPage], folder: Path) -> None:
        self._open = open_notebook
        self._folder = folder

    def begin(
        self,
        server: ScriptedServer,
        *,
        options: str = "",
        above: Sequence[str] = (),
        below: Sequence[str] = (),
        run_all: bool = False,
    ) -> InternPage:
        """Open a notebook and run what is above the magic cell, and that cell.

        Args:
            server: the model.
            options: more for the magic cell's line.
            above: cells before the one that loads the extension.
            below: the person's own cells under the magic cell; run only by ``run_all``.
            run_all: run the whole notebook at once.
        """
        magic = (
            f"%%intern do it --model openai/scripted --api-base {server.base_url} --max-steps 20"
            f" {options}".rstrip()
        )
        cells = [*above, LOAD, magic, *below]
        notebook = self._open(write_notebook(self._folder / "n.ipynb", cells))
        if run_all:
            notebook.run_all()
        else:
            for index in range(len(cells) - len(below)):
                notebook.run_cell(index)
        return InternPage(notebook, self._folder, server)
