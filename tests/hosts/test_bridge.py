from __future__ import annotations

import queue

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from mlintern_jupyter import __version__
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.wire import WIRE_VERSION, Ping

LOAD = "%load_ext stub_intern"


def test_a_ping_is_answered_while_the_loading_cell_runs(peer):
    load = peer.send(LOAD)
    peer.next("ping")
    reply = peer.hello()
    said = {"ok": True, "wire": WIRE_VERSION, "boot": peer.boot, "leads": True}
    assert reply == said | {"seq": 0, "messages": [], "more": False, "status": None}
    peer.reply(load)
    assert (
        peer.run("import stub_intern; assert stub_intern.BRIDGE.peer == 'hand'")["status"] == "ok"
    )


def test_without_a_peer_the_ping_ends_and_nothing_raises(peer):
    assert peer.run("import stub_intern; stub_intern.PEER_WAIT_S = 0.5")["status"] == "ok"
    assert peer.run(LOAD)["status"] == "ok"
    assert peer.run("import stub_intern; assert stub_intern.BRIDGE.peer is None")["status"] == "ok"


class TestRequests:
    def test_are_answered_while_a_cell_runs(self, loaded):
        busy = loaded.begin("import time\nwhile True: time.sleep(.05)")
        assert loaded.ask({"kind": "status"})["ok"]
        assert loaded.interrupt(busy)["ename"] == "KeyboardInterrupt"

    def test_of_another_wire_version_are_refused_naming_both(self, loaded):
        newer = loaded.hello(wire=99, version="7.0.0")
        assert not newer["ok"]
        assert f"99 and {WIRE_VERSION}" in newer["what"]
        assert {"7.0.0", __version__} <= set(newer["why"].replace(",", "").replace(";", "").split())
        assert "'mlintern-jupyter==7.0.0'` where the kernel runs" in newer["do"]
        older = loaded.hello(wire=1)
        assert not older["ok"]
        assert f"'mlintern-jupyter=={__version__}'` where the Jupyter server runs" in older["do"]

    @pytest.mark.parametrize(
        "content",
        [{}, {"kind": "nonsense"}, {"kind": "hello"}, {"kind": "cells", "cells": [{"bad": 1}]},
         {"kind": "not_run", "cell_id": "nobodys", "state": "skipped"},
         {"kind": "command", "session": "nobody", "command": {"kind": "Stop"}}],
    )  # fmt: skip
    def test_that_make_no_sense_get_a_reply_that_says_so(self, loaded, content):
        reply = loaded.ask(content)
        assert not reply["ok"]
        assert reply["what"]
        assert loaded.ask({"kind": "status"})["ok"]

    def test_after_unloading_get_no_reply(self, loaded):
        loaded.run("%unload_ext stub_intern")
        with pytest.raises(queue.Empty):
            loaded.ask({"kind": "status"}, timeout_s=1)


class TestReplay:
    def test_brings_what_was_missed_in_order_and_nothing_else(self, loaded):
        loaded.start("work")
        loaded.next("run")
        reply = loaded.hello(last_seq=0)
        kinds = [m["kind"] for m in reply["messages"]]
        assert kinds[:3] == ["insert", "insert", "run"]
        numbers = [m["seq"] for m in reply["messages"]]
        assert numbers == sorted(set(numbers))
        assert loaded.hello(last_seq=reply["seq"])["messages"] == []

    def test_does_not_ask_for_a_run_twice(self, loaded):
        loaded.start("twice")
        loaded.next("run")
        loaded.run("print(1)", "same")
        loaded.heard("TurnEnded")
        kinds = [m["kind"] for m in loaded.hello()["messages"]]
        assert "run" not in kinds
        assert kinds.count("insert") == 1

    def test_does_not_bring_a_deleted_cell_back(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        assert loaded.ask({"kind": "not_run", "cell_id": "please", "state": "missing"})["ok"]
        loaded.heard("TurnEnded")
        assert "insert" not in [m["kind"] for m in loaded.hello()["messages"]]

    @pytest.mark.parametrize("last_seq", [1, 10_000])
    def test_of_numbers_from_before_a_restart_is_a_replay_of_everything(self, loaded, last_seq):
        loaded.start("review")
        inserted = loaded.next("insert")
        assert inserted["boot"] == loaded.boot
        replayed = loaded.hello(last_seq=last_seq, boot="of another kernel")["messages"]
        assert replayed[0] == inserted


class TestACellOfTheSession:
    def test_that_was_edited_settles_with_the_text_that_ran(self, loaded):
        loaded.start("review")
        mark = loaded.next("insert")["cell"]["mark"]
        loaded.run("print('edited')", "please")
        assert loaded.heard("CellStarted")["source"] == "print('edited')"
        update = loaded.next("update")
        assert update["mark"]["state"] == "done"
        assert update["mark"]["run_sha256"] != mark["proposed_sha256"]

    def test_that_is_skipped_is_told_with_its_reason(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        no = {"kind": "not_run", "cell_id": "please", "state": "skipped", "reason": "too slow"}
        loaded.ask(no)
        assert loaded.next("update")["mark"]["state"] == "skipped"
        assert loaded.heard("TurnEnded")["outcome"] == "completed"

    def test_that_was_aborted_goes_on_waiting_for_a_person(self, loaded):
        loaded.start("twice")
        loaded.next("run")
        assert loaded.ask({"kind": "status"})["wanted"] == []
        loaded.ask({"kind": "not_run", "cell_id": "same", "state": "aborted"})
        loaded.wanted("same")
        loaded.run("print(1)", "same")
        assert loaded.heard("CellEnded", cell_id="same")["state"] == "done"

    def test_that_is_interrupted_is_neither_done_nor_failed(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        loaded.interrupt(loaded.begin("import time\ntime.sleep(60)", "please"))
        assert loaded.heard("CellEnded")["state"] == "interrupted"

    def test_that_awaits_and_is_interrupted_ends_too(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        loaded.begin("import asyncio\nwhile True: await asyncio.sleep(.05)", "please")
        loaded.manager.interrupt_kernel()
        assert loaded.heard("CellEnded")["state"] == "interrupted"

    def test_that_runs_other_code_inside_is_one_cell(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        loaded.run("get_ipython().run_cell('print(1)')\nprint(2)", "please")
        assert loaded.heard("CellEnded")["outputs"][0]["text"] == "1\n2\n"
        loaded.heard("TurnEnded")

    def test_with_a_syntax_error_has_failed(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        loaded.run("print(", "please")
        ended = loaded.heard("CellEnded")
        assert ended["state"] == "failed"
        assert ended["outputs"][0]["output_type"] == "error"

    def test_that_forks_says_nothing_from_the_child(self, loaded):
        loaded.start("review")
        loaded.next("insert")
        fork = (
            "import os, stub_intern\n"
            "from mlintern_jupyter.wire import Leads\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    stub_intern.BRIDGE.say(Leads('child'))\n"
            "    stub_intern.BRIDGE._after_cell(None)\n"
            "    os._exit(0)\n"
            "print(os.waitpid(pid, 0)[1])\n"
            "stub_intern.BRIDGE.say(Leads('parent'))"
        )
        loaded.run(fork, "please")
        assert loaded.next("leads")["tab"] == "parent"
        assert loaded.heard("CellEnded")["outputs"][0]["text"] == "0\n"


class TestTheOwnCellsOfThePerson:
    def test_are_one_line_each_while_a_turn_is_open(self, loaded):
        loaded.run("before = 1", "o1")
        loaded.start("review")
        loaded.next("insert")
        loaded.run("# load it\nimport os.path as p\ndata, n = [1], 2\nfor i in data: pass", "o2")
        loaded.run("1/0", "o3")
        loaded.run("%intern\n", "o4")
        loaded.run("print('ok')", "please")
        loaded.heard("TurnEnded")
        loaded.run("after = 1", "o5")
        said = [m["fact"] for m in loaded.hello()["messages"] if m["kind"] == "fact"]
        own = [f for f in said if f["type"] == "OwnCellRan"]
        assert [f["cell_id"] for f in own] == ["o2", "o3"]
        assert own[0]["first_line"] == "import os.path as p"
        assert own[0]["names"] == ["p", "data", "n", "i"]
        assert own[1]["state"] == "failed"

    def test_find_the_shell_as_it_was_after_unloading(self, loaded):
        loaded.run("%unload_ext stub_intern", "o1")
        check = "assert 'send' not in vars(get_ipython().kernel.session)"
        assert loaded.run(check, "o2")["status"] == "ok"
        assert loaded.run("assert not get_ipython().ast_transformers", "o3")["status"] == "ok"

    def test_are_not_disturbed_by_loading_twice(self, loaded):
        again = loaded.send("%reload_ext stub_intern")
        loaded.next("ping")
        loaded.hello()
        assert loaded.reply(again)["status"] == "ok"
        loaded.start("review")
        loaded.next("insert")
        loaded.run("print('once')", "please")
        loaded.heard("TurnEnded")
        facts = [m["fact"]["type"] for m in loaded.hello()["messages"] if m["kind"] == "fact"]
        assert facts == ["Decided", "CellStarted", "CellEnded", "TurnEnded"]


class TestWithoutAKernel:
    @pytest.fixture
    def shell(self):
        config = Config()
        config.HistoryManager.enabled = False
        return InteractiveShell(config=config)

    def test_there_is_no_peer_and_nothing_raises(self, shell, capsys):
        bridge = Bridge(shell, lambda session, command: None, lambda: {"active": []})
        assert bridge.await_peer(timeout_s=0) is False
        bridge.say(Ping())
        assert shell.run_cell("x = 1").success
        bridge.close()
        bridge.close()
        assert shell.run_cell("x = 2").success
        assert "Error" not in capsys.readouterr().out
