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

Some models are asked over OpenAI's Responses API (`over_responses`), with the openai client.
litellm's own `aresponses` takes the watched client as well, but lets no model stream that its list
does not know to, and logs every answer in tasks of its own, with a warning that lands in whatever
cell is running.

Not covered there: a server that says in words alone that a conversation is too long.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import httpx

from mlintern_jupyter.errors import ModelFailed, TurnError
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Reply, View
from mlintern_jupyter.models.litellm.assembly import Assembly
from mlintern_jupyter.models.litellm.dialect import messages_json, tools_json
from mlintern_jupyter.models.litellm.failures import (
    RetryPolicy,
    RetryWaits,
    Unusable,
    chain_has,
    incomplete,
    judge,
    scrubbed,
)
from mlintern_jupyter.models.litellm.probe import probe
from mlintern_jupyter.models.litellm.quiet_import import ContextWindowExceededError, litellm
from mlintern_jupyter.models.litellm.request import (
    RequestOptions,
    openai_client,
    request,
    responses_request,
)
from mlintern_jupyter.models.litellm.responses_assembly import ResponsesAssembly
from mlintern_jupyter.models.litellm.responses_dialect import REASONING
from mlintern_jupyter.models.litellm.stream_watch import StreamWatch, WatchedClient
from mlintern_jupyter.models.names import ModelPlan, is_planned_host, key_of
from mlintern_jupyter.usage import Price, Usage

_CUT_NOTE = "\n[the answer was cut off; asking again]\n"
_SAID_FROM_S = 5.0
"""Waits from this long on are said."""
_NEWEST = re.compile(r"gpt-(5\.([4-9]|\d\d)|[6-9]|1\d)(?!\d)")
"""OpenAI's models from gpt-5.4 on."""


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
        patience: RetryPolicy | None = None,
        *,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        if over_responses(plan):
            plan = replace(plan, responses=True, replay=REASONING)
        self.name = plan.name
        self.unmetered = plan.unmetered
        self._plan = plan
        self._patience = patience or RetryPolicy()
        self._env = env
        self._info = _listed(plan)
        self.price = plan.price or _listed_price(plan, self._info)
        listed = self._info.get("max_input_tokens") or None
        self.context_tokens: int | None = plan.context_tokens or listed
        self.notes: tuple[str, ...] = ()
        """What `look` has to say to the person, e.g. that Ollama chooses the window itself."""
        self.sees = _listed_as_seeing(plan.listed_name)
        self._options = RequestOptions(sees=self.sees)

    async def probe(self) -> None:
        """Ask the server for the context size and price nobody has told yet. Never raises."""
        wants_price = self.price is None and not self.unmetered
        if self.context_tokens is not None and not wants_price:
            return
        watch = StreamWatch()
        async with self._client(watch, 5.0) as client:
            found = await probe(self._plan, client, key_of(self._plan, self._env))
        self.context_tokens = self.context_tokens or found.context_tokens
        if wants_price:
            self.price = found.price
        self.notes = found.notes

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        """Ask once; see the table above for what is raised. Cancellation closes the connection."""
        waits = RetryWaits(self._patience, self._plan)
        options = self._options
        shown = False
        dropped = Usage()

        def show(text: str) -> None:
            nonlocal shown
            shown = True
            on_text(text)

        while True:
            try:
                reply = await self._ask(view, show, options)
            except TurnError as error:
                error.charged = dropped + (error.charged or Usage())
                raise
            except Unusable as trouble:
                dropped += trouble.charged
                if trouble.kind == "refused" and (
                    other := options.after(trouble, self._plan, view)
                ):
                    options, note = other
                    on_text(note)
                    continue
                wait_s = waits.next(trouble, dropped)
                said = trouble.what
            else:
                # Only what was accepted is learnt; a request refused anyhow teaches nothing.
                self._options, self.sees = options, options.sees
                return replace(reply, dropped=dropped)
            if shown:
                on_text(_CUT_NOTE)
                shown = False
            if wait_s >= _SAID_FROM_S:
                on_text(f"[{said}; asking again in {wait_s:.0f} s]\n")
            await asyncio.sleep(wait_s)

    async def _ask(
        self, view: View, on_text: Callable[[str], None], options: RequestOptions
    ) -> Reply:
        watch = StreamWatch()
        answer = ResponsesAssembly(on_text) if self._plan.responses else Assembly(on_text)
        patience = self._patience
        slow = self._plan.unmetered or self._plan.responses
        silence_s = patience.silence_s * (5 if slow else 1) if options.streams else patience.total_s
        client = self._client(watch, silence_s)
        key = key_of(self._plan, self._env)
        try:
            async with client, asyncio.timeout(patience.total_s):
                await self._answer(view, options, answer, client, key)
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

    async def _answer(
        self,
        view: View,
        options: RequestOptions,
        answer: Assembly,
        client: WatchedClient,
        key: str | None,
    ) -> None:
        plan, total_s = self._plan, self._patience.total_s
        if isinstance(answer, ResponsesAssembly):
            arguments = responses_request(plan, view, options, total_s=total_s)
            said: Any = await openai_client(plan, client, key).responses.create(**arguments)
            if not options.streams:
                answer.whole(said)
                return
        else:
            arguments = request(plan, view, options, client=client, key=key, total_s=total_s)
            said = await litellm.acompletion(**arguments)
        async for chunk in said:
            answer.add(chunk)
        if plan.responses and not answer.finish:
            # Cut inside the last event, which says whether the answer is a whole one.
            raise ValueError("the last event is not whole")

    def _client(self, watch: StreamWatch, silence_s: float) -> WatchedClient:
        return WatchedClient(
            watch,
            allowed=lambda url: is_planned_host(self._plan, url),
            silence_s=silence_s,
            direct=self._plan.unmetered,
            tls=_trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        )

    def _reply(self, view: View, answer: Assembly, watch: StreamWatch) -> Reply:
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


@cache
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The certificates that httpx trusts, read once: a model is made for each turn and sub-agent.

    Args:
        file: value of ``SSL_CERT_FILE``, which httpx reads itself; another value, another context.
        folder: value of ``SSL_CERT_DIR``, likewise.
    """
    del file, folder
    return httpx.create_ssl_context()


def over_responses(plan: ModelPlan) -> bool:
    """Whether a model is asked over the Responses API: its name says so, or it is litellm's rule.

    At any address that is what its list has under this API alone (gpt-5-codex, o3-pro). At OpenAI's
    own and Azure's it is the newest, too, which over chat completions call tools only without
    thinking; they go there with every request, as one that has tools could not use the reasoning
    of one that had none. litellm's own function for it is not among those it promises to keep.
    """
    provider, _, model = plan.name.partition("/")
    if plan.responses or provider not in {"openai", "azure"}:
        return plan.responses
    known: Any = litellm.model_cost
    entry = known.get(model if provider == "openai" else plan.name, {})
    newest = plan.listed and _NEWEST.match(model) is not None
    return entry.get("mode") == "responses" or newest


def _listed(plan: ModelPlan) -> dict[str, Any]:
    """What litellm's list says about the model; empty when it does not know this endpoint."""
    if not plan.listed:
        return {}
    with suppress(Exception):  # unknown models raise plain Exception; unknown is an answer here
        return dict(litellm.get_model_info(plan.listed_name))
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


def _usage(view: View, answer: Assembly, watch: StreamWatch) -> Usage:
    """Tokens as the provider counted them, else about one for three bytes (rather too many)."""
    if watch.counted and answer.usage is not None:
        return answer.usage
    arguments = str(messages_json(view.messages)) + str(tools_json(view.tools))
    pictures = sum(len(message.images) for message in view.messages) * TOKENS_PER_PICTURE
    return Usage(len(arguments.encode("utf-8", "replace")) // 3 + pictures, answer.size // 3)
