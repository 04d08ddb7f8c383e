"""One notebook in one page of a browser, as a test speaks of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import ConsoleMessage, Page

HELPERS = Path(__file__).with_name("notebook_page.js")
WAIT_S = 60.0


@dataclass(frozen=True)
class CellSeen:
    """A cell as the notebook's model in the page holds it."""

    id: str
    type: str
    source: str
    outputs: list[dict[str, Any]]
    metadata: dict[str, Any]
    execution_count: int | None
    is_running: bool

    @property
    def text(self) -> str:
        """Everything it printed."""
        return "".join("".join(o["text"]) for o in self.outputs if o["output_type"] == "stream")


@dataclass(frozen=True)
class Look:
    """What a person in front of the page has before them."""

    mode: str
    """``command`` or ``edit``."""
    active: str | None
    """Id of the active cell."""
    selected: list[str]
    cursor: list[int] | None
    """Line and column in the active cell's editor."""
    scroll_px: float


def write_notebook(path: Path, sources: Iterable[str]) -> Path:
    """A notebook of code cells that names its kernel, else Lab asks which one to start."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


class NotebookPage:
    """Everything is done and read in the page; waiting is for a condition, never for a time.

    Args:
        page: a page of the browser.
        url: of the server.
        path: of the notebook, from the server's root.
        workspace: gives a name nobody used for Lab's memory of what was open.
    """

    def __init__(self, page: Page, url: str, path: str, workspace: Callable[[], str]) -> None:
        self.page = page
        self.path = path
        self.errors: list[str] = []
        """What the page's console complained of, newest last."""
        self._url = url
        self._workspace = workspace
        self._app = "lab"
        page.set_default_timeout(WAIT_S * 1000)
        page.add_init_script(path=HELPERS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        # Leaving a page with changes asks; a test that leaves means it.
        page.on("dialog", lambda dialog: dialog.accept())

    def open(self, app: str = "lab") -> NotebookPage:
        """Open the notebook in JupyterLab (``lab``) or Notebook 7 (``notebook``)."""
        self._app = app
        where = quote(self.path)
        place = {"lab": f"lab/workspaces/{self._workspace()}/tree", "notebook": "notebooks"}[app]
        self.page.goto(f"{self._url}/{place}/{where}")
        return self._ready()

    def another(self, app: str = "lab", path: str | None = None) -> NotebookPage:
        """A second page on the same notebook and kernel, or on another notebook."""
        page = self.page.context.new_page()
        return NotebookPage(page, self._url, path or self.path, self._workspace).open(app)

    def reload(self) -> NotebookPage:
        """Load the page again; what was not saved is lost."""
        self.page.reload()
        return self._ready()

    def close(self) -> None:
        """Close the page as a person does."""
        with self.page.expect_event("close"):
            self.page.close(run_before_unload=True)

    # Cells --------------------------------------------------------------------------------------

    def cells(self) -> list[CellSeen]:
        """The cells, in order, from the model."""
        return [CellSeen(**cell) for cell in self._call("cells")]

    def cell(self, cell_id: str) -> CellSeen:
        """One cell by id."""
        found = {cell.id: cell for cell in self.cells()}
        assert cell_id in found, f"no cell {cell_id}: {self.ids()}"
        return found[cell_id]

    def ids(self) -> list[str]:
        """Ids of the cells, in order."""
        return [cell.id for cell in self.cells()]

    def run_cell(self, index: int) -> None:
        """Run a cell; does not wait for its end."""
        self.page.evaluate("([p, i]) => void testing.run(p, i)", [self.path, index])

    def run_to_end(self, cell_id: str) -> None:
        """Run a cell and wait until the kernel is done with it."""
        ended = self.page.evaluate(
            """([p, i, ms]) => Promise.race([
                testing.run(p, i).then(() => true),
                new Promise(resolve => setTimeout(() => resolve(false), ms))
            ])""",
            [self.path, self.ids().index(cell_id), WAIT_S * 1000],
        )
        assert ended, f"never: the end of {cell_id}\n{self._story()}"

    def run_all(self) -> None:
        """Run every cell there is now; does not wait for the end."""
        self.page.evaluate("() => void testing.runAll()")

    def type(self, index: int, text: str) -> None:
        """Click into a cell's editor and type at its end."""
        self._do("(content) => content.activeCellIndex = arg", index)
        self.page.locator(".jp-Cell.jp-mod-active .cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        self.page.keyboard.press(key)

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out one of Lab's commands and wait for it."""
        self.page.evaluate("([n, a]) => jupyterapp.commands.execute(n, a)", [name, arguments])

    def undo(self) -> None:
        """Undo what was done to the list of cells."""
        self.command("notebook:undo-cell-action")

    def save(self) -> None:
        """Save, and wait until it is on disk."""
        self.command("docmanager:save")
        self.wait_for("testing.panel(path).context.model.dirty === false", "saved")

    def wait_printed(self, cell_id: str, text: str) -> None:
        """Wait until all that a cell printed is this: it comes by another way than its mark."""
        printed = "o => o.output_type === 'stream' ? [o.text].flat().join('') : ''"
        outputs = f"cells.find(c => c.id === '{cell_id}')?.outputs"
        self.wait_for(
            f"{outputs}?.map({printed}).join('') === {json.dumps(text)}", f"{cell_id} says {text!r}"
        )

    # Kernel -------------------------------------------------------------------------------------

    def kernel_status(self) -> str:
        """As Lab shows it: idle, busy, restarting, dead..."""
        return self.page.evaluate("(p) => testing.kernel(p)?.status ?? 'none'", self.path)

    def restart_kernel(self) -> None:
        """Restart without asking, and wait until it answers."""
        restart = "(p) => testing.panel(p).sessionContext.restartKernel()"
        self.page.evaluate(restart, self.path)
        self._ready()

    def ask_kernel(self, within_s: float = WAIT_S, **content: Any) -> dict[str, Any] | None:
        """Send the intern in the kernel a request as its page does; ``None``: no answer."""
        ask = "([p, c, ms]) => testing.ask(p, c, ms)"
        return self.page.evaluate(ask, [self.path, content, within_s * 1000])

    def wait_until_settled(self) -> None:
        """Wait until no session is at work and all it said has reached this page."""
        self.wait_for("testing.isSettled(path)", "settled", every_ms=150)

    # Reading ------------------------------------------------------------------------------------

    def look(self) -> Look:
        """Mode, selection, cursor and scroll position."""
        return Look(**self._call("look"))

    def scroll_to(self, px: float) -> None:
        """Scroll the notebook."""
        self._do("(content) => (content.outerNode ?? content.node).scrollTop = arg", px)

    def wait_for(self, predicate: str, what: str = "", every_ms: int = 20) -> None:
        """Wait for a JavaScript expression over ``path``, ``panel`` and ``cells`` to be true.

        A failure says what the page looked like instead.
        """
        expression = f"""async ([path, everyMs, waitMs]) => testing.until(async () => {{
            const panel = testing.panel(path);
            const cells = panel ? testing.cells(path) : [];
            return await ({predicate});
        }}, everyMs, waitMs)"""
        if not self.page.evaluate(expression, [self.path, every_ms, WAIT_S * 1000]):
            raise AssertionError(f"never: {what or predicate}\n{self._story()}")

    def _ready(self) -> NotebookPage:
        self.wait_for("testing.isReady(path)", "the notebook is open and its kernel idle")
        self.page.evaluate("(p) => testing.listen(p)", self.path)
        return self

    def _call(self, name: str) -> Any:
        return self.page.evaluate(f"(p) => testing.{name}(p)", self.path)

    def _do(self, action: str, argument: Any) -> None:
        expression = f"([p, arg]) => {{ ({action})(testing.panel(p).content); }}"
        self.page.evaluate(expression, [self.path, argument])

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _story(self) -> str:
        if not self.page.evaluate("(p) => Boolean(window.testing?.panel(p))", self.path):
            return f"the notebook is not open; console: {self.errors[-5:]}"
        cells = [
            f"{cell.id} {cell.source[:60]!r} -> {json.dumps(cell.outputs)[:200]}"
            f" {cell.metadata.get('mlintern', {}).get('state', '')}"
            for cell in self.cells()
        ]
        heard = self.page.evaluate("() => testing.lastSeq")
        status = self.ask_kernel(2, kind="status", whole=False, tab="")
        dialogs = self.page.locator(".jp-Dialog-content").all_inner_texts()
        return "\n".join(
            [
                f"kernel {self.kernel_status()}, heard up to {heard}, it says {status}",
                *cells,
                f"dialogs: {dialogs}",
                f"console: {self.errors[-5:]}",
            ]
        )
