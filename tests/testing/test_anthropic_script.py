"""The scripted server's second wire: the same script, by Anthropic's rules."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer, ScriptViolation
from mlintern_jupyter.testing.strict_anthropic import sign, violations

TOOL = {"name": "f", "description": "F.", "input_schema": {"type": "object", "properties": {}}}
VERSION = {"anthropic-version": "2023-06-01"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content) or "hello"}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def use(id_: str = "t1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {}, **more}


def result(id_: str = "t1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": "ok", **more}


def said(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def thought(words: str, signature: str | None = None) -> dict[str, Any]:
    signed = sign(words) if signature is None else signature
    return {"type": "thinking", "thinking": words, "signature": signed}


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), "max_tokens": 9, "tools": [TOOL], **more}


def post(base_url: str, body: Any) -> tuple[int, bytes]:
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        headers = {**VERSION, "x-api-key": "k"}
        connection.request("POST", "/v1/messages", json.dumps(body).encode(), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def events(raw: bytes) -> list[dict[str, Any]]:
    lines = [line for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines]


def test_a_stream_says_thought_text_and_calls_in_blocks_of_their_own() -> None:
    turn = Turn("Some words in pieces.", (Call("f", {"x": "long enough for two"}),), thinking="Hm.")
    with ScriptedServer([turn]) as server:
        found = events(post(server.base_url, request(user(), stream=True))[1])
        assert server.requests[0].key == "k"
    kinds = [e["type"] for e in found]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    starts = [e["content_block"]["type"] for e in found if e["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    deltas = [e["delta"] for e in found if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == turn.text
    assert json.loads("".join(d.get("partial_json", "") for d in deltas)) == turn.calls[0].arguments
    assert [d["signature"] for d in deltas if d["type"] == "signature_delta"] == [sign("Hm.")]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert found[0]["message"]["usage"]["input_tokens"] > 10
    assert found[-2]["usage"]["output_tokens"] > 5


def test_an_answer_in_one_piece_says_the_same() -> None:
    with ScriptedServer([Turn("Hi", (Call("f", {"a": 1}),))]) as server:
        whole = json.loads(post(server.base_url, request(user()))[1])
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
    assert whole["content"][1]["input"] == {"a": 1}


def test_what_was_said_may_be_sent_back_and_decides_the_place() -> None:
    turns = [Turn(calls=(Call("f", id="t1"),), thinking="Hm."), Turn("done")]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with ScriptedServer(turns) as server:
        assert post(server.base_url, request(user(), max_tokens=2000, thinking=thinking))[0] == 200
        back = (user(), said(thought("Hm."), use()), user(result(), text("and go on")))
        status, body = post(server.base_url, request(*back, max_tokens=2000, thinking=thinking))
        assert (status, json.loads(body)["content"]) == (200, [{"type": "text", "text": "done"}])


BROKEN = {
    "Extra inputs are not permitted": request(user(), stream_options={}),
    "max_tokens: Field required": {"model": "m", "messages": [user()]},
    "unexpected role 'system'": request({"role": "system", "content": "x"}, user()),
    "first and last message": request(user(), said(text("x"))),
    "text content blocks must be non-empty": request(user(text(" "))),
    "tool_use t1 without tool_result": request(user(), said(use()), user()),
    "unexpected tool_use_id 'other'": request(user(), said(use()), user(result("other"))),
    "come first": request(user(), said(use()), user(text("a"), result())),
    "must be unique": request(user(), said(use(), use()), user(result())),
    "Input should be a valid dictionary": request(user(), said(use(input="{}")), user(result())),
    "should match pattern": request(user(), said(use("a b")), user(result("a b"))),
    "Invalid `signature`": request(user(), said(thought("Hm.", "made up"), use()), user(result())),
    "Expected `thinking`": request(
        user(),
        said(use()),
        user(result()),
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ),
    "thinking.budget_tokens": request(user(), thinking={"type": "enabled", "budget_tokens": 1024}),
    "maximum of 4 blocks": request(
        user(*[text(str(n), cache_control={"type": "ephemeral"}) for n in range(5)])
    ),
    "Tool names must be unique": request(user(), tools=[TOOL, TOOL]),
    "not a PNG": request(user({"type": "image", "source": {"type": "url", "url": "http://x"}})),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_request_that_breaks_a_rule_is_refused_in_anthropics_words(rule: str) -> None:
    server = ScriptedServer([Turn("hi")])
    status, body = post(server.base_url, BROKEN[rule])
    said_back = json.loads(body)
    assert (status, said_back["type"]) == (400, "error")
    assert rule in said_back["error"]["message"]
    with pytest.raises(ScriptViolation) as caught:
        server.close()
    assert rule in str(caught.value)


def test_neighbours_of_one_role_are_one_message() -> None:
    body = request(user(), said(use("a"), use("b")), user(result("a")), user(result("b")))
    assert violations(body, VERSION) == []
    assert violations(body, {}) == ["anthropic-version: header is required"]


def test_faults_happen_on_this_wire_too() -> None:
    turn = Turn("A text that is cut.", faults=(Fault(status=529, body="{}"), Fault(cut_after=300)))
    with ScriptedServer([turn]) as server:
        streamed = request(user(), stream=True)
        assert post(server.base_url, streamed)[0] == 529
        assert len(post(server.base_url, streamed)[1]) == 300
        assert events(post(server.base_url, streamed)[1])[-1] == {"type": "message_stop"}


def test_only_what_was_marked_comes_from_the_cache() -> None:
    long = "Every word of this is read once. " * 200
    mark = {"cache_control": {"type": "ephemeral"}}
    with ScriptedServer(lambda _: Turn("ok")) as server:

        def ask(*content: Any) -> dict[str, int]:
            return json.loads(post(server.base_url, request(user(*content)))[1])["usage"]

        first = ask(text(long, **mark), text("one"))
        again = ask(text(long, **mark), text("two"))
        unmarked = ask(text(long), text("two"))
        other = ask(text("now another " + long, **mark))
    assert first["cache_creation_input_tokens"] > 1000
    assert first["cache_read_input_tokens"] == 0
    assert again["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert again["cache_creation_input_tokens"] == 0
    assert unmarked["cache_read_input_tokens"] == other["cache_read_input_tokens"] == 0
