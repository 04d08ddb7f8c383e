"""The scripted server's third wire: the same script, by the rules of the Responses API."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer, ScriptViolation
from mlintern_jupyter.testing.strict_responses import encrypted, violations

PARAMETERS = {"type": "object", "properties": {}}
TOOL = {"type": "function", "name": "f", "description": "F.", "parameters": PARAMETERS}
LOOSE = TOOL | {"strict": False}
INCLUDE = ["reasoning.encrypted_content"]


def user(content: Any = "hello") -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": content}


def said(text: str) -> dict[str, Any]:
    return user(text) | {"role": "assistant"}


def call(id_: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": "f", "arguments": "{}"} | more


def result(id_: str = "c1", output: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id_, "output": output}


def thought(words: str, content: str | None = None) -> dict[str, Any]:
    hidden = encrypted(words) if content is None else content
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": hidden}


def request(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"model": "m", "input": list(items), "max_output_tokens": 16, "tools": [LOOSE]}
    return body | {"stream": False, "store": False, "include": INCLUDE} | more


def post(base_url: str, body: Any) -> tuple[int, bytes]:
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("POST", "/v1/responses", json.dumps(body).encode())
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def events(raw: bytes) -> list[dict[str, Any]]:
    lines = [line for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines]


def test_a_stream_brings_thought_text_and_calls_as_items_of_their_own() -> None:
    turn = Turn("Some words in pieces.", (Call("f", {"x": "long enough for two"}),), thinking="Hm.")
    with ScriptedServer([turn]) as server:
        found = events(post(server.base_url, request(user(), stream=True))[1])
    assert [e["sequence_number"] for e in found] == list(range(len(found)))
    kinds = [e["type"] for e in found]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    done = [e["item"] for e in found if e["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["reasoning", "message", "function_call"]
    assert done[0]["encrypted_content"] == encrypted("Hm.")
    assert json.loads(done[2]["arguments"]) == turn.calls[0].arguments
    texts = [e["delta"] for e in found if e["type"] == "response.output_text.delta"]
    assert "".join(texts) == turn.text
    parts = [e["delta"] for e in found if e["type"] == "response.function_call_arguments.delta"]
    assert json.loads("".join(parts)) == turn.calls[0].arguments
    ended = found[-1]["response"]
    assert (ended["status"], ended["output"]) == ("completed", done)
    assert ended["usage"]["input_tokens"] > 5


def test_an_answer_in_one_piece_says_the_same() -> None:
    with ScriptedServer([Turn("Hi", (Call("f", {"a": 1}),), finish="length")]) as server:
        whole = json.loads(post(server.base_url, request(user()))[1])
    assert [item["type"] for item in whole["output"]] == ["message", "function_call"]
    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}


def test_reasoning_is_encrypted_only_for_who_asks() -> None:
    with ScriptedServer([Turn("Hi", thinking="Hm.")]) as server:
        whole = json.loads(post(server.base_url, request(user(), include=None))[1])
    assert "encrypted_content" not in whole["output"][0]


def test_what_was_said_may_be_sent_back_and_decides_the_place() -> None:
    turns = [
        Turn("a", (Call("f"), Call("f")), thinking="Hm."),
        Turn("b", (Call("f"),)),
        Turn("c"),
        Turn("d"),
    ]
    first = (user(), thought("Hm."), said("a"), call("c1"), call("c2"), result("c1"), result("c2"))
    second = (*first, said("b"), call("c3"), result("c3"), user("go on"))
    with ScriptedServer(turns) as server:
        for sent in ((user(),), first, second, (*second, said("c"), user("and?"))):
            assert post(server.base_url, request(*sent))[0] == 200
        assert [seen.place for seen in server.requests] == [0, 1, 2, 3]


def test_a_script_that_looks_at_the_last_item_sees_results_too() -> None:
    with ScriptedServer([Turn("summed", on="the sum")]) as server:
        assert post(server.base_url, request(user(), call(), result(output="the sum")))[0] == 200
        assert post(server.base_url, request(user("the sum?")))[0] == 200


def test_what_does_not_fit_is_refused_by_the_servers_own_count() -> None:
    with ScriptedServer([Turn("x")], context_tokens=90) as server:
        status, body = post(server.base_url, request(user("word " * 50)))
        assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded")
        assert post(server.base_url, request(user()))[0] == 200


def test_faults_come_before_the_answer() -> None:
    with ScriptedServer(
        [Turn("x" * 90, faults=(Fault(status=503), Fault(cut_after=99)))]
    ) as server:
        assert post(server.base_url, request(user(), stream=True))[0] == 503
        assert len(post(server.base_url, request(user(), stream=True))[1]) == 99
        assert b"response.completed" in post(server.base_url, request(user(), stream=True))[1]


PICTURE = {"type": "input_image", "image_url": "http://x/y.png", "detail": "auto"}
BROKEN = {
    "Unknown parameter: 'messages'.": request(user(), messages=[]),
    "max_output_tokens is not": request(user(), max_output_tokens=15),
    "stream is not said": request(user(), stream=None),
    "store is not false": request(user(), store=True),
    "include asks for": request(user(), include=["message.output_text.logprobs"]),
    "instructions is not a text": request(user(), instructions=" "),
    "is strict": request(user(), tools=[TOOL]),
    "unknown field 'function'": request(user(), tools=[LOOSE | {"function": {}}]),
    "two tools have the same name": request(user(), tools=[LOOSE, LOOSE]),
    "input is not a list": request(),
    "unknown type 'tool'": request(user(), {"type": "tool"}),
    "that belongs into instructions": request(user() | {"role": "system"}, user()),
    "does not begin with the user": request(said("x"), user()),
    "leaves nothing to answer": request(user(), said("x")),
    "content is empty": request(user(" ")),
    "is not one in the request itself": request(user([PICTURE])),
    "a part of type 'text'": request(user([{"type": "text", "text": "x"}])),
    "has the fields": request(user(), call(id="fc_1"), result()),
    "are not the text of a JSON object": request(user(), call(arguments="[]"), result()),
    "output is not a text": request(user(), call(), result(output=" ")),
    "No tool output found for function calls ['c1']": request(user(), call(), user()),
    "No tool call found for call_id c2": request(user(), call(), result(), result("c2")),
    "call_id c1 was used before": request(user(), call(), result(), call(), result()),
    "input[4]: No tool output": request(
        user(), call("c1"), call("c2"), result("c1"), said("x"), result("c2")
    ),
    "could not be verified": request(user(), thought("Hm.", "made up"), call(), result()),
    "without its required following item": request(user(), call(), thought("Hm."), result()),
    "reasoning is sent and not asked for": request(
        user(), thought("Hm."), call(), result(), include=None
    ),
    "a lone surrogate": request(user("\ud800")),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_every_rule_is_kept(rule: str) -> None:
    found = violations(BROKEN[rule])
    assert any(rule in problem for problem in found), found
    server = ScriptedServer([Turn("x")])
    assert post(server.base_url, BROKEN[rule])[0] == 400
    with pytest.raises(ScriptViolation):
        server.close()


def test_a_picture_in_the_request_itself_is_taken() -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    assert violations(request(user([PICTURE | {"image_url": url}]))) == []
