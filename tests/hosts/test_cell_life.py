"""What becomes of a proposal: decided, deleted, put back, aborted, run late; all on record."""

from __future__ import annotations

import pytest


def kinds(loaded):
    return [fact["type"] for fact in loaded.facts()]


def waiting(loaded, scenario="review"):
    loaded.start(scenario)
    loaded.next("insert")
    return loaded


def inserted(loaded):
    return [m["cell"]["id"] for m in loaded.hello()["messages"] if m["kind"] == "insert"]


def test_running_a_proposal_by_hand_is_a_decision_of_the_person_before_it_starts(loaded):
    waiting(loaded).run("print(1)", "please")
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]
    decided = loaded.facts()[0]
    assert (decided["run"], decided["by"], decided["cell_id"]) == (True, "person", "please")


def test_running_what_the_intern_asked_to_run_is_no_decision_of_the_person(loaded):
    loaded.start("twice")
    loaded.next("run")
    loaded.run("print(1)", "same")
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["CellStarted", "CellEnded", "TurnEnded"]


def test_skipping_is_a_decision_with_its_reason(loaded):
    waiting(loaded).not_run("please", "skipped", "too slow")
    assert loaded.next("update")["mark"]["state"] == "skipped"
    loaded.heard("TurnEnded")
    no = loaded.facts()[0]
    assert (no["type"], no["run"], no["by"], no["reason"]) == (
        "Decided", False, "person", "too slow",
    )  # fmt: skip


def test_a_skipped_cell_that_is_run_later_is_on_record_and_its_mark_settles_again(loaded):
    waiting(loaded).not_run("please", "skipped", "too slow")
    assert loaded.next("update")["mark"]["state"] == "skipped"
    loaded.heard("TurnEnded")
    loaded.run("print('late')", "please")
    assert loaded.next("update")["mark"]["state"] == "done"
    assert kinds(loaded) == ["Decided", "TurnEnded", "Decided", "CellStarted", "CellEnded"]
    assert loaded.facts()[2]["run"]
    loaded.run("print('again')", "please")
    loaded.heard("CellEnded")
    assert kinds(loaded)[5:] == ["CellStarted", "CellEnded"]
    updates = [m for m in loaded.hello()["messages"] if m["kind"] == "update"]
    assert [m["mark"]["state"] for m in updates] == ["done"]


@pytest.mark.parametrize("state", ["skipped", "missing"])
def test_a_refusal_of_what_ran_is_none(loaded, state):
    waiting(loaded).run("print(1)", "please")
    assert loaded.not_run("please", state)["ok"]
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]


class TestADeletedProposal:
    def test_is_refused_and_not_brought_back_by_a_replay(self, loaded):
        waiting(loaded).not_run("please", "missing")
        assert loaded.heard("Decided")["reason"] == "the person deleted it"
        loaded.heard("TurnEnded")
        assert inserted(loaded) == []

    def test_that_is_put_back_is_proposed_again_and_replayed_and_can_be_run(self, loaded):
        waiting(loaded).not_run("please", "missing")
        loaded.next("update")
        loaded.heard("TurnEnded")
        assert loaded.returned("please")["ok"]
        assert loaded.next("update")["mark"]["state"] == "proposed"
        assert inserted(loaded) == ["please"]
        loaded.run("print(1)", "please")
        assert loaded.next("update")["mark"]["state"] == "done"
        assert kinds(loaded) == [
            "Decided", "TurnEnded", "CellReturned", "Decided", "CellStarted", "CellEnded",
        ]  # fmt: skip

    def test_that_is_put_back_can_be_deleted_again(self, loaded):
        waiting(loaded)
        for _ in range(2):
            loaded.not_run("please", "missing")
            loaded.returned("please")
        facts = [k for k in kinds(loaded) if k != "TurnEnded"]
        assert facts == ["Decided", "CellReturned"] * 2

    def test_that_is_back_before_it_was_taken_for_a_refusal_was_never_refused(self, loaded):
        assert waiting(loaded).returned("please")["ok"]
        loaded.wanted("please")
        loaded.run("print(1)", "please")
        loaded.heard("TurnEnded")
        assert kinds(loaded) == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]

    def test_that_was_skipped_before_stays_skipped_when_it_is_put_back(self, loaded):
        waiting(loaded).not_run("please", "skipped", "no")
        loaded.heard("TurnEnded")
        loaded.not_run("please", "missing")
        assert inserted(loaded) == []
        loaded.returned("please")
        assert inserted(loaded) == ["please"]
        assert kinds(loaded) == ["Decided", "TurnEnded"]


def test_the_magic_cell_that_is_missing_or_back_is_told_to_the_session(loaded):
    waiting(loaded)
    loaded.not_run("magic", "missing")
    loaded.returned("magic")
    held = [f["held"] for f in loaded.facts() if f["type"] == "HoldChanged"]
    assert held == [True, False]
    assert not loaded.returned("nobodys")["ok"]


def test_an_aborted_cell_is_proposed_again_and_then_run_by_hand(loaded):
    loaded.start("twice")
    loaded.next("run")
    loaded.not_run("same", "aborted")
    assert loaded.next("update")["mark"]["state"] == "proposed"
    assert "run" not in [m["kind"] for m in loaded.hello()["messages"]]
    loaded.run("print(1)", "same")
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]


def test_a_cell_that_two_pages_were_asked_to_run_runs_once(loaded):
    page = loaded.as_client(loaded.another_client())
    loaded.start("twice")
    loaded.next("run")
    busy = loaded.begin("import time\nwhile True: time.sleep(.05)", "own")
    mine = loaded.send("print(1)", "same")
    assert "run" in [m["kind"] for m in page.hello()["messages"]]
    theirs = page.send("print(1)", "same")
    loaded.let_line_form()
    page.let_line_form()
    loaded.interrupt(busy)
    replies = [loaded.reply(mine), page.reply(theirs)]
    # Two connections: which of them the kernel reads first is open.
    assert sorted(r["status"] for r in replies) == ["error", "ok"]
    assert [r["ename"] for r in replies if r["status"] == "error"] == ["CellRefused"]
    assert kinds(loaded).count("CellStarted") == 1
    assert page.run("print(2)", "same")["status"] == "ok"
    assert kinds(loaded).count("CellStarted") == 2


LOSES_ITS_END = """events = get_ipython().events
trigger = events.trigger
def lose(name, *arguments):
    if name == "post_run_cell":
        events.trigger = trigger
    else:
        trigger(name, *arguments)
events.trigger = lose"""
"""A second interrupt that reaches IPython itself keeps our hook from being called."""


def test_a_cell_whose_end_was_lost_to_an_interrupt_is_settled_when_the_kernel_is_idle(loaded):
    waiting(loaded).run(LOSES_ITS_END, "please")
    ended = loaded.heard("CellEnded")
    assert (ended["cell_id"], ended["state"]) == ("please", "interrupted")
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]


def test_a_cell_that_awaits_is_settled_by_the_next_if_its_end_was_lost(loaded):
    waiting(loaded).run(f"import asyncio\n{LOSES_ITS_END}\nawait asyncio.sleep(0)", "please")
    assert kinds(loaded) == ["Decided", "CellStarted"]
    loaded.run("print('mine')", "own")
    loaded.heard("TurnEnded")
    assert kinds(loaded)[:3] == ["Decided", "CellStarted", "CellEnded"]
    assert loaded.facts()[2]["state"] == "interrupted"


def test_waiting_for_a_person_is_over_when_the_cell_begins(loaded):
    waiting(loaded, "begun").wanted("please")
    busy = loaded.begin("import time\nwhile True: time.sleep(.05)", "please")
    loaded.heard("Steered")
    loaded.interrupt(busy)
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "CellStarted", "Steered", "CellEnded", "TurnEnded"]


def test_waiting_for_a_person_is_over_when_the_cell_is_skipped(loaded):
    waiting(loaded, "begun").not_run("please", "skipped")
    loaded.heard("TurnEnded")
    assert kinds(loaded) == ["Decided", "Steered", "TurnEnded"]


class TestCellsInLine:
    def run_all(self, loaded, magic, *cells):
        """All at once, behind a cell that runs: none can be late."""
        busy = loaded.begin("import time\nwhile True: time.sleep(.05)", "busy")
        sent = [loaded.send(magic, "magic")]
        sent += [loaded.send(cell, f"o{n}") for n, cell in enumerate(cells, 1)]
        loaded.let_line_form()
        loaded.interrupt(busy)
        loaded.reply(sent[-1])

    def own(self, loaded):
        facts = [f for f in loaded.facts() if f["type"] == "OwnCellRan"]
        return [(f["cell_id"], f["queued"]) for f in facts]

    def test_that_were_sent_with_the_magic_cell_are_told_as_queued_and_later_ones_are_not(
        self, loaded
    ):
        self.run_all(loaded, "%%intern review\n\n", "a = 1", "b = 2")
        loaded.run("c = 3", "o3")
        assert self.own(loaded) == [("o1", True), ("o2", True), ("o3", False)]

    def test_that_ran_before_the_turn_was_open_are_told_when_it_opens_and_once(self, loaded):
        self.run_all(loaded, "%%intern late\n\n", "a = 1", "b = 2")
        loaded.run("c = 3", "o3")
        assert self.own(loaded) == []
        loaded.ask({"kind": "command", "session": "stub-1", "command": {"kind": "Stop"}})
        loaded.heard("TurnEnded")
        assert self.own(loaded) == [("o1", True), ("o2", True)]

    def test_behind_a_magic_cell_that_opened_no_turn_are_forgotten_with_the_next(self, loaded):
        self.run_all(loaded, "%intern resume x", "a = 1")
        loaded.start("review")
        assert self.own(loaded) == []
