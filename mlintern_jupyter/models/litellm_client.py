# pyright: basic
"""Asks a language model through litellm, once, and returns a complete answer or raises.

litellm speaks every provider's dialect; what a turn depends on is decided here, from the bytes on
the wire (`stream_watch`), because litellm makes up finish reasons, turns refused connections into
status 500, retries on its own and sets no limit to a stream that trickles.

What happens when it goes wrong (`failures`):

====================================  =========================================================
401, 403, 402                         `Paused`: says which variable holds the key, how to resume
429, 529                              waits (as asked by the server, bounded), then `ModelDown`
other 5xx, 408, nobody answers        a few waits, then `ModelDown`
stream without its end, web page,     partial answer dropped, asked again twice, then
redirect                              `ModelFailed`
nothing in the answer                 asked again once, then `ModelFailed`
413, or said to be too long           `ContextOverflow`
400 and 422                           asked again in another manner where there is one
                                      (`request`), else `ModelFailed` with the server's message
404 and other 4xx                     `ModelFailed` with the server's message
a request for another host            not sent; `ModelFailed`
====================================  =========================================================

Pictures go to models that litellm's list says can see, under the name as typed or without its
provider (so also behind a gateway); a server the list does not know is sent text.

Not covered: the Responses API. litellm takes no client of ours on that way, so its streams could
not be watched: models that OpenAI offers there alone are refused with the way round, all others are
asked over chat completions, where OpenAI's newest call tools only without thinking.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx

from mlintern_jupyter.errors import ModelFailed, TurnError
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Reply, View
from mlintern_jupyter.models.assembly import Assembly
from mlintern_jupyter.models.dialect import messages_json, tools_json
from mlintern_jupyter.models.failures import (
    Patience,
    Unusable,
    Waits,
    chain_has,
    incomplete,
    judge,
    responses_only,
    scrubbed,
)
from mlintern_jupyter.models.look import look
from mlintern_jupyter.models.names import ModelPlan, key_of, may_be_asked
from mlintern_jupyter.models.quiet_litellm import ContextWindowExceededError, litellm
from mlintern_jupyter.models.request import Manner, request
from mlintern_jupyter.models.stream_watch import Watch, WatchedClient
from mlintern_jupyter.usage import Price, Usage

_CUT_NOTE = "\n[the answer was cut off; asking again]\n"
_SAID_FROM_S = 5.0
"""Waits from this long on are said."""


class LitellmModel:
    """A language model behind litellm. Implements `protocols.Model`.

    Args:
        plan: As ``names.resolve`` made it.
        patience: How long and how often a server is waited for.
        env: Where the key is read, at each call. Bedrock's credentials are read by its own library
            from the process's environment.
    """

    def __init__(
        self,
        plan: ModelPlan,
        patience: Patience | None = None,
        *,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.name = plan.name
        self.unmetered = plan.unmetered
        self._plan = plan
        self._patience = patience or Patience()
        self._env = env
        self._tls: ssl.SSLContext | None = None
        self._info = _listed(plan)
        self.price = plan.price or _listed_price(plan, self._info)
        listed = self._info.get("max_input_tokens") or None
        self.context_tokens: int | None = plan.context_tokens or listed
        self.notes: tuple[str, ...] = ()
        """What `look` has to say to the person, e.g. that Ollama chooses the window itself."""
        self.sees = _listed_as_seeing(plan.name)
        self._manner = Manner(sees=self.sees)

    async def look(self) -> None:
        """Ask the server for the context size and price nobody has told yet. Never raises."""
        wants_price = self.price is None and not self.unmetered
        if self.context_tokens is not None and not wants_price:
            return
        watch = Watch()
        async with self._client(watch, 5.0) as client:
            found = await look(self._plan, client, key_of(self._plan, self._env))
        self.context_tokens = self.context_tokens or found.context_tokens
        if wants_price:
            self.price = found.price
        self.notes = found.notes

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        """Ask once; see the table above for what is raised. Cancellation closes the connection."""
        if self._info.get("mode") == "responses":
            raise responses_only(self._plan)
        waits = Waits(self._patience, self._plan)
        manner = self._manner
        shown = False
        dropped = Usage()

        def show(text: str) -> None:
            nonlocal shown
            shown = True
            on_text(text)

        while True:
            try:
                reply = await self._ask(view, show, manner)
            except TurnError as error:
                error.charged = dropped + (error.charged or Usage())
                raise
            except Unusable as trouble:
                dropped += trouble.charged
                if trouble.kind == "refused" and (other := manner.after(trouble, self._plan, view)):
                    manner, note = other
                    on_text(note)
                    continue
                wait_s = waits.next(trouble, dropped)
                said = trouble.what
            else:
                # Only what was accepted is learnt; a request refused anyhow teaches nothing.
                self._manner, self.sees = manner, manner.sees
                return replace(reply, dropped=dropped)
            if shown:
                on_text(_CUT_NOTE)
                shown = False
            if wait_s >= _SAID_FROM_S:
                on_text(f"[{said}; asking again in {wait_s:.0f} s]\n")
            await asyncio.sleep(wait_s)

    async def _ask(self, view: View, on_text: Callable[[str], None], manner: Manner) -> Reply:
        watch = Watch()
        answer = Assembly(on_text)
        patience = self._patience
        client = self._client(watch, patience.silence_s * (5 if self._plan.unmetered else 1))
        key = key_of(self._plan, self._env)
        try:
            async with client, asyncio.timeout(patience.total_s):
                asked = request(
                    self._plan, view, manner, client=client, key=key, total_s=patience.total_s
                )
                stream: Any = await litellm.acompletion(**asked)
                async for chunk in stream:
                    answer.add(chunk)
        except TimeoutError:
            what = f"{self.name} was still answering after {patience.total_s:g} s"
            trouble = Unusable("cut", what)
        except Exception as error:  # noqa: BLE001 - litellm raises dozens of unrelated types, plain
            # Exception among them; what happened is read from the wire.
            overflow = chain_has(error, ContextWindowExceededError)
            trouble = judge(self._plan, watch, error, overflow=overflow)
        else:
            trouble = incomplete(self._plan, watch)
        if trouble is not None:
            if watch.status == 200 and isinstance(trouble, Unusable | TurnError):
                trouble.charged = _usage(view, answer, watch)
            # Raised out here, it does not carry litellm's exception and with it the request's key.
            raise scrubbed(trouble, key)
        return self._reply(view, answer, watch)

    def _client(self, watch: Watch, silence_s: float) -> WatchedClient:
        self._tls = self._tls or httpx.create_ssl_context()
        return WatchedClient(
            watch,
            allowed=lambda url: may_be_asked(self._plan, url),
            silence_s=silence_s,
            direct=self._plan.unmetered,
            tls=self._tls,
        )

    def _reply(self, view: View, answer: Assembly, watch: Watch) -> Reply:
        usage = _usage(view, answer, watch)
        if answer.finish == "content_filter":
            filtered = ModelFailed(
                f"{self.name} was stopped by its provider's content filter",
                do="say it in other words with `%intern steer`, or use another model; "
                + "the session is kept: `%intern resume`",
            )
            filtered.charged = usage
            raise filtered
        cut_short = answer.finish == "length"
        calls = answer.calls(view)
        if not calls and not answer.text.strip() and not cut_short:
            empty = Unusable("empty", f"{self.name} answered with nothing")
            empty.charged = usage
            raise empty
        stop = "length" if cut_short else "tool_calls" if calls else "stop"
        # What was cut short may lack its signature, and its calls are not carried out.
        said = answer.thinking(self._plan.replay, watch.reasoning_details)
        thinking = () if cut_short else said
        return Reply(answer.text, calls, stop, usage, self.name, thinking)


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
    if plan.cache_prompt and per_input is not None:
        # What is written into the provider's cache costs more than what is only read.
        per_input = max(per_input, info.get("cache_creation_input_token_cost") or 0.0)
    if plan.unmetered or per_input is None or per_output is None:
        return None
    if not plan.local and not (per_input and per_output):
        return None
    return Price(per_input * 1e6, per_output * 1e6, source="litellm")


def _usage(view: View, answer: Assembly, watch: Watch) -> Usage:
    """Tokens as the provider counted them, else about one for three bytes (rather too many)."""
    said = answer.usage
    if watch.counted and said is not None and said.prompt_tokens:
        details = getattr(said, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None) or 0
        return Usage(said.prompt_tokens, said.completion_tokens or 0, cached)
    asked = str(messages_json(view.messages)) + str(tools_json(view.tools))
    pictures = sum(len(message.images) for message in view.messages) * TOKENS_PER_PICTURE
    return Usage(len(asked.encode("utf-8", "replace")) // 3 + pictures, answer.size // 3)
