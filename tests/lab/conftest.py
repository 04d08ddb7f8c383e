"""A real JupyterLab and a real Chromium: one server a session, one browser a file, one page a test.

Run by several workers, say ``--dist loadfile``, so that a file has one browser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from notebook_page import WAIT_S, NotebookPage
from playwright.sync_api import Browser, BrowserContext, Page, expect
from real_lab import Lab, chromium, serve

VIEWPORT = {"width": 1280, "height": 900}
expect.set_options(timeout=WAIT_S * 1000)


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # Every test's ``tmp_path`` is inside the base folder.
    with serve(tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("lab-server")) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its file: Playwright leaves an event loop in the thread for as long as it lives."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for a file: its cache saves every test after the first the load of Lab's own code."""
    context = browser.new_context(viewport=VIEWPORT)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    # Else the kernels of all tests, and what runs in them, stay until the server ends.
    page.evaluate("() => window.jupyterapp?.serviceManager.sessions.shutdownAll()")
    for opened in context.pages:
        opened.close()


@pytest.fixture
def open_notebook(lab_server: Lab, page: Page) -> Callable[..., NotebookPage]:
    """Opens a notebook file below the server's root: ``open_notebook(path, app="lab")``."""

    def opened(path: Path, app: str = "lab") -> NotebookPage:
        return lab_server.open(page, path, app)

    return opened
