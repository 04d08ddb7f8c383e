"""Which page inserts and runs cells, where several show one notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from mlintern_jupyter.wire import LEAD_EXPIRES_S


class Leader:
    """The page that leads: the one whose client ran the magic cell, else the first to say hello.

    A client is a kernel connection (the session in the header of its requests); a page keeps its
    name when a reload gives it another client. Peers without a name are always alone and always
    lead. Called from the main and the control thread.

    Args:
        changed: takes the name of the page that leads from now on, empty if none does; called
            with the lock held, so that changes are told in their order.
        clock: seconds that only go up.
    """

    def __init__(
        self, changed: Callable[[str], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._tab = ""
        self._heard = 0.0
        self._tab_of: dict[str, str] = {}
        self._expected = ""
        """The client that ran the magic cell before its page said hello."""

    def leads(self, tab: str) -> bool:
        """Whether this page carries out what the kernel asks for."""
        return tab in {"", self._tab}

    @property
    def has_no_page(self) -> bool:
        """Whether no page is left that said hello and not goodbye."""
        return not self._tab_of

    def hello(self, client: str, tab: str, *, take_lead: bool) -> None:
        """A page introduces itself; it leads if nobody does, if it must, or if it shall."""
        with self._lock:
            self._tab_of[client] = tab
            if not tab:
                return
            if take_lead or client == self._expected:
                self._expected = ""
                self._lead(tab)
            elif not self._tab or self._expired():
                self._lead(tab)
            self._hear(tab)

    def status_requested(self, tab: str, *, at_work: bool) -> None:
        """A page asked for the status: a sign of life.

        While a session is at work pages ask every other second, and a follower takes the place of
        a leader that went silent. At rest they ask seldom, and nothing needs to be led.
        """
        with self._lock:
            if tab and at_work and self._tab and self._expired():
                self._lead(tab)
            self._hear(tab)

    def bye(self, tab: str) -> None:
        """A page went away; the next to say hello leads."""
        with self._lock:
            self._tab_of = {c: t for c, t in self._tab_of.items() if t != tab}
            if tab and tab == self._tab:
                self._lead("")

    def magic_ran(self, client: str) -> None:
        """This client ran a magic cell that begins a turn: its page leads."""
        with self._lock:
            tab = self._tab_of.get(client)
            self._expected = client if tab is None else ""
            if tab:
                self._lead(tab)

    def _lead(self, tab: str) -> None:
        self._heard = self._clock()
        if tab != self._tab:
            self._tab = tab
            self._changed(tab)

    def _hear(self, tab: str) -> None:
        if tab == self._tab:
            self._heard = self._clock()

    def _expired(self) -> bool:
        return self._clock() - self._heard > LEAD_EXPIRES_S
