"""The clock of an event loop, moved by hand: a limit is reached when a test says so.

A limit of a fraction of a second is also reached by whoever is merely slow; one of minutes is not,
and nobody has to wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

LONG_S = 60.0
T = TypeVar("T")


def let_pass(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """So much time has passed for all that waits on a loop; from any thread."""
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
    loop.call_soon_threadsafe(lambda: None)


async def outwaited(
    work: Coroutine[Any, Any, T], stuck: Sequence[Callable[[], Any]], seconds: float
) -> T:
    """What work returns that gets stuck so often, and is left to it for so many seconds each time.

    Args:
        work: something with a limit of fewer seconds.
        stuck: whether it waits for what never comes, one question for each time.
        seconds: how long it is left waiting, by its own clock.
    """
    task = asyncio.ensure_future(work)
    for waits in stuck:
        end = time.monotonic() + LONG_S
        while not waits():
            assert not task.done(), "it ended before it got stuck"
            assert time.monotonic() < end, "it got stuck elsewhere"
            await asyncio.sleep(0.01)
        let_pass(asyncio.get_running_loop(), seconds)
    return await task
