"""A sink that keeps what it is told, and stands still where a test wants it to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from mlintern_jupyter.events import Fact, Signal

LONG_S = 60.0
"""Nothing here takes so long, however busy the machine is."""


class Heard:
    """A sink that keeps what it is told; ``gate`` closed, it stands still at the next event."""

    name = "the double"

    def __init__(self, fails: Callable[[Fact], bool] = lambda _: False) -> None:
        self.numbers: list[int] = []
        self.news: SimpleQueue[int] = SimpleQueue()
        self.facts: list[Fact] = []
        self.signals: list[Signal] = []
        self.gate = threading.Event()
        self.gate.set()
        self.stands = threading.Event()
        self._fails = fails

    def fact(self, number: int, fact: Fact) -> None:
        self._pass()
        if self._fails(fact):
            raise ValueError("no page")
        self.numbers.append(number)
        self.facts.append(fact)
        self.news.put(number)

    def hears(self, count: int) -> list[int]:
        """The next numbers, waited for."""
        return [self.news.get(timeout=LONG_S) for _ in range(count)]

    def signal(self, signal: Signal) -> None:
        self._pass()
        self.signals.append(signal)

    def _pass(self) -> None:
        self.stands.set()
        assert self.gate.wait(LONG_S)
