"""Running proposals that wait, where the mode lets them run by themselves now."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mlintern_jupyter.errors import NotebookGone, RecordError
from mlintern_jupyter.events import Decided
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.resume import proposal

if TYPE_CHECKING:
    from mlintern_jupyter.session.session import Session


async def run_what_may(session: Session) -> None:
    """Run the proposals that wait and that may run alone; after the person switched something."""
    host, state = session.host, session.state
    if not session.working or host is None or not waiting_cells(state):
        return
    # What is judged is the text that would run: the person may have edited it meanwhile. Where
    # nobody shows the notebook, or nothing can be recorded, they go on waiting.
    with contextlib.suppress(NotebookGone, RecordError):
        texts = {cell.id: cell.source for cell in await host.read_cells()}
        for cell in waiting_cells(state):
            cell_id, kind = cell.proposed.cell_id, cell.proposed.kind
            if cell_id in texts and session.runs_alone(kind, texts[cell_id]):
                await host.insert_cell(proposal(state, cell))
                session.commit(Decided(cell_id, run=True, by="mode"))
                await host.run_cell(cell_id)


def waiting_cells(state: SessionState) -> list[CellRecord]:
    """Code cells that wait for the person, in the order they were proposed."""
    return [
        cell
        for cell_id, cell in state.cells.items()
        if cell.proposed.cell_type == "code" and state.state_of(cell_id) == "proposed"
    ]
