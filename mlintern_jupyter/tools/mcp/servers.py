"""Every MCP server of a session. Nothing is imported or started before one is used."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from mlintern_jupyter.config import McpServer
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.protocols import Tool
from mlintern_jupyter.tools.mcp.manifest import Manifest
from mlintern_jupyter.tools.mcp.pins import Pins
from mlintern_jupyter.tools.mcp.server import ManagedServer, Status
from mlintern_jupyter.tools.mcp.tools import McpTool, UseMcp


class McpServers:
    """Lives as long as its session, on the worker's loop.

    Args:
        configured: the person's servers.
        env: where variables are looked up when a server starts; it gets those its table names.
        pins_path: where the person's yes is kept (``pins.pins_path``).
    """

    def __init__(
        self, configured: Mapping[str, McpServer], env: Mapping[str, str], pins_path: Path
    ) -> None:
        pins = Pins(pins_path)
        self._servers = {
            name: ManagedServer(config, env, pins) for name, config in configured.items()
        }

    async def tools_for_turn(self, taken: Collection[str] = ()) -> list[Tool]:
        """The tools that MCP adds to the toolbox of a turn, which stay as they are while it runs.

        Servers with ``always`` are started for it, side by side; one that is down or waits for a
        yes adds nothing.

        Args:
            taken: names of all other tools, on or off; no tool of a server gets one of these.
        """
        usable = {n: s for n, s in self._servers.items() if not s.config.problem}
        for server in self._servers.values():
            server.begin_turn()
        always = [server for server in usable.values() if server.config.always]
        manifests = await asyncio.gather(*(_manifest(server) for server in always))
        tools: list[Tool] = [UseMcp(usable)] if usable else []
        names = set(taken)
        for server, manifest in zip(always, manifests, strict=True):
            for offered in manifest.tools if manifest else ():
                tool = McpTool(server, offered, manifest.sha256 if manifest else "")
                if tool.spec.name not in names:
                    names.add(tool.spec.name)
                    tools.append(tool)
        return tools

    def status(self) -> list[Status]:
        """Where each server stands."""
        return [server.status() for server in self._servers.values()]

    async def close(self) -> None:
        """End them all, and every process that was started for them."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))


async def _manifest(server: ManagedServer) -> Manifest | None:
    try:
        return await server.usable()
    except ToolError:
        # Its status says why, and use_mcp answers it to whoever asks for its tools.
        return None
