"""One sink's queue and thread: how long the sink takes is the business of nobody else.

::

    commit (any thread) ──► queue of at most ``most`` ──► the sink's own thread ──► sink
                                  │ full                            ▲
                                  └──► "from number n on" ──► facts again from the ledger

Facts come in the order of their numbers, each once. What finds the queue full is not kept: a fact
is read again from the ledger once the sink is free, a signal is dropped. A sink that raises misses
that one event. The queue is one written in C, because the kernel's main thread commits too: an
interrupt inside a condition would leave its lock held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from time import monotonic
from typing import Protocol

from mlintern_jupyter.events import Fact, Signal
from mlintern_jupyter.record.chain import NumberedFact


class Sink(Protocol):
    """Hears events and changes nothing; what comes back is a new command."""

    name: str
    """What the person knows it as, for a notice: ``the run card``."""

    def fact(self, number: int, fact: Fact) -> None:
        """A fact was committed."""
        ...

    def signal(self, signal: Signal) -> None:
        """Something is going on; may be dropped."""
        ...


class Delivery:
    """Brings events to one sink, on a thread of its own.

    Args:
        sink: what is told.
        since: the facts of the ledger after the one with a number.
        most: events that may wait; more are read again from the ledger, or dropped.
        hung_s: seconds after which an event that the sink still works on is said to hang.
    """

    def __init__(
        self,
        sink: Sink,
        since: Callable[[int], tuple[NumberedFact, ...]],
        *,
        most: int,
        hung_s: float,
    ) -> None:
        self._sink = sink
        self._since = since
        self._most = most
        self._hung_s = hung_s
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._behind = False
        self._given_up = False
        self._last = 0
        """Number of the newest fact that was told."""
        self._begun: float | None = None
        """When the sink was given what it works on."""
        self._notices: dict[str, str] = {}
        threading.Thread(target=self._main, name=f"mlintern-{sink.name}", daemon=True).start()

    def fact(self, number: int, fact: Fact, *, recorded: bool = True) -> None:
        """Have a fact told; returns at once.

        Args:
            number: of the fact.
            fact: what happened.
            recorded: whether the ledger holds it: what it does not hold cannot be read again.
        """
        if not recorded:
            self._queue.put(partial(self._give, partial(self._sink.fact, number, fact)))
        elif not self._behind and self._queue.qsize() < self._most:
            self._queue.put(partial(self._tell, number, fact))
        elif not self._behind:
            self._behind = True
            self._queue.put(partial(self._catch_up, number))

    def signal(self, signal: Signal) -> None:
        """Have a signal told, if there is room for it; returns at once."""
        if not self._behind and self._queue.qsize() < self._most:
            self._queue.put(partial(self._give, partial(self._sink.signal, signal)))

    def mark(self) -> SimpleQueue[None]:
        """Something comes out of this queue once all that was said before has been told."""
        reached: SimpleQueue[None] = SimpleQueue()
        self._queue.put(partial(reached.put, None))
        return reached

    def end(self, *, give_up: bool = False) -> None:
        """Let the thread end after what waits now, or without telling any of it."""
        self._given_up = give_up
        self._queue.put(None)

    @property
    def hangs(self) -> bool:
        """Whether the sink has worked on one event for too long."""
        begun = self._begun
        return begun is not None and monotonic() - begun >= self._hung_s

    def notices(self) -> tuple[str, ...]:
        """What the person should know about this sink; each is said once."""
        if self.hangs:
            self._note_hanging()
        return tuple(self._notices.values())

    # The sink's thread ------------------------------------------------------------------------

    def _main(self) -> None:
        for work in iter(self._queue.get, None):
            work()

    def _tell(self, number: int, fact: Fact) -> None:
        if number > self._last:
            self._last = number
            self._give(partial(self._sink.fact, number, fact))

    def _catch_up(self, first: int) -> None:
        """Read from the ledger what found the queue full."""
        self._notices.setdefault(
            "behind",
            f"{self._sink.name} fell behind and was brought up to date from the record; nothing"
            " of the record is missing.",
        )
        # Before the reading: what is committed after it is in the queue, and told once.
        self._behind = False
        for written in self._since(max(self._last, first - 1)):
            self._tell(written.number, written.fact)

    def _give(self, tell: Callable[[], None]) -> None:
        if self._given_up:
            return
        self._begun = monotonic()
        try:
            tell()
        except Exception as error:  # noqa: BLE001  a sink's defect must not end what it hears of
            self._notices.setdefault(
                "failed",
                f"{self._sink.name} may be incomplete: {type(error).__name__}: {error}. The intern"
                " and its record are not affected; report it with the ledger file.",
            )
        finally:
            if self.hangs:
                self._note_hanging()
            self._begun = None

    def _note_hanging(self) -> None:
        self._notices.setdefault(
            "hung",
            f"{self._sink.name} took nothing for {self._hung_s:g} s, so it may be old. The intern"
            " goes on; `%intern status` and the record show where it stands.",
        )
