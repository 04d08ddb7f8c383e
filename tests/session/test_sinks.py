"""Sinks are told on threads of their own: what one of them does costs nobody else anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hearing_sink import LONG_S, Heard

from mlintern_jupyter.events import Activity, Steered, TurnEnded
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.session.running.bus import Bus


class Record:
    """Facts by number, as the ledger keeps them in memory."""

    def __init__(self) -> None:
        self.written: list[NumberedFact] = []

    def since(self, number: int) -> tuple[NumberedFact, ...]:
        return tuple(self.written[number:])

    def commit(self, bus: Bus, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.written) + 1
            self.written.append(NumberedFact(number, "", Steered(str(number))))
            bus.fact(number, self.written[-1].fact)


@contextmanager
def reaching(*sinks: Heard, **limits: Any) -> Iterator[tuple[Bus, Record]]:
    record = Record()
    bus = Bus(record.since, **limits)
    bus.reach(*sinks)
    try:
        yield bus, record
    finally:
        for sink in sinks:
            sink.gate.set()
        bus.close()


def standing_still(sink: Heard, bus: Bus, record: Record) -> None:
    sink.gate.clear()
    record.commit(bus)
    assert sink.stands.wait(LONG_S)


def test_every_sink_hears_every_fact_in_order() -> None:
    one, two = Heard(), Heard()
    with reaching(one, two) as (bus, record):
        record.commit(bus, 100)
        assert bus.drain(LONG_S)
    assert one.numbers == two.numbers == list(range(1, 101))
    assert one.facts == [written.fact for written in record.written]


def test_a_sink_that_stands_still_holds_up_neither_who_speaks_nor_the_others() -> None:
    stuck, other = Heard(), Heard()
    with reaching(stuck, other) as (bus, record):
        standing_still(stuck, bus, record)
        record.commit(bus, 10)
        assert not bus.drain(0.01)
        assert other.hears(11) == list(range(1, 12))
        assert stuck.numbers == []


def test_a_sink_that_stands_still_for_too_long_is_named_while_it_does_and_afterwards() -> None:
    stuck = Heard()
    with reaching(stuck, hung_s=0.0) as (bus, record):
        assert bus.notices() == ()
        standing_still(stuck, bus, record)
        (notice,) = bus.notices()
        assert notice.startswith("the double took nothing for 0 s")
        record.commit(bus, 3)
        # What hangs already is waited for no longer.
        assert not bus.drain(LONG_S)
        stuck.gate.set()
        assert stuck.hears(4) == [1, 2, 3, 4]
        assert bus.notices() == (notice,)


def test_a_sink_that_works_on_is_not_said_to_hang() -> None:
    sink = Heard()
    with reaching(sink) as (bus, record):
        standing_still(sink, bus, record)
        assert bus.notices() == ()


def test_a_sink_that_raises_misses_that_fact_alone_and_is_named_once() -> None:
    broken = Heard(fails=lambda fact: fact in {Steered("2"), Steered("4")})
    whole = Heard()
    with reaching(broken, whole) as (bus, record):
        record.commit(bus, 5)
        assert bus.drain(LONG_S)
        (notice,) = bus.notices()
    assert broken.numbers == [1, 3, 5]
    assert whole.numbers == [1, 2, 3, 4, 5]
    assert notice.startswith("the double may be incomplete: ValueError: no page.")


def test_what_finds_the_queue_full_is_read_again_from_the_record() -> None:
    slow = Heard()
    with reaching(slow, queue_most=3) as (bus, record):
        standing_still(slow, bus, record)
        record.commit(bus, 50)
        slow.gate.set()
        assert bus.drain(LONG_S)
        assert slow.numbers == list(range(1, 52))
        (notice,) = bus.notices()
        assert notice.startswith("the double fell behind")
        # It hears again as any other, and may fall behind again.
        record.commit(bus)
        assert bus.drain(LONG_S)
        slow.stands.clear()
        standing_still(slow, bus, record)
        record.commit(bus, 20)
        slow.gate.set()
        assert bus.drain(LONG_S)
        assert bus.notices() == (notice,)
    assert slow.numbers == list(range(1, 74))


def test_a_signal_that_finds_the_queue_full_is_dropped() -> None:
    slow = Heard()
    with reaching(slow, queue_most=3) as (bus, record):
        standing_still(slow, bus, record)
        record.commit(bus, 10)
        bus.signal(Activity("reading"))
        slow.gate.set()
        assert bus.drain(LONG_S)
    assert slow.signals == []
    assert slow.numbers == list(range(1, 12))


def test_a_fact_that_no_ledger_could_take_is_told_also_where_the_queue_is_full() -> None:
    slow = Heard()
    last = TurnEnded(1, "failed", "the disk is full", "")
    with reaching(slow, queue_most=2) as (bus, record):
        standing_still(slow, bus, record)
        record.commit(bus, 10)
        bus.fact(11, last, recorded=False)
        slow.gate.set()
        assert bus.drain(LONG_S)
    assert slow.facts[-1] == last
    assert slow.numbers == [*range(1, 12), 11]


def test_sinks_that_replace_others_hear_what_comes_from_then_on() -> None:
    before, after = Heard(), Heard()
    with reaching(before) as (bus, record):
        record.commit(bus, 3)
        bus.reach(after)
        record.commit(bus, 2)
        assert bus.drain(LONG_S)
    assert (before.numbers, after.numbers) == ([1, 2, 3], [4, 5])


def test_closing_tells_what_waits_and_nothing_is_told_afterwards() -> None:
    sink = Heard()
    with reaching(sink) as (bus, record):
        record.commit(bus, 200)
        bus.close(LONG_S)
        assert sink.numbers == list(range(1, 201))
        record.commit(bus)
        bus.signal(Activity("reading"))
    assert len(sink.numbers) == 200


def test_closing_does_not_wait_for_a_sink_that_stands_still_and_lets_it_say_no_more() -> None:
    stuck = Heard()
    with reaching(stuck) as (bus, record):
        standing_still(stuck, bus, record)
        record.commit(bus, 5)
        (thread,) = [t for t in threading.enumerate() if t.name == "mlintern-the double"]
        bus.close(0.01)
        stuck.gate.set()
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert stuck.numbers == [1]
