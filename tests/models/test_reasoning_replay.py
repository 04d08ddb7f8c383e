"""Reasoning goes back with the calls it led to, to the kind of server it came from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from recording_server import Answer, Seen, called, json_answer, openai_stream, recording

from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.messages import Message, Reply, ToolCall, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.testing.strict_anthropic import sign

TOOL = ToolSpec("add", "Add.", {"type": "object", "properties": {}, "additionalProperties": False})
START = (Message("system", "Be brief."), Message("user", "1 + 2?"))
CLAUDE, DEEPSEEK = "anthropic/claude-sonnet-4-5", "deepseek/deepseek-reasoner"
OPENROUTER = "openrouter/anthropic/claude-sonnet-4.5"
THOUGHT = "One and two are to be added, so the tool is called."
QUICK = RetryPolicy(first_wait_s=0.01, retries=0, restarts=0)


def model_at(name: str, url: str) -> LitellmModel:
    return LitellmModel(resolve(name, api_base=url, price=None, env={}), QUICK)


def step(model: LitellmModel, messages: tuple[Message, ...]) -> Reply:
    return asyncio.run(model.complete(View(messages, (TOOL,), 64), lambda _: None))


def after(reply: Reply, messages: tuple[Message, ...] = START) -> tuple[Message, ...]:
    said = Message("assistant", reply.text, reply.calls, thinking=reply.thinking)
    results = tuple(Message("tool", "3", call_id=call.id) for call in reply.calls)
    return (*messages, said, *results)


def test_signed_blocks_of_anthropic_go_back_untouched_with_the_call() -> None:
    turns = [Turn("Let me.", (Call("add"),), thinking=THOUGHT), Turn("3")]
    with ScriptedServer(turns) as server:
        model = model_at(CLAUDE, server.base_url)
        reply = step(model, START)
        step(model, after(reply))
        sent = server.requests[1].body["messages"][1]["content"]
    block = {"type": "thinking", "thinking": THOUGHT, "signature": sign(THOUGHT)}
    assert reply.thinking == (block,)
    assert sent[0] == block
    assert [part["type"] for part in sent] == ["thinking", "text", "tool_use"]


def test_reasoning_content_goes_back_as_the_same_text() -> None:
    turns = [Turn("", (Call("add"),), thinking=THOUGHT), Turn("3")]
    with ScriptedServer(turns) as server:
        model = model_at(DEEPSEEK, server.base_url)
        reply = step(model, START)
        step(model, after(reply))
        sent = server.requests[1].body["messages"][2]
    assert reply.thinking == ({"type": "reasoning_content", "text": THOUGHT},)
    assert sent["reasoning_content"] == THOUGHT


def test_openrouters_details_are_joined_and_go_back_as_they_were() -> None:
    def details(**piece: Any) -> dict[str, Any]:
        return {"reasoning_details": [{"type": "reasoning.text", "index": 0} | piece]}

    hidden = {"type": "reasoning.encrypted", "data": "abc", "index": 1, "id": "r1"}
    stream = openai_stream(
        details(text="One and ", format="anthropic-claude-v1"),
        details(text="two.", signature=None),
        details(signature="c2ln"),
        {"reasoning_details": [hidden]},
        called(),
        finish="tool_calls",
    )
    with recording(lambda _: stream) as server:
        model = model_at(OPENROUTER, server.url)
        reply = step(model, START)
        step(model, after(reply))
    whole = {
        "type": "reasoning.text",
        "index": 0,
        "text": "One and two.",
        "format": "anthropic-claude-v1",
        "signature": "c2ln",
    }
    assert reply.thinking == (whole, hidden)
    (said,) = (m for m in server.seen[1].body["messages"] if m["role"] == "assistant")
    assert said["reasoning_details"] == [whole, hidden]


def test_reasoning_that_led_to_no_call_is_not_kept() -> None:
    with ScriptedServer([Turn("Three.", thinking=THOUGHT)]) as server:
        assert step(model_at(DEEPSEEK, server.base_url), START).thinking == ()


@pytest.mark.parametrize("name", ["groq/m", "mistral/m", "xai/m", "openai/m"])
def test_reasoning_of_another_kind_of_server_is_not_sent(name: str) -> None:
    signed = {"type": "thinking", "thinking": THOUGHT, "signature": "of another"}
    with recording(lambda _: openai_stream({"content": "3"})) as server:
        said = Message("assistant", "", (ToolCall("c1", "add", "{}"),), thinking=(signed,))
        told = Message("tool", "3", call_id="c1")
        step(model_at(name, server.url), (*START, said, told))
    assert "thinking" not in str(server.seen[0].body["messages"])
    assert THOUGHT not in str(server.seen[0].body)


REFUSAL = Fault(
    status=400, body='{"error": {"type": "invalid_request_error", "message": "anything"}}'
)


@pytest.mark.parametrize("name", [CLAUDE, DEEPSEEK])
def test_refused_reasoning_is_left_out_once_and_for_all_and_newer_is_sent_again(name: str) -> None:
    turns = [
        Turn("a", (Call("add"),), thinking=THOUGHT),
        Turn("b", (Call("add"),), thinking="Newer thought, kept.", faults=(REFUSAL,)),
        Turn("c"),
    ]
    notes: list[str] = []
    with ScriptedServer(turns) as server:
        model = model_at(name, server.base_url)
        first = after(step(model, START))
        view = View(first, (TOOL,), 64)
        second = after(asyncio.run(model.complete(view, notes.append)), first)
        step(model, second)
        bodies = [str(request.body["messages"]) for request in server.requests]
    assert [THOUGHT in body for body in bodies] == [False, True, False, False]
    assert "Newer thought" in bodies[3]
    assert "without it" in notes[0]


def test_a_server_that_refuses_reasoning_twice_is_sent_none_any_more() -> None:
    turns = [
        Turn("a", (Call("add"),), thinking=THOUGHT),
        Turn("b", (Call("add"),), thinking="Second.", faults=(REFUSAL,)),
        Turn("c", (Call("add"),), thinking="Third.", faults=(REFUSAL,)),
        Turn("d"),
    ]
    with ScriptedServer(turns) as server:
        model = model_at(DEEPSEEK, server.base_url)
        messages = START
        for _ in range(4):
            messages = after(step(model, messages), messages)
        assert len(server.requests) == 6
        assert "reasoning_content" not in str(server.requests[-1].body)


def test_a_refusal_that_has_another_reason_is_told_and_reasoning_is_kept() -> None:
    refused = json_answer({"error": {"message": "no such field"}}, 400)
    with ScriptedServer([Turn("a", (Call("add"),), thinking=THOUGHT)]) as server:
        messages = after(step(model_at(DEEPSEEK, server.base_url), START))
    with recording(lambda _: refused) as other:
        model = model_at(DEEPSEEK, other.url)
        for _ in range(2):
            with pytest.raises(ModelFailed, match="refused the request"):
                step(model, messages)
    assert [THOUGHT in str(seen.body) for seen in other.seen] == [True, False, True, False]


def test_deepseek_gets_blanks_for_the_replies_of_another_model_and_the_rest_as_it_was() -> None:
    def wants_all(seen: Seen) -> Answer:
        said = [m for m in seen.body["messages"] if m["role"] == "assistant"]
        if all(m.get("reasoning_content") for m in said):
            return openai_stream({"content": "3"})
        return json_answer({"error": {"message": "reasoning must be passed back"}}, 400)

    mine = ({"type": "reasoning_content", "text": THOUGHT},)
    view = (
        *START,
        Message("assistant", "", (ToolCall("c1", "add", "{}"),)),
        Message("tool", "3", call_id="c1"),
        Message("assistant", "", (ToolCall("c2", "add", "{}"),), thinking=mine),
        Message("tool", "3", call_id="c2"),
    )
    with recording(wants_all) as server:
        model = model_at(DEEPSEEK, server.url)
        for _ in range(2):
            assert step(model, view).text == "3"
    assert len(server.seen) == 3
    said = [m for m in server.seen[-1].body["messages"] if m["role"] == "assistant"]
    assert [m["reasoning_content"] for m in said] == [" ", THOUGHT]
