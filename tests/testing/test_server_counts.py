"""What the scripted server counts: tokens, its cache, its limit; and scripts that are functions."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer, ScriptViolation
from mlintern_jupyter.testing.tokens import PICTURE_TOKENS, count

LONG = "The quick brown fox jumps over the lazy dog. " * 300


def post(base_url: str, *messages: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "m", "messages": list(messages), "max_tokens": 9, "stream": False, **more}
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body).encode())
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_tokenizer_is_a_real_one_and_nobodys_rule_of_thumb() -> None:
    assert count("hello world") == 2
    code = "for i in range(10):\n    print(f'{i:02d}')\n"
    assert count(code) not in {len(code) // 3, len(code) // 4}
    assert count("\ud800") >= 1


def test_a_picture_counts_as_a_picture_and_not_as_text() -> None:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 300_000).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    with ScriptedServer([Turn("seen")]) as server:
        post(server.base_url, user([{"type": "text", "text": "look"}, picture]))
        assert PICTURE_TOKENS < server.requests[0].tokens < PICTURE_TOKENS + 60


def test_a_prefix_that_was_sent_before_comes_from_the_cache() -> None:
    with ScriptedServer(lambda _: Turn("ok")) as server:
        first = post(server.base_url, user(LONG))[1]["usage"]
        more = post(server.base_url, user(LONG), user("more"))[1]["usage"]
        other = post(server.base_url, user("x " + LONG))[1]["usage"]
        half = post(server.base_url, user(LONG[: len(LONG) // 2] + "!"))[1]["usage"]
        assert server.requests[1].cached_tokens == first["prompt_tokens"]
    assert "prompt_tokens_details" not in first
    assert more["prompt_tokens_details"]["cached_tokens"] == first["prompt_tokens"]
    assert "prompt_tokens_details" not in other
    assert 0.9 < half["prompt_tokens_details"]["cached_tokens"] / half["prompt_tokens"] < 1


def test_what_does_not_fit_is_refused_as_openai_does_and_is_no_fault_of_the_client() -> None:
    with ScriptedServer([Turn("fits")], context_tokens=400) as server:
        status, body = post(server.base_url, user(LONG))
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        assert post(server.base_url, user("short"), max_tokens=399)[0] == 400
        assert post(server.base_url, user("short"))[0] == 200
        assert [r.served for r in server.requests] == ["overflow", "overflow", "answer"]


def test_the_list_of_models_tells_the_limit_only_where_it_should() -> None:
    for tells in (True, False):
        with ScriptedServer(lambda _: Turn(), context_tokens=400, tells_context=tells) as server:
            parts = urlsplit(server.base_url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
            connection.request("GET", "/v1/models")
            (model,) = json.loads(connection.getresponse().read())["data"]
            connection.close()
        assert model.get("max_model_len") == (400 if tells else None)


def test_a_script_can_be_a_function_of_the_request() -> None:
    def say(body: dict[str, Any]) -> Turn:
        number = int(body["messages"][-1]["content"])
        faults = (Fault(status=500, body="{}"),) if number == 2 else ()
        return Turn(f"{number} it is", faults=faults)

    with ScriptedServer(say) as server:
        answers = [post(server.base_url, user(str(n))) for n in (1, 2, 2, 1)]
    assert [status for status, _ in answers[:2]] == [200, 500]
    said = [body["choices"][0]["message"]["content"] for status, body in answers if status == 200]
    assert said == ["1 it is", "2 it is", "1 it is"]


def test_a_function_that_fails_is_the_tests_own_error() -> None:
    server = ScriptedServer(lambda body: Turn(body["no such field"]))
    assert post(server.base_url, user("x"))[0] == 400
    with pytest.raises(ScriptViolation, match="the script failed: KeyError"):
        server.close()


def test_usage_thought_and_bodies_can_be_said_to_the_letter() -> None:
    turns = [Turn("a", (Call("f"),), usage=(7, 8), thinking="Hm."), Turn(raw="nonsense")]
    tool = {"role": "tool", "tool_call_id": "call_0_0", "content": "ok"}
    with ScriptedServer(turns) as server:
        whole = post(server.base_url, user("x"))[1]
        message = whole["choices"][0]["message"]
        with pytest.raises(ValueError, match="Expecting value"):
            post(server.base_url, user("x"), {k: message[k] for k in ("role", "tool_calls")}, tool)
    assert whole["usage"]["total_tokens"] == 15
    assert message["reasoning_content"] == "Hm."
