"""A provider with a dialect of its own goes through the same watch."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.messages import Message, Reply, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
TOOL = ToolSpec("add", "Add.", {"type": "object", "properties": {"a": {"type": "integer"}}})
VIEW = View((Message("system", "Be brief."), Message("user", "1 + 2?")), (TOOL,), 64)
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "claude",
            "stop_reason": None,
            "usage": {"input_tokens": 20, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Let me add."},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t1", "name": "add", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


@contextmanager
def anthropic_server(*answers: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Sends so many of the events at each request in turn."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, **body})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for event in EVENTS[: answers[len(seen) - 1]]:
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(base_url: str) -> Reply:
    plan = resolve("anthropic/claude-sonnet-4-5", api_base=base_url, price=None, env={})
    model = LitellmModel(plan, RetryPolicy(first_wait_s=0.01, restarts=1))
    return asyncio.run(model.complete(VIEW, lambda _: None))


def test_a_cut_answer_in_anthropics_dialect_is_asked_for_again() -> None:
    with anthropic_server(6, len(EVENTS)) as (base_url, seen):
        reply = ask(base_url)
    assert len(seen) == 2
    assert reply.text == "Let me add."
    assert [(call.id, json.loads(call.arguments)) for call in reply.calls] == [("t1", {"a": 1})]
    assert (reply.stop, reply.usage.input_tokens, reply.usage.output_tokens) == (
        "tool_calls",
        20,
        9,
    )


def test_an_answer_that_never_reaches_message_stop_is_not_believed() -> None:
    with (
        anthropic_server(3, 3) as (base_url, _),
        pytest.raises(ModelFailed, match="cut off"),
    ):
        ask(base_url)


def test_the_prompt_is_marked_for_the_cache_and_the_address_is_not_doubled() -> None:
    with anthropic_server(len(EVENTS)) as (base_url, seen):
        ask(base_url)
    assert seen[0]["path"] == "/v1/messages"
    assert seen[0]["max_tokens"] == 64
    assert seen[0]["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert seen[0]["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
