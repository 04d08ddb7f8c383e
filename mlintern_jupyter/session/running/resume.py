"""Going on in a new process: what is run again, and what the intern is told is gone."""

from __future__ import annotations

from typing import Any, cast

from mlintern_jupyter.cells import CellKind, CellMark, CellType, NewCell, source_sha256
from mlintern_jupyter.errors import Paused
from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.hosts.person_cells import names_bound
from mlintern_jupyter.messages import ToolCall, ToolResult
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.tools.base.answer import finished


def _ran(state: SessionState) -> list[CellRecord]:
    return [
        cell
        for cell in state.cells.values()
        if cell.proposed.cell_type == "code" and cell.ended is not None
    ]


def _source(cell: CellRecord) -> str:
    return cell.started.source if cell.started is not None else cell.proposed.source


def resume_note(state: SessionState) -> str:
    """What the intern is told when its session goes on after the kernel was lost."""
    kept = {n for c in _ran(state) if c.proposed.setup for n in names_bound(_source(c))}
    lost = [
        name
        for cell in _ran(state)
        if not cell.proposed.setup
        for name in names_bound(_source(cell))
        if name not in kept
    ]
    unknown = [
        c.proposed.cell_id
        for c in state.cells.values()
        if c.started is not None and c.ended is None
    ]
    lines = ["The session goes on in a new kernel."]
    if kept:
        lines.append(f"Cells marked setup were run again; they bind {', '.join(sorted(kept))}.")
    if lost:
        names = ", ".join(dict.fromkeys(lost))
        lines.append(f"These names are gone until their cells run again: {names}.")
    if unknown:
        lines.append(
            f"These cells had begun and their end is unknown: {', '.join(unknown)}. They are not"
            " run again by themselves; look before you repeat what they did."
        )
    return " ".join(lines)


def final_answer(state: SessionState) -> str | None:
    """The reply that ended the turn, if only its end was not written down."""
    if not state.messages or state.pending or state.outcome is not None:
        return None
    last = state.messages[-1]
    return last.text if last.role == "assistant" and not last.calls else None


def stopped_calls(state: SessionState) -> list[EffectSettled]:
    """Answers to the calls that were open when the person stopped the turn, sub-agents' included.

    A cell that had not ended stands in the notebook still; the next turn may wait on for it. Of a
    call that was begun nobody knows whether it had its effect; one that was not, had none.
    """
    answers = [_stopped(state, state.main, call, "") for call in state.pending]
    for name, agent in state.agents.items():
        talk = agent.conversation
        answers += [_stopped(state, talk, call, name) for call in talk.pending]
    return answers


def _stopped(state: SessionState, talk: Conversation, call: ToolCall, agent: str) -> EffectSettled:
    begun = call.id in talk.intended
    result = ToolResult(
        "The person stopped the intern while this call was open."
        + (
            " It was begun; whether it had its effect is unknown."
            if begun
            else " It had no effect."
        ),
        {"effect": "unknown" if begun else "not done"},
        ok=False,
    )
    cell = next((c for c in state.cells.values() if c.proposed.call == call.id), None)
    if cell is not None and cell.ended is None and cell.proposed.cell_type == "code":
        cell_id = cell.proposed.cell_id
        state_name = "running" if cell.started is not None else "proposed"
        result = ToolResult(
            "The person stopped the intern while this call was open."
            f" Its cell {cell_id} is {state_name}; wait_cell waits on for it.",
            {"cell": cell_id, "state": state_name},
            ok=False,
        )
    made = finished(result)
    return EffectSettled(talk.step, call.id, call.name, False, made.text, made.facts, agent=agent)


def cells_to_restore(state: SessionState) -> list[NewCell]:
    """Cells of the last step that may have died in the kernel's outbox; inserting is idempotent.

    Only those that never ran: a cell that ran was in the notebook.
    """
    reply = next((m for m in reversed(state.messages) if m.role == "assistant"), None)
    calls = {call.id for call in reply.calls} if reply is not None else set[str]()
    return [
        proposal(state, cell)
        for cell in state.cells.values()
        if cell.started is None and cell.proposed.call in calls
    ]


def proposal(state: SessionState, cell: CellRecord) -> NewCell:
    """A cell of the session as it was proposed; a host that knows it already does nothing."""
    proposed = cell.proposed
    cell_type = cast("CellType", proposed.cell_type)
    return NewCell(proposed.cell_id, cell_type, proposed.source, _mark(state, cell), proposed.why)


def last_run(state: SessionState) -> tuple[str, CellMark] | None:
    """Id and mark of the cell that ran last: with its kernel may have gone who would write it."""
    started = [cell for cell in state.cells.values() if cell.started is not None]
    if not started:
        return None
    last = max(started, key=lambda cell: cell.started_number)
    return last.proposed.cell_id, _mark(state, last)


def _mark(state: SessionState, cell: CellRecord) -> CellMark:
    proposed = cell.proposed
    return CellMark(
        session=state.session,
        call=proposed.call,
        kind=cast("CellKind", proposed.kind),
        state=state.state_of(proposed.cell_id),
        model=state.model,
        proposed_sha256=source_sha256(proposed.source),
        run_sha256=source_sha256(cell.started.source) if cell.started else "",
        sources=proposed.sources,
        setup=proposed.setup,
    )


def run_setup_again(ip: Any, state: SessionState) -> None:
    """Run the cells marked setup once more, in order, in this kernel.

    Raises:
        Paused: one of them fails now, so the rest of the record would stand on nothing.
    """
    for cell in _ran(state):
        if not cell.proposed.setup or cell.ended is None or cell.ended.state != "done":
            continue
        result = ip.run_cell(_source(cell), store_history=False)
        if not result.success:
            raise Paused(
                f"the setup cell {cell.proposed.cell_id} does not run in this kernel",
                why=str(result.error_in_exec or result.error_before_exec),
                do="mend what it needs, then `%intern resume` again",
            )
