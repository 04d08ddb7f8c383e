"""Cells written, edited and waited for by the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from mlintern_jupyter.cells import CellKind
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.cell_writer import CellWriter, written
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import cell_tool

MARKDOWN_KINDS = frozenset({"plan", "literature", "note", "report"})


class CellTools:
    """The tools ``write_cell``, ``edit_cell`` and ``wait_cell``."""

    def __init__(self, writer: CellWriter) -> None:
        self._writer = writer

    async def write_cell(
        self,
        ctx: ToolContext,
        kind: CellKind,
        source: str,
        why: str,
        setup: bool = False,
        sources: list[str] | None = None,
    ) -> ToolResult:
        """Add a cell at the end. Code returns with its outputs once it was run or skipped.

        plan, literature, note and report are Markdown; every other kind is code. The person may run
        the code, edit it first (the edit stands, you get the diff) or skip it (with a reason).
        Training belongs into a cell that begins with ``%%job NAME --on local``. A cell may print
        one line ``facts: {json}``; its keys come back as facts.

        Args:
            kind: Markdown: plan, literature, note, report
            why: what you expect
            setup: rerun after a restart
            sources: URLs
        """
        if kind in MARKDOWN_KINDS:
            return await self._writer.write(ctx, kind, source, sources=sources or ())
        return await self._writer.propose(
            ctx, kind, source, why, setup=setup, sources=sources or ()
        )

    async def edit_cell(self, ctx: ToolContext, cell_id: str, source: str, why: str) -> ToolResult:
        """Replace the text of a cell of yours that did not run; if it ran, a new one is put below.

        What ran stays in the record as it ran. The person's own cells cannot be edited: propose a
        cell of your own instead.

        Args:
            cell_id: from write_cell or read_notebook
            source: the whole new text
            why: what changes
        """
        record = self._writer.record_of(cell_id)
        old = record.proposed
        kind = cast("CellKind", old.kind)
        if old.cell_type == "markdown":
            await self._writer.rewrite(ctx, cell_id, source)
            return written(cell_id)
        if old.call == ctx.call and old.source == source:
            # This very call changed it, in an earlier process.
            return await self._writer.wait(ctx, cell_id)
        if record.started or record.ended or record.decided:
            return await self._writer.propose(
                ctx, kind, source, why, setup=old.setup, sources=old.sources, parents=(cell_id,)
            )
        await self._writer.rewrite(ctx, cell_id, source, why)
        return await self._writer.settled(ctx, cell_id, source, why)

    async def wait_cell(self, ctx: ToolContext, cell_id: str) -> ToolResult:
        """Wait on for a code cell of yours whose call came back while it was proposed or running.

        Returns what the call would have returned: outputs, the person's edit, facts. A cell that
        has ended is answered at once.

        Args:
            cell_id: from the facts of that call
        """
        return await self._writer.wait(ctx, cell_id)


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tools of this file."""
    cells = CellTools(deps.cell_writer)
    return [
        cell_tool(function, {"notebook", "execute"})
        for function in (cells.write_cell, cells.edit_cell, cells.wait_cell)
    ]
