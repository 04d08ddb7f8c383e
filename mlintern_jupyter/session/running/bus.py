"""The bus of events: committed facts and signals, to sinks that hear and change nothing."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from mlintern_jupyter.events import Fact, Signal, TextDelta

MIN_SIGNAL_GAP_S = 0.1


class Sink(Protocol):
    """Hears events."""

    def fact(self, number: int, fact: Fact) -> None:
        """A fact was committed under this number."""
        ...

    def signal(self, signal: Signal) -> None:
        """Something is going on; may be dropped."""
        ...


class Bus:
    """Hands facts to every sink, and at most ten signals a second of each kind."""

    def __init__(self) -> None:
        self._sinks: tuple[Sink, ...] = ()
        self._lock = threading.Lock()
        self._last: dict[type[Signal], float] = {}
        self._text = ""

    def reach(self, *sinks: Sink) -> None:
        """From now on these sinks hear what is said, and no others."""
        self._sinks = sinks

    def fact(self, number: int, fact: Fact) -> None:
        """Tell every sink; called only with facts that are committed."""
        for sink in self._sinks:
            sink.fact(number, fact)

    def signal(self, signal: Signal) -> None:
        """Tell every sink, unless one of this kind went out a moment ago.

        Text is gathered rather than dropped, so that what is shown reads whole.
        """
        now = time.monotonic()
        with self._lock:
            if isinstance(signal, TextDelta):
                self._text += signal.text
            if now - self._last.get(type(signal), 0.0) < MIN_SIGNAL_GAP_S:
                return
            self._last[type(signal)] = now
            if isinstance(signal, TextDelta):
                signal = TextDelta(signal.step, self._text)
                self._text = ""
        for sink in self._sinks:
            sink.signal(signal)
