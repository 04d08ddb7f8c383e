"""Context and price nobody told are asked of the server; what it does not say stays unknown."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest
from recording_server import Answer, Recorded, Seen, json_answer, recording

from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.usage import Price

Pages = dict[str, Any]


def looked(
    name: str, pages: Pages, *, metered: bool = False, context: int | None = None
) -> tuple[LitellmModel, Recorded]:
    """The model after a look at a server that has these pages, and what the server was asked."""

    def answer(seen: Seen) -> Answer:
        page = pages.get(seen.path)
        return json_answer({"error": "not here"}, 404) if page is None else json_answer(page)

    with recording(answer) as server:
        plan = resolve(name, api_base=server.url, price=None, env={}, context=context)
        model = LitellmModel(replace(plan, unmetered=not metered))
        asyncio.run(model.probe())
    return model, server


def models(*entries: Pages) -> Pages:
    return {"/v1/models": {"object": "list", "data": [{"id": "other"}, *entries]}}


@pytest.mark.parametrize(
    ("name", "pages", "tokens"),
    [
        ("vllm/org/m", models({"id": "org/m", "max_model_len": 40_960}), 40_960),
        ("groq/m", models({"id": "m", "context_window": 131_072}), 131_072),
        ("mistral/m", models({"id": "m", "max_context_length": 32_768}), 32_768),
        ("together_ai/m", {"/v1/models": [{"id": "m", "context_length": 8_192}]}, 8_192),
        ("anthropic/m", {"/v1/models/m": {"id": "m", "max_input_tokens": 200_000}}, 200_000),
        ("gemini/m", {"/v1beta/models/m": {"inputTokenLimit": 1_048_576}}, 1_048_576),
        ("llamacpp/m", {"/props": {"default_generation_settings": {"n_ctx": 4_096}}}, 4_096),
        (
            "lm_studio/m",
            {"/api/v0/models": {"data": [{"id": "m", "loaded_context_length": 16_384}]}},
            16_384,
        ),
        (
            "ollama/m",
            {
                "/api/show": {"model_info": {"q.context_length": 40_960}},
                "/api/ps": {"models": [{"name": "m:latest", "context_length": 8_192}]},
            },
            8_192,
        ),
        (
            "ollama/m",
            {"/api/show": {"parameters": "stop x\nnum_ctx    65536\ntop_k 20"}},
            65_536,
        ),
        (
            "ollama/m",
            {
                "/api/show": {
                    "parameters": "num_ctx 65536",
                    "model_info": {"q.context_length": 40_960},
                }
            },
            40_960,
        ),
        (
            "openrouter/m",
            models(
                {"id": "m", "context_length": 200_000, "top_provider": {"context_length": 65_536}}
            ),
            65_536,
        ),
        ("openai/m", {"/props": {"default_generation_settings": {"n_ctx": 4_096}}}, 4_096),
        ("openai/m", {"/api/show": {"parameters": "num_ctx 9000"}}, 9_000),
    ],
)
def test_the_servers_word_on_the_window_is_taken(name: str, pages: Pages, tokens: int) -> None:
    model, server = looked(name, pages)
    assert model.context_tokens == tokens
    assert all("authorization" not in seen.headers for seen in server.seen)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"max_model_len": 0},
        {"max_model_len": -1},
        {"max_model_len": "4096"},
        {"max_model_len": True},
        {"max_model_len": 1e9},
        {"max_model_len": None},
    ],
)
def test_an_odd_or_missing_window_is_an_unknown_one(entry: Pages) -> None:
    assert looked("vllm/m", models({"id": "m"} | entry))[0].context_tokens is None


def test_another_models_window_is_not_taken() -> None:
    model, _ = looked("vllm/m", models({"id": "m2", "max_model_len": 4_096}))
    assert model.context_tokens is None


@pytest.mark.parametrize(
    ("name", "pages", "said"),
    [
        (
            "ollama/m",
            {"/api/show": {"model_info": {"q.context_length": 40_960}}},
            "OLLAMA_CONTEXT_LENGTH",
        ),
        ("lm_studio/m", {"/api/v0/models": {"data": [{"id": "m"}]}}, "--context"),
    ],
)
def test_a_window_that_is_chosen_when_the_model_is_loaded_is_unknown_and_said_to_be(
    name: str, pages: Pages, said: str
) -> None:
    model, _ = looked(name, pages)
    assert model.context_tokens is None
    assert said in model.notes[0]


def test_what_the_person_said_of_the_window_is_not_asked_again() -> None:
    pages = models({"id": "m", "max_model_len": 40_960})
    model, server = looked("vllm/m", pages, context=8_192)
    assert model.context_tokens == 8_192
    assert server.seen == []


def offer(price_in: Any, price_out: Any, **more: Any) -> Pages:
    return {"status": "live", "pricing": {"input": price_in, "output": price_out}} | more


@pytest.mark.parametrize(
    ("name", "entry", "price"),
    [
        (
            "openrouter/m",
            {"id": "m", "pricing": {"prompt": "0.000003", "completion": "0.000015"}},
            Price(3.0, 15.0, "openrouter"),
        ),
        (
            "openrouter/m:free",
            {"id": "m:free", "pricing": {"prompt": "0", "completion": "0"}},
            Price(0.0, 0.0, "openrouter"),
        ),
        ("openrouter/m", {"id": "m", "pricing": {"prompt": "0", "completion": "0"}}, None),
        ("openrouter/auto", {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}, None),
        (
            "openrouter/m",
            {"id": "m", "pricing": {"prompt": "1e-6", "completion": "1e-6", "request": "0.01"}},
            None,
        ),
        ("openrouter/m", {"id": "m", "pricing": {"prompt": "nan", "completion": "1"}}, None),
        ("openrouter/m", {"id": "m"}, None),
        (
            "huggingface/o/m",
            {"id": "o/m", "providers": [offer(0.2, 0.8), offer(0.5, 0.6)]},
            Price(0.5, 0.8, "huggingface"),
        ),
        (
            "huggingface/o/m:dear",
            {
                "id": "o/m",
                "providers": [offer(9, 9, provider="dear"), offer(0.5, 0.6, provider="x")],
            },
            Price(9.0, 9.0, "huggingface"),
        ),
        (
            "huggingface/o/m",
            {"id": "o/m", "providers": [offer(0.2, 0.8), {"status": "live"}]},
            None,
        ),
        ("huggingface/o/m", {"id": "o/m", "providers": [offer(1, 1, status="error")]}, None),
    ],
)
def test_the_price_of_a_catalogue_is_the_highest_that_may_be_charged_or_unknown(
    name: str, entry: Pages, price: Price | None
) -> None:
    model, _ = looked(name, models(entry), metered=True)
    if price is None:
        assert model.price is None
    else:
        assert model.price is not None
        assert model.price.source == price.source
        pair = (model.price.input_usd, model.price.output_usd)
        assert pair == pytest.approx((price.input_usd, price.output_usd))


def test_of_several_upstreams_the_smallest_window_counts() -> None:
    offers = [offer(1, 1, context_length=131_072), offer(1, 1, context_length=32_768)]
    model, _ = looked("huggingface/o/m", models({"id": "o/m", "providers": offers}))
    assert model.context_tokens == 32_768


def test_a_look_at_nobody_or_at_nonsense_leaves_everything_unknown() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        silent = LitellmModel(resolve("vllm/m", api_base=base, price=None, env={}))
        asyncio.run(silent.probe())
    assert silent.context_tokens is None
    for body in (b"<html>", b"[1, 2]", b'{"data": {"id": "m"}}', b"[" * 100_000, b"null", b""):
        with recording(lambda _, body=body: (200, {}, body)) as server:
            plan = resolve("openai/m", api_base=server.url, price=None, env={})
            model = LitellmModel(replace(plan, unmetered=False))
            asyncio.run(model.probe())
        assert (model.context_tokens, model.price, model.notes) == (None, None, ())
        assert server.seen


def test_the_scripted_server_is_understood() -> None:
    server = ScriptedServer([], context_tokens=32_768, tells_context=True)
    plan = resolve("openai/scripted", api_base=server.base_url, price=None, env={})
    model = LitellmModel(plan)
    asyncio.run(model.probe())
    server.stop()
    assert model.context_tokens == 32_768
