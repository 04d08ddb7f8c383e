"""A model behind the Responses API of a server on loopback, and answers said to the letter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from recording_server import Answer

from mlintern_jupyter.messages import Message, Reply, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve

NAME, PATH = "openai/responses/scripted", "/v1/responses"
TOOL = ToolSpec(
    "add",
    "Add.",
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
)
START = (Message("system", "Be brief."), Message("user", "1 + 2?"))
QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=0.3, retries=2)


def model_at(url: str, name: str = NAME, patience: RetryPolicy = QUICK) -> LitellmModel:
    return LitellmModel(resolve(name, api_base=url, price=None, env={}), patience)


def step(
    model: LitellmModel,
    messages: tuple[Message, ...] = START,
    on_text: Callable[[str], None] = lambda _: None,
) -> Reply:
    return asyncio.run(model.complete(View(messages, (TOOL,), 512), on_text))


def after(reply: Reply, messages: tuple[Message, ...] = START) -> tuple[Message, ...]:
    """The conversation with the reply and a result for each of its calls."""
    said = Message("assistant", reply.text, reply.calls, thinking=reply.thinking)
    results = tuple(Message("tool", "3", call_id=call.id) for call in reply.calls)
    return (*messages, said, *results)


def reasoning(number: int) -> dict[str, Any]:
    content = f"hidden-{number}"
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": content}


def words(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return said | {"content": [part]}


def function_call(number: int, arguments: str = "{}") -> dict[str, Any]:
    call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"c{number}"}
    return call | {"name": "add", "arguments": arguments, "status": "completed"}


def response(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    usage = used | {"input_tokens_details": {"cached_tokens": 2}}
    head = {"id": "resp_1", "object": "response", "created_at": 0, "model": "m", "error": None}
    rest = {"incomplete_details": None, "status": status, "output": list(output), "usage": usage}
    return head | rest | more


def stream(*events: dict[str, Any]) -> Answer:
    lines = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return 200, {"Content-Type": "text/event-stream"}, lines.encode()


def answered(*output: dict[str, Any]) -> Answer:
    """A stream that brings each item whole."""
    items = [
        {"type": "response.output_item.done", "output_index": at, "item": item}
        for at, item in enumerate(output)
    ]
    return stream(*items, {"type": "response.completed", "response": response(*output)})
