"""The cell that runs: what is known of it, and how it ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.cells import CellState
from mlintern_jupyter.hosts.capture import Capture
from mlintern_jupyter.hosts.cell_owner import CellOwner


@dataclass(frozen=True)
class Running:
    """A cell between its two hooks."""

    info: Any
    cell_id: str
    """As its front end sent it, or as its text says (``LocalPeer.claims``)."""
    source: str
    owner: CellOwner | None
    capture: Capture
    started: float
    client: str
    """The session in the header of its request; empty without a kernel."""
    sent: float | None
    """When, by the clock of that client."""
    outer: Running | None
    """The cell whose code runs this one, e.g. ``%intern next``."""


def awaits(ip: Any, source: str) -> bool:
    """Whether a cell's code has an ``await`` of its own: the loop goes on while it runs."""
    if getattr(ip, "kernel", None) is None:
        return False
    return bool(ip.should_run_async(source, transformed_cell=ip.transform_cell(source)))


def how_it_ended(result: Any) -> tuple[CellState, str]:
    """Its state and its error, by IPython's result; ``None``: its task was cancelled."""
    if result is None:
        return "interrupted", "CancelledError: "
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return "done", ""
    text = f"{type(error).__name__}: {error}"
    # ipykernel cancels a cell that awaits.
    interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
    return ("interrupted" if interrupted else "failed"), text
