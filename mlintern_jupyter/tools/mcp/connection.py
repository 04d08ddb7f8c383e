"""One connection to one MCP server, over the official SDK; imported when a server is first used.

The SDK's contexts must be left by the task that entered them, so each connection has a task of its
own, which ends when the server does. Nothing is offered to a server: no sampling, no elicitation,
no roots. What it asks for anyway is refused and told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
import httpx2
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    Implementation,
    InputRequiredResult,
    JSONRPCRequest,
    PaginatedRequestParams,
    Tool,
    ToolListChangedNotification,
)
from pydantic import ValidationError

from mlintern_jupyter import __version__
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.mcp.answers import McpAnswer
from mlintern_jupyter.tools.mcp.manifest import MOST_TOOLS, Offered, seen
from mlintern_jupyter.tools.mcp.transports import Broken, child, web

START_S = 30.0
"""For a server to start and say what it offers; the first start of some downloads them."""
CLOSE_S = 3.0
SETTLE_S = 0.5
"""For a connection that is over to have ended its task."""
MOST_PAGES = 20
MOST_REQUESTS = 3
"""Refused requests of a server that are told with one answer."""
_UNASKED = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation"}


@dataclass(frozen=True)
class Target:
    """Where a server is, with every variable's value in its place. Never shown or kept."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    headers: Mapping[str, str]


class Connection:
    """A server that was started and has answered."""

    def __init__(self, target: Target) -> None:
        self.why = ""
        """Why it is gone, in our words; empty while it is there."""
        self.last_words = ""
        """What it said before, in its own."""
        self.changed = False
        """It said that its tools are others now."""
        self._target = target
        self._session: ClientSession | None = None
        self._status = 0
        self._open_requests: list[str] = []
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live())

    @classmethod
    async def open(cls, target: Target) -> Connection:
        """Start or reach a server.

        Raises:
            ToolError: it cannot be started or does not answer in time; nothing of it is left.
        """
        connection = cls(target)
        try:
            async with asyncio.timeout(START_S):
                await connection._ready.wait()
        except TimeoutError:
            await connection.close()
            raise ToolError(f"it did not answer within {START_S:g} s") from None
        except BaseException:
            await connection.close()
            raise
        if connection.why:
            await connection.close()
            raise ToolError(connection.why, why=connection.last_words)
        return connection

    async def tools(self) -> list[Offered]:
        """Everything it offers now. Raises ToolError."""
        self.changed = False
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._request(self._page(cursor), START_S)
            if isinstance(page, McpAnswer):
                raise ToolError("it does not list its tools")
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_TOOLS:
                break
        return [_offered(tool) for tool in found]

    async def call(self, tool: str, arguments: dict[str, Any], timeout_s: float) -> McpAnswer:
        """Its answer to a call, also where that is an error in its own words.

        Raises:
            ToolError: it is gone, too slow, or answers nonsense.
        """
        self._open_requests.clear()
        result = await self._request(self._called(tool, arguments), timeout_s)
        if isinstance(result, McpAnswer):
            return result
        if isinstance(result, InputRequiredResult):
            requests = result.model_dump(by_alias=True, mode="json").get("inputRequests")
            words = "it wants an answer of the person or of our model first, which is refused"
            return McpAnswer(
                [{"type": "text", "text": words}],
                ok=False,
                requested=_requests_of(requests),
            )
        data = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return McpAnswer(
            data.get("content", []),
            data.get("structuredContent"),
            ok=not result.is_error,
            requested=tuple(self._open_requests),
        )

    async def close(self) -> None:
        """End it, and with it every process of a server that was started here."""
        self._stop.set()
        if self._session is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_S)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_S)

    async def _page(self, cursor: str | None) -> Any:
        assert self._session is not None
        return await self._session.list_tools(params=PaginatedRequestParams(cursor=cursor))

    async def _called(self, tool: str, arguments: dict[str, Any]) -> Any:
        assert self._session is not None
        return await self._session.call_tool(tool, arguments, allow_input_required=True)

    async def _request(self, request: Any, timeout_s: float) -> Any:
        """The result of a request, or an ``Answer`` with the server's own refusal."""
        try:
            async with asyncio.timeout(timeout_s):
                return await request
        except TimeoutError:
            raise ToolError(f"it did not answer within {timeout_s:g} s") from None
        except MCPError as error:
            if await self._ended_with(error):
                raise ToolError(self.why) from None
            words = f"error {error.error.code}: {seen(error.error.message)}"
            return McpAnswer(
                [{"type": "text", "text": words}], ok=False, requested=tuple(self._open_requests)
            )
        except (ValidationError, RuntimeError):
            raise ToolError("what it answered is not what its tools promise or not MCP") from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._lost()
            raise ToolError(self.why) from None

    async def _ended_with(self, error: MCPError) -> bool:
        """Whether the connection is over, and not just this request."""
        if self._status == 404 and error.error.code == INVALID_REQUEST:
            await self._lost()
        elif error.error.code == CONNECTION_CLOSED:
            # Over HTTP the SDK says so too where only the stream of one answer broke off.
            await asyncio.wait({self._task}, timeout=SETTLE_S)
        return bool(self.why)

    async def _lost(self) -> None:
        """Leave a connection that ended; what ended it may know better why, and says so first."""
        self._stop.set()
        await asyncio.wait({self._task}, timeout=CLOSE_S)
        self.why = self.why or "it closed the connection"

    async def _live(self) -> None:
        try:
            async with Client(
                self._transport(),
                cache=None,
                client_info=Implementation(name="mlintern-jupyter", version=__version__),
                message_handler=self._heard,
            ) as client:
                self._session = client.session
                self._ready.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001
            # A stranger's server and three libraries: whatever they raise costs this server only.
            self.why = self.why or self._reason(error)
        finally:
            self.why = self.why or "the connection was closed"
            self._ready.set()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[tuple[Any, Any]]:
        async with self._way() as (read, write):
            yield _WatchedReadStream(read, self._on_message), write

    def _way(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        target = self._target
        if target.url:
            return web(target.url, target.headers, self._answered)
        return child(list(target.command), target.env, self._gone)

    def _answered(self, status: int) -> None:
        self._status = status

    def _gone(self, why: str, last_words: str) -> None:
        self.why = self.why or why
        self.last_words = seen(last_words).strip()[-300:]
        self._stop.set()

    async def _heard(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self.changed = True

    def _on_message(self, message: object) -> None:
        request = message.message if isinstance(message, SessionMessage) else None
        if isinstance(request, JSONRPCRequest) and len(self._open_requests) < MOST_REQUESTS:
            self._open_requests.append(_request_text(request.method, request.params))

    def _reason(self, error: BaseException) -> str:
        """Why it failed, without the text of an error that may hold a variable's value."""
        while isinstance(error, BaseExceptionGroup):
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        if isinstance(error, Broken):
            return str(error)
        if isinstance(error, OSError) and error.strerror:
            return f"it cannot be started: {error.strerror}"
        if self._status >= 300:
            return f"it answers with HTTP status {self._status}"
        if isinstance(error, MCPError):
            self.last_words = self.last_words or seen(error.error.message)[:300]
            return "it refuses to begin"
        if isinstance(error, httpx2.TransportError):
            return f"it cannot be reached ({type(error).__name__})"
        return f"it cannot be talked to ({type(error).__name__})"


class _WatchedReadStream:
    """A stream of what a server sends, with somebody who listens."""

    def __init__(self, stream: Any, hear: Callable[[object], None]) -> None:
        self._stream = stream
        self._hear = hear

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        message = await self._stream.receive()
        self._hear(message)
        return message

    def __aiter__(self) -> _WatchedReadStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> _WatchedReadStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(anyio.ClosedResourceError):
            await self.aclose()


def _requests_of(requests: Any) -> tuple[str, ...]:
    named = cast("dict[str, dict[str, Any]]", requests or {}).values()
    return tuple(_request_text(r.get("method"), r.get("params")) for r in named)[:MOST_REQUESTS]


def _request_text(method: object, params: Mapping[str, Any] | None) -> str:
    words = (params or {}).get("message")
    kind = _UNASKED.get(str(method), seen(str(method))[:40])
    return f"{kind}: {seen(str(words))[:300]!r}" if words else kind


def _offered(tool: Tool) -> Offered:
    annotations = tool.annotations
    return Offered(
        name=tool.name,
        description=tool.description or tool.title or "",
        schema=tool.input_schema,
        read_only=bool(annotations and annotations.read_only_hint),
    )
