"""What the fold keeps of each cell of a session."""

from __future__ import annotations

from dataclasses import dataclass

from mlintern_jupyter.cells import CellOutcome
from mlintern_jupyter.events import CellProposed, CellStarted, Decided


@dataclass(frozen=True)
class CellRecord:
    """A proposed cell and what became of it; ``started`` and ``ended`` are of its last run."""

    proposed: CellProposed
    started: CellStarted | None = None
    ended: CellOutcome | None = None
    decided: Decided | None = None
    number: int = 0
    """Ledger number of its first proposal: its place among the session's cells."""
    started_number: int = 0

    @property
    def source(self) -> str:
        """The text that ran last, else the text proposed."""
        return self.started.source if self.started else self.proposed.source


@dataclass(frozen=True)
class MagicCell:
    """A ``%%intern`` cell that began turns of this session."""

    cell_id: str
    source: str
    number: int
