"""The worker thread: one inbox of commands, one asyncio loop, never a cell of the notebook.

The kernel's main thread puts commands in and returns; nothing here ever waits for that thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.commands import Command, ResumeTurn, StartTurn, Stop


@dataclass(frozen=True)
class Hold:
    """Hold the turn, or let it go on if it is held for this reason (empty: for any)."""

    held: bool
    why: str


Heard = Command | Hold

CLOSE_TIMEOUT_S = 2.0
_ALIVE: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """Runs turns, one at a time, on a thread of its own."""

    def __init__(
        self,
        name: str,
        turn: Callable[[StartTurn | ResumeTurn], Awaitable[None]],
        hear: Callable[[Heard], None],
    ) -> None:
        self._turn = turn
        self._hear = hear
        self._loop = asyncio.new_event_loop()
        self._inbox: asyncio.Queue[Heard] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None
        self._pid = os.getpid()
        self.idle = threading.Event()
        """Set while no turn runs."""
        self.idle.set()
        self._thread = threading.Thread(target=self._main, name=f"mlintern-{name}", daemon=True)
        self._thread.start()
        _ALIVE.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The worker's loop, for handing over what other threads hear."""
        return self._loop

    def submit(self, command: Heard) -> None:
        """Put a command into the inbox; returns at once, from any thread."""
        if os.getpid() != self._pid:
            return
        if isinstance(command, StartTurn | ResumeTurn):
            self.idle.clear()
        # A closed loop: the session ended a moment ago.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, command)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something on the loop before it ends; waited for a moment only."""
        if os.getpid() != self._pid or self._loop.is_closed():
            work.close()
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(work, self._loop).result(CLOSE_TIMEOUT_S)

    def close(self) -> None:
        """Stop the turn and end the thread, for unloading; waits a moment for the turn's end."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self._serving.cancel())
        if os.getpid() == self._pid and threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._serving = self._loop.create_task(self._serve())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self) -> None:
        while True:
            command = await self._inbox.get()
            if isinstance(command, StartTurn | ResumeTurn):
                if self._task is None or self._task.done():
                    self._task = asyncio.ensure_future(self._run(command))
                    # Begun before the next command is heard: a task that is cancelled before its
                    # first step never runs at all, and the turn would neither begin nor end.
                    await asyncio.sleep(0)
            elif isinstance(command, Stop):
                if self._task is not None:
                    self._task.cancel()
                if command.jobs:
                    self._hear(command)
            else:
                self._hear(command)

    async def _run(self, command: StartTurn | ResumeTurn) -> None:
        try:
            await self._turn(command)
        finally:
            self.idle.set()


def _inert_in_child() -> None:
    for worker in list(_ALIVE):
        worker._pid = -1  # pyright: ignore[reportPrivateUsage]


os.register_at_fork(after_in_child=_inert_in_child)
