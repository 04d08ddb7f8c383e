"""Review, modes, pause and words of the person, in a real kernel with a page that is open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kernel_peer import KernelPeer, loaded, without_status
from open_page import OpenPage

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

WRITE = {"kind": "dataset", "source": "print(40 + 2)", "why": "to see the answer"}


@dataclass
class Desk:
    """A page, its folder, and the model's side of the conversation."""

    page: OpenPage
    folder: Path
    server: ScriptedServer

    def begin(self, more: str = "") -> None:
        """The person runs the magic cell."""
        ask = f"--model openai/scripted --api-base {self.server.base_url} --max-steps 20 {more}"
        self.page.run("magic", f"%%intern do it {ask}")

    def asked(self, number: int) -> list[dict[str, Any]]:
        """The messages of the model's request of this number, once it is made."""
        self.page.until(lambda: len(self.server.requests) >= number)
        return without_status(self.server.requests[number - 1].body["messages"])

    def says_then(self, *turns: Turn) -> None:
        """More answers of the model, which name what only this run knows."""
        self.server._state.script += turns

    def proposed(self) -> str:
        """Id of the cell that waits for the person, once there is one."""
        self.page.until(lambda: self.state().cells)
        return self.page.until(lambda: self.page.waiting())[0]

    def state(self) -> SessionState:
        found = list((self.folder / "intern_runs").glob("*/ledger.jsonl"))
        return fold(Ledger.view(found[0].parent).facts) if found else SessionState()

    def ended(self) -> SessionState:
        self.page.until(lambda: self.state().outcome is not None)
        return self.state()


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Iterator[KernelPeer]:
    with loaded(warm, tmp_path) as peer:
        yield peer


def desk(kernel: KernelPeer, *turns: Turn) -> Desk:
    return Desk(OpenPage(kernel), kernel.folder, ScriptedServer(list(turns)))


def facts_of(message: dict[str, Any]) -> dict[str, Any]:
    return json.loads(message["content"].rpartition("facts: ")[2])


def test_a_cell_waits_for_the_person_and_their_time_is_not_counted(kernel: KernelPeer) -> None:
    at = desk(kernel, Turn("", (Call("write_cell", WRITE),)), Turn("It is 42."))
    with at.server:
        at.begin()
        cell_id = at.proposed()
        (pending,) = at.page.view()["pending"]
        assert pending["why"] == "to see the answer"
        assert (pending["asks"], pending["cost"]) == ("", "")
        assert at.page.view()["running"]
        at.page.run(cell_id, "print(6 * 7)")
        told = at.asked(2)[-1]["content"]
        state = at.ended()
    assert "-print(40 + 2)\n+print(6 * 7)" in told
    assert "42" in told
    assert at.page.told_to_run == []
    waited = state.cells[cell_id]
    assert waited.decided is not None
    assert (waited.decided.run, waited.decided.by) == (True, "person")
    assert at.page.view()["outcome"]["outcome"] == "completed"


def test_switched_to_auto_what_waits_runs_and_what_comes_runs_too(kernel: KernelPeer) -> None:
    second = {**WRITE, "source": "print('second')"}
    third = {**WRITE, "source": "import subprocess\nprint('third')"}
    at = desk(
        kernel,
        Turn("", (Call("write_cell", WRITE),)),
        Turn("", (Call("write_cell", second),)),
        Turn("", (Call("write_cell", third),)),
        Turn("done"),
    )
    with at.server:
        at.begin()
        first = at.proposed()
        assert at.page.command("SetMode", mode="auto")["ok"]
        at.asked(3)
        waiting = at.page.until(lambda: at.page.waiting())
        assert len(at.page.told_to_run) == 2
        assert at.page.told_to_run[0] == first
        assert waiting[0] not in at.page.told_to_run
        assert "subprocess" in at.page.view()["pending"][0]["asks"]
        refused = at.page.command("SetMode", mode="unattended")
        assert "needs a budget" in refused["what"]
        at.page.run(waiting[0])
        state = at.ended()
    assert (state.mode, state.status) == ("auto", "completed")


def test_run_all_of_a_kind_runs_that_kind_until_the_turn_ends(kernel: KernelPeer) -> None:
    second = {**WRITE, "source": "print('second')"}
    at = desk(
        kernel,
        Turn("", (Call("write_cell", WRITE),)),
        Turn("", (Call("write_cell", second),)),
        Turn("done"),
    )
    with at.server:
        at.begin()
        first = at.proposed()
        assert at.page.command("RunKind", cell_kind="dataset")["ok"]
        state = at.ended()
    assert at.page.told_to_run[0] == first
    assert len(at.page.told_to_run) == 2
    assert state.mode == "review"
    assert at.page.view()["allowed_kinds"] == []


def test_words_bring_a_waiting_call_back_and_the_cell_is_waited_for_again(
    kernel: KernelPeer,
) -> None:
    def wait_on(cell_id: str) -> Turn:
        return Turn("", (Call("wait_cell", {"cell_id": cell_id}),))

    at = desk(kernel, Turn("", (Call("write_cell", WRITE),)))
    with at.server:
        at.begin()
        cell_id = at.proposed()
        at.says_then(wait_on(cell_id), Turn("It is 42."))
        assert at.page.command("Steer", text="take your time")["ok"]
        asked = at.asked(2)
        assert asked[-1] == {"role": "user", "content": "take your time"}
        assert facts_of(asked[-2]) == {"cell": cell_id, "state": "proposed"}
        at.page.until(lambda: at.state().intended)
        at.page.run(cell_id)
        answer = at.asked(3)[-1]
        assert answer["role"] == "tool"
        assert facts_of(answer)["state"] == "done"
        assert at.ended().status == "completed"


def test_a_paused_turn_asks_the_model_nothing_until_it_goes_on(kernel: KernelPeer) -> None:
    at = desk(kernel, Turn("", (Call("write_cell", WRITE),)), Turn("done"))
    with at.server:
        at.begin()
        cell_id = at.proposed()
        assert at.page.command("Pause")["ok"]
        at.page.until(lambda: at.page.view()["held"] == "the person paused it")
        at.page.run(cell_id)
        at.page.until(lambda: at.page.view()["activity"] == "held")
        assert len(at.server.requests) == 1
        assert at.page.command("Continue")["ok"]
        assert at.ended().status == "completed"


def test_a_deleted_magic_cell_holds_the_turn_and_its_return_lets_it_go(
    kernel: KernelPeer,
) -> None:
    at = desk(kernel, Turn("", (Call("write_cell", WRITE),)), Turn("done"))
    with at.server:
        at.begin()
        cell_id = at.proposed()
        at.page.lose("magic")
        held = at.page.until(lambda: at.page.view()["held"])
        assert "put it back" in held
        assert "--session" in at.page.view()["magic_source"]
        at.page.run(cell_id)
        at.page.until(lambda: at.page.view()["activity"] == "held")
        at.page.find("magic")
        assert at.ended().status == "completed"


def test_a_deleted_cell_that_returns_and_runs_late_is_told_in_two_lines(
    kernel: KernelPeer,
) -> None:
    second = {**WRITE, "source": "print('second')"}
    at = desk(
        kernel,
        Turn("", (Call("write_cell", WRITE),)),
        Turn("", (Call("write_cell", second),)),
        Turn("done"),
    )
    with at.server:
        at.begin()
        first = at.proposed()
        at.page.lose(first)
        refusal = at.asked(2)[-1]["content"]
        assert "deleted" in refusal
        at.page.until(lambda: [c for c in at.page.waiting() if c != first])
        at.page.find(first)
        at.page.until(lambda: len(at.page.waiting()) == 2)
        waiting = at.page.waiting()
        at.page.run(first)
        at.page.until(lambda: at.state().state_of(first) == "done")
        at.page.run(next(c for c in waiting if c != first))
        said = [m["content"] for m in at.asked(3) if m["role"] == "user"]
        at.ended()
    back = f"[The person put your cell {first} back"
    assert f"[Your cell {first} ended: done" in "\n".join(said).partition(back)[2]
