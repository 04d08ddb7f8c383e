"""The bus of events: committed facts and signals, to sinks that hear and change nothing.

Whoever says something only puts it into a queue; each sink is told on a thread of its own.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty

from mlintern_jupyter.events import Fact, Signal, TextDelta
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.session.running.delivery import Delivery, Sink

MIN_SIGNAL_GAP_S = 0.1
QUEUE_MOST = 256
"""Events that may wait for one sink."""
HUNG_S = 30.0
"""A sink that works on one event for so long is said to hang."""
CLOSE_S = 2.0
"""Longest wait for the sinks when a session is closed."""

_alive: weakref.WeakSet[Bus] = weakref.WeakSet()


class Bus:
    """Hands facts to every sink, and at most ten signals a second of each kind.

    Args:
        since: the facts of the ledger after the one with a number, for a sink that fell behind.
        queue_most: events that may wait for one sink.
        hung_s: seconds after which a sink that still works on one event is said to hang.
    """

    def __init__(
        self,
        since: Callable[[int], tuple[NumberedFact, ...]],
        *,
        queue_most: int = QUEUE_MOST,
        hung_s: float = HUNG_S,
    ) -> None:
        self._since = since
        self._queue_most = queue_most
        self._hung_s = hung_s
        self._deliveries: tuple[Delivery, ...] = ()
        self.commit_lock = threading.RLock()
        """Held from the commit of a fact until it is on its way to every sink: all hear one
        order. The session's state changes under it, too."""
        self._signal_lock = threading.Lock()
        self._last: dict[type[Signal], float] = {}
        self._text = ""
        _alive.add(self)

    def reach(self, *sinks: Sink) -> None:
        """From now on these sinks hear what is said, and no others."""
        self._replace(
            tuple(
                Delivery(sink, self._since, most=self._queue_most, hung_s=self._hung_s)
                for sink in sinks
            ),
            CLOSE_S,
        )

    def fact(self, number: int, fact: Fact, *, recorded: bool = True) -> None:
        """Have every sink told; returns at once.

        Args:
            number: of the fact.
            fact: what happened.
            recorded: whether it was committed, as every fact is that the ledger can take.
        """
        for delivery in self._deliveries:
            delivery.fact(number, fact, recorded=recorded)

    def signal(self, signal: Signal) -> None:
        """Have every sink told, unless one of this kind went out a moment ago.

        Text is gathered rather than dropped, so that what is shown reads whole.
        """
        now = time.monotonic()
        with self._signal_lock:
            if isinstance(signal, TextDelta):
                self._text += signal.text
            if now - self._last.get(type(signal), 0.0) < MIN_SIGNAL_GAP_S:
                return
            self._last[type(signal)] = now
            if isinstance(signal, TextDelta):
                signal = TextDelta(signal.step, self._text)
                self._text = ""
        for delivery in self._deliveries:
            delivery.signal(signal)

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything said so far was told; whether it was, in time.

        A sink that hangs already is not waited for.
        """
        end = time.monotonic() + timeout_s
        hanging = [delivery for delivery in self._deliveries if delivery.hangs]
        marks = [d.mark() for d in self._deliveries if d not in hanging]
        try:
            for mark in marks:
                mark.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            return False
        return not hanging

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Tell what waits, for a moment at most; nobody is told anything afterwards."""
        self._replace((), timeout_s)

    def _replace(self, deliveries: tuple[Delivery, ...], timeout_s: float) -> None:
        drained, before = self.drain(timeout_s), self._deliveries
        self._deliveries = deliveries
        for delivery in before:
            delivery.end(give_up=not drained)

    def notices(self) -> tuple[str, ...]:
        """What the person should know about the sinks: that one failed, hangs or fell behind."""
        return tuple(text for delivery in self._deliveries for text in delivery.notices())

    def _after_fork(self) -> None:
        # The threads are the parent's, and may have held the locks.
        self._deliveries = ()
        self.commit_lock, self._signal_lock = threading.RLock(), threading.Lock()


def _inert_in_child() -> None:
    for bus in list(_alive):
        bus._after_fork()  # pyright: ignore[reportPrivateUsage]


os.register_at_fork(after_in_child=_inert_in_child)
