"""Which mode a session may be switched to."""

from __future__ import annotations

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import MODES


def check_mode(mode: Mode, *, cap: Mode, limit_usd: float | None) -> None:
    """Refuse a mode that may not be used here.

    Raises:
        UsageError: it is above the cap, or unattended without a budget.
    """
    if MODES.index(mode) > MODES.index(cap):
        raise UsageError(
            f"mode {mode} is not allowed here",
            why=f"the most permissive mode this server allows is {cap}",
            do=f"use {cap}, or ask whoever runs this server",
        )
    if mode == "unattended" and limit_usd is None:
        raise UsageError(
            "unattended mode needs a budget",
            why="nobody is asked, so the budget is the only yes there is",
            do="use auto, or start the session with --budget USD",
        )
