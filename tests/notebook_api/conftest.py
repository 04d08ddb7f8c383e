"""A notebook's folder of its own for every test, and a process that has seen nothing yet."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.notebook_api import evals as notebook_evals
from mlintern_jupyter.notebook_api import jobs as notebook_jobs
from mlintern_jupyter.notebook_api.show import Output
from mlintern_jupyter.record import recall

MAGICS = "from mlintern_magics.jobs import JobMagics\nget_ipython().register_magics(JobMagics)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLINTERN_CONFIG", str(tmp_path / "none.toml"))
    for name in ("JPY_SESSION_NAME", "MLINTERN_RERUN", "MLINTERN_MAX_STEPS"):
        monkeypatch.delenv(name, raising=False)
    for memory in (notebook_jobs._begun, notebook_jobs._seen_running, notebook_evals._measured):
        memory.clear()
    notebook_jobs._cards.clear()
    recall.forget()
    yield tmp_path
    Jobs(tmp_path / "intern_runs").cancel_running()


Before = Callable[[Any, Any], Awaitable[None]]
"""Takes the kernel's client and the cell that is about to be run."""


class Client(NotebookClient):
    """On Unix sockets: a free port may be taken by another kernel before this one binds it."""

    def __init__(self, *args: Any, sockets: str, before: Before | None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.sockets = sockets
        self.before = before

    def create_kernel_manager(self) -> Any:
        manager: Any = super().create_kernel_manager()
        manager.transport, manager.ip = "ipc", f"{self.sockets}/k"
        return manager

    async def async_execute_cell(self, cell: Any, *args: Any, **more: Any) -> Any:
        if self.before is not None:
            await self.before(self.kc, cell)
        return await super().async_execute_cell(cell, *args, **more)


@pytest.fixture
def run_notebook(folder: Path) -> Callable[..., Any]:
    """Run cells as nbclient does, with the magics of jobs, and return the notebook."""

    def run(*cells: Any, path: str = "record.ipynb", before: Before | None = None) -> Any:
        made = [nbformat.v4.new_code_cell(c) if isinstance(c, str) else c for c in cells]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(MAGICS), *made])
        with TemporaryDirectory() as sockets:
            client = Client(
                notebook,
                sockets=sockets,
                before=before,
                timeout=120,
                startup_timeout=120,
                iopub_timeout=60,
                kernel_name="python3",
                resources={"metadata": {"path": folder}},
            )
            client.execute()
        nbformat.write(notebook, folder / path)
        return notebook

    return run


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a cell waits for something and says so: from then on it may be interrupted."""
    said = threading.Event()
    monkeypatch.setattr(Output, "progress", lambda *_: said.set())
    return said


@pytest.fixture
def once() -> Iterator[Callable[[Callable[[], object], Callable[[], object]], None]]:
    """Do something on a thread as soon as something is so."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def begin(so: Callable[[], object], do: Callable[[], object]) -> None:
        def wait() -> None:
            end = time.monotonic() + 60
            while not so() and time.monotonic() < end:
                if over.wait(0.05):
                    return
            do()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield begin
    over.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def interrupt() -> Callable[[], None]:
    """As the kernel is interrupted."""
    return lambda: os.kill(os.getpid(), signal.SIGINT)
