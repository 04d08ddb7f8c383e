"""Manuals of the tools: what does not fit into the few lines the model sees with every request."""

from __future__ import annotations

from collections.abc import Callable

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Toolbox, ToolContext


class ManualTools:
    """The tool ``manual``."""

    def __init__(self, toolbox: Callable[[], Toolbox]) -> None:
        self._toolbox = toolbox

    async def manual(self, ctx: ToolContext, tool: str) -> ToolResult:
        """Read the whole manual of a tool.

        Args:
            tool: its name
        """
        return ToolResult(f"{tool}\n\n{self._toolbox().find(tool).manual}")
