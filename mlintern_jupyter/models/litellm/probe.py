"""What a server says of a model before it is asked: the size of its context, and its price.

Every catalogue is somebody's own: field names were read from the providers' documentation, and a
field that is missing, zero or odd counts as not said. Unknown stays unknown.

====================  =============================  ==========================================
server                asked                          read
====================  =============================  ==========================================
OpenAI-compatible     GET {base}/models              ``max_model_len`` (vLLM), ``context_length``
                                                     (OpenRouter, Together), ``context_window``
                                                     (Groq), ``max_context_length`` (Mistral);
                                                     ``pricing``
Hugging Face router   the same                       ``providers[]``: the smallest context and the
                                                     highest price of those that may be picked
Anthropic             GET {base}/v1/models/{model}   ``max_input_tokens``
Gemini                GET {base}/models/{model}      ``inputTokenLimit``
Ollama                POST /api/show, GET /api/ps    ``num_ctx``; the loaded ``context_length``
LM Studio             GET /api/v0/models             ``loaded_context_length``
llama.cpp             GET /props                     ``default_generation_settings.n_ctx``
====================  =============================  ==========================================

What a model could hold is not what a server gives it: Ollama and LM Studio choose a window when
they load a model, so until then theirs is unknown, and that is said.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote

import httpx

from mlintern_jupyter.models.names import ModelPlan, is_private
from mlintern_jupyter.usage import Price

TOTAL_S = 10.0
"""Longest time for all questions together."""
_SIZES = ("max_model_len", "context_length", "context_window", "max_context_length")
_LONGEST_ANSWER = 30_000_000


@dataclass(frozen=True)
class ProbeResult:
    """What a server said; ``None`` is not said."""

    context_tokens: int | None = None
    price: Price | None = None
    notes: tuple[str, ...] = ()
    """For the person."""


_Ask = Callable[[str, dict[str, Any] | None], Awaitable[Any]]


async def probe(plan: ModelPlan, client: httpx.AsyncClient, key: str | None) -> ProbeResult:
    """Ask the plan's server. Never raises; whatever goes wrong leaves things unknown."""
    found = ProbeResult()
    if plan.api_base is None:
        return found

    async def ask(url: str, body: dict[str, Any] | None = None) -> Any:
        try:
            method = "GET" if body is None else "POST"
            response = await client.request(method, url, json=body, headers=_headers(plan, key))
            if response.status_code != 200 or len(response.content) > _LONGEST_ANSWER:
                return None
            return response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return None

    try:
        async with asyncio.timeout(TOTAL_S):
            for question in _questions(plan):
                found = _joined(found, await question(plan, ask))
                if found.context_tokens is not None:
                    break
    except TimeoutError:
        pass
    return found


def _questions(plan: ModelPlan) -> list[Callable[[ModelPlan, _Ask], Awaitable[ProbeResult]]]:
    if plan.probe:
        return [_BY_NAME[plan.probe]]
    if plan.api_base is not None and is_private(plan.api_base):
        # Whose server it is behind `openai/` nobody said.
        return [_listed, _llamacpp, _ollama, _lm_studio]
    return [_listed]


def _joined(first: ProbeResult, second: ProbeResult) -> ProbeResult:
    return replace(
        second,
        context_tokens=first.context_tokens or second.context_tokens,
        price=first.price or second.price,
        notes=first.notes + second.notes,
    )


def _headers(plan: ModelPlan, key: str | None) -> dict[str, str]:
    if plan.probe == "anthropic":
        return {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})
    if not key:
        return {}
    return {"x-goog-api-key": key} if plan.probe == "gemini" else {"Authorization": f"Bearer {key}"}


def _model(plan: ModelPlan) -> str:
    return plan.listed_name.partition("/")[2]


def _root(plan: ModelPlan) -> str:
    return (plan.api_base or "").removesuffix("/v1")


async def _listed(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    said = await ask(f"{plan.api_base}/models", None)
    entries = _objects(said if isinstance(said, list) else _object(said).get("data"))
    entry, chosen = _entry(plan, entries)
    offers = _objects(entry.get("providers"))
    if not offers:
        # OpenRouter's best upstream may take less than the model could.
        sizes = [_size(entry), _number(_object(entry.get("top_provider")).get("context_length"))]
        return ProbeResult(_least(sizes), _price(plan, entry))
    live = [o for o in offers if o.get("status") in (None, "live")]
    live = [o for o in live if o.get("provider") == chosen] or live
    prices = [_price(plan, offer) for offer in live]
    known = [price for price in prices if price is not None]
    dearest = Price(
        max((price.input_usd for price in known), default=0.0),
        max((price.output_usd for price in known), default=0.0),
        source=known[0].source if known else "",
    )
    all_known = known and len(known) == len(prices)
    return ProbeResult(_least(map(_size, live)), dearest if all_known else None)


def _entry(plan: ModelPlan, entries: list[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The model's entry, and the upstream named after a colon (``model:provider``)."""
    model = _model(plan)
    by_id = {str(entry.get("id")): entry for entry in entries}
    if model in by_id:
        return by_id[model], ""
    plain, _, chosen = model.rpartition(":")
    return by_id.get(plain, {}), chosen


async def _anthropic(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    said = _object(await ask(f"{plan.api_base}/v1/models/{quote(_model(plan))}", None))
    return ProbeResult(_number(said.get("max_input_tokens")))


async def _gemini(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    said = _object(await ask(f"{plan.api_base}/models/{quote(_model(plan))}", None))
    return ProbeResult(_number(said.get("inputTokenLimit")))


async def _ollama(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    root, model = _root(plan), _model(plan)
    shown = _object(await ask(f"{root}/api/show", {"model": model}))
    if not shown.keys() & {"model_info", "parameters"}:
        return ProbeResult()
    names = {model, f"{model}:latest"}
    running = _objects(_object(await ask(f"{root}/api/ps", None)).get("models"))
    loaded = [m.get("context_length") for m in running if m.get("name") in names]
    written = re.search(r"^num_ctx\s+(\d+)\s*$", str(shown.get("parameters") or ""), re.MULTILINE)
    window = _least([*map(_number, loaded)]) or _number(int(written[1]) if written else None)
    if window is None:
        note = (
            f"Ollama chooses the window of {model} when it loads it (4,096 tokens on a small GPU) "
            "and cuts longer conversations without a word: start it with "
            "OLLAMA_CONTEXT_LENGTH=32768 or more, and say the same with --context"
        )
        return ProbeResult(notes=(note,))
    info = _object(shown.get("model_info"))
    holds = [_number(size) for name, size in info.items() if name.endswith(".context_length")]
    return ProbeResult(_least([window, *holds]))


async def _lm_studio(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    said = _object(await ask(f"{_root(plan)}/api/v0/models", None))
    entry, _ = _entry(plan, _objects(said.get("data")))
    if not entry:
        return ProbeResult()
    loaded = _number(entry.get("loaded_context_length"))
    if loaded is not None:
        return ProbeResult(loaded)
    note = (
        f"LM Studio has not loaded {_model(plan)} yet and chooses its window then: load it with "
        "32,768 tokens or more, or say the window with --context"
    )
    return ProbeResult(notes=(note,))


async def _llamacpp(plan: ModelPlan, ask: _Ask) -> ProbeResult:
    said = _object(await ask(f"{_root(plan)}/props", None))
    return ProbeResult(_number(_object(said.get("default_generation_settings")).get("n_ctx")))


_BY_NAME = {
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
    "lm_studio": _lm_studio,
    "llamacpp": _llamacpp,
}


def _size(entry: dict[str, Any]) -> int | None:
    return next((size for name in _SIZES if (size := _number(entry.get(name)))), None)


def _least(sizes: Iterable[int | None]) -> int | None:
    return min((size for size in sizes if size), default=None)


def _number(value: Any) -> int | None:
    """A size in tokens; nothing else is one."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 < value < 1_000_000_000 else None


def _price(plan: ModelPlan, entry: dict[str, Any]) -> Price | None:
    """USD for a million tokens. A fee on top of the tokens, or a zero, leaves it unknown."""
    said = _object(entry.get("pricing"))
    per_token = "prompt" in said
    names = ("prompt", "completion") if per_token else ("input", "output")
    both = [_usd(said.get(name)) for name in names]
    free = str(entry.get("id", "")).endswith(":free")
    if None in both or _usd(said.get("request", 0)) != 0.0 or (not any(both) and not free):
        return None
    scale = 1e6 if per_token else 1.0
    source = plan.name.partition("/")[0]
    return Price(cast("float", both[0]) * scale, cast("float", both[1]) * scale, source)


def _usd(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except ValueError:
        return None
    return amount if 0 <= amount < math.inf else None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
