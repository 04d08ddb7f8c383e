"""What went wrong is told by status, type and code; each kind has its own error and patience."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from recording_server import Answer, json_answer, openai_stream, recording

from mlintern_jupyter.errors import ContextOverflow, InternError, ModelDown, ModelFailed, Paused
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy, RetryWaits, Unusable, judge
from mlintern_jupyter.models.litellm.stream_watch import StreamWatch
from mlintern_jupyter.models.names import ModelPlan, resolve
from mlintern_jupyter.usage import Usage

VIEW = View((Message("system", "s"), Message("user", "q")), (), 64)
QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.02, give_up_s=0.1, retries=1, restarts=1)
PLAN = resolve("openai/m", api_base="http://127.0.0.1:9", price=None, env={})


def failed(answer: Answer, name: str = "openai/m") -> tuple[InternError, int]:
    with recording(lambda _: answer) as server:
        plan = resolve(name, api_base=server.url, price=None, env={})
        with pytest.raises(InternError) as caught:
            asyncio.run(LitellmModel(plan, QUICK).complete(VIEW, lambda _: None))
    return caught.value, len(server.seen)


def error(message: str = "no", status: int = 400, **more: Any) -> Answer:
    return json_answer({"error": {"message": message} | more}, status)


ANTHROPIC_LONG = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "prompt is too long: 208310 tokens > 200000 maximum",
    },
}
OVERFLOWS = [
    ("openai/m", error(code="context_length_exceeded")),
    ("openai/m", error("This model's maximum context length is 4096 tokens.")),
    ("openai/m", error("anything", 413)),
    ("openai/m", error("too many", type="exceed_context_size_error", code=400)),
    ("anthropic/m", json_answer(ANTHROPIC_LONG, 400)),
    ("anthropic/m", json_answer({"error": {"type": "request_too_large"}}, 413)),
    ("openai/m", (200, {"Content-Type": "text/event-stream"},
                  b'data: {"error": {"message": "m", "code": "context_length_exceeded"}}\n\n')),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), OVERFLOWS)
def test_a_conversation_that_does_not_fit_is_an_overflow_and_asked_once(
    name: str, answer: Answer
) -> None:
    caught, asked = failed(answer, name)
    assert type(caught) is ContextOverflow
    assert asked == 1


@pytest.mark.parametrize(
    "answer",
    [error("too long: 1500 of 429 items, overloaded"), error("rate limit", 422), error("x", 404)],
)
def test_any_other_refusal_is_told_at_once_whatever_its_words(answer: Answer) -> None:
    caught, asked = failed(answer)
    assert type(caught) is ModelFailed
    assert asked == 1


def test_an_unknown_path_or_model_names_both_the_model_and_the_address() -> None:
    caught, _ = failed(error("Not Found", 404))
    assert "--model" in caught.do
    assert "/v1" in caught.do
    assert "openai/m" in caught.what


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_a_server_that_stays_busy_or_down_is_a_model_that_is_down(status: int) -> None:
    caught, asked = failed(error(status=status))
    assert type(caught) is ModelDown
    assert isinstance(caught, Paused)
    assert asked >= 2


def test_nobody_there_is_a_model_that_is_down() -> None:
    with pytest.raises(ModelDown, match="does not answer"):
        asyncio.run(LitellmModel(PLAN, QUICK).complete(VIEW, lambda _: None))


@pytest.mark.parametrize(
    ("code", "kind", "asked"),
    [(529, ModelDown, 3), (401, Paused, 1), (402, Paused, 1), (400, ModelFailed, 1)],
)
def test_a_status_inside_a_stream_counts_like_one_before_it(
    code: int, kind: type[InternError], asked: int
) -> None:
    said = json.dumps({"error": {"message": "late", "code": code}})
    stream = (200, {"Content-Type": "text/event-stream"}, f"data: {said}\n\n".encode())
    caught, times = failed(stream)
    assert type(caught) is kind
    assert times >= asked


def watch(status: int, headers: Mapping[str, str]) -> StreamWatch:
    seen = StreamWatch()
    seen.begin(httpx.Response(status, headers=headers))
    return seen


def asked_to_wait(said: str) -> float | None:
    trouble = judge(PLAN, watch(429, {"Retry-After": said}), ValueError(), overflow=False)
    assert isinstance(trouble, Unusable)
    return trouble.retry_after_s


def test_the_time_to_wait_is_read_as_seconds_and_as_a_date() -> None:
    assert asked_to_wait("7.5") == 7.5
    in_an_hour = asked_to_wait(formatdate(time.time() + 3600, usegmt=True))
    assert in_an_hour is not None
    assert 3500 < in_an_hour <= 3600
    assert asked_to_wait(formatdate(time.time() - 3600, usegmt=True)) == 0.0


@pytest.mark.parametrize("said", ["", "soon", "-3", "nan", "inf", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_time_to_wait_that_makes_no_sense_is_none(said: str) -> None:
    assert asked_to_wait(said) is None


def waits(plan: ModelPlan, patience: RetryPolicy, trouble: Unusable) -> list[float]:
    made: list[float] = []
    counted = RetryWaits(patience, plan)
    while True:
        try:
            made.append(counted.next(trouble, Usage()))
        except ModelDown:
            return made


def test_the_servers_time_is_bounded_and_all_waits_together_are() -> None:
    trouble = Unusable("busy", "busy", retry_after_s=3600)
    assert waits(PLAN, RetryPolicy(), trouble) == [120.0] * 5


def test_a_server_that_always_says_at_once_is_given_up_all_the_same() -> None:
    made = waits(PLAN, RetryPolicy(), Unusable("busy", "busy", retry_after_s=0))
    assert 400 < sum(made) <= 600
    assert len(made) < 30


def test_a_long_wait_is_said_with_its_length_and_does_not_reach_the_reply() -> None:
    said: list[str] = []
    waited: list[float] = []

    async def at_once(seconds: float) -> None:
        waited.append(seconds)

    answers = iter([error(status=429), openai_stream({"content": "Here."})])
    with recording(lambda _: next(answers)) as server, pytest.MonkeyPatch.context() as patch:
        plan = resolve("openai/m", api_base=server.url, price=None, env={})
        model = LitellmModel(plan, RetryPolicy(first_wait_s=40, longest_wait_s=40))
        patch.setattr("mlintern_jupyter.models.litellm.client.asyncio.sleep", at_once)
        reply = asyncio.run(model.complete(VIEW, said.append))
    assert reply.text == "Here."
    assert f"asking again in {waited[0]:.0f} s" in said[0]
