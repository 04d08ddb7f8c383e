"""Ctrl-C while ``%intern next`` waits, wherever it falls, leaves the intern able to speak."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from mlintern_jupyter.hosts import ipython
from mlintern_jupyter.hosts.ipython import StepPeer
from mlintern_jupyter.wire import RunCell

WHERE = (ipython.__file__, threading.__file__)


@contextmanager
def interrupt_at(number):
    """Raise KeyboardInterrupt where Python looks for signals in the peer or what it waits with.

    That is when a function begins and when one written in C has returned.
    """
    events = itertools.count(1)
    fired = []

    def look(frame, event, _):
        here = frame.f_code.co_filename in WHERE and event in {"call", "c_return"}
        if here and next(events) == number:
            sys.setprofile(None)
            fired.append(frame)
            raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        yield fired
    finally:
        sys.setprofile(None)


@pytest.fixture
def peer():
    events = SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
    bridge = SimpleNamespace(local=None, peer=None, wanted=frozenset)
    return StepPeer(SimpleNamespace(events=events), bridge)


def test_an_interrupt_anywhere_in_the_waiting_holds_nobody_up(peer):
    for number in itertools.count(1):
        looks = itertools.count()
        with interrupt_at(number) as fired, pytest.MonkeyPatch.context() as patch:
            patch.setattr(ipython, "_RECHECK_S", 0.001)
            # It ends when it looked three times, so it waits twice.
            with suppress(KeyboardInterrupt):
                peer.step(lambda: next(looks) >= 3, lambda: False)  # noqa: B023
        told = threading.Thread(target=peer.hear, args=(RunCell("x"),), daemon=True)
        told.start()
        told.join(60)
        assert not told.is_alive(), f"the lock is held after an interrupt at {fired[0]}"
        if not fired:
            break
    assert number > 20
