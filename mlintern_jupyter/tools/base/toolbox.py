"""The set of tools of a turn."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.messages import ToolSpec
from mlintern_jupyter.protocols import Tool


class TurnToolbox:
    """Tools by name, in a fixed order: the model's prompt prefix stays the same bytes.

    Raises:
        UsageError: two tools have the same name; none ever takes the place of another.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.spec.name in self._tools:
                raise UsageError(f"two tools are named {tool.spec.name}", do="rename one of them")
            self._tools[tool.spec.name] = tool
        self._specs = tuple(tool.spec for tool in self._tools.values())

    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told of every tool."""
        return self._specs

    def find(self, name: str) -> Tool:
        """The tool of that name.

        Raises:
            ToolError: there is none; names the nearest and lists them all.
        """
        tool = self._tools.get(name)
        if tool is None:
            near = difflib.get_close_matches(name, self._tools, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            shown = name.encode("ascii", "backslashreplace").decode()[:60]
            raise ToolError(
                f"there is no tool {shown!r}", do=f"{hint}tools are {', '.join(self._tools)}"
            )
        return tool
