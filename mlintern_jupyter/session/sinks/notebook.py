"""Who hears a session's events: the peer, the run card, the magic cell's mark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mlintern_jupyter.cells import source_sha256
from mlintern_jupyter.event_json import to_wire
from mlintern_jupyter.events import (
    Answered,
    Asked,
    CellEnded,
    Compacted,
    EffectSettled,
    Fact,
    Replied,
    Signal,
    TurnEnded,
    TurnStarted,
)
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts.card import card_bundle
from mlintern_jupyter.wire import FactSaid, SignalSaid, UpdateCell

MIN_GAP_S = 30.0
"""While the intern works, the document is changed by its card at most this often."""


class WireSink:
    """Tells the peer, but for outputs, which are shown already, and what only a model reads."""

    def __init__(self, bridge: Bridge, session: str) -> None:
        self._bridge = bridge
        self._session = session

    def fact(self, number: int, fact: Fact) -> None:
        """Send a committed fact with its number."""
        if isinstance(fact, CellEnded):
            fact = replace(fact, outputs=())
        elif isinstance(fact, EffectSettled):
            fact = replace(fact, images=(), whole="")
        elif isinstance(fact, Replied):
            fact = replace(fact, thinking=())
        elif isinstance(fact, Compacted):
            fact = replace(fact, pinned="", digest="")
        self._bridge.say(FactSaid(self._session, number, to_wire(fact)))

    def signal(self, signal: Signal) -> None:
        """Send a signal; it may get lost."""
        self._bridge.say(SignalSaid(self._session, to_wire(signal)))


class CardSink:
    """Redraws the card: now and then while the turn runs, at a question, and when it ends."""

    def __init__(
        self,
        state: SessionState,
        record: str,
        show: Callable[[dict[str, Any]], None],
        note: Callable[[], str] = str,
    ) -> None:
        self._state = state
        self._record = record
        self._note = note
        self._show = show
        self._last = time.monotonic()

    def fact(self, number: int, fact: Fact) -> None:
        """Redraw when the turn ended, a question came or went, or the card is old enough."""
        del number
        now = time.monotonic()
        if isinstance(fact, TurnEnded | Asked | Answered) or now - self._last >= MIN_GAP_S:
            self._last = now
            note = "" if isinstance(fact, TurnEnded) else self._note()
            self._show(card_bundle(self._state, note, self._record))

    def signal(self, signal: Signal) -> None:
        """Signals do not change the document."""


class MarkSink:
    """Writes the magic cell's mark when a turn begins and when it ends."""

    def __init__(self, state: SessionState, bridge: Bridge) -> None:
        self._state = state
        self._bridge = bridge

    def fact(self, number: int, fact: Fact) -> None:
        """Send the mark at the two moments it changes."""
        del number
        if isinstance(fact, TurnStarted | TurnEnded) and self._state.cell_id:
            mark = mark_of_magic_cell(self._state)
            self._bridge.say(UpdateCell(self._state.cell_id, mark=mark))

    def signal(self, signal: Signal) -> None:
        """Signals do not change the document."""


def mark_of_magic_cell(state: SessionState) -> dict[str, Any]:
    """Enough for a copy of the notebook that travels without its ledger."""
    end = state.outcome
    return {
        "v": 1,
        "session": state.session,
        "kind": "note",
        "state": "running" if end is None else "done",
        "model": state.model,
        "run_sha256": source_sha256(state.turn_source),
        "summary": "" if end is None else f"{end.outcome}: {end.summary or end.reason}",
    }
