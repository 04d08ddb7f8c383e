# pyright: basic
"""The notebook without a browser: the same wire messages as the page, a real file, a real kernel.

The notebook's own cells run from top to bottom. While a session is at work, its cells run before
the next own one, so that the rest of the notebook never meets half-made state. It is over when the
last own cell ran, no session is at work and every message was seen: messages come on one channel
and the answer to "are you done" on another, so the answer carries the number of the last message.

Nobody is here to review. A cell that waits for a person is skipped, and its session is told why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from mlintern_jupyter.cells import CellView
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.peers.kernel_client import CellKernel
from mlintern_jupyter.peers.notebook_file import NotebookFile
from mlintern_jupyter.wire import (
    PEER_VARIABLE,
    WIRE_VERSION,
    AskStatus,
    CellNotRun,
    CellsRead,
    Hello,
    SendCommand,
    ToKernel,
    to_json,
)

_REPLY_TIMEOUT_S = 20.0
_UNANSWERED = 3
"""So many requests in a row: the extension was unloaded, not merely busy."""
_NEWS_INTERVAL_S = 0.5
_SAVE_INTERVAL_S = 3.0
_NOBODY = "nobody is here to review it: open the notebook in Jupyter, or run with --mode unattended"


@dataclass
class HeadlessResult:
    """What a headless run left."""

    path: Path
    """Where the notebook is: a copy, if somebody else changed the file meanwhile."""
    kernel_died: bool = False
    interrupted: bool = False
    session: str = ""
    """The session heard last, empty if there was none."""
    turn_ended: dict[str, Any] | None = None
    """The last TurnEnded fact."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Cells of the notebook's own that failed: id (empty for ``execute``) and the error."""


class HeadlessNotebook:
    """Runs a notebook and answers the intern.

    Args:
        path: the notebook's file.
        cells: sources of a new notebook; ``None`` opens the existing one.
        kernel_env: variables added to the kernel's environment.
        on_event: takes every fact and signal message.
        say: takes lines for the person.

    Raises:
        UsageError: the file cannot be used; nothing was changed.
    """

    def __init__(
        self,
        path: Path,
        *,
        cells: Sequence[str] | None,
        on_event: Callable[[dict[str, Any]], None],
        say: Callable[[str], None],
        kernel_env: dict[str, str] | None = None,
    ) -> None:
        self._file = (
            NotebookFile.open(path, say) if cells is None else NotebookFile.create(path, cells, say)
        )
        self._on_event = on_event
        self._say = say
        named = {"JPY_SESSION_NAME": str(self._file.path), PEER_VARIABLE: str(os.getpid())}
        self._env = {**os.environ, **named, **(kernel_env or {})}
        self._result = HeadlessResult(self._file.path)
        folder = self._file.path.parent
        self._kernel = CellKernel(self._file.nb.metadata, folder, self._take, self._touch)
        self._runs: deque[str] = deque()
        self._running: NotebookNode | None = None
        self._last_seq = 0
        self._boot = ""
        self._linked = False
        """A kernel with the intern in it has spoken."""
        self._news = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._greeting: asyncio.Task[Any] | None = None
        self._fault: BaseException | None = None
        self._interrupts = 0

    async def run(self, execute: Sequence[str] | None = None) -> HeadlessResult:
        """Run the notebook's own cells, or ``execute`` instead: sources that are added nowhere.

        Raises:
            UsageError: there is no such kernel.
            InternError: the notebook could not be saved at the end.
        """
        try:
            async with self._started():
                await self._run_all(execute)
        except NoSuchKernel as error:
            raise UsageError(
                f"there is no kernel {error.name!r} here",
                do="install it, or choose another kernel for the notebook in Jupyter",
            ) from None
        except DeadKernelError:
            self._result.kernel_died = True
            self._mark_unknown()
            self._say("the kernel died; what was done is saved")
        self._file.save_or_raise()
        self._result.path = self._file.path
        return self._result

    def interrupt(self) -> None:
        """First: ask the sessions to stop. Again: interrupt the cell and end. Again: kill."""
        self._interrupts += 1
        self._result.interrupted = True
        actions = (self._stop_sessions, self._interrupt_cell, self._kill)
        self._spawn(actions[min(self._interrupts, len(actions)) - 1]())

    # Running --------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncIterator[None]:
        with TemporaryDirectory(prefix="mlintern-", ignore_cleanup_errors=True) as sockets:
            self._kernel.sockets = Path(sockets)
            async with self._kernel.async_setup_kernel(env=self._env):
                self._kernel.listen()
                loop = asyncio.get_running_loop()
                # nbclient's own handlers shut the kernel down; these replace them, and it
                # removes them at the end.
                with contextlib.suppress(RuntimeError, NotImplementedError):
                    loop.add_signal_handler(signal.SIGINT, self.interrupt)
                    loop.add_signal_handler(signal.SIGTERM, self._terminate)
                self._spawn(self._save_changes())
                try:
                    yield
                finally:
                    await self._end_tasks()
                    await self._kernel.stop_listening()

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_all(self, execute: Sequence[str] | None) -> None:
        if execute is None:
            person_cells = [cell["id"] for cell in self._file.nb.cells if cell.cell_type == "code"]
        else:
            person_cells = [new_code_cell(source) for source in execute]
        for item in person_cells:
            cell = self._file.cell(item) if isinstance(item, str) else item
            if cell is None:
                continue
            await self._run_cell(cell, hidden=execute is not None)
            await self._serve()
            if self._interrupts:
                return

    async def _run_cell(self, cell: NotebookNode, *, hidden: bool = False) -> None:
        self._running = cell
        error = await self._kernel.run_cell(cell, None if hidden else cell["id"])
        self._running = None
        if error and "mlintern" not in cell.metadata:
            self._result.failed.append(("" if hidden else cell["id"], error))
        for output in cell.outputs if hidden else ():
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if text:
                self._say(text.rstrip("\n"))
        self._file.save()

    async def _serve(self) -> None:
        """Do what sessions ask for until none is at work."""
        unanswered = 0
        while self._linked and self._interrupts < 2:
            while self._runs and self._interrupts < 2:
                await self._run_requested(self._runs.popleft())
            await self._kernel.check_alive()
            if self._fault is not None:
                raise self._fault
            status = await self._ask(AskStatus())
            if status is None:
                unanswered += 1
                self._linked = unanswered < _UNANSWERED
                continue
            unanswered = 0
            if status["seq"] > self._last_seq:
                await self._greet()
                continue
            for cell_id in status["wanted"]:
                await self._ask(CellNotRun(cell_id, "skipped", _NOBODY))
            if not status["active"] and not self._runs:
                return
            if not self._runs:
                await self._wait_for_news()

    async def _run_requested(self, cell_id: str) -> None:
        cell = self._file.cell(cell_id)
        if cell is None or cell.cell_type != "code":
            await self._ask(CellNotRun(cell_id, "missing", "it is not in the notebook"))
        elif not cell.source.strip() or "skip-execution" in cell.metadata.get("tags", ()):
            await self._ask(CellNotRun(cell_id, "skipped", "it is empty or tagged skip-execution"))
        else:
            await self._run_cell(cell)

    async def _wait_for_news(self) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _NEWS_INTERVAL_S)

    # Messages -------------------------------------------------------------------------------

    def _take(self, data: dict[str, Any]) -> None:
        """One message from the kernel. A gap in the numbers is filled by asking."""
        self._linked = True
        if data["boot"] != self._boot:
            self._boot, self._last_seq = data["boot"], 0
        number = data["seq"]
        if number > self._last_seq + 1:
            self._greet_soon()
        elif number == 0 or number > self._last_seq:
            self._last_seq = max(number, self._last_seq)
            self._do(data)
        self._news.set()

    def _do(self, data: dict[str, Any]) -> None:
        kind = data["kind"]
        if kind in ("fact", "signal"):
            self._hear(data)
        elif kind == "ping":
            self._greet_soon()
        elif kind == "insert":
            self._insert(data)
        elif kind == "update":
            self._update(data)
        elif kind == "run":
            self._runs.append(data["cell_id"])
        elif kind == "read":
            self._spawn(self._ask(CellsRead(data["request"], self._views())))

    def _hear(self, data: dict[str, Any]) -> None:
        self._result.session = data["session"]
        if data["kind"] == "fact" and data["fact"]["type"] == "TurnEnded":
            self._result.turn_ended = data["fact"]
        self._on_event(data)

    def _insert(self, data: dict[str, Any]) -> None:
        new = data["cell"]
        if self._file.index(new["id"]) is not None:
            return
        make = new_code_cell if new["cell_type"] == "code" else new_markdown_cell
        cell = make(new["source"], id=new["id"], metadata={"mlintern": new["mark"]})
        self._file.insert(cell, data["anchors"])
        self._touch()

    def _update(self, data: dict[str, Any]) -> None:
        cell = self._file.cell(data["cell_id"])
        if cell is None:
            return
        if data["source"] is not None:
            cell["source"] = data["source"]
        if data["mark"] is not None:
            cell.metadata["mlintern"] = data["mark"]
        self._touch()

    def _views(self) -> tuple[CellView, ...]:
        return tuple(
            CellView(cell["id"], cell.cell_type, cell.source, cell.metadata.get("mlintern"))
            for cell in self._file.nb.cells
        )

    def _greet_soon(self) -> None:
        if self._greeting is None or self._greeting.done():
            self._greeting = self._spawn(self._greet())

    async def _greet(self) -> None:
        more = True
        while more:
            reply = await self._ask(Hello("headless", WIRE_VERSION, self._last_seq, self._boot))
            if reply is None:
                return
            for data in reply["messages"]:
                if data["seq"] > self._last_seq:
                    self._last_seq = data["seq"]
                    self._do(data)
            more = reply["more"]
        self._last_seq = max(self._last_seq, reply["seq"])
        self._news.set()

    async def _ask(self, message: ToKernel) -> dict[str, Any] | None:
        """The kernel's reply; ``None`` when it refused or there is no intern in it (any more)."""
        reply = await self._kernel.request(to_json(message), _REPLY_TIMEOUT_S)
        if reply is not None and not reply["ok"]:
            self._say(
                "\n".join(part for part in (reply["what"], reply["why"], reply["do"]) if part)
            )
            return None
        return reply

    # Ends -----------------------------------------------------------------------------------

    async def _stop_sessions(self) -> None:
        status = await self._ask(AskStatus()) if self._linked else None
        if not status or not status["active"]:
            self.interrupt()
            return
        self._say("asked the intern to stop; interrupt again to end at once")
        for session in status["active"]:
            await self._ask(SendCommand(session, {"kind": "Stop"}))

    async def _interrupt_cell(self) -> None:
        self._news.set()
        if self._running is not None:
            await self._kernel.interrupt()

    async def _kill(self) -> None:
        await self._kernel.kill()

    def _terminate(self) -> None:
        self._interrupts = max(self._interrupts, 1)
        self.interrupt()

    def _mark_unknown(self) -> None:
        cell = self._running
        if cell is not None and cell.metadata.get("mlintern", {}).get("state") == "proposed":
            cell.metadata["mlintern"]["state"] = "unknown"

    # Housekeeping ---------------------------------------------------------------------------

    def _touch(self) -> None:
        self._changed.set()

    async def _save_changes(self) -> None:
        """Save while a cell runs for hours, and what was inserted meanwhile."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._file.save()
            await asyncio.sleep(_SAVE_INTERVAL_S)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._news.set()
