"""A real JupyterLab and a real Chromium, for the tests here, the benchmark and the pictures.

Needs Debian's ``chromium`` (or ``CHROMIUM=/path/to/it``) and the built page::

    cd labextension && npm ci && npm run build:dev
"""

from __future__ import annotations

import http.client
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from notebook_page import NotebookPage
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "mlintern_jupyter" / "labextension"
STUBS = ROOT / "tests" / "doubles"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TRIES = 3
"""Another process may take the port between its choice and its use."""
_workspaces = itertools.count(1)


class NotThere(Exception):
    """What is needed to show a page is missing, or did not start."""


@dataclass(frozen=True)
class Lab:
    """A running server."""

    url: str
    root: Path
    """What it serves; every notebook is inside."""
    log: Path

    def open(self, page: Page, path: Path, app: str = "lab") -> NotebookPage:
        """Open a notebook file below the server's root."""
        where = path.resolve().relative_to(self.root.resolve())
        return NotebookPage(page, self.url, str(where), next_workspace).open(app)


@contextmanager
def serve(root: Path, home: Path) -> Iterator[Lab]:
    """A server with nobody's settings; its kernels end with it.

    Args:
        root: what it serves.
        home: an empty folder for its own files.

    Raises:
        NotThere: the page is not built, or the server did not start.
    """
    log = home / "server.log"
    environment = _environment(home)
    process, url = _start(root, home, environment, log)
    try:
        yield Lab(url, root, log)
    finally:
        process.terminate()
        try:
            # It ends its kernels before it ends itself.
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(
    root: Path, home: Path, environment: dict[str, str], log: Path
) -> tuple[subprocess.Popen[bytes], str]:
    """The process and its address, once it answers."""
    for _ in range(TRIES):
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
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        if _answers(url, process):
            return process, url
        process.kill()
        process.wait()
    raise NotThere(f"the server at {url} did not start:\n{log.read_text()[-3000:]}")


def _environment(home: Path) -> dict[str, str]:
    """The person's own settings, keys and extensions are no part of a test."""
    if not (BUILT / "package.json").exists():
        raise NotThere(
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


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether this server answers; what took its port meanwhile, a kernel say, does not."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/api/status", timeout=5):
                return True
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            time.sleep(0.1)
    return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. Raises NotThere without one."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        raise NotThere("there is no chromium: apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def next_workspace() -> str:
    """A name without brackets, which Lab never opens."""
    return f"test-{os.getpid()}-{next(_workspaces)}"
