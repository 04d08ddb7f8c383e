"""A key reaches the server it is for and no other, and is read when it is needed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from recording_server import Answer, Recorded, Seen, json_answer, openai_stream, recording

from mlintern_jupyter.errors import ModelFailed, Paused
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models.litellm import client as litellm_client
from mlintern_jupyter.models.litellm import request
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import ModelPlan, resolve

VIEW = View((Message("system", "s"), Message("user", "q")), (), 64)
KEY = "sk-canary-0123456789"
QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.02, give_up_s=0.2, retries=1, restarts=1)
VARIABLES = {"vllm": "HOSTED_VLLM_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def plan_at(name: str, url: str) -> ModelPlan:
    variable = VARIABLES[name.partition("/")[0]]
    plan = resolve(name, api_base=url, price=None, env={variable: KEY})
    return replace(plan, key_variable=variable)


def ask(name: str, url: str) -> None:
    env = {VARIABLES[name.partition("/")[0]]: KEY}
    asyncio.run(LitellmModel(plan_at(name, url), QUICK, env=env).complete(VIEW, lambda _: None))


def fine(_: Seen) -> Answer:
    return openai_stream({"content": "Here."})


def was_told(server: Recorded) -> bool:
    return any(KEY in value for seen in server.seen for value in seen.headers.values())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("name", ["vllm/m", "anthropic/claude-x"])
def test_a_redirect_is_not_followed_and_says_where_it_would_have_gone(
    name: str, status: int
) -> None:
    with recording(fine) as other:
        away = (status, {"Location": f"{other.url}/v1/chat/completions"}, b"")
        with recording(lambda _: away) as first, pytest.raises(ModelFailed) as caught:
            ask(name, first.url)
    assert was_told(first)
    assert len(first.seen) == 2  # a login page may be gone the second time
    assert other.seen == []
    assert "127.0.0.1" in caught.value.what
    assert "--api-base" in caught.value.do
    assert KEY not in str(caught.value)


def test_the_catalogue_is_not_followed_elsewhere_either() -> None:
    with recording(fine) as other:
        away = (307, {"Location": f"{other.url}/v1/models"}, b"")
        with recording(lambda _: away) as first:
            model = LitellmModel(plan_at("vllm/m", first.url), env={VARIABLES["vllm"]: KEY})
            asyncio.run(model.probe())
    assert was_told(first)
    assert other.seen == []
    assert model.context_tokens is None


def test_a_request_for_another_host_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(fine) as other, recording(fine) as right:
        model = LitellmModel(plan_at("vllm/m", right.url), QUICK, env={VARIABLES["vllm"]: KEY})

        def elsewhere(plan: ModelPlan, *arguments: Any, **options: Any) -> dict[str, Any]:
            """As if litellm knew better than the address it is given."""
            away = replace(plan, api_base=f"{other.url}/v1")
            return request.request(away, *arguments, **options)

        monkeypatch.setattr(litellm_client, "request", elsewhere)
        with pytest.raises(ModelFailed, match="would have gone to") as caught:
            asyncio.run(model.complete(VIEW, lambda _: None))
    assert other.seen == right.seen == []
    assert "only goes to the server it is for" in caught.value.why


def test_the_key_is_read_at_each_call_from_where_it_is_said() -> None:
    def guarded(seen: Seen) -> Answer:
        if seen.headers["authorization"] != "Bearer fresh-key-0123":
            return json_answer({"error": {"message": "expired"}}, 401)
        return fine(seen)

    env = {VARIABLES["vllm"]: "stale-key-0123"}
    with recording(guarded) as server:
        model = LitellmModel(plan_at("vllm/m", server.url), QUICK, env=env)
        with pytest.raises(Paused, match="HOSTED_VLLM_API_KEY") as caught:
            asyncio.run(model.complete(VIEW, lambda _: None))
        assert "stale-key" not in str(caught.value)
        env[VARIABLES["vllm"]] = "fresh-key-0123"
        reply = asyncio.run(model.complete(VIEW, lambda _: None))
    assert reply.text == "Here."
    assert len(server.seen) == 2


@pytest.mark.parametrize("name", ["openai/m", "groq/m", "openrouter/m", "huggingface/o/m"])
def test_the_key_of_a_public_provider_is_not_sent_to_a_private_address(name: str) -> None:
    keys = ("OPENAI_API_KEY", "GROQ_API_KEY", "OPENROUTER_API_KEY", "HF_TOKEN")
    env = dict.fromkeys(keys, KEY)
    with recording(fine) as server:
        plan = resolve(name, api_base=server.url, price=None, env=env)
        model = LitellmModel(plan, QUICK, env=env)
        asyncio.run(model.probe())
        asyncio.run(model.complete(VIEW, lambda _: None))
    assert len(server.seen) > 1
    assert not was_told(server)
