# pyright: basic
"""Asks a language model through litellm, once, and returns a complete answer or raises.

litellm speaks every provider's dialect; what a turn depends on is decided here, from the bytes on
the wire (`stream_watch`), because litellm makes up finish reasons, turns refused connections into
status 500, retries on its own and sets no limit to a stream that trickles.

What happens when it goes wrong (`failures`):

====================================  =========================================================
401, 403, 402                         `Paused`: says which variable holds the key, how to resume
429, 529                              waits (as asked by the server, bounded), then `Paused`
other 5xx, 408, nobody answers        a few waits, then `Paused`
stream without its end, web page      partial answer dropped, asked again twice, then `ModelFailed`
nothing in the answer                 asked again once, then `ModelFailed`
400, 404 and other 4xx                `ModelFailed` with the server's message
the same, and pictures were sent      asked again without them, and none are sent from then on
====================================  =========================================================

Pictures go to models that litellm's list says can see, under the name as typed or without its
provider (so also behind a gateway); a server the list does not know is sent text.

Not covered: the Responses API. litellm sends some OpenAI models there and takes no client of ours
on that way, so their streams cannot be watched; they are refused with the way round.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Reply, View
from mlintern_jupyter.models.dialect import Assembly, messages_json, tools_json
from mlintern_jupyter.models.failures import (
    Patience,
    Unusable,
    Waits,
    chain_has,
    incomplete,
    judge,
    scrubbed,
)
from mlintern_jupyter.models.names import ModelPlan, key_of, litellm_problem
from mlintern_jupyter.models.stream_watch import Watch, WatchedClient
from mlintern_jupyter.usage import Price, Usage

# All of this has to stand before litellm is imported: two of its uploads steal credentials on
# import, the price list would be fetched from the network, and a `.env` in the notebook's folder
# would be loaded into the kernel's environment.
if _problem := litellm_problem():
    raise ModelFailed(_problem, do="install litellm>=1.83.10, or use `--model playbook`")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

import httpx
import litellm
import openai
from litellm.exceptions import ContextWindowExceededError
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

litellm.suppress_debug_info = True  # else it prints into whatever cell is running
litellm.telemetry = False  # pyright: ignore[reportAttributeAccessIssue] - older versions have it
logging.getLogger("LiteLLM").setLevel(logging.ERROR)
with warnings.catch_warnings():
    # pydantic builds these classes at first use and warns about litellm's own annotations, which
    # would land in the output of whatever cell is running then.
    warnings.simplefilter("ignore")
    litellm.ModelResponse()
    litellm.ModelResponseStream()

_CUT_NOTE = "\n[the answer was cut off; asking again]\n"
_BLIND_NOTE = "[the pictures were refused; asking again without them]\n"


class LitellmModel:
    """A language model behind litellm. Implements `protocols.Model`."""

    def __init__(self, plan: ModelPlan, patience: Patience | None = None) -> None:
        self.name = plan.name
        self.unmetered = plan.unmetered
        self._plan = plan
        self._patience = patience or Patience()
        self._tls: ssl.SSLContext | None = None
        info = _listed(plan)
        self.price = plan.price or _listed_price(plan, info)
        self.context_tokens: int | None = info.get("max_input_tokens") or None
        self.sees = _listed_as_seeing(plan.name)

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        """Ask once; see the table above for what is raised. Cancellation closes the connection."""
        waits = Waits(self._patience, self._plan)
        shown = False

        def show(text: str) -> None:
            nonlocal shown
            shown = True
            on_text(text)

        while True:
            try:
                return await self._ask(view, show)
            except Unusable as trouble:
                wait_s = waits.next(trouble)
            except ModelFailed:
                if not (self.sees and any(message.images for message in view.messages)):
                    raise
                # One picture a provider dislikes would otherwise end every later turn, too.
                self.sees = False
                on_text(_BLIND_NOTE)
                continue
            if shown:
                on_text(_CUT_NOTE)
                shown = False
            await asyncio.sleep(wait_s)

    async def _ask(self, view: View, on_text: Callable[[str], None]) -> Reply:
        watch = Watch()
        answer = Assembly(on_text)
        silence_s = self._patience.silence_s * (5 if self._plan.unmetered else 1)
        self._tls = self._tls or httpx.create_ssl_context()
        client = WatchedClient(
            watch, silence_s=silence_s, direct=self._plan.unmetered, tls=self._tls
        )
        key = key_of(self._plan, os.environ)
        try:
            async with client, asyncio.timeout(self._patience.total_s):
                stream: Any = await litellm.acompletion(**self._request(view, client, key))
                async for chunk in stream:
                    answer.add(chunk)
        except TimeoutError:
            what = f"{self.name} was still answering after {self._patience.total_s:g} s"
            trouble = Unusable("cut", what)
        except Exception as error:  # noqa: BLE001 - litellm raises dozens of unrelated types, plain
            # Exception among them; what happened is read from the wire.
            trouble = self._judged(watch, error)
        else:
            trouble = incomplete(self._plan, watch)
        if trouble is not None:
            # Raised out here, it does not carry litellm's exception and with it the request's key.
            raise scrubbed(trouble, key)
        return self._reply(view, answer)

    def _judged(self, watch: Watch, error: Exception) -> Exception:
        overflow = chain_has(error, ContextWindowExceededError)
        return judge(self._plan, watch, error, overflow=overflow)

    def _request(self, view: View, client: WatchedClient, key: str | None) -> dict[str, Any]:
        plan = self._plan
        request: dict[str, Any] = {
            "model": plan.route,
            "messages": messages_json(view.messages, sees=self.sees),
            "max_tokens": view.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "num_retries": 0,
            "max_retries": 0,
            "timeout": self._patience.total_s,
            "_skip_mcp_handler": True,  # else tools need the `mcp` package
            "client": _client(plan, client, key),
        }
        if not plan.own_auth:
            request["api_key"] = key or "none-needed"
        if plan.api_base:
            request["api_base"] = plan.api_base
        if view.tools:
            request["tools"] = tools_json(view.tools)
        if plan.cache_prompt:
            request["cache_control_injection_points"] = [
                {"location": "message", "role": "system"},
                {"location": "message", "index": -1},
            ]
        return request

    def _reply(self, view: View, answer: Assembly) -> Reply:
        if answer.finish == "content_filter":
            raise ModelFailed(
                f"{self.name} was stopped by its provider's content filter",
                do="say it in other words with `%intern steer`, or use another model; "
                + "the session is kept: `%intern resume`",
            )
        cut_short = answer.finish == "length"
        calls = answer.calls(view)
        if not calls and not answer.text.strip() and not cut_short:
            raise Unusable("empty", f"{self.name} answered with nothing")
        stop = "length" if cut_short else "tool_calls" if calls else "stop"
        return Reply(answer.text, calls, stop, _usage(view, answer), self.name)


def _client(plan: ModelPlan, client: WatchedClient, key: str | None) -> Any:
    """The watched client in the wrapping litellm wants: one kind a route, anything else ignored."""
    if plan.route.startswith("openai/"):
        return openai.AsyncOpenAI(
            api_key=key or "none-needed", base_url=plan.api_base, http_client=client, max_retries=0
        )
    # The transport only keeps the handler from making a client of its own.
    handler = AsyncHTTPHandler(transport=httpx.AsyncBaseTransport())
    handler.client = client
    return handler


def _listed(plan: ModelPlan) -> dict[str, Any]:
    """What litellm's list says about the model; empty when it does not know this endpoint."""
    if not plan.listed:
        return {}
    with suppress(Exception):  # unknown models raise plain Exception; unknown is an answer here
        return dict(litellm.get_model_info(plan.name))
    return {}


def _listed_as_seeing(name: str) -> bool:
    """What litellm's list says, read directly: its own question asks an Ollama server."""
    listed: Any = litellm.model_cost
    names = (name, name.partition("/")[2])
    return any(listed.get(known, {}).get("supports_vision") is True for known in names)


def _listed_price(plan: ModelPlan, info: dict[str, Any]) -> Price | None:
    """The listed price. Zero at somebody else's endpoint means that nobody filled it in."""
    per_input, per_output = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if plan.unmetered or per_input is None or per_output is None:
        return None
    if not plan.local and not (per_input and per_output):
        return None
    return Price(per_input * 1e6, per_output * 1e6, source="litellm")


def _usage(view: View, answer: Assembly) -> Usage:
    """Tokens as the provider counted them, else about one for three bytes (rather too many)."""
    said = answer.usage
    if said is not None and said.prompt_tokens:
        details = getattr(said, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None) or 0
        return Usage(said.prompt_tokens, said.completion_tokens or 0, cached)
    asked = str(messages_json(view.messages)) + str(tools_json(view.tools))
    pictures = sum(len(message.images) for message in view.messages) * TOKENS_PER_PICTURE
    return Usage(len(asked.encode("utf-8", "replace")) // 3 + pictures, answer.size // 3)
