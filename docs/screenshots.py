"""Takes the pictures of the README in a real JupyterLab, light and dark, into docs/images.

``make pictures`` needs Chromium (Debian: ``apt-get install chromium``) and about five minutes. No
model server: the planner sets to work on a nano benchmark, first under review, then by itself until
it trains beyond its first score.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "doubles"))

from notebook_page import NotebookPage, write_notebook  # noqa: E402
from real_lab import Lab, chromium, serve  # noqa: E402

IMAGES = ROOT / "docs" / "images"
RECORD = ROOT / "example_notebooks" / "improve_nano_mcq.ipynb"
VIEWPORT = {"width": 1440, "height": 900}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
MOST_BYTES = 250_000
LONGEST_S = 900
TASK = "%%intern improve nano/mcq --model playbook --budget 1"
TRAINS = """async path => {
    const reply = await testing.ask(path, { kind: 'status', whole: true, tab: '' }, 60_000);
    const { session, jobs } = reply?.view ?? { session: null, jobs: [] };
    const points = jobs.filter(job => job.state === 'running').map(job => job.curve.length);
    return session?.best?.value > 0 && Math.max(0, ...points) >= 8;
}"""


def main() -> None:
    """Take all six."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home, root = Path(folder) / "home", Path(folder) / "root"
        home.mkdir()
        root.mkdir()
        with serve(root, home) as lab:

            def page() -> Page:
                return browser.new_context(viewport=VIEWPORT, device_scale_factor=1).new_page()

            take_record(lab, page())
            take_session(lab, page())


def take_record(lab: Lab, page: Page) -> None:
    """The finished notebook where it says what came out: the last plot, and the report below."""
    path = lab.root / RECORD.name
    shutil.copy(RECORD, path)
    notebook = lab.open(page, path)
    notebook.command("application:toggle-left-area")
    # Lab writes into the file which kernel it is; saved, its tab bears no mark.
    notebook.save()
    scroll_to(page.locator(".jp-OutputArea-output img").last, "center")
    photograph(notebook, "record")


def take_session(lab: Lab, page: Page) -> None:
    """A session whose cells wait, and the same one while it trains."""
    notebook = lab.open(
        page, write_notebook(lab.root / "nano.ipynb", ["%load_ext mlintern_jupyter", TASK])
    )
    notebook.command("application:toggle-left-area")
    notebook.run_cell(0)
    notebook.run_cell(1)
    run = page.locator(".jp-mlintern-CellBar").get_by_role("button", name="Run", exact=True)
    widen_sidebar(page)
    run.click()
    notebook.wait_for(
        "cells.some(c => c.metadata.mlintern?.state === 'done' && c.outputs.length)", "it ran"
    )
    run.wait_for()
    # As far down as the waiting cell needs.
    scroll_to(page.locator(".jp-CodeCell").last, "end")
    photograph(notebook, "review")
    page.get_by_role("group", name="Mode").get_by_text("Unattended").click()
    end = time.monotonic() + LONGEST_S
    while not page.evaluate(TRAINS, notebook.path):
        if time.monotonic() > end:
            raise TimeoutError("no training began")
        page.wait_for_timeout(500)
    scroll_to(page.locator(".jp-CodeCell").last, "end")
    photograph(notebook, "sidebar")
    notebook.command("mlintern:stop-and-cancel-jobs")
    page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")


def widen_sidebar(page: Page) -> None:
    """Drag its edge: wider, it shows more in the height of a picture."""
    sidebar = page.get_by_role("region", name="Intern")
    sidebar.wait_for()
    box = sidebar.bounding_box()
    assert box is not None, "the sidebar is open"
    page.mouse.move(box["x"] - 1, 450)
    page.mouse.down()
    page.mouse.move(box["x"] - 121, 450, steps=4)
    page.mouse.up()


def scroll_to(what: Locator, block: str) -> None:
    """Bring something into view for good."""
    # Cells out of sight have the height they are thought to have, until they come into it.
    for _ in range(3):
        what.evaluate("(node, block) => node.scrollIntoView({ block })", block)
        what.page.wait_for_timeout(500)


def photograph(notebook: NotebookPage, name: str) -> None:
    """The page in both themes."""
    page = notebook.page
    for word, theme in THEMES.items():
        notebook.command("apputils:change-theme", theme=theme)
        page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
        page.mouse.move(0, VIEWPORT["height"])
        # Fonts, the plots' own colours and Lab's notices take a moment that nothing tells of.
        page.wait_for_timeout(1500)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        path = IMAGES / f"{name}-{word}.png"
        image.save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)} {path.stat().st_size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
