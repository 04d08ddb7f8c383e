"""A stop that comes before the turn it is for has begun."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from engine_rig import END_S

from mlintern_jupyter.commands import StartTurn, Stop
from mlintern_jupyter.session.running.worker import Worker


def test_a_turn_that_is_stopped_before_its_thread_came_to_it_begins_and_ends() -> None:
    seen: list[str] = []

    async def turn(_: Any) -> None:
        seen.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    worker = Worker("slow", turn, lambda _: None)
    busy = threading.Event()
    worker.loop.call_soon_threadsafe(busy.wait, END_S)
    worker.submit(StartTurn("do it", "c1", "%%intern do it"))
    worker.submit(Stop())
    busy.set()
    assert worker.idle.wait(END_S), "it is at work for ever"
    assert seen == ["began", "ended"]
    worker.close()
