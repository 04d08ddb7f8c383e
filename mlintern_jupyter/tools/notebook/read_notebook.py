"""Reading the notebook as it stands now, the person's own cells included."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from mlintern_jupyter.cells import CellView
from mlintern_jupyter.context.outputs import outputs_as_text
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.record.state import CellRecord
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.facts import sources_of
from mlintern_jupyter.tools.base.schema import Within, read_tool

MAX_COUNT = 100
LINE = 90


class ReadingTools:
    """The tool ``read_notebook``."""

    def __init__(self, cells: Callable[[], Mapping[str, CellRecord]]) -> None:
        self._cells = cells

    async def read_notebook(
        self,
        ctx: ToolContext,
        cell_id: str = "",
        first: Annotated[int, Within(0)] = 0,
        count: Annotated[int, Within(1, MAX_COUNT)] = 20,
    ) -> ToolResult:
        """List the notebook's cells, or read one whole with its outputs.

        The list has number, id, kind/state (or "own" for a cell of the person) and first line.
        Outputs are known of your cells only; of the person's cells you see the text.

        Args:
            cell_id: read this cell
            first: number of the first cell listed
            count: how many
        """
        views = await ctx.host.read_cells()
        return self._whole(views, cell_id) if cell_id else self._overview(views, first, count)

    def _overview(self, views: Sequence[CellView], first: int, count: int) -> ToolResult:
        known = self._cells()
        lines = [
            f"{number}  {view.id}  {_label(known.get(view.id), view)}  {_first_line(view.source)}"
            for number, view in enumerate(views[first : first + count], first)
        ]
        text = "\n".join([f"{len(views)} cells, {first} to {first + len(lines)}:", *lines])
        return ToolResult(text, {"notebook": {"cells": len(views)}})

    def _whole(self, views: Sequence[CellView], cell_id: str) -> ToolResult:
        by_id = {view.id: view for view in views}
        view = by_id.get(cell_id)
        if view is None:
            near = difflib.get_close_matches(cell_id, by_id, n=1, cutoff=0.5)
            raise ToolError(
                f"there is no cell {cell_id!r} in the notebook",
                do=f"did you mean {near[0]}?" if near else "call read_notebook without cell_id",
            )
        record = self._cells().get(cell_id)
        sources: tuple[str, ...] = ()
        parts = [f"cell {view.id} {_label(record, view)}", view.source]
        if record is not None and record.ended is not None:
            parts.append(f"--- {record.ended.state} {record.ended.error}".rstrip())
            parts.append(outputs_as_text(record.ended.outputs))
            sources = sources_of(cell_id, record.ended.outputs)
        return ToolResult("\n".join(part for part in parts if part), sources=sources)


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [read_tool(ReadingTools(deps.cells).read_notebook)]


def _label(record: CellRecord | None, view: CellView) -> str:
    if record is None:
        return f"own/{view.cell_type}"
    if view.cell_type == "markdown":
        return record.proposed.kind
    return f"{record.proposed.kind}/{_state(record)}"


def _state(record: CellRecord) -> str:
    if record.ended is not None:
        return record.ended.state
    if record.started is not None:
        return "running"
    if record.decided is not None and not record.decided.run:
        return "skipped"
    return "proposed"


def _first_line(source: str) -> str:
    line = source.strip().partition("\n")[0]
    return line if len(line) <= LINE else f"{line[: LINE - 3]}..."
