"""Switching toolsets of an open session on and off, from its next turn on."""

from __future__ import annotations

from collections.abc import Sequence

from mlintern_jupyter.events import ToolsetsChanged
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.tools import catalog


def switch_toolsets(session: Session, words: Sequence[str]) -> str:
    """Do what a person said about toolsets (``catalog.switched``).

    A turn that runs keeps the tools it began with.

    Returns:
        What changes and what it costs; empty where nothing changes.

    Raises:
        UsageError: that cannot be; says why. Nothing was changed.
    """
    before = catalog.known(session.state.toolsets)
    after = catalog.switched(words, before)
    if after == before:
        return ""
    session.commit(ToolsetsChanged(after))
    on = [name for name in after if name not in before]
    off = [name for name in before if name not in after]
    changes = [f"{', '.join(names)} {how}" for names, how in ((on, "on"), (off, "off")) if names]
    running = " The turn that runs keeps its tools." if session.working else ""
    return (
        f"tools from the next turn on: {'; '.join(changes)}. That turn's first model call reads the"
        f" whole prompt anew instead of from the provider's cache: one cache miss.{running}"
    )
