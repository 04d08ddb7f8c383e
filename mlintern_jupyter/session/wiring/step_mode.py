"""Step mode of a kernel: what ``%intern next`` and ``%intern skip`` do where no page answers."""

from __future__ import annotations

from typing import Any

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.front_ends import advice, front_end, replaces_cells
from mlintern_jupyter.hosts.ipython import StepPeer
from mlintern_jupyter.session.readouts.card import card_text
from mlintern_jupyter.session.readouts.questions import ask_text, ask_views
from mlintern_jupyter.session.running.session import Session


class StepMode:
    """One per kernel; does nothing until a session begins and no peer answers."""

    def __init__(self, ip: Any, bridge: Bridge) -> None:
        self._ip = ip
        self._bridge = bridge
        self._peer: StepPeer | None = None

    def meet(self) -> str | None:
        """Find out who shows this notebook; asked only when a turn is about to begin.

        Returns:
            What to tell the person about this front end; empty where a peer answers, ``None`` where
            nobody is there at all.
        """
        if self._bridge.peer is not None or self._bridge.await_peer():
            return ""
        front = front_end(self._ip, self._bridge.current_cell_id)
        if front == "nobody":
            return None
        if self._peer is None:
            self._peer = StepPeer(self._ip, self._bridge)
        return advice(front)

    @property
    def active(self) -> bool:
        """Whether cells come by ``%intern next``: no page has come meanwhile."""
        return self._peer is not None and self._bridge.peer is None

    def turn_begins(self) -> None:
        """Forget the proposals of the turn before, before the next one makes its own."""
        if self._peer is not None:
            self._peer.turn_begins()

    def stamp(self, source: str) -> None:
        """Give the cell that runs its session's name, where the front end lets code do that."""
        if self.active and replaces_cells(front_end(self._ip, self._bridge.current_cell_id)):
            self._ip.set_next_input(source, replace=True)

    def next(self, session: Session) -> str:
        """Wait for the next thing of the intern, show it, and say what to do with it."""
        peer = self._mine()
        state = session.state
        said = peer.step(
            lambda: not session.working, lambda: bool(state.pause_reason or state.asks)
        )
        if said:
            return said
        with session.reading():
            held, asks = state.pause_reason, ask_views(state)
        if session.working and asks:
            return "\n\n".join(ask_text(ask) for ask in asks)
        if session.working and held:
            return f"the intern is held: {held}. `%intern continue` lets it go on"
        with session.reading():
            return card_text(state, f"record: {session.folder}")

    def skip(self, reason: str) -> str:
        """Refuse the code cell that waits."""
        return self._mine().skip(reason)

    def close(self) -> None:
        """Take the hooks out."""
        if self._peer is not None:
            self._peer.close()

    def _mine(self) -> StepPeer:
        if self._peer is None or not self.active:
            raise UsageError(
                "cells do not come one at a time here",
                why="the notebook's page puts them in by itself" if self._bridge.peer else "",
                do="run, edit or skip them in the notebook; `%intern status` shows where it stands",
            )
        return self._peer
