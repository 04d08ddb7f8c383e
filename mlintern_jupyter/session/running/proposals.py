"""Running proposals that wait, where the mode lets them run by themselves now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from mlintern_jupyter.errors import NotebookGone, RecordError
from mlintern_jupyter.events import Decided, Fact
from mlintern_jupyter.protocols import Host
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.running.resume import proposal


async def run_what_may(
    state: SessionState,
    host: Host,
    commit: Callable[[Fact], int],
    may_run: Callable[[str, str], bool],
) -> None:
    """Run the proposals that wait and that may run alone; after the person switched something.

    Args:
        state: of the session; it changes with what is committed.
        host: the session's notebook.
        commit: makes a decision durable before its cell runs.
        may_run: whether a cell of this kind and text runs without a person, as things stand now.
    """
    if not waiting_cells(state):
        return
    # What is judged is the text that would run: the person may have edited it meanwhile. Where
    # nobody shows the notebook, or nothing can be recorded, they go on waiting.
    with contextlib.suppress(NotebookGone, RecordError):
        texts = {cell.id: cell.source for cell in await host.read_cells()}
        for cell in waiting_cells(state):
            cell_id, kind = cell.proposed.cell_id, cell.proposed.kind
            if cell_id in texts and may_run(kind, texts[cell_id]):
                await host.insert_cell(proposal(state, cell))
                commit(Decided(cell_id, run=True, by="mode"))
                await host.run_cell(cell_id)


def waiting_cells(state: SessionState) -> list[CellRecord]:
    """Code cells that wait for the person, in the order they were proposed."""
    return [
        cell
        for cell_id, cell in state.cells.items()
        if cell.proposed.cell_type == "code" and state.state_of(cell_id) == "proposed"
    ]
