"""Functions under ``@tool`` in the notebook: a call of one is a code cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlintern_jupyter.messages import ToolResult, ToolSpec
from mlintern_jupyter.protocols import CallTerms, Effect, Grant, Tool, ToolContext
from mlintern_jupyter.tools.base.answer import finished
from mlintern_jupyter.tools.base.binding import bound
from mlintern_jupyter.tools.base.cell_writer import CellWriter
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.custom.functions import CustomFunction, describe, is_offered

LINE = 88


class NotebookTool:
    """``protocols.Tool`` of a function that lives in the kernel's main thread."""

    def __init__(self, function: CustomFunction, cells: CellWriter) -> None:
        self.timeout_s: float | None = None
        # The call finds its cell again.
        self.resumes = True
        self.spec: ToolSpec = function.spec
        self.manual = function.manual
        self._function = function
        self._cells = cells
        # What the cell does besides is known; what an undeclared function does is not.
        said = function.declaration
        effects: set[Effect] = {"notebook", "execute", *said.effects}
        known = frozenset(effects if said.effects else ())
        self._terms = CallTerms(self.spec.name, known, hosts=said.hosts)

    def bind(self, arguments: str) -> dict[str, Any]:
        """The arguments given; defaults are the function's own. Raises ``ToolError``."""
        return bound(self.spec, arguments)

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        """What the function declares, and a cell that runs."""
        return self._terms

    async def __call__(self, ctx: ToolContext, grant: Grant, /, **arguments: Any) -> ToolResult:
        """Propose the cell that makes the call and wait for it. Raises ``ToolError``."""
        grant.use(self.terms(arguments), arguments)
        source = call_cell(self._function, arguments)
        result = await self._cells.propose(ctx, "run", source, f"call {self.spec.name}")
        sources = dict.fromkeys([*result.sources, f"tool:{self.spec.name}"])
        return finished(replace(result, sources=tuple(sources)))


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The person's own functions: of modules, then of the notebook."""
    return [*deps.module_tools, *notebook_tools(deps.namespace, deps.cell_writer)]


def notebook_tools(namespace: Mapping[str, Any], cells: CellWriter) -> list[Tool]:
    """The functions under ``@tool`` that the notebook's own cells have defined by now.

    Args:
        namespace: the notebook's names; it may change while it is read.
        cells: proposes the cells.
    """
    return [
        NotebookTool(describe(value), cells)
        for name, value in dict(namespace).items()
        # An imported one belongs to its module, and a second name is not a second tool.
        if is_offered(value) and value.__name__ == name and value.__module__ == "__main__"
    ]


def call_cell(function: CustomFunction, arguments: Mapping[str, Any]) -> str:
    """Source of a cell that calls a function and shows what it returns."""
    given = [f"{name}={value!r}" for name, value in arguments.items()]
    call = f"{function.spec.name}({', '.join(given)})"
    if len(call) > LINE:
        call = "\n".join([f"{function.spec.name}(", *(f"    {one}," for one in given), ")"])
    call = f"await {call}" if function.is_async else call
    # A text is read as it is; of anything else the notebook shows more than print does.
    return f"print({call})" if function.says_text else call
