"""Proposing cells, waiting until a person (or the mode) ran them, and changing them.

A cell's id is a function of the session and the call, so a call that is carried out again after a
crash finds its cell instead of making a second one.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from mlintern_jupyter.cells import (
    CellKind,
    CellMark,
    CellOutcome,
    CellState,
    CellType,
    NewCell,
    source_sha256,
)
from mlintern_jupyter.context.outputs import outputs_as_text
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import Activity, CellProposed, Decided, RunRecorded
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.record.state import CellRecord
from mlintern_jupyter.tools.base.facts import MARK, facts_of, sources_of
from mlintern_jupyter.tools.base.lint import check_cell
from mlintern_jupyter.tools.base.pictures import with_pictures

T = TypeVar("T")
DIFF_LINES = 80


class CellWriter:
    """Puts cells of the session into the notebook, for every tool whose product is a cell."""

    def __init__(
        self, cells: Callable[[], Mapping[str, CellRecord]], has_secret: Callable[[str], str | None]
    ) -> None:
        self._cells = cells
        self._has_secret = has_secret

    async def write(
        self, ctx: ToolContext, kind: CellKind, source: str, sources: Sequence[str] = ()
    ) -> ToolResult:
        """Put a Markdown cell into the notebook; nothing waits for it."""
        return written(await self._insert(ctx, kind, "markdown", source, sources=sources))

    async def propose(
        self,
        ctx: ToolContext,
        kind: CellKind,
        source: str,
        why: str,
        *,
        setup: bool = False,
        sources: Sequence[str] = (),
        parents: Sequence[str] = (),
    ) -> ToolResult:
        """Put a code cell into the notebook and wait until it settled.

        Raises:
            ToolError: the lint refuses it; nothing was put into the notebook.
        """
        cell_id = await self._insert(
            ctx, kind, "code", source, why=why, setup=setup, sources=sources, parents=parents
        )
        return await self.settled(ctx, cell_id, source, why)

    async def rewrite(self, ctx: ToolContext, cell_id: str, source: str, why: str = "") -> None:
        """Give a cell of this session that never ran another text."""
        old = self.record_of(cell_id).proposed
        cell_type = cast("CellType", old.cell_type)
        check_cell(source, cell_type, self._has_secret)
        mark = _mark(ctx, cast("CellKind", old.kind), cell_type, source, old.setup, old.sources)
        # A host of a later process does not know the cell yet; inserting twice is inserting once.
        await ctx.host.insert_cell(NewCell(cell_id, cell_type, old.source, mark, old.why))
        # A host that refuses must leave no trace of a text that was never there.
        await ctx.host.update_cell(cell_id, source=source)
        if source != old.source:
            ctx.commit(replace(old, call=ctx.call, source=source, why=why))

    async def wait(self, ctx: ToolContext, cell_id: str) -> ToolResult:
        """Wait on for a cell of this session. Raises ``ToolError`` where there is none."""
        old = self.record_of(cell_id).proposed
        if old.cell_type == "markdown":
            return written(cell_id)
        mark = _mark(ctx, cast("CellKind", old.kind), "code", old.source, old.setup, old.sources)
        # A host of a later process does not know the cell yet; inserting twice is inserting once.
        await ctx.host.insert_cell(NewCell(cell_id, "code", old.source, mark, old.why))
        return await self.settled(ctx, cell_id, old.source, old.why or old.kind)

    def newest(self, kind: CellKind) -> str | None:
        """Id of the session's last cell of a kind."""
        ids = [cell_id for cell_id, cell in self._cells().items() if cell.proposed.kind == kind]
        return ids[-1] if ids else None

    async def _insert(
        self,
        ctx: ToolContext,
        kind: CellKind,
        cell_type: CellType,
        source: str,
        *,
        why: str = "",
        setup: bool = False,
        sources: Sequence[str] = (),
        parents: Sequence[str] = (),
    ) -> str:
        check_cell(source, cell_type, self._has_secret)
        cell_id = self._id_for(ctx, source)
        if cell_id not in self._cells():
            ctx.commit(
                CellProposed(cell_id, ctx.call, kind, cell_type, source, setup, tuple(sources), why)
            )
        mark = _mark(ctx, kind, cell_type, source, setup, sources, parents)
        await ctx.host.insert_cell(NewCell(cell_id, cell_type, source, mark, why))
        return cell_id

    def _id_for(self, ctx: ToolContext, source: str) -> str:
        """The id of this call's cell; a model that repeats a call id still gets a new cell."""
        known = self._cells()
        number = 0
        while True:
            cell_id = cell_id_of(ctx.session, ctx.call, number)
            if cell_id not in known or known[cell_id].proposed.source == source:
                return cell_id
            number += 1

    async def settled(self, ctx: ToolContext, cell_id: str, source: str, why: str) -> ToolResult:
        """Wait until a code cell was run, skipped or deleted; early where the person speaks."""
        known = self._cells()[cell_id]
        begun = known.started is not None or known.ended is not None
        unreviewed = ctx.runs_unreviewed(known.proposed.kind, source)
        if unreviewed and not begun:
            if known.decided is None:
                ctx.commit(Decided(cell_id, run=True, by="mode"))
            await ctx.host.run_cell(cell_id)
        ctx.signal(Activity(f"waiting for a cell: {why.partition(chr(10))[0][:120]}"))
        outcome = await self._awaited(ctx, cell_id, unreviewed=unreviewed)
        if outcome is None:
            return self._still_open(cell_id)
        for record in outcome.records:
            ctx.commit(RunRecorded(record, cell_id))
        result = outcome_as_result(outcome, source)
        return await with_pictures(result, outcome.outputs, ctx.sees)

    async def _awaited(
        self, ctx: ToolContext, cell_id: str, *, unreviewed: bool
    ) -> CellOutcome | None:
        """How the cell settled; nothing if the person speaks before that."""
        # The time until a person decides belongs to them; a cell that begun is work.
        with contextlib.nullcontext() if unreviewed else ctx.waiting():
            begun = await _unless_spoken_to(ctx, ctx.host.wait_begun(cell_id))
        if not begun:
            return None
        settled = await _unless_spoken_to(ctx, ctx.host.wait_settled(cell_id))
        return settled[0] if settled else None

    def _still_open(self, cell_id: str) -> ToolResult:
        cell = self._cells()[cell_id]
        running = cell.started is not None or (cell.decided is not None and cell.decided.run)
        state = "running" if running else "proposed"
        now = "has not ended yet" if running else "still waits for the person to run or skip it"
        return ToolResult(
            f"The person spoke while this waited, so it came back early: cell {cell_id} {now}."
            " Heed what they say; then wait_cell waits on for this cell.",
            {"cell": cell_id, "state": state},
        )

    def record_of(self, cell_id: str) -> CellRecord:
        """A cell of this session. Raises ``ToolError`` where there is none of that id."""
        known = self._cells()
        if cell_id not in known:
            near = difflib.get_close_matches(cell_id, known, n=1, cutoff=0.6)
            raise ToolError(
                f"{cell_id} is no cell of this session",
                why="only cells you wrote can be edited; the person's own are left alone",
                do=f"did you mean {near[0]}?" if near else "write a cell of your own instead",
            )
        return known[cell_id]


async def _unless_spoken_to(ctx: ToolContext, waiting: Coroutine[Any, Any, T]) -> tuple[T] | None:
    """What is waited for, in a tuple; nothing if the person speaks first."""
    work = asyncio.ensure_future(waiting)
    spoken = asyncio.ensure_future(ctx.attention.wait())
    try:
        # What is there already is taken, also when the person spoke.
        await asyncio.sleep(0)
        await asyncio.wait({work, spoken}, return_when=asyncio.FIRST_COMPLETED)
        return (work.result(),) if work.done() else None
    finally:
        for task in (work, spoken):
            task.cancel()
        await asyncio.gather(work, spoken, return_exceptions=True)


def cell_id_of(session: str, call: str, number: int = 0) -> str:
    """The id of the cell a call makes: the same for the same call, and valid in nbformat."""
    digest = hashlib.sha256(f"{session}\0{call}\0{number}".encode("utf-8", "replace")).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 24, 8))


def _mark(
    ctx: ToolContext,
    kind: CellKind,
    cell_type: CellType,
    source: str,
    setup: bool,
    sources: Sequence[str],
    parents: Sequence[str] = (),
) -> CellMark:
    # Markdown is done when it is written: nothing will write its mark again.
    state: CellState = "proposed" if cell_type == "code" else "done"
    return CellMark(
        session=ctx.session,
        call=ctx.call,
        kind=kind,
        state=state,
        model=ctx.model,
        proposed_sha256=source_sha256(source),
        parents=tuple(parents),
        sources=tuple(sources),
        setup=setup,
    )


def outcome_as_result(outcome: CellOutcome, proposed: str) -> ToolResult:
    """How a cell ended, as the model reads it: state, the person's edit, outputs, error, facts."""
    facts = facts_of(outcome)
    lines = [f"cell {outcome.cell_id} {outcome.state}"]
    if outcome.seconds:
        lines[0] += f" after {outcome.seconds:.1f} s"
    if outcome.source and source_sha256(outcome.source) != source_sha256(proposed):
        facts["edited"] = True
        lines += ["The person changed it before running; their edit stands:"]
        lines += _diff(proposed, outcome.source)
    shown = outputs_as_text(outcome.outputs)
    # Its facts are said once, in the line that ends the result.
    lines += [line for line in shown.split("\n") if line and not line.startswith(MARK)]
    if outcome.error and outcome.error not in shown:
        lines.append(outcome.error)
    return ToolResult(
        "\n".join(lines),
        facts,
        ok=outcome.state == "done",
        sources=sources_of(outcome.cell_id, outcome.outputs),
    )


def written(cell_id: str) -> ToolResult:
    """The answer of a call that wrote a Markdown cell."""
    return ToolResult(f"cell {cell_id} written", {"cell": cell_id, "state": "written"})


def _diff(proposed: str, ran: str) -> list[str]:
    diff = difflib.unified_diff(
        proposed.split("\n"), ran.split("\n"), "proposed", "ran", lineterm="", n=2
    )
    lines = list(diff)
    if len(lines) > DIFF_LINES:
        lines[DIFF_LINES:] = [f"[... {len(lines) - DIFF_LINES} lines of the diff left out ...]"]
    return lines
