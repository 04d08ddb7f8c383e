"""A real JupyterLab and a real Chromium: one server a session, one browser a file, one page a test.

Needs Debian's ``chromium`` (or ``CHROMIUM=/path/to/it``), the dev extra, and the built page::

    cd labextension && npm ci && npm run build:dev

Run by several workers, say ``--dist loadgroup``: each file is one group, so it has one server.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from notebook_page import NotebookPage
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILT = ROOT / "mlintern_jupyter" / "labextension"
STUBS = ROOT / "tests" / "peers"
VIEWPORT = {"width": 1280, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_workspaces = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(f"lab/{item.path.name}"))


@dataclass(frozen=True)
class Lab:
    """A running server."""

    url: str
    root: Path
    """What it serves; every test's ``tmp_path`` is inside."""
    log: Path


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab-server")
    root, log = tmp_path_factory.getbasetemp(), home / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *arguments],
            env=_environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_server(url, process, log)
        yield Lab(url, root, log)
    finally:
        process.terminate()
        try:
            # It ends its kernels before it ends itself.
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    """The person's own settings, keys and extensions are no part of a test."""
    if not (BUILT / "package.json").exists():
        pytest.fail(
            f"the page is not built, there is no {BUILT}: cd labextension && npm ci && npm run "
            "build:dev"
        )
    # A copy, because a build may replace it while the tests run; found before an installed one.
    shutil.copytree(BUILT, home / "share" / "labextensions" / "mlintern-jupyter")
    settings = home / "config" / "labconfig"
    settings.mkdir(parents=True)
    news = "@jupyterlab/apputils-extension:announcements"
    (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": {news: True}}))
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_TOKEN"))}
    return kept | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_PATH": str(home / "share"),
        "IPYTHONDIR": str(home / "ipython"),
        "MLINTERN_CONFIG": str(home / "no-config.toml"),
        "PYTHONPATH": os.pathsep.join([str(STUBS), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
    }


def _await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/api/status", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the server at {url} did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its file: Playwright leaves an event loop in the thread for as long as it lives."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.fail("there is no chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


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
        where = path.resolve().relative_to(lab_server.root.resolve())
        return NotebookPage(page, lab_server.url, str(where), next_workspace).open(app)

    return opened


def next_workspace() -> str:
    """A name without brackets, which Lab never opens."""
    return f"test-{os.getpid()}-{next(_workspaces)}"
