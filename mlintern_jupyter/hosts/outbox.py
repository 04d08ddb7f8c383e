"""The messages to the peer: numbered, sent, and kept where one may have been missed."""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, cast

from mlintern_jupyter.wire import (
    PAGE_BYTES,
    FactSaid,
    InsertCell,
    Leads,
    Ping,
    ReadCells,
    RunCell,
    SignalSaid,
    ToPeer,
    UpdateCell,
    to_json,
)

UNNUMBERED = 0
"""Number of a message that may be lost."""
FACT_TEXT = 4000
"""Characters of one text inside a fact that go over the wire; the ledger holds the whole."""
_FACTS_KEPT = 2000


class Outbox:
    """Numbers messages, sends them and keeps those that still matter; from any thread.

    An insertion is kept as long as its cell may be wanted (a page reloaded from an older file
    inserts it again, by id), of updates of one cell only their sum, a run until the cell
    began, and the last facts: the older ones are in the ledger. What concerns a cell that is
    missing from the notebook is withheld until it is there again.

    Args:
        send: takes a message as it goes over the wire.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self.last = 0
        self.boot = secrets.token_hex(4)
        """Whose numbers these are: a kernel that restarts, or loads the extension anew, begins
        again at one."""
        self._send = send
        # One lock over numbering and sending: numbers go up on the wire, so a gap is a loss.
        self._lock = threading.Lock()
        self._kept: dict[int, ToPeer] = {}
        self._facts: list[int] = []
        self._missing: set[str] = set()

    def say(self, message: ToPeer) -> None:
        """Number a message, keep it if it must not be lost, and send it."""
        if isinstance(message, FactSaid):
            message = shortened(message)
        with self._lock:
            number = self._add(message)
            self._send(self._numbered(message, number))

    def page(
        self, after: int, boot: str, limit: int = PAGE_BYTES
    ) -> tuple[list[dict[str, Any]], bool, int]:
        """The oldest messages kept after a number, if there are more, and the last number of all.

        A page is at most ``limit`` bytes of JSON; a single message above that is alone in its
        page. Everything follows a number of another boot.
        """
        with self._lock:
            seen = after if boot == self.boot else 0
            numbers = sorted(n for n, m in self._kept.items() if n > seen and self._said(m))
            messages: list[dict[str, Any]] = []
            size = 0
            for number in numbers:
                message = self._numbered(self._kept[number], number)
                # Escaped, it is never smaller than on the wire; the two for what separates it.
                size += len(json.dumps(message)) + 2
                if messages and size > limit:
                    return messages, True, self.last
                messages.append(message)
            return messages, False, self.last

    def mark_of(self, cell_id: str) -> dict[str, Any] | None:
        """The newest mark that was said for a cell; ``None`` if none was."""
        with self._lock:
            about = [m for _, m in sorted(self._kept.items()) if _cell_of(m) == cell_id]
        mark = None
        for message in about:
            if isinstance(message, InsertCell):
                mark = asdict(message.cell.mark)
            elif isinstance(message, UpdateCell) and message.mark is not None:
                mark = message.mark
        return mark

    def withhold(self, cell_id: str) -> None:
        """The cell is missing: a replay does not bring it back against the person's will."""
        with self._lock:
            self._missing.add(cell_id)

    def release(self, cell_id: str) -> None:
        """The cell is in the notebook again."""
        with self._lock:
            self._missing.discard(cell_id)

    def forget_run(self, cell_id: str) -> bool:
        """The cell began to run, or will not: it is not asked for twice. Whether it was asked."""
        with self._lock:
            return self._drop(lambda m: isinstance(m, RunCell) and m.cell_id == cell_id)

    def forget_request(self, request: str) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            self._drop(lambda m: isinstance(m, ReadCells) and m.request == request)

    def _numbered(self, message: ToPeer, number: int) -> dict[str, Any]:
        return to_json(message) | {"seq": number, "boot": self.boot}

    def _add(self, message: ToPeer) -> int:
        if isinstance(message, Ping | SignalSaid | Leads):
            return UNNUMBERED
        self.last += 1
        if isinstance(message, UpdateCell):
            message = self._merged(message)
        self._kept[self.last] = message
        if isinstance(message, FactSaid):
            self._facts.append(self.last)
            if len(self._facts) > _FACTS_KEPT:
                self._kept.pop(self._facts.pop(0), None)
        return self.last

    def _said(self, message: ToPeer) -> bool:
        return _cell_of(message) not in self._missing

    def _merged(self, new: UpdateCell) -> UpdateCell:
        for number, old in list(self._kept.items()):
            if isinstance(old, UpdateCell) and old.cell_id == new.cell_id:
                del self._kept[number]
                source = old.source if new.source is None else new.source
                return replace(new, source=source, mark=old.mark if new.mark is None else new.mark)
        return new

    def _drop(self, gone: Callable[[ToPeer], bool]) -> bool:
        before = len(self._kept)
        self._kept = {n: m for n, m in self._kept.items() if not gone(m)}
        return len(self._kept) < before


def shortened(message: FactSaid) -> FactSaid:
    """The fact with the head of each long text, which says where the whole of it is."""

    def head(text: str) -> str:
        more = len(text) - FACT_TEXT
        if more <= 0:
            return text
        return f"{text[:FACT_TEXT]}[… {more:,} characters; ledger line {message.number}]"

    return replace(message, fact=plain(message.fact, head))


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """A value as JSON that every front end reads: a number that is none (a lost loss) is null."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {key: plain(item, text) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [plain(item, text) for item in cast("list[Any]", value)]
    return value


def _cell_of(message: ToPeer) -> str:
    if isinstance(message, InsertCell):
        return message.cell.id
    if isinstance(message, UpdateCell | RunCell):
        return message.cell_id
    return ""
