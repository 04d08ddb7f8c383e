"""What was sent once stays the beginning of what is sent later, and the cache is told where."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from mlintern_jupyter.messages import Message, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.dialect import DialectOptions, messages_json
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

TOOL = ToolSpec("add", "Add.", {"type": "object", "properties": {}, "additionalProperties": False})
LONG = " ".join(f"rule {number} says something." for number in range(300))
STEPS = 6


def passing(step: int) -> Message:
    return Message("user", f"step {step}, {STEPS - step} left", passing=True)


def run(name: str) -> list[Any]:
    """A turn of some steps, each with two calls, and a message at its end that never stays."""
    turns = [Turn(f"Step {n}.", (Call("add"), Call("add"))) for n in range(STEPS)]
    with ScriptedServer(turns) as server:
        model = LitellmModel(resolve(name, api_base=server.base_url, price=None, env={}))
        messages = (Message("system", LONG), Message("user", "Add all day. " * 300))
        for step in range(STEPS):
            view = View((*messages, passing(step)), (TOOL,), 64)
            reply = asyncio.run(model.complete(view, lambda _: None))
            results = (
                Message("tool", f"result {step} " + "of many words " * 100, call_id=call.id)
                for call in reply.calls
            )
            messages = (*messages, Message("assistant", reply.text, reply.calls), *results)
        return server.requests


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-4-5", "openai/scripted"])
def test_all_but_the_newest_step_comes_from_the_cache(name: str) -> None:
    requests = run(name)
    for earlier, later in itertools.pairwise(requests):
        # The message that passes, and what a chat template puts around it, is all that is lost.
        assert later.cached_tokens > earlier.tokens - 40


def marked(body: dict[str, Any]) -> list[str]:
    blocks = list(body["system"])
    for message in body["messages"]:
        blocks += message["content"] if isinstance(message["content"], list) else []
    return [json.dumps(block) for block in blocks if "cache_control" in block]


def test_marks_stand_at_the_system_the_end_of_the_last_request_and_before_what_passes() -> None:
    last = run("anthropic/claude-sonnet-4-5")[-1].body
    system, before, end = marked(last)
    assert "rule 299" in system
    assert f"result {STEPS - 3} " in before
    assert f"result {STEPS - 2} " in end
    assert "left" in last["messages"][-1]["content"][-1]["text"]
    assert "cache_control" not in last["messages"][-1]["content"][-1]


def test_a_conversation_is_spelled_the_same_whatever_follows_it() -> None:
    messages = [Message("system", "s"), Message("user", "goal"), passing(1)]
    for options in (DialectOptions(), DialectOptions(folds=True), DialectOptions(sees=True)):
        short, long = (
            json.dumps(messages_json(m, options))
            for m in (messages[:2], [*messages[:2], passing(2)])
        )
        assert long.startswith(short[:-3])
