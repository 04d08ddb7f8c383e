"""One line each: what the model is told of things that happen beside its calls."""

from __future__ import annotations

import json
from typing import Any

from mlintern_jupyter.events import CellEnded, OwnCellRan


def person_cell_line(fact: OwnCellRan) -> str:
    """The person ran a cell that is not the session's."""
    names = f"; names bound: {', '.join(fact.names)}" if fact.names else ""
    return (
        f"[The person ran a cell of their own ({fact.cell_id}): "
        f"`{fact.first_line}` -> {fact.state}{names}]"
    )


def late_cell_line(fact: CellEnded) -> str:
    """A cell of the session ended when no call waited for it any more."""
    error = f" ({fact.error.partition(chr(10))[0][:200]})" if fact.error else ""
    return (
        f"[Your cell {fact.cell_id} ended: {fact.state} after {fact.seconds:.1f} s{error}."
        " wait_cell gives its outputs]"
    )


def returned_cell_line(cell_id: str) -> str:
    """A refusal was taken back."""
    return (
        f"[The person put your cell {cell_id} back: it is proposed again, not refused. wait_cell"
        " waits for it]"
    )


def briefing_facts(briefing: str) -> dict[str, Any]:
    """What the ``facts:`` line at the end of a briefing holds."""
    line = briefing.rpartition("\n")[2]
    return json.loads(line.removeprefix("facts: ")) if line.startswith("facts: ") else {}
