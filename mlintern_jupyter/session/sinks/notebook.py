"""The sinks of a session in its notebook: the peer, and the magic cell with its card and mark."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
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

    name = "what the page shows of the session"

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


class MagicCellSink:
    """Keeps the magic cell's card and mark: what a saved notebook says about the session.

    The card is redrawn now and then while the turn runs, at a question, and when the turn ends; the
    mark is written when a turn begins and when it ends. The mark is the last of a turn: it is
    numbered, so a peer that has it has the card, too.

    Args:
        bridge: the kernel's end of the wire.
        reading: the session's state, unchanged for a moment.
        record: where the ledger is, as a saved notebook should name it.
        display_id: of the card.
        note: one more paragraph for the person, as of now.
    """

    name = "the run card"

    def __init__(
        self,
        bridge: Bridge,
        reading: Callable[[], AbstractContextManager[SessionState]],
        record: str,
        display_id: str,
        note: Callable[[], str],
    ) -> None:
        self._bridge = bridge
        self._reading = reading
        self._record = record
        self._display_id = display_id
        self._note = note
        self._last = time.monotonic()

    def fact(self, number: int, fact: Fact) -> None:
        """Redraw the card, write the mark, or neither."""
        del number
        now = time.monotonic()
        if isinstance(fact, TurnEnded | Asked | Answered) or now - self._last >= MIN_GAP_S:
            self._last = now
            note = self._note()
            with self._reading() as state:
                bundle = card_bundle(state, note, self._record)
            self._bridge.update_display(self._display_id, bundle)
        if isinstance(fact, TurnStarted | TurnEnded):
            with self._reading() as state:
                cell_id, mark = state.cell_id, mark_of_magic_cell(state)
            if cell_id:
                self._bridge.say(UpdateCell(cell_id, mark=mark))

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
