from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlintern_jupyter.reading import ReadingError
from mlintern_jupyter.testing.script import Call, Fault, Turn, turn_from
from mlintern_jupyter.testing.scripted_server import ScriptedServer, ScriptViolation

USER = {"role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "F.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), "max_tokens": 9, "stream": False, **more}


def post(base_url: str, body: Any) -> tuple[int, bytes]:
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", parts.path + "/chat/completions", text)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_place_in_the_conversation_decides_which_turn_is_served() -> None:
    with ScriptedServer([Turn(calls=(Call("f"),)), Turn("done")]) as server:
        later = request(USER, CALLED, RESULT)
        assert b"done" in post(server.base_url, later)[1]
        first = post(server.base_url, request(USER))
        assert b"tool_calls" in first[1]
        assert post(server.base_url, request(USER)) == first
        assert [r.place for r in server.requests] == [1, 0, 0]


def test_a_turn_with_a_word_answers_beside_the_order() -> None:
    with ScriptedServer([Turn("first"), Turn("short", on="summarise")]) as server:
        assert b"first" in post(server.base_url, request(USER))[1]
        aside = request({"role": "user", "content": "please summarise this"})
        assert b"short" in post(server.base_url, aside)[1]


def test_a_stream_says_the_same_as_an_answer_in_one_piece() -> None:
    turn = Turn("Some words that come in pieces.", (Call("f", {"x": "long enough for two"}),))
    streamed = request(USER, stream=True, stream_options={"include_usage": True})
    with ScriptedServer([turn]) as server:
        whole = json.loads(post(server.base_url, request(USER))[1])["choices"][0]
        lines = post(server.base_url, streamed)[1].decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == turn.text
    pieces = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [piece.get("id") for piece in pieces] == ["call_0_0", None, None]
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    assert arguments == whole["message"]["tool_calls"][0]["function"]["arguments"]
    assert chunks[-1]["usage"]["prompt_tokens"] > 0


BROKEN = {
    "unknown field": request(USER, colour="red"),
    "max_tokens": {**request(USER), "max_tokens": None},
    "stream is not said": {"model": "m", "messages": [USER], "max_tokens": 1},
    "ask for usage": request(USER, stream=True),
    "no messages": request(),
    "not a JSON object": [],
    "not answered": request(USER, CALLED),
    "before it are not answered": request(USER, CALLED, USER),
    "answered already": request(USER, CALLED, RESULT, RESULT),
    "was not called": request(USER, RESULT),
    "was used before": request(USER, CALLED, RESULT, CALLED, RESULT),
    "JSON object": request(
        USER,
        CALLED | {"tool_calls": [CALL | {"function": {"name": "f", "arguments": "["}}]},
        RESULT,
    ),
    "begin with the user": request({"role": "system", "content": "x"}, CALLED, RESULT),
    "inside the conversation": request(USER, {"role": "system", "content": "x"}, USER),
    "nothing to answer": request(USER, {"role": "assistant", "content": "x"}),
    "content is not a text": request({"role": "user", "content": ""}),
    "lone surrogate": request({"role": "user", "content": "\ud800"}),
    "no description": request(
        USER, tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]
    ),
    "not the schema of an object": request(
        USER, tools=[{"type": "function", "function": {"name": "f", "description": "F."}}]
    ),
    "not a JSON schema": request(
        USER,
        tools=[
            TOOL
            | {
                "function": TOOL["function"]  # type: ignore[operator]
                | {"parameters": {"type": "object", "properties": {"a": {"type": "int"}}}}
            }
        ],
    ),
    "same name": request(USER, tools=[TOOL, TOOL]),
    "no turn 1": request(USER, CALLED, RESULT),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_request_that_breaks_a_rule_is_refused_and_remembered(rule: str) -> None:
    server = ScriptedServer([Turn("hi")])
    status, body = post(server.base_url, BROKEN[rule])
    assert status == 400
    assert rule in json.loads(body)["error"]["message"]
    assert post(server.base_url, request(USER, tools=[TOOL]))[0] == 200
    with pytest.raises(ScriptViolation, match=rule):
        server.close()


def test_turns_and_faults_left_over_fail() -> None:
    server = ScriptedServer([Turn("a", faults=(Fault(status=500),) * 2), Turn("b")])
    assert post(server.base_url, request(USER))[0] == 500
    assert len(server.leftovers()) == 3
    with pytest.raises(ScriptViolation, match=r"turn 0: 1 faults were never met"):
        server.close()


def test_an_error_of_the_test_itself_is_not_hidden_by_leftovers() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedServer([Turn("never")]):
        _ = 1 / 0


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(cut_after=10, reset=True)])
def test_a_reset_is_seen_as_one(fault: Fault) -> None:
    with ScriptedServer([Turn("hi", faults=(fault,))]) as server:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            post(server.base_url, request(USER))
        assert post(server.base_url, request(USER))[0] == 200


def test_a_turn_from_json_refuses_what_it_does_not_know() -> None:
    turn = turn_from({"text": "x", "calls": [{"name": "f"}], "faults": [{"status": 500}]})
    assert turn == Turn("x", (Call("f"),), (Fault(status=500),))
    with pytest.raises(ReadingError, match="texts: unknown"):
        turn_from({"texts": "x"})


def test_as_a_process_it_logs_every_request_and_its_verdict(tmp_path: Path) -> None:
    script, log = tmp_path / "turns.json", tmp_path / "log.jsonl"
    script.write_text(json.dumps([{"text": "hi"}, {"text": "left over"}]))
    command = [sys.executable, "-m", "mlintern_jupyter.testing.scripted_server"]
    process = subprocess.Popen(
        [*command, "--script", str(script), "--log", str(log)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert post(base_url, request(USER))[0] == 200
        first = json.loads(log.read_text())
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 1
    assert (first["number"], first["body"]["messages"], first["served"]) == (1, [USER], "answer")
    verdict = json.loads(log.read_text().splitlines()[-1])
    assert verdict["end"] is True
    assert "turn 1 was never answered" in verdict["leftovers"][0]
