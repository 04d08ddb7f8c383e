"""Every provider that takes an address is asked on the wire, however the address is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from recording_server import Answer, Seen, called, json_answer, openai_stream, recording
from responses_rig import answered, function_call, words

from mlintern_jupyter.messages import Message, Reply, ToolCall, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve

TOOL = ToolSpec(
    "add",
    "Add.",
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
)
VIEW = View(
    (
        Message("system", "Be brief."),
        Message("user", "1 + 2?"),
        Message("assistant", "Adding.", (ToolCall("call_1", "add", '{"a": 1}'),)),
        Message("tool", "3", call_id="call_1"),
        Message("user", "2 steps left", passing=True),
    ),
    (TOOL,),
    64,
)
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
ROUTES = [
    ("openai/some-model", CHAT),
    ("huggingface/org/model", CHAT),
    ("openrouter/anthropic/claude-sonnet-4.5", CHAT),
    ("ollama/qwen3:8b", CHAT),
    ("ollama_chat/qwen3:8b", CHAT),
    ("vllm/org/model", CHAT),
    ("hosted_vllm/org/model", CHAT),
    ("lm_studio/model", CHAT),
    ("llamacpp/any", CHAT),
    ("mistral/mistral-large-latest", CHAT),
    ("groq/openai/gpt-oss-120b", CHAT),
    ("deepseek/deepseek-chat", CHAT),
    ("xai/grok-4", CHAT),
    ("together_ai/Qwen/some", CHAT),
    ("azure/deployment", "/openai" + CHAT),
    ("anthropic/claude-sonnet-4-5", "/v1/messages"),
    ("openai/responses/some-model", RESPONSES),
    ("openai/gpt-5-pro", RESPONSES),
    ("openai/o3-pro", RESPONSES),
    ("azure/responses/deployment", "/openai" + RESPONSES),
]
GEMINI = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Sure."},
                    {
                        "functionCall": {"name": "add", "args": {"a": 1}},
                        "thoughtSignature": "c2lnbmVk",
                    },
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
}


def events(*said: dict[str, Any]) -> Answer:
    data = "".join(f"data: {json.dumps(e)}\n\n" for e in said)
    return 200, {"Content-Type": "text/event-stream"}, data.encode()


def anthropic_events() -> Answer:
    usage = {"input_tokens": 7, "output_tokens": 3}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "c"}
    text = {"type": "text", "text": ""}
    use = {"type": "tool_use", "id": "c1", "name": "add", "input": {}}
    return events(
        {"type": "message_start", "message": message | {"usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Sure."},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": use},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    )


def answer(seen: Seen) -> Answer:
    if "GenerateContent" in seen.path:
        return events(GEMINI)
    if seen.path.endswith("/messages"):
        return anthropic_events()
    if seen.path.endswith("/responses"):
        return answered(words("Sure."), function_call(1, '{"a": 1}'))
    return openai_stream({"content": "Sure."}, called(), finish="tool_calls")


def ask(name: str, base: str, view: View = VIEW, **env: str) -> Reply:
    plan = resolve(name, api_base=base, price=None, env=env)
    model = LitellmModel(plan, RetryPolicy(first_wait_s=0.01, retries=0, restarts=0), env=env)
    return asyncio.run(model.complete(view, lambda _: None))


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/", CHAT])
@pytest.mark.parametrize(("name", "path"), ROUTES, ids=[name for name, _ in ROUTES])
def test_a_provider_is_asked_at_any_address_however_it_is_written(
    name: str, path: str, written: str
) -> None:
    with recording(answer) as server:
        reply = ask(name, server.url + written)
    assert [seen.path for seen in server.seen] == [path]
    assert (reply.text, reply.stop, reply.usage.total) == ("Sure.", "tool_calls", 10)
    assert [(c.name, json.loads(c.arguments)) for c in reply.calls] == [("add", {"a": 1})]
    body = server.seen[0].body
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    (limit,) = (body[name] for name in names if name in body)
    assert (limit, body["stream"], len(body["tools"])) == (64, True, 1)


def test_gemini_is_asked_and_its_signature_goes_back_with_the_call() -> None:
    with recording(answer) as server:
        first = ask("gemini/gemini-2.5-pro", server.url)
        said = Message("assistant", first.text, first.calls)
        told = Message("tool", "3", call_id=first.calls[0].id)
        ask(
            "gemini/gemini-2.5-pro", server.url, View((*VIEW.messages[:2], said, told), (TOOL,), 64)
        )
    assert [seen.path.partition("?")[0] for seen in server.seen] == [
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    ] * 2
    parts = [part for content in server.seen[1].body["contents"] for part in content["parts"]]
    assert [p["thoughtSignature"] for p in parts if "thoughtSignature" in p] == ["c2lnbmVk"]


def roles_and_ids(seen: Seen) -> tuple[list[str], list[str]]:
    messages = seen.body["messages"]
    ids = [c["id"] for m in messages for c in m.get("tool_calls") or ()]
    ids += [m["tool_call_id"] for m in messages if m["role"] == "tool"]
    return [m["role"] for m in messages], ids


@pytest.mark.parametrize("name", ["mistral/mistral-large-latest", "vllm/mistralai/Devstral-Small"])
def test_mistrals_models_never_hear_the_user_right_after_a_result(name: str) -> None:
    with recording(answer) as server:
        ask(name, server.url)
    assert roles_and_ids(server.seen[0])[0] == ["system", "user", "assistant", "tool"]
    assert server.seen[0].body["messages"][-1]["content"] == "3\n\n2 steps left"


@pytest.mark.parametrize(
    ("name", "longest"), [("mistral/mistral-large-latest", 9), ("openai/some-model", 40)]
)
def test_the_id_of_another_models_call_is_spelled_as_the_server_takes_it(
    name: str, longest: int
) -> None:
    odd = "call_1__thought__" + "c2ln/+=" * 20
    view = View(
        (
            *VIEW.messages[:2],
            Message("assistant", "", (ToolCall(odd, "add", "{}"),)),
            Message("tool", "3", call_id=odd),
        ),
        (TOOL,),
        64,
    )
    with recording(answer) as server:
        ask(name, server.url, view)
    _, (asked, answered) = roles_and_ids(server.seen[0])
    assert asked == answered
    assert asked.isalnum()
    assert len(asked) == longest


def test_messages_of_the_user_in_a_row_are_one_where_nothing_is_marked() -> None:
    messages = (
        Message("system", "s"),
        Message("user", "goal"),
        Message("user", "time", passing=True),
    )
    with recording(answer) as server:
        ask("vllm/any", server.url, View(messages, (TOOL,), 64))
    assert server.seen[0].body["messages"][1:] == [{"role": "user", "content": "goal\n\ntime"}]


REFUSALS = [
    (
        {"param": "reasoning_effort", "type": "invalid_request_error"},
        lambda body: body["reasoning_effort"] == "none",
    ),
    (
        {"param": "max_tokens", "code": "unsupported_parameter"},
        lambda body: body["max_completion_tokens"] == 64 and "max_tokens" not in body,
    ),
]


@pytest.mark.parametrize(("error", "right"), REFUSALS, ids=["effort", "limit"])
def test_a_field_that_is_refused_by_name_is_spelled_otherwise_from_then_on(
    error: dict[str, str], right: Any
) -> None:
    def picky(seen: Seen) -> Answer:
        try:
            fine = right(seen.body)
        except KeyError:
            fine = False
        return answer(seen) if fine else json_answer({"error": {"message": "no"} | error}, 400)

    with recording(picky) as server:
        plan = resolve("openai/some-model", api_base=server.url, price=None, env={})
        model = LitellmModel(plan)
        for _ in range(2):
            asyncio.run(model.complete(VIEW, lambda _: None))
    assert len(server.seen) == 3


def test_a_request_that_is_refused_however_it_is_spelled_teaches_nothing() -> None:
    error = {"error": {"message": "no", "param": "max_tokens"}}
    with recording(lambda _: json_answer(error, 400)) as server:
        plan = resolve("openai/some-model", api_base=server.url, price=None, env={})
        model = LitellmModel(plan)
        for _ in range(2):
            with pytest.raises(Exception, match="refused the request"):
                asyncio.run(model.complete(VIEW, lambda _: None))
    assert [("max_tokens" in seen.body) for seen in server.seen] == [True, False, True, False]


@pytest.mark.parametrize("name", ["gpt-5.4", "gpt-5.1", "o3"])
def test_behind_a_gateway_a_model_with_both_interfaces_is_asked_over_chat(name: str) -> None:
    with recording(answer) as server:
        assert ask(f"openai/{name}", server.url).text == "Sure."
    assert [seen.path for seen in server.seen] == [CHAT]
