"""What a page missed comes in pages, whole and once; what it shows comes on request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.cells import CellMark, NewCell
from mlintern_jupyter.event_json import to_wire
from mlintern_jupyter.events import Steered
from mlintern_jupyter.hosts.outbox import FACT_TEXT, Outbox
from mlintern_jupyter.hosts.person_cells import ExecutionQueue, begins_a_turn
from mlintern_jupyter.wire import PAGE_BYTES, FactSaid, InsertCell, UpdateCell


def said(text, number=7):
    return FactSaid("s", number, to_wire(Steered(text)))


def insert(cell_id, source="x"):
    return InsertCell("s", NewCell(cell_id, "code", source, MARK), ())


MARK = CellMark("s", "c", "script", "proposed", "m", "sha")


def read_all(outbox, limit):
    pages, last, more = [], 0, True
    while more:
        messages, more, _ = outbox.page(last, outbox.boot, limit)
        pages.append(messages)
        last = messages[-1]["seq"] if messages else last
    return pages


class TestPages:
    @given(st.lists(st.text(max_size=300), max_size=40), st.integers(100, 2000))
    def test_hold_everything_once_and_in_order_within_their_limit(self, texts, limit):
        sent = []
        outbox = Outbox(sent.append)
        for text in texts:
            outbox.say(said(text))
        pages = read_all(outbox, limit)
        assert [m for page in pages for m in page] == json.loads(json.dumps(sent))
        for page in pages:
            size = len(json.dumps(page, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            assert len(page) <= 1 or size <= limit

    def test_give_a_larger_message_a_page_of_its_own(self):
        outbox = Outbox(lambda data: None)
        for text in ("a", "b" * 500, "c"):
            outbox.say(insert(text[0], text))
        assert [len(page) for page in read_all(outbox, 400)] == [1, 1, 1]

    def test_of_two_thousand_facts_are_complete_and_small_on_a_kernel(self, loaded):
        loaded.start("flood")
        loaded.recorded("Steered", text="done")
        messages, pages, more = [], 0, True
        while more:
            reply = loaded.hello(messages[-1]["seq"] if messages else 0)
            messages, more, pages = messages + reply["messages"], reply["more"], pages + 1
            whole = [m for m in reply["messages"] if m["kind"] == "fact"]
            assert len(json.dumps(whole, ensure_ascii=False).encode()) <= PAGE_BYTES
        assert pages > 3
        texts = [m["fact"]["text"] for m in messages if m["kind"] == "fact"]
        assert [t.split()[0] for t in texts[:1998]] == [str(n) for n in range(2, 2000)]
        assert texts[-2].endswith("x[… 5,000 characters; ledger line 2001]")
        cells = {m["cell"]["id"]: m["cell"] for m in messages if m["kind"] == "insert"}
        assert list(cells) == ["long", "after"]
        assert len(cells["long"]["source"]) == 400_000
        assert messages[-1]["seq"] == reply["seq"]


class TestLongTexts:
    def test_inside_a_fact_are_cut_to_their_head_live_and_in_replay_and_say_where_the_rest_is(self):
        sent = []
        outbox = Outbox(sent.append)
        whole = {"type": "X", "deep": [{"text": "a" * (FACT_TEXT + 1), "short": "b" * FACT_TEXT}]}
        outbox.say(FactSaid("s", 12, whole))
        cut = sent[0]["fact"]["deep"][0]
        assert cut["text"] == "a" * FACT_TEXT + "[… 1 characters; ledger line 12]"
        assert cut["short"] == "b" * FACT_TEXT
        assert outbox.page(0, outbox.boot)[0] == sent
        assert len(whole["deep"][0]["text"]) == FACT_TEXT + 1

    def test_of_cells_are_never_cut(self):
        sent = []
        outbox = Outbox(sent.append)
        outbox.say(insert("a", "s" * 10_000))
        outbox.say(UpdateCell("a", "t" * 10_000))
        assert len(sent[0]["cell"]["source"]) == len(sent[1]["source"]) == 10_000

    def test_a_number_that_is_none_is_null(self):
        sent = []
        Outbox(sent.append).say(FactSaid("s", 1, {"loss": float("nan"), "n": [float("inf"), 1.5]}))
        assert sent[0]["fact"] == {"loss": None, "n": [None, 1.5]}


class TestTheNewestMark:
    def test_is_the_inserted_one_until_another_was_written(self):
        outbox = Outbox(lambda data: None)
        assert outbox.mark_of("a") is None
        outbox.say(insert("a"))
        outbox.say(UpdateCell("a", source="y"))
        assert outbox.mark_of("a")["state"] == "proposed"
        outbox.say(UpdateCell("a", mark={"state": "done"}))
        assert outbox.mark_of("a") == {"state": "done"}


class TestTheWholeStatus:
    def test_carries_the_view_and_the_short_one_does_not(self, loaded):
        assert loaded.status()["view"] is None
        reply = loaded.status(whole=True)
        assert reply["view"]["benchmarks"] == ["nano/mcq"]
        assert reply["view"]["jobs"][0]["curve"] == [[1, 2.5], [2, None]]
        assert (reply["active"], reply["wanted"], reply["leads"]) == ([], [], True)

    def test_comes_with_the_greeting_of_a_page_that_asks_for_it(self, loaded):
        assert loaded.hello()["status"] is None
        reply = loaded.hello(whole=True, tab="page")
        told = reply["status"]
        assert told["view"] == loaded.status(whole=True)["view"]
        assert (told["ok"], told["seq"], told["boot"]) == (True, reply["seq"], reply["boot"])
        assert (told["active"], told["leads"]) == ([], reply["leads"])

    def test_is_answered_while_a_cell_runs(self, loaded):
        busy = loaded.begin("import time\nwhile True: time.sleep(.05)")
        assert loaded.status(whole=True)["view"]["folder"] == "/folder"
        loaded.interrupt(busy)


class TestWhoStoodInLine:
    def test_is_judged_by_the_clock_of_the_client(self):
        line = ExecutionQueue()
        hour = 3600.0
        line.heard("ahead", 1000.0 + hour, 1000.1)
        line.intern_began(2000.0)
        assert line.stood("ahead", 1999.0 + hour)
        assert not line.stood("ahead", 2000.0 + hour)
        assert not line.stood("ahead", None)

    def test_is_not_moved_by_a_request_that_had_to_wait_itself(self):
        line = ExecutionQueue()
        line.heard("c", 1000.0, 1000.1)
        line.heard("c", 1500.0, 1900.0)
        line.intern_began(2000.0)
        assert not line.stood("c", 2000.0)

    def test_is_nobody_before_an_intern_was_started(self):
        line = ExecutionQueue()
        line.heard("c", 1.0, 1.0)
        assert not line.stood("c", 1.0)

    @pytest.mark.parametrize(
        ("source", "begins"),
        [
            ("%%intern improve x\n", True),
            ("%load_ext mlintern_jupyter\n%intern resume s-1", True),
            ("%intern steer x", False),
            ("%load_ext mlintern_jupyter", False),
            ("%%internal\n", False),
        ],
    )
    def test_depends_on_what_sets_the_intern_to_work(self, source, begins):
        assert begins_a_turn(source) is begins
