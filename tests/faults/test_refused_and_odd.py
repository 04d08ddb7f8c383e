"""Answers that are odd and requests that are refused: cases L12, L14 to L19, L23, L26 to L28."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engine_rig import Engine, error, plan, sent, served, steps, told

from mlintern_jupyter.events import Compacted, Replied
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.testing.tripwires import guard_environment, offences

KEYED = "vllm/scripted"
KEY = "HOSTED_VLLM_API_KEY"
OLD_KEY, NEW_KEY = "sk-old-0123456789abcdef", "sk-new-fedcba9876543210"
OVERFLOW = Fault(
    status=400, body=error("This model's maximum context length is 4096 tokens.", code=None)
)


def broken(times: int = 10**6) -> Any:
    """A model that sends arguments that are no JSON, so many times, and then answers."""

    def say(body: dict[str, Any]) -> Turn:
        said = sum(message["role"] == "assistant" for message in body["messages"])
        return Turn("", (Call("plan", '{"items": [{"st'),)) if said < times else Turn("Sorry.")

    return say


def test_L12_malformed_arguments_are_answered_and_mended(intern: Engine) -> None:
    turns = [Turn("", (Call("plan", '{"items": '),)), Turn("", (plan("mended"),)), Turn("Done.")]
    with ScriptedServer(turns) as server:
        end = intern.run(server)
        assert "not valid JSON" in told(server, 1)
    assert (end.outcome, end.summary) == ("completed", "Done.")
    assert [(f.tool, f.ok) for f in intern.settled()] == [("plan", False), ("plan", True)]
    assert intern.begun() == ["plan"]


def test_L12_malformed_arguments_without_end_are_no_loop(intern: Engine) -> None:
    with ScriptedServer(broken()) as server:
        end = intern.run(server)
        assert 2 <= len(server.requests) <= 10
        assert set(served(server)) == {"answer"}
    assert end.outcome == "paused"
    assert "plan" in end.reason + end.summary
    assert "%intern" in end.do
    assert intern.begun() == []


def test_L14_an_empty_answer_once(intern: Engine) -> None:
    said: list[int] = []

    def say(_: dict[str, Any]) -> Turn:
        said.append(1)
        return Turn("" if len(said) == 1 else "Here I am.")

    with ScriptedServer(say) as server:
        end = intern.run(server)
        assert len(server.requests) == 2
    assert (end.outcome, end.summary) == ("completed", "Here I am.")


def test_L14_empty_answers_are_said(intern: Engine) -> None:
    with ScriptedServer([Turn("")]) as server:
        end = intern.run(server)
        assert len(server.requests) == 2
    assert end.outcome == "failed"
    assert "nothing" in end.reason
    assert "%intern resume" in end.do


def overflowing(times: int) -> Any:
    """A server that refuses the seventh step so often as too long; and makes digests if asked."""

    def say(body: dict[str, Any]) -> Turn:
        if not body.get("tools"):
            return Turn("Earlier, six plans were written.")
        results = sum(message["role"] == "tool" for message in body["messages"])
        if results < 6 and not any("too long" in s for s in state):
            return Turn("thinking " * 300, (plan(f"step {results}"),))
        state.append("too long")
        if len(state) <= times:
            return Turn("refused", faults=(OVERFLOW,))
        return Turn("Done.")

    state: list[str] = []
    return say


def test_L15_an_overflow_makes_room_and_goes_on(intern: Engine) -> None:
    with ScriptedServer(overflowing(1)) as server:
        end = intern.run(server, "--context", "60000")
        assert served(server).count("fault") == 1
        last, refused = server.requests[-1], next(r for r in server.requests if r.served == "fault")
        assert last.tokens < refused.tokens
        assert "do the work" in told(server)
    assert (end.outcome, end.summary) == ("completed", "Done.")
    (compacted,) = intern.facts(Compacted)
    assert compacted.why == "refused"
    assert compacted.tokens_after < compacted.tokens_before


def test_L15_an_overflow_again_and_again_stops_with_the_state_saved(intern: Engine) -> None:
    with ScriptedServer(overflowing(10**6)) as server:
        end = intern.run(server, "--context", "60000")
        assert 2 <= served(server).count("fault") <= 4
        refused = len(server.requests)
    assert end.outcome == "paused"
    assert "state is saved" in end.do
    assert "larger window" in end.do
    assert len(intern.settled("plan")) == 6
    assert refused < 20


def test_L16_a_filtered_answer_says_so_and_the_next_request_works(intern: Engine) -> None:
    def say(body: dict[str, Any]) -> Turn:
        if "other words" in json.dumps(body["messages"]):
            return Turn("Done in other words.")
        return Turn("I cannot", finish="content_filter")

    with ScriptedServer(say) as server:
        end = intern.run(server)
        assert end.outcome == "failed"
        assert "filter" in end.reason
        assert end.do
        session = intern.session.state.session
        again = intern.run(server, f"--session {session}", words="use other words")
        assert intern.session.state.session == session
        assert (again.outcome, again.summary) == ("completed", "Done in other words.")
        assert "do the work" in told(server)


def test_L17_an_unknown_model_is_not_asked_for_twice(intern: Engine) -> None:
    fault = Fault(status=404, body=error("The model `scripted` does not exist"))
    server = ScriptedServer([Turn("never", faults=(fault,) * 9)])
    end = intern.run(server)
    server.stop()
    assert len(server.requests) == 1
    assert end.outcome == "failed"
    assert "openai/scripted" in end.reason
    assert "--model" in end.do
    assert "Traceback" not in intern.type("%intern status")


def refused_at(step: int, status: int) -> list[Turn]:
    """A run that the server refuses to go on with, once, at a step."""
    body = error(f"bad key {OLD_KEY}")
    turns = steps(step)
    turns[step - 1] = Turn(calls=turns[step - 1].calls, faults=(Fault(status=status, body=body),))
    return turns


def test_L18_a_key_that_expires_in_the_middle(intern: Engine) -> None:
    intern.environ(KEY, OLD_KEY)
    with ScriptedServer(refused_at(7, 401)) as server:
        end = intern.run(server, model=KEYED)
        assert end.outcome == "paused"
        assert KEY in end.do
        assert len(server.requests) == 7
        intern.environ(KEY, NEW_KEY)
        resumed = intern.resume()
        assert (resumed.outcome, resumed.summary) == ("completed", "Finished.")
        assert [r.place for r in server.requests] == [0, 1, 2, 3, 4, 5, 6, 6, 7]
        assert [r.key for r in server.requests] == [OLD_KEY] * 7 + [NEW_KEY] * 2
    assert intern.begun() == ["plan"] * 7
    on_disk = intern.bytes() + intern.type("%intern status").encode()
    assert OLD_KEY.encode() not in on_disk
    assert NEW_KEY.encode() not in on_disk


def test_L19_credit_that_is_used_up(intern: Engine) -> None:
    intern.environ(KEY, OLD_KEY)
    with ScriptedServer(refused_at(3, 402)) as server:
        end = intern.run(server, model=KEYED)
        assert end.outcome == "paused"
        assert "credit" in end.do
        assert len(server.requests) == 3
        assert intern.resume().outcome == "completed"
        before, after = sent(server, 2), sent(server, 3)
        # What was refused is sent again; only words of ours may follow it.
        same = [m for m in before if m["role"] != "user" or "do the work" in str(m["content"])]
        assert same == after[: len(same)]
        assert [r.place for r in server.requests] == [0, 1, 2, 2, 3]
    assert intern.begun() == ["plan"] * 3


def test_L23_a_call_in_a_reply_that_ran_out_of_room(intern: Engine) -> None:
    half = Turn("", (Call("plan", '{"items": [{"step": "one", "state": "done"}]}'),), ())
    cut = Turn(half.text, half.calls, finish="length")
    with ScriptedServer([cut, Turn("", (plan("smaller"),)), Turn("Done.")]) as server:
        end = intern.run(server)
        assert "shorter or in parts" in told(server, 1)
    assert end.outcome == "completed"
    assert [(f.tool, f.ok) for f in intern.settled()] == [("plan", False), ("plan", True)]
    assert intern.begun() == ["plan"]


def test_L23_text_that_ran_out_of_room_is_continued(intern: Engine) -> None:
    with ScriptedServer([Turn("The first half,", finish="length"), Turn(" the second.")]) as server:
        end = intern.run(server)
        assert len(server.requests) == 2
    assert end.outcome == "completed"
    assert end.summary.startswith("The first half,")
    assert end.summary.endswith(" the second.")


@pytest.mark.parametrize("words", ["at most 1500 tokens", "429 items are too many", "500 503 529"])
def test_L26_a_400_is_a_400_whatever_it_says(intern: Engine, words: str) -> None:
    fault = Fault(status=400, body=error(words))
    server = ScriptedServer([Turn("never", faults=(fault,) * 9)])
    end = intern.run(server)
    server.stop()
    assert len(server.requests) == 1
    assert end.outcome == "failed"
    assert "400" in end.reason
    assert words in end.summary
    assert "Traceback" not in intern.type("%intern status")


def test_L27_loading_needs_no_network(tmp_path: Path) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell; ip = InteractiveShell();"
        "ip.run_cell('%load_ext mlintern_jupyter'); ip.run_cell('%intern help');"
        "import sys; assert 'litellm' not in sys.modules;"
        "import mlintern_jupyter.models.litellm.client; print('loaded')"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **guard_environment(tmp_path)}
    env.update(guard_environment(tmp_path, loopback=False))
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.endswith("loaded\n"), done.stderr
    assert offences(tmp_path) == []


def test_L28_reasoning_that_is_refused_is_left_out(intern: Engine) -> None:
    invalid = {"type": "invalid_request_error", "message": "Invalid `signature` in `thinking`"}
    fault = Fault(status=400, body=json.dumps({"type": "error", "error": invalid}))
    turns = [
        Turn(calls=(plan("one"),), thinking="Let me think about it."),
        Turn(calls=(plan("two"),), faults=(fault,)),
        Turn("Done."),
    ]
    with ScriptedServer(turns) as server:
        end = intern.run(server, model="anthropic/claude-sonnet-4-5")
        assert (end.outcome, end.summary) == ("completed", "Done.")
        thoughts = ["Let me think" in json.dumps(r.body["messages"]) for r in server.requests]
        assert thoughts == [False, True, False, False]
        assert {r.path for r in server.requests} == {"/v1/messages"}
    assert len(intern.facts(Replied)) == 3
    assert intern.begun() == ["plan", "plan"]
