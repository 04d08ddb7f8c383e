"""Models of OpenAI's Responses API: what is asked, and what is made of the answer."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from recording_server import Answer, Seen, json_answer, recording
from responses_rig import (
    NAME,
    PATH,
    START,
    after,
    answered,
    function_call,
    model_at,
    reasoning,
    response,
    step,
    stream,
    words,
)
from test_pictures_sent import conversation, png

from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.messages import Message, ToolCall
from mlintern_jupyter.models.litellm.client import LitellmModel, over_responses
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.testing.strict_responses import encrypted

THOUGHT = "One and two are to be added, so the tool is called."
KEYS = {"OPENAI_API_KEY": "x", "AZURE_API_KEY": "x", "XAI_API_KEY": "x"}
AZURE = "https://mine.openai.azure.com"


def test_words_come_in_pieces_and_nothing_is_stored_at_the_provider() -> None:
    text = "The sum of one and two is three, as everybody knows."
    pieces: list[str] = []
    with ScriptedServer([Turn(text)]) as server:
        reply = step(model_at(server.base_url), START, pieces.append)
        (request,) = server.requests
    assert (reply.text, reply.calls, reply.stop, reply.model) == (text, (), "stop", NAME)
    assert "".join(pieces) == text
    assert len(pieces) > 1
    assert reply.usage.input_tokens == request.tokens
    assert request.path == PATH
    assert request.body["model"] == "scripted"
    assert request.body["instructions"] == "Be brief."
    assert request.body["store"] is False
    assert request.body["max_output_tokens"] == 512


def test_parallel_calls_are_assembled_in_order_and_their_results_accepted() -> None:
    calls = (Call("add", {"a": 1, "why": "a long enough reason"}), Call("add", {"a": 2}))
    with ScriptedServer([Turn("Let me add.", calls), Turn("Done.")]) as server:
        model = model_at(server.base_url)
        reply = step(model)
        assert step(model, after(reply)).text == "Done."
    assert reply.stop == "tool_calls"
    assert [json.loads(call.arguments) for call in reply.calls] == [c.arguments for c in calls]
    assert len({call.id for call in reply.calls}) == 2


def test_reasoning_goes_back_untouched_before_what_it_led_to() -> None:
    turns = [
        Turn("Adding.", (Call("add"), Call("add")), thinking=THOUGHT),
        Turn("", (Call("add"),), thinking="Once more \ud83d\ude00."),
        Turn("3"),
    ]
    with ScriptedServer(turns) as server:
        model = model_at(server.base_url)
        first = after(step(model))
        second = after(step(model, first), first)
        assert step(model, second).thinking == ()
        sent = server.requests[2].body["input"]
    kinds = [item["type"] for item in sent]
    assert kinds == [
        "message",
        *("reasoning", "message", "function_call", "function_call"),
        *("function_call_output",) * 2,
        *("reasoning", "function_call", "function_call_output"),
    ]
    assert sent[1]["encrypted_content"] == encrypted(THOUGHT)
    assert sent[1]["summary"] == [{"type": "summary_text", "text": THOUGHT}]


def test_reasoning_between_calls_goes_back_between_them() -> None:
    output = [
        reasoning(1),
        function_call(1),
        reasoning(2),
        words("And."),
        reasoning(3),
        function_call(2),
    ]
    with recording(lambda _: answered(*output, reasoning(4))) as server:
        model = model_at(server.url)
        step(model, after(step(model)))
        sent = server.seen[1].body["input"]
    # The words of a reply stand before its calls; each piece stays with what it led to.
    said = [item.get("id") or item.get("call_id") or item.get("role") for item in sent[1:7]]
    assert said == ["rs_2", "assistant", "rs_1", "c1", "rs_3", "c2"]


def test_what_was_sent_once_is_the_beginning_of_every_later_request() -> None:
    long = "Add all day. " * 300
    turns = [Turn(f"Step {n}.", (Call("add"), Call("add")), thinking=THOUGHT) for n in range(8)]
    with ScriptedServer(turns) as server:
        model = model_at(server.base_url)
        messages: tuple[Message, ...] = (Message("system", long), Message("user", long))
        for number in range(len(turns)):
            left = Message("user", f"{number} done", passing=True)
            reply = step(model, (*messages, left))
            messages = after(reply, messages)
        bodies = [request.body for request in server.requests]
        cached = [request.cached_tokens for request in server.requests]
    for earlier, later in itertools.pairwise(bodies):
        assert later["input"][: len(earlier["input"]) - 1] == earlier["input"][:-1]
        assert later["instructions"] == earlier["instructions"]
        assert later["tools"] == earlier["tools"]
    assert all(now > 1_024 for now in cached[1:])
    assert reply.usage.cached_tokens == cached[-1]


def test_a_long_conversation_with_odd_texts_stays_accepted() -> None:
    odd = ["", " ", "lone \ud800 surrogate", "\ud83d\ude00", "\0 null", "z\u0301", "{}"]
    turns = [Turn("", (Call("add", '{"a": '), Call("add", {"a": n}))) for n in range(40)]
    with ScriptedServer([*turns, Turn("Done \u2713.")]) as server:
        model = model_at(server.base_url)
        messages = START
        for number in range(len(turns)):
            reply = step(model, messages)
            said = Message("assistant", odd[number % len(odd)], reply.calls)
            results = (Message("tool", odd[-1 - number % 7], call_id=c.id) for c in reply.calls)
            messages = (*messages, said, *results)
        assert step(model, messages).text == "Done \u2713."


def test_an_answer_cut_short_by_the_limit_says_so_and_keeps_no_reasoning() -> None:
    turn = Turn("Once upon", (Call("add"),), thinking=THOUGHT, finish="length")
    with ScriptedServer([turn]) as server:
        reply = step(model_at(server.base_url))
    assert (reply.stop, reply.text, reply.thinking) == ("length", "Once upon", ())


def test_a_content_filter_is_said_and_charged() -> None:
    with ScriptedServer([Turn("Here is", finish="content_filter")]) as server:
        with pytest.raises(ModelFailed, match="content filter") as caught:
            step(model_at(server.base_url))
        charged = server.requests[0].tokens
    assert caught.value.charged is not None
    assert caught.value.charged.input_tokens == charged


def test_a_refusal_is_read_like_words() -> None:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    event = {"type": "response.refusal.delta", "delta": "I will not."} | where
    end = {"type": "response.completed", "response": response()}
    with recording(lambda _: stream(event, end)) as server:
        reply = step(model_at(server.url))
    assert (reply.text, reply.stop) == ("I will not.", "stop")
    assert (reply.usage.input_tokens, reply.usage.cached_tokens) == (7, 2)


def test_tokens_that_the_server_does_not_count_are_estimated() -> None:
    with ScriptedServer([Turn("Three.", count_tokens=False)]) as server:
        reply = step(model_at(server.base_url))
    assert reply.usage.input_tokens > 10


def test_pictures_follow_the_results_in_a_message_of_the_user() -> None:
    with ScriptedServer([Turn("I see.", on="e")]) as server:
        step(model_at(server.base_url, "openai/responses/gpt-4o"), conversation((png(1),), ()))
        sent = server.requests[0].body["input"]
    assert [item["type"] for item in sent[-3:]] == [*("function_call_output",) * 2, "message"]
    kinds = [part["type"] for part in sent[-1]["content"]]
    assert kinds == ["input_text", "input_image"]


def test_the_reasoning_of_another_kind_of_server_is_not_sent() -> None:
    signed = {"type": "thinking", "thinking": THOUGHT, "signature": "of another"}
    said = Message("assistant", "", (ToolCall("c1", "add", "{}"),), thinking=(signed,))
    with ScriptedServer([Turn("Hm."), Turn("3")]) as server:
        model = model_at(server.base_url)
        step(model)
        step(model, (*START, said, Message("tool", "3", call_id="c1")))
        assert THOUGHT not in str(server.requests[1].body)


def test_refused_reasoning_is_left_out_and_newer_is_sent_again() -> None:
    error = {"message": "could not be verified", "code": "invalid_encrypted_content"}
    refusal = Fault(status=400, body=json.dumps({"error": error}))
    turns = [
        Turn("a", (Call("add"),), thinking=THOUGHT),
        Turn("b", (Call("add"),), thinking="Newer.", faults=(refusal,)),
        Turn("c"),
    ]
    with ScriptedServer(turns) as server:
        model = model_at(server.base_url)
        first = after(step(model))
        step(model, after(step(model, first), first))
        bodies = [str(request.body["input"]) for request in server.requests]
    assert [encrypted(THOUGHT) in body for body in bodies] == [False, True, False, False]
    assert encrypted("Newer.") in bodies[3]


def test_a_model_that_hands_out_no_reasoning_is_not_asked_for_it_again() -> None:
    def without(seen: Seen) -> Answer:
        if "include" in seen.body:
            error = {"message": "Encrypted content is not supported", "param": "include"}
            return json_answer({"error": error}, 400)
        return answered(words("3"))

    with recording(without) as server:
        model = model_at(server.url)
        for _ in range(2):
            assert step(model).text == "3"
    assert ["include" in seen.body for seen in server.seen] == [True, False, False]


def in_one_piece(seen: Seen, **more: Any) -> Answer:
    if seen.body["stream"]:
        error = {"message": "This model cannot be streamed.", "param": "stream"}
        return json_answer({"error": error}, 400)
    whole = response(reasoning(1), words("Adding."), function_call(1), **more)
    return 200, {"Content-Type": "application/json"}, json.dumps(whole, indent=2).encode()


def test_a_model_that_does_not_stream_is_asked_for_its_answer_in_one_piece() -> None:
    with recording(in_one_piece) as server:
        model = model_at(server.url)
        reply = step(model)
        step(model, after(reply))
    assert [seen.body["stream"] for seen in server.seen] == [True, False, False]
    assert (reply.text, reply.stop, [call.id for call in reply.calls]) == (
        "Adding.",
        "tool_calls",
        ["c1"],
    )
    assert reply.usage.cached_tokens == 2
    assert server.seen[2].body["input"][1]["encrypted_content"] == "hidden-1"


def test_half_an_answer_in_one_piece_is_not_believed() -> None:
    def half(seen: Seen) -> Answer:
        return in_one_piece(seen, status="in_progress")

    with recording(half) as server, pytest.raises(ModelFailed, match="cut off"):
        step(model_at(server.url))


@pytest.mark.parametrize(
    ("name", "base", "taken"),
    [
        ("openai/gpt-5-codex", None, True),
        ("openai/o3-pro", None, True),
        ("openai/gpt-5.4", None, True),
        ("openai/gpt-6.1-sol", None, True),
        ("azure/gpt-5.10-mini", AZURE, True),
        ("azure/gpt-35-turbo", AZURE, False),
        ("openai/gpt-5.1", None, False),
        ("openai/gpt-4o", None, False),
        ("openai/responses/gpt-4o", None, True),
        ("azure/gpt-5-codex", AZURE, True),
        ("azure/my-deployment", AZURE, False),
        ("azure/responses/my-deployment", AZURE, True),
        ("openai/gpt-5-codex", "https://gateway.example.com/v1", True),
        ("openai/gpt-5.4", "https://gateway.example.com/v1", False),
        ("vllm/gpt-5-codex", "http://10.0.0.1:8000", False),
        ("xai/grok-4", None, False),
    ],
)
def test_litellms_rule_or_the_name_says_who_is_asked_over_this_api(
    name: str, base: str | None, taken: bool
) -> None:
    assert over_responses(resolve(name, api_base=base, price=None, env=KEYS)) is taken


@pytest.mark.parametrize(
    "name", ["openai/gpt-5-codex", "openai/responses/gpt-5-codex", "azure/responses/gpt-5-codex"]
)
def test_price_and_context_are_the_listed_ones(name: str) -> None:
    model = LitellmModel(
        resolve(name, api_base=None, price=None, env=KEYS | {"AZURE_API_BASE": AZURE})
    )
    assert model.price is not None
    assert (model.price.input_usd, model.price.output_usd) == (1.25, 10.0)
    assert model.context_tokens == 272_000
