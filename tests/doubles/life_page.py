"""What the tests of the life of a notebook do to a page beside reviewing cells in it."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from intern_page import InternPage
from playwright.sync_api import Locator

TRAINS = """import time
from pathlib import Path
print('begun')
while not Path('go').exists():
    time.sleep(0.05)
print('trained')"""
"""A cell that goes on until the file ``go`` is there."""

SAW_CLOSED = "A cell of a session that is not open in this kernel"


def let_go(at: InternPage) -> None:
    """Let the cell ``TRAINS`` come to its end."""
    (at.folder / "go").touch()


def wait_for_text(at: InternPage, cell_id: str, text: str) -> None:
    """Wait until a cell printed something."""
    at.notebook.wait_for(
        f"cells.find(c => c.id === '{cell_id}')?.outputs.some(o => o.text?.includes('{text}'))",
        f"{cell_id} says {text}",
    )


def id_of(at: InternPage, source: str) -> str:
    """Id of the one cell with this text."""
    (found,) = [cell.id for cell in at.notebook.cells() if cell.source == source]
    return found


def magic_cell(at: InternPage) -> str:
    """Id of the one cell that begins with ``%%intern``."""
    (found,) = [cell.id for cell in at.notebook.cells() if cell.source.startswith("%%intern")]
    return found


def edge(at: InternPage, cell_id: str) -> Locator:
    """The coloured edge of a cell; its title says what it means."""
    return at.node(cell_id).locator(".jp-mlintern-Edge")


def card(at: InternPage, cell_id: str) -> Locator:
    """The run cards in the output of a cell."""
    return at.node(cell_id).locator(".jp-mlintern-Card")


def open_sidebar(at: InternPage) -> None:
    """As from the palette."""
    at.notebook.command("mlintern:open-sidebar")
    at.sees(at.sidebar)


def places(at: InternPage) -> list[int]:
    """Which turn of the script each request of the model asked for."""
    return [request.place for request in at.server.requests]


def reload_at_once(at: InternPage) -> None:
    """Load the page again and do not wait for the kernel, which is busy."""
    at.notebook.page.reload()
    at.notebook.wait_for("panel?.context.isReady && panel.isVisible", "the notebook is open")


def another_page(at: InternPage) -> InternPage:
    """A second page on the same notebook and kernel, with its sidebar open."""
    second = InternPage(at.notebook.another(), at.folder, at.server)
    open_sidebar(second)
    return second


def copied(at: InternPage, to: Path) -> InternPage:
    """A copy of the saved file in a page and a kernel of its own."""
    to.parent.mkdir(exist_ok=True)
    shutil.copy(at.folder / "n.ipynb", to)
    path = Path(at.notebook.path).parent / to.relative_to(at.folder)
    return InternPage(at.notebook.another(path=str(path)), to.parent, at.server)


@contextmanager
def words_of_sidebar(at: InternPage) -> Generator[list[str]]:
    """What the sidebar showed meanwhile, also what it showed for a moment only; read it after."""
    at.notebook.page.evaluate(
        """() => {
            const node = document.getElementById('jp-mlintern-sidebar');
            window.shown = new Set([node.innerText]);
            new MutationObserver(() => window.shown.add(node.innerText)).observe(node, {
                subtree: true, childList: true, characterData: true
            });
        }"""
    )
    said: list[str] = []
    yield said
    said += at.notebook.page.evaluate("() => [...window.shown]")
