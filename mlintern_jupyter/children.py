"""A question to a process of its own: what it does can be stopped, and nothing of it stays behind.

Work that blocks runs in one of these, never in a thread: a thread cannot be ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PIECE = 64 * 1024


async def ask_python(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    limit: int,
    env: Mapping[str, str],
    given: bytes = b"",
    hold: bool = False,
    cwd: Path | None = None,
) -> tuple[bytes, int | None]:
    r"""What a Python child answers on its standard output, up to a line end, and its exit status.

    It is the leader of a process group; the whole group is dead when this returns, however that
    happens.

    Args:
        arguments: after ``python -P``: a file in the notebook's folder must not pass for a library.
        timeout_s: seconds.
        limit: bytes read of the answer; a longer one is cut there.
        env: its whole environment.
        given: written to its standard input.
        hold: leave that open, so that its end tells the child that this process is gone.
        cwd: where it runs.

    Raises:
        TimeoutError: it did not answer in time.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-X",
        "utf8",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await _give(process, given, hold)
            return await _answer(process, limit)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _give(process: asyncio.subprocess.Process, given: bytes, hold: bool) -> None:
    assert process.stdin is not None
    # A child that ended before it read everything has said why, or its status does.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
    if not hold:
        process.stdin.close()


async def _answer(process: asyncio.subprocess.Process, limit: int) -> tuple[bytes, int | None]:
    assert process.stdout is not None
    answer = bytearray()
    while len(answer) < limit and (piece := await process.stdout.read(_PIECE)):
        answer += piece
        if piece.endswith(b"\n"):
            return bytes(answer), None
    # Without a line end it is over, or says too much.
    return bytes(answer), process.returncode if len(answer) >= limit else await process.wait()
