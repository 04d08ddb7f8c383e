"""The two ways to a server, bounded: a child process, or one exact host over HTTP.

The SDK's own child transport joins a line of any length in memory and waits seconds before it
kills; this one has a limit a line, keeps the end of what the child complains, and kills the whole
process group. For HTTP the SDK's transport is used with a client that refuses other hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

MESSAGE_LIMIT = 16 * 1024**2
"""Bytes of one message of a server."""
MOST_NOISE = 1_000
"""Lines that are no message before a child counts as broken; some servers log where they answer."""
LAST_WORDS = 2_000
"""Bytes kept of what a child writes to its standard error."""
GRACE_S = 0.5
"""For a child to end by itself once its input is closed."""
KILLED_S = 2.0
"""For one that was killed to be gone, which takes a moment where the machine is busy."""
POLL_S = 0.01
CONNECT_S, READ_S = 15.0, 300.0

for name in ("mcp", "client", "httpx2", "httpcore2"):
    # Without a handler of their own, warnings of these would be printed into a cell.
    logging.getLogger(name).addHandler(logging.NullHandler())

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]


class Broken(Exception):
    """The way to the server broke; the text is ours and holds no value of a variable."""


@asynccontextmanager
async def child(
    command: list[str],
    env: Mapping[str, str],
    gone: Callable[[str, str], None],
) -> AsyncGenerator[tuple[Incoming, Outgoing]]:
    """A server on the standard input and output of a process of its own.

    Args:
        command: program and arguments.
        env: its whole environment.
        gone: told once when it cannot go on: why, and its last words.

    Raises:
        OSError: the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        # A program that is looked up near the notebook could be one that a notebook brought along.
        cwd=Path.home(),
        start_new_session=True,
        limit=MESSAGE_LIMIT,
    )
    try:
        incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        last_words = bytearray()
        silent = anyio.Event()
        async with read, write, anyio.create_task_group() as tasks:

            async def listen() -> None:
                # Told before the stream closes, or whoever waits for an answer would not know why.
                async with incoming:
                    why = await _listen(process, incoming)
                    if await _ended(process):
                        why = f"{why}; it ended with {process.returncode}"
                    with anyio.move_on_after(GRACE_S):
                        await silent.wait()
                    gone(why, bytes(last_words).decode("utf-8", "replace"))

            tasks.start_soon(listen)
            tasks.start_soon(_speak, process, outgoing)
            tasks.start_soon(_overhear, process, last_words, silent)
            try:
                yield read, write
            finally:
                tasks.cancel_scope.cancel()
    finally:
        await _end(process)


async def _listen(
    process: asyncio.subprocess.Process,
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
) -> str:
    """Hand on every message until there are none; returns why."""
    assert process.stdout is not None
    noise = 0
    while noise < MOST_NOISE:
        try:
            line = await process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return "it closed the connection"
        except asyncio.LimitOverrunError:
            return f"it sent a message of more than {MESSAGE_LIMIT // 1024**2} MB"
        try:
            message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            noise += 1
            continue
        try:
            await incoming.send(message)
        except anyio.BrokenResourceError:
            return "the connection was closed"
    return "what it writes is not MCP"


async def _speak(
    process: asyncio.subprocess.Process, outgoing: MemoryObjectReceiveStream[SessionMessage]
) -> None:
    assert process.stdin is not None
    async with outgoing:
        async for message in outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            with contextlib.suppress(ConnectionError):  # its end is noticed by who listens
                await process.stdin.drain()


async def _overhear(
    process: asyncio.subprocess.Process, last_words: bytearray, silent: anyio.Event
) -> None:
    assert process.stderr is not None
    while piece := await process.stderr.read(LAST_WORDS):
        last_words += piece
        del last_words[:-LAST_WORDS]
    silent.set()


async def _ended(process: asyncio.subprocess.Process, within_s: float = GRACE_S) -> bool:
    """Whether it ended in time; ``wait`` would wait for whoever inherited its pipes."""
    for _ in range(round(within_s / POLL_S)):
        if process.returncode is not None:
            return True
        await asyncio.sleep(POLL_S)
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of the process group is left when this returns, also when it is cancelled."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        await _ended(process)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await _ended(process, KILLED_S)
        # Its pipes stay open while somebody outside the group holds them, or nobody reads them.
        getattr(process, "_transport").close()  # noqa: B009


@asynccontextmanager
async def web(
    url: str, headers: Mapping[str, str], answered: Callable[[int], None]
) -> AsyncGenerator[tuple[object, object]]:
    """A server at one address: its headers go to that host, and nothing goes to any other.

    Args:
        url: where it is.
        headers: what it is sent beside what MCP needs.
        answered: told the status of every answer.
    """
    home = httpx2.URL(url)

    async def at_home(request: httpx2.Request) -> None:
        there = request.url
        if (there.scheme, there.host, there.port) != (home.scheme, home.host, home.port):
            raise Broken("it pointed to another host, which was not asked")

    async def bounded(response: httpx2.Response) -> None:
        answered(response.status_code)
        # We asked for nothing packed: what comes packed anyway is not unpacked.
        response.headers.pop("content-encoding", None)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            stream = response.stream
            assert isinstance(stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(stream)

    client = httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx2.Timeout(CONNECT_S, read=READ_S),
        follow_redirects=False,
        event_hooks={"request": [at_home], "response": [bounded]},
    )
    async with (
        client,
        streamable_http_client(
            url, http_client=client, max_sse_event_size=MESSAGE_LIMIT
        ) as streams,
    ):
        yield streams


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it is too long."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            if size > MESSAGE_LIMIT:
                raise httpx2.StreamError(f"more than {MESSAGE_LIMIT // 1024**2} MB")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()
