# pyright: basic
"""One request as litellm is given it, and what a server's refusals teach about the next one.

A 400 says in words what was wrong, and words are not judged here. What is known by type is what
was sent: reasoning of an earlier reply, a picture, a field that the error names as its ``param``.
Each is changed once and the request made again; if it is refused all the same, everything stays as
it was and the person is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import httpx
import openai

from mlintern_jupyter.messages import View
from mlintern_jupyter.models.litellm.dialect import (
    DialectOptions,
    messages_json,
    replayed,
    thinking_digest,
    tools_json,
)
from mlintern_jupyter.models.litellm.failures import Unusable
from mlintern_jupyter.models.litellm.quiet_import import AsyncHTTPHandler
from mlintern_jupyter.models.litellm.responses_dialect import conversation_json, functions_json
from mlintern_jupyter.models.litellm.stream_watch import WatchedClient
from mlintern_jupyter.models.names import ModelPlan

_EFFORT_NOTE = "[this model calls tools only without thinking here; asking again]\n"
_LIMIT_NOTE = "[the limit is called otherwise here; asking again]\n"
_FILL_NOTE = "[reasoning is missed in earlier replies; asking again with blanks]\n"
_THINKING_NOTE = "[earlier reasoning was refused; asking again without it]\n"
_HIDDEN_NOTE = "[this model does not hand out its reasoning; asking again without]\n"
_WHOLE_NOTE = "[this model answers in one piece; asking again]\n"
_BLIND_NOTE = "[the pictures were refused; asking again without them]\n"
_LEAST_OUTPUT = 16
"""The Responses API refuses less."""
# Older ones would send the option to the provider.
_KNOWS_BRIDGE = tuple(map(int, metadata.version("litellm").split(".")[:2])) >= (1, 106)


@dataclass(frozen=True)
class RequestOptions:
    """How a server wants to be asked, as far as its refusals have taught."""

    sees: bool
    left_out: frozenset[str] = frozenset()
    """Digests of reasoning that was refused."""
    replays: bool = True
    """Reasoning is sent back at all."""
    fills: bool = False
    """Replies of another model get blank reasoning."""
    thinks: bool = True
    """The model may think; OpenAI's newest refuse tools over chat completions if they do."""
    limit: str = "max_tokens"
    """What the field for the longest answer is called."""
    streams: bool = True
    """The Responses API answers in pieces; some of its models only do in one."""

    def options(self, plan: ModelPlan) -> DialectOptions:
        """How the conversation is spelled."""
        return DialectOptions(
            sees=self.sees,
            replay=plan.replay if self.replays else "",
            left_out=self.left_out,
            fills=self.fills,
            marks=plan.cache_prompt,
            folds=plan.folds,
            short_ids=plan.route.startswith("mistral/"),
            long_ids=plan.route.startswith(("gemini/", "vertex_ai/")),
        )

    def after(
        self, refusal: Unusable, plan: ModelPlan, view: View
    ) -> tuple[RequestOptions, str] | None:
        """Another manner to try after a refusal, and a note; ``None`` when there is none."""
        if refusal.param == "reasoning_effort" and self.thinks:
            return replace(self, thinks=False), _EFFORT_NOTE
        if refusal.param == "max_tokens" and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens"), _LIMIT_NOTE
        if refusal.param == "include" and self.replays:
            return replace(self, replays=False), _HIDDEN_NOTE
        if refusal.param == "stream" and plan.responses and self.streams:
            return replace(self, streams=False), _WHOLE_NOTE
        options = self.options(plan)
        wants_all = plan.name.startswith("deepseek/") and not self.left_out
        if wants_all and not self.fills and _lacks(view, options):
            return replace(self, fills=True), _FILL_NOTE
        sent = [block for message in view.messages for block in replayed(message, options)]
        if sent:
            refused = self.left_out | {thinking_digest(block) for block in sent}
            # Refused a second time, it is not this reasoning but reasoning.
            return replace(self, left_out=refused, replays=not self.left_out), _THINKING_NOTE
        if self.sees and any(message.images for message in view.messages):
            # One picture a provider dislikes would otherwise end every later turn, too.
            return replace(self, sees=False), _BLIND_NOTE
        return None


def _lacks(view: View, options: DialectOptions) -> bool:
    """Whether a reply with calls is sent without reasoning, as after a change of models."""
    return any(message.calls and not replayed(message, options) for message in view.messages)


def request(
    plan: ModelPlan,
    view: View,
    options: RequestOptions,
    *,
    client: WatchedClient,
    key: str | None,
    total_s: float,
) -> dict[str, Any]:
    """The arguments of ``litellm.acompletion``."""
    made: dict[str, Any] = {
        "model": plan.route,
        "messages": messages_json(view.messages, options.options(plan)),
        options.limit: view.max_output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "num_retries": 0,
        "max_retries": 0,
        "timeout": total_s,
        "_skip_mcp_handler": True,  # else tools need the `mcp` package
        "client": _wrapped(plan, client, key),
    }
    if _KNOWS_BRIDGE:
        # Who is asked over the Responses API is decided before; that way goes past our client.
        made["_skip_responses_api_bridge"] = True
    if not plan.authenticates_itself:
        made["api_key"] = key or "none-needed"
    if plan.api_base:
        made["api_base"] = plan.api_base
    if view.tools:
        made["tools"] = tools_json(view.tools)
    if not options.thinks:
        made["extra_body"] = {"reasoning_effort": "none"}
    return made


def responses_request(
    plan: ModelPlan, view: View, options: RequestOptions, *, total_s: float
) -> dict[str, Any]:
    """The arguments of ``responses.create`` of the openai client."""
    made: dict[str, Any] = {
        "model": plan.route.removeprefix("openai/"),
        **conversation_json(view.messages, options.options(plan)),
        "max_output_tokens": max(view.max_output_tokens, _LEAST_OUTPUT),
        "stream": options.streams,
        "store": False,
        "timeout": total_s,
    }
    if options.replays:
        made["include"] = ["reasoning.encrypted_content"]
    if view.tools:
        made["tools"] = functions_json(view.tools)
    return made


def openai_client(plan: ModelPlan, client: WatchedClient, key: str | None) -> openai.AsyncOpenAI:
    """The watched client in the wrapping of OpenAI's own."""
    return openai.AsyncOpenAI(
        api_key=key or "none-needed", base_url=plan.api_base, http_client=client, max_retries=0
    )


def _wrapped(plan: ModelPlan, client: WatchedClient, key: str | None) -> Any:
    """The watched client in the wrapping litellm wants: one kind a route, anything else ignored."""
    if plan.route.startswith("openai/"):
        return openai_client(plan, client, key)
    # The transport only keeps the handler from making a client of its own.
    handler = AsyncHTTPHandler(transport=httpx.AsyncBaseTransport())
    handler.client = client
    return handler
