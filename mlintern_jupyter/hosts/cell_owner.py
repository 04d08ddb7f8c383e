"""What the bridge asks of a session's host, and what it tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from mlintern_jupyter.cells import CellOutcome, CellView
from mlintern_jupyter.events import OwnCellRan

NotRun = Literal["skipped", "aborted", "missing"]


class CellOwner(Protocol):
    """A session's host, as the bridge knows it. Called from the main and the control thread."""

    def owns(self, cell_id: str) -> bool:
        """Whether the cell is one of its proposals."""
        ...

    def concerns(self, cell_id: str) -> bool:
        """Whether the cell is one of its proposals, or its magic cell."""
        ...

    def cell_starts(self, cell_id: str, source: str, *, requested: bool) -> None:
        """A cell it owns is about to run, by request (``asked``) or by the person's hand.

        Raises ``InternError`` when the code must not run.
        """
        ...

    def cell_ended(self, outcome: CellOutcome) -> None:
        """A cell it owns ran."""
        ...

    def person_cell_ran(self, fact: OwnCellRan) -> bool:
        """A cell nobody proposed ran; whether a turn is open, so that it was taken."""
        ...

    def hear_queued(self) -> None:
        """Cells that stood in line ran before the turn was open: take them if it is now."""
        ...

    def cell_not_run(self, cell_id: str, state: NotRun, reason: str) -> None:
        """A cell that concerns it will not run now. Raises ``LedgerUnwritable``."""
        ...

    def cell_returned(self, cell_id: str) -> None:
        """A cell that was missing is there again. Raises ``LedgerUnwritable``."""
        ...

    def cells_read(self, request: str, cells: Sequence[CellView]) -> bool:
        """Whether this host had asked."""
        ...

    def outcome_of(self, cell_id: str) -> CellOutcome | None:
        """How a cell it owns settled, with its outputs; ``None`` if it has not."""
        ...

    def wanted(self) -> list[str]:
        """Cells that wait for a person."""
        ...
