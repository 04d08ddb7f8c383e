"""One MCP server as the intern knows it: off, on, down, or waiting for the person's yes.

It is started at its first use. What it offers must be, to the letter, what the person said yes to;
that is looked at again at every start, once a turn, and when the server says that it changed. A
server that is down is tried again in the next turn, or after a while in a long one.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.config import McpServer, expanded
from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.tools.mcp.answers import McpAnswer
from mlintern_jupyter.tools.mcp.manifest import Manifest, Offered, changes, seen
from mlintern_jupyter.tools.mcp.pins import Pins

if TYPE_CHECKING:
    from mlintern_jupyter.tools.mcp.connection import Connection, Target

AGAIN_S = 60.0
"""Before a server that is down is tried again within a turn."""
State = Literal["off", "on", "asks", "down"]


@dataclass(frozen=True)
class Status:
    """Where a server stands, for a person."""

    name: str
    state: State
    """``asks``: it is there, and what it offers waits for a yes."""
    tools: tuple[str, ...]
    problem: str
    """Why it is down, its last words included."""


class ManagedServer:
    """Owns the connection to one server and knows whether it may be used."""

    def __init__(self, config: McpServer, env: Mapping[str, str], pins: Pins) -> None:
        self.config = config
        self.name = config.name
        self.manifest: Manifest | None = None
        """What it offered when it was last asked."""
        self.pinned = pins.get(config.name)
        """What the person said yes to."""
        self._env = env
        self._pins = pins
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._fresh = False
        self._down: tuple[str, str] = (config.problem, "")
        self._tried = -AGAIN_S

    @property
    def approved(self) -> bool:
        """Whether what it offers is what the person said yes to, as far as is known."""
        if self.pinned is None:
            return False
        return self.manifest is None or self.manifest.sha256 == self.pinned.sha256

    def status(self) -> Status:
        """Where it stands now."""
        problem = ": ".join(part for part in self._down if part)
        known = self.manifest or self.pinned
        names = tuple(seen(tool.name)[:80] for tool in known.tools) if known else ()
        if self.manifest is not None and self._alive():
            return Status(self.name, "on" if self.approved else "asks", names, problem)
        return Status(self.name, "down" if problem else "off", names, problem)

    def begin_turn(self) -> None:
        """What it offers is looked at again, and a server that is down may be tried again."""
        self._fresh = False
        self._tried = -AGAIN_S

    async def offered(self) -> Manifest:
        """What it offers now, whether anybody said yes to it or not.

        Raises:
            ToolError: it is down.
        """
        async with self._lock:
            try:
                if not self._alive():
                    await self._start()
                assert self._connection is not None
                if not self._fresh or self._connection.changed:
                    tools = await self._connection.tools()
                    self.manifest = Manifest.of(self.config.where, tools)
                    self._fresh = True
            except ToolError as error:
                words = self._connection.last_words if self._connection else ""
                self._down = (error.what, error.why or words)
                await self.close()
                raise self._gone() from None
            assert self.manifest is not None
            return self.manifest

    async def usable(self) -> Manifest:
        """What it offers now, which is what the person said yes to.

        Raises:
            ToolError: it is down, or waits for a yes.
        """
        manifest = await self.offered()
        if not self.approved:
            raise self.unapproved()
        return manifest

    def unapproved(self) -> ToolError:
        """What is answered to whoever wants to use it before the person said yes."""
        new = "is new" if self.pinned is None else "offers other tools than the person said yes to"
        return ToolError(
            f"the MCP server {self.name} {new}",
            do=f'call use_mcp with server "{self.name}" and nothing else: the person is asked',
        )

    def changes(self) -> str:
        """What a person reads before saying yes to what it offers."""
        assert self.manifest is not None
        return changes(self.pinned, self.manifest)

    def approve(self, sha256: str) -> None:
        """The person said yes to exactly this. Raises ToolError where it offers something else."""
        if self.manifest is None or self.manifest.sha256 != sha256:
            raise ToolError(
                f"what the MCP server {self.name} offers changed while the person was asked",
                do="call use_mcp again",
            )
        self.pinned = self.manifest
        try:
            self._pins.put(self.name, self.manifest)
        except OSError as error:
            # The yes holds for this session; the next one asks again.
            self._down = ("", f"the yes could not be kept: {error.strerror}")

    async def call(self, tool: Offered, arguments: dict[str, Any]) -> McpAnswer:
        """Its answer. Raises ToolError where there is none."""
        connection = self._connection
        if connection is None:
            raise self._gone()
        try:
            return await connection.call(tool.name, arguments, self.config.timeout_s)
        except ToolError as error:
            if not connection.why:
                raise ToolError(f"the MCP server {self.name} failed", why=error.what) from None
            self._down = (error.what, connection.last_words)
            await connection.close()
            raise self._gone() from None

    def problem(self, tool: Offered, arguments: dict[str, Any]) -> str:
        """What is wrong with the arguments of a call; empty where nothing is."""
        checking = importlib.import_module("mlintern_jupyter.tools.mcp.checking")
        return checking.problem(tool.schema, arguments)

    async def close(self) -> None:
        """End it; it can be started again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _alive(self) -> bool:
        return self._connection is not None and not self._connection.why

    async def _start(self) -> None:
        if self.config.problem:
            raise ToolError(self.config.problem)
        if self._down[0] and time.monotonic() - self._tried < AGAIN_S:
            raise ToolError(self._down[0], why=self._down[1])
        self._tried = time.monotonic()
        await self.close()
        opener = importlib.import_module("mlintern_jupyter.tools.mcp.connection")
        self._connection = await opener.Connection.open(self._target(opener.Target))
        self._down = ("", "")
        self._fresh = False

    def _target(self, made: type[Target]) -> Target:
        config = self.config
        try:
            return made(
                command=tuple(expanded(part, self._env) for part in (config.command, *config.args)),
                env=allowed(self._env) | self._values(config.env),
                url=expanded(config.url, self._env),
                headers=self._values(config.headers),
            )
        except UsageError as error:
            raise ToolError(error.what, do=error.do) from None

    def _values(self, table: Mapping[str, str]) -> dict[str, str]:
        return {name: expanded(value, self._env) for name, value in table.items()}

    def _gone(self) -> ToolError:
        """That it is down, without any word of its own."""
        return ToolError(
            f"the MCP server {self.name} is down",
            why=self._down[0],
            do="go on without its tools; it is tried again in the next turn",
        )
