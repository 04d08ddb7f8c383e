"""Manuals of the tools: what does not fit into the few lines the model sees with every request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import read_tool
from mlintern_jupyter.tools.base.toolbox import TurnToolbox


class ManualTools:
    """The tool ``manual``."""

    def __init__(self, toolbox: Callable[[], TurnToolbox]) -> None:
        self._toolbox = toolbox

    async def manual(self, ctx: ToolContext, tool: str) -> ToolResult:
        """Read the whole manual of a tool.

        Args:
            tool: its name
        """
        return ToolResult(f"{tool}\n\n{self._toolbox().find(tool).manual}")


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [read_tool(ManualTools(lambda: TurnToolbox(deps.all_tools())).manual)]
