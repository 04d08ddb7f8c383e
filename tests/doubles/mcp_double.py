"""What the tests of MCP share: a person who answers the gate, and servers at hand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.config import McpServer
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import CallTerms, Tool, ToolContext
from mlintern_jupyter.tools.mcp.servers import McpServers

SERVER = Path(__file__).with_name("mcp_server.py")


@dataclass
class Grant:
    """Remembers what it was used for."""

    sha256: str = "x"
    used: list[tuple[CallTerms, dict[str, Any]]] = field(default_factory=list)

    def use(self, terms: CallTerms, arguments: Mapping[str, Any]) -> None:
        self.used.append((terms, dict(arguments)))


@dataclass
class Seeing:
    """The part of a ToolContext that MCP looks at."""

    sees: bool = True


@dataclass
class Desk:
    """Calls tools as the dispatcher does, for a person who says yes to everything."""

    servers: McpServers
    tools: list[Tool] = field(default_factory=list)
    grant: Grant = field(default_factory=Grant)

    async def turn(self, taken: tuple[str, ...] = ()) -> None:
        self.tools = await self.servers.tools_for_turn(taken)

    def tool(self, name: str) -> Tool:
        return next(tool for tool in self.tools if tool.spec.name == name)

    async def call(self, name: str, arguments: str) -> ToolResult:
        tool = self.tool(name)
        bound = tool.bind(arguments)
        return await tool(cast("ToolContext", Seeing()), self.grant, **bound)

    async def use(self, arguments: str) -> ToolResult:
        return await self.call("use_mcp", arguments)

    async def welcome(self, server: str = "s") -> ToolResult:
        """Say yes to what a server offers; its list of tools."""
        await self.use(f'{{"server": "{server}"}}')
        return await self.use(f'{{"server": "{server}"}}')

    async def refusal(self, arguments: str, name: str = "use_mcp") -> str:
        try:
            result = await self.call(name, arguments)
        except ToolError as error:
            return str(error)
        raise AssertionError(result.text)

    @property
    def asked(self) -> list[CallTerms]:
        return [terms for terms, _ in self.grant.used]


def bare(trick: str, **more: Any) -> McpServer:
    """A server that misbehaves in one way."""
    args = (str(SERVER), "bare", trick)
    return McpServer(**{"name": "s", "command": sys.executable, "args": args} | more)


def friend(**more: Any) -> McpServer:
    """A server made with the SDK."""
    args = (str(SERVER), "sdk")
    return McpServer(**{"name": "s", "command": sys.executable, "args": args} | more)


def at_desk(
    folder: Path,
    *configured: McpServer,
    do: Callable[[Desk], Awaitable[None]],
    env: Mapping[str, str] | None = None,
) -> None:
    """Do something at a desk with these servers, and find every process of them gone after it."""

    async def go() -> None:
        given = os.environ if env is None else env
        by_name = {config.name: config for config in configured}
        desk = Desk(McpServers(by_name, given, folder / "pins" / "mcp_pins.json"))
        await desk.turn()
        try:
            await do(desk)
        finally:
            await desk.servers.close()

    asyncio.run(go())


@contextmanager
def web_server(folder: Path, **env: str) -> Any:
    """The SDK's server over HTTP on this machine; yields its address and its log of headers."""
    log = folder / f"headers-{len(list(folder.glob('headers-*')))}"
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "sdk", str(log)],
        env=dict(os.environ) | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the server ended before it listened"
            yield f"http://127.0.0.1:{port}/mcp", log
        finally:
            process.kill()
